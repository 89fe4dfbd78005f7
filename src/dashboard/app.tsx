import { useCallback, useMemo, useRef, useState } from 'preact/hooks';
import { Announcer } from './announcer.js';
import { Banner } from './banner.js';
import { Detail } from './detail.js';
import { EntryDialog } from './entry-dialog.js';
import { type Filter, filterRows, NO_FILTER } from './filter.js';
import { countLevels } from './order.js';
import { PageHeader } from './page-header.js';
import { useNow, useShortcuts, useTitle } from './page-hooks.js';
import { useRelay } from './relay.js';
import { SessionList } from './session-list.js';
import { SignIn } from './sign-in.js';
import { relayTime } from './skew.js';
import { useTheme } from './theme.js';
import type { Entry } from './timeline.js';
import { TimelineList } from './timeline-list.js';
import { forgetToken, keepToken, storedToken } from './token-store.js';
import { Toolbar } from './toolbar.js';

/** The page for one token after another: each has a connection of its own. */
export function App() {
  const [login, setLogin] = useState(() => ({ token: storedToken(), count: 0 }));
  const signIn = (token: string | undefined): void => {
    if (token === undefined) forgetToken();
    else keepToken(token);
    setLogin({ token, count: login.count + 1 });
  };
  return (
    <Page
      key={login.count}
      token={login.token}
      onToken={signIn}
      onAgain={() => setLogin({ ...login, count: login.count + 1 })}
    />
  );
}

interface PageProps {
  readonly token: string | undefined;
  /** `undefined`: the token is to be forgotten. */
  readonly onToken: (token: string | undefined) => void;
  readonly onAgain: () => void;
}

/** The whole page. What the relay says is in the feed; here stands what the person at it has chosen. */
function Page({ token, onToken, onAgain }: PageProps) {
  const { client, feed, drawn } = useRelay(token);
  const now = useNow();
  const relayNow = relayTime(now, feed.skewMs);
  const { choice, theme, next } = useTheme();
  const [filter, setFilter] = useState<Filter>(NO_FILTER);
  const [activeKey, setActiveKey] = useState<string>();
  const [openKey, setOpenKey] = useState<string>();
  const [activeEntry, setActiveEntry] = useState<string>();
  const [entry, setEntry] = useState<Entry>();
  const [tab, setTab] = useState<'sessions' | 'timeline'>('sessions');
  const search = useRef<HTMLInputElement>(null);

  const rows = useMemo(() => filterRows(feed.rows, filter), [feed.rows, filter]);
  const counts = useMemo(() => countLevels(feed.rows), [feed.rows]);
  const venues = useMemo(() => [...new Set(feed.rows.map(({ state }) => state.venue))].sort(), [feed.rows]);
  const entries = useMemo(
    () => feed.timeline.select(filter, feed.row),
    [feed, feed.timeline.pushed, filter, filter.levels.size > 0 || filter.status !== '' ? feed.rows : undefined],
  );
  const open = openKey === undefined ? undefined : feed.row(openKey);
  const own = useMemo(
    () => (openKey === undefined ? [] : feed.timeline.of(openKey)),
    [feed, feed.timeline.pushed, openKey],
  );

  const closeDetail = useCallback(() => {
    setOpenKey(undefined);
    // On a phone the list can be focused once the detail is gone.
    requestAnimationFrame(() => document.getElementById('sessions')?.focus());
  }, []);
  useShortcuts(search, openKey !== undefined, closeDetail);
  useTitle(feed.view === 'live', counts.unsafe, drawn);

  const { status } = feed;
  const error = status?.state === 'closed' ? status.error : undefined;
  const wantsToken = error?.code === 'unauthenticated';
  const header = (
    <PageHeader
      feed={feed}
      now={now}
      theme={choice}
      hasToken={token !== undefined}
      onTheme={next}
      onForget={() => onToken(undefined)}
      onRetry={() => client.retryNow()}
    />
  );
  const signIn = wantsToken && <SignIn refused={token === undefined ? undefined : error.message} onToken={onToken} />;
  if (wantsToken && !feed.wasLive) {
    return (
      <div class="page">
        {header}
        <main>{signIn}</main>
      </div>
    );
  }
  return (
    <div class="page" data-view={feed.view} data-detail={open !== undefined} data-tab={tab}>
      {header}
      <Banner feed={feed} now={now} />
      {signIn}
      {error !== undefined && !wantsToken && (
        <div class="stopped">
          <p>This page has stopped: {error.message}</p>
          <button type="button" onClick={onAgain}>
            Connect again
          </button>
        </div>
      )}
      <Toolbar
        filter={filter}
        counts={counts}
        venues={venues}
        shown={rows.length}
        total={feed.rows.length}
        search={search}
        onFilter={setFilter}
      />
      <nav class="tabs" aria-label="View">
        <button type="button" aria-pressed={tab === 'sessions'} onClick={() => setTab('sessions')}>
          Sessions
        </button>
        <button type="button" aria-pressed={tab === 'timeline'} onClick={() => setTab('timeline')}>
          Timeline
        </button>
      </nav>
      <main class="panes">
        <section class="panel sessions" aria-label="All sessions">
          <SessionList
            feed={feed}
            rows={rows}
            total={feed.rows.length}
            now={relayNow}
            activeKey={activeKey}
            openKey={openKey}
            onActive={setActiveKey}
            onOpen={setOpenKey}
          />
        </section>
        {open !== undefined && (
          <Detail
            feed={feed}
            client={client}
            row={open}
            now={relayNow}
            theme={theme}
            entries={own}
            activeEntry={activeEntry}
            onActiveEntry={setActiveEntry}
            onEntry={setEntry}
            onClose={closeDetail}
          />
        )}
        <section class="panel timeline" aria-label="All events">
          <h2 class="panel-title">
            Timeline <span class="sub">newest first, {feed.timeline.size} held</span>
          </h2>
          <TimelineList
            id="timeline"
            label="Timeline"
            entries={entries}
            now={relayNow}
            activeKey={activeEntry}
            onActive={setActiveEntry}
            onOpen={setEntry}
          />
        </section>
      </main>
      {entry !== undefined && (
        <EntryDialog
          entry={entry}
          onClose={() => setEntry(undefined)}
          onSession={
            entry.kind === 'event' && feed.row(entry.event.subject) !== undefined
              ? (key) => {
                  setEntry(undefined);
                  setActiveKey(key);
                  setOpenKey(key);
                }
              : undefined
          }
        />
      )}
      <Announcer feed={feed} />
    </div>
  );
}
