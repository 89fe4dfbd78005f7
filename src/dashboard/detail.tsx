import { useEffect, useRef } from 'preact/hooks';
import { isSessionState, type RelayClient, type SessionState, type SourceState } from '../client/index.js';
import { Badge } from './badge.js';
import { CommandButtons } from './command-buttons.js';
import type { Feed } from './feed.js';
import type { Row } from './order.js';
import { ProtectionChips } from './protection.js';
import { isDoubtful, reasonWords } from './reasons.js';
import { RttPlot } from './rtt-plot.js';
import { Expiry } from './session-cells.js';
import { isConnected } from './status-words.js';
import type { Entry } from './timeline.js';
import { TimelineList } from './timeline-list.js';
import { ago, moment } from './times.js';

export interface DetailProps {
  readonly feed: Feed;
  readonly client: RelayClient;
  readonly row: Row;
  /** The relay's time. */
  readonly now: number;
  readonly theme: string;
  readonly entries: readonly Entry[];
  readonly activeEntry: string | undefined;
  readonly onActiveEntry: (key: string) => void;
  readonly onEntry: (entry: Entry) => void;
  readonly onClose: () => void;
}

/** All that is known of one session, and what may be done about it. */
export function Detail(props: DetailProps) {
  const { feed, client, row, now, theme, entries, onClose } = props;
  const { key, owner, state, safety } = row;
  const heading = useRef<HTMLHeadingElement>(null);
  useEffect(() => heading.current?.focus(), [key]);
  const session = isSessionState(state) ? state : undefined;
  const source = feed.source(owner);
  return (
    <section class="panel detail" aria-label={`Details of ${key}`}>
      <header class="panel-head">
        <h2 ref={heading} tabIndex={-1}>
          {key}
        </h2>
        <button type="button" class="quiet" onClick={onClose}>
          Close <kbd>Esc</kbd>
        </button>
      </header>
      <div class="panel-body">
        <div class="verdict" data-level={safety.level}>
          <Badge level={safety.level} />
          <ReasonList codes={safety.reasons} title="Why" />
          <ReasonList codes={safety.notes} title="Noted, without lowering the level" />
          {safety.level === 'safe' && <p>Every input that the verdict needs is confirmed.</p>}
        </div>
        {session !== undefined && <SessionFacts state={session} seenAtMs={feed.seenAtMs(key)} now={now} />}
        {session !== undefined && (
          <>
            <h3>Heartbeat round trip</h3>
            <RttPlot samples={feed.roundTrips.of(key)} theme={theme} />
          </>
        )}
        {source !== undefined && <SourceFacts state={source} />}
        <CommandButtons
          client={client}
          commands={feed.commands(owner)}
          row={row}
          isConnected={isConnected(feed.status)}
        />
        <Attributes state={state} />
        <h3 id="own-timeline">Timeline of this session</h3>
        <div class="own-timeline">
          <TimelineList
            id="own"
            label="Timeline of this session"
            entries={entries}
            now={now}
            activeKey={props.activeEntry}
            onActive={props.onActiveEntry}
            onOpen={props.onEntry}
          />
        </div>
      </div>
    </section>
  );
}

function ReasonList({ codes, title }: { readonly codes: readonly string[]; readonly title: string }) {
  if (codes.length === 0) return null;
  return (
    <>
      <h3>{title}</h3>
      <ul>
        {codes.map((code) => (
          <li key={code}>
            {reasonWords(code)} <code>{code}</code>
          </li>
        ))}
      </ul>
    </>
  );
}

function SessionFacts({
  state,
  seenAtMs,
  now,
}: {
  readonly state: SessionState;
  readonly seenAtMs: number | undefined;
  readonly now: number;
}) {
  const { heartbeat, protection, staleSince, statusSince } = state;
  const time = (at: string | undefined): string =>
    at === undefined ? '–' : `${moment(Date.parse(at), now)} (${ago(now - Date.parse(at))} ago)`;
  return (
    <dl class="facts">
      <dt>State</dt>
      <dd>
        {isDoubtful(state.safety) && 'was '}
        {state.status}
        {statusSince === undefined ? '' : `, since ${time(statusSince.at)}`}
        {staleSince === undefined
          ? ''
          : `; out of sight since ${time(staleSince.at)}: ${reasonWords(staleSince.reason)}`}
      </dd>
      <dt>Expires</dt>
      <dd>
        {state.expiresAt === undefined ? (
          'no end is known'
        ) : (
          <>
            in <Expiry state={state} now={now} />, at {moment(Date.parse(state.expiresAt), now)}
          </>
        )}
      </dd>
      <dt>Protection</dt>
      <dd>
        <ProtectionChips state={state} long />
        {protection?.readAt !== undefined && ` read ${time(protection.readAt)}`}
        {protection?.triggeredAt !== undefined && `; triggered ${time(protection.triggeredAt)}`}
      </dd>
      <dt>Heartbeat</dt>
      <dd>{heartbeat === undefined ? 'never known' : heartbeatWords(heartbeat)}</dd>
      <dt>Seen</dt>
      <dd>{seenAtMs === undefined ? '–' : `${moment(seenAtMs, now)} (${ago(now - seenAtMs)} ago)`}</dd>
      <dt>Opened</dt>
      <dd>{time(state.openedAt)}</dd>
      <dt>Kind</dt>
      <dd>
        {state.kind}, {state.role === 'trading' ? 'orders go through it' : 'watched only'}
        {state.environment === undefined ? '' : `, ${state.environment}`}
      </dd>
      {state.parent !== undefined && (
        <>
          <dt>Lives in</dt>
          <dd>{state.parent}</dd>
        </>
      )}
      {state.scope !== undefined && (
        <>
          <dt>Scope</dt>
          <dd>{state.scope}</dd>
        </>
      )}
      <dt>Cursor</dt>
      <dd>{state.cursor}</dd>
    </dl>
  );
}

function heartbeatWords({ intervalMs, missed }: NonNullable<SessionState['heartbeat']>): string {
  const often = intervalMs === null ? 'off' : `every ${intervalMs / 1_000} s`;
  return missed === 0 ? often : `${often}, ${missed} missing`;
}

function SourceFacts({ state }: { readonly state: SourceState }) {
  const { links, venueLevel, degraded, accountLocked, throttledUntilAt } = state.attributes;
  return (
    <>
      <h3>Source {state.key.slice(0, -2)}</h3>
      <dl class="facts">
        <dt>Links</dt>
        <dd>
          {Object.entries(links).map(([carrier, how]) => (
            <span key={carrier} class="chip" data-link={how}>
              {carrier} {how}
            </span>
          ))}
        </dd>
        <dt>Venue</dt>
        <dd>
          {venueLevel}
          {degraded.length === 0 ? '' : ` (${degraded.join(', ')})`}
        </dd>
        <dt>Account</dt>
        <dd>{accountLocked.length === 0 ? 'not locked, as far as is known' : `locked: ${accountLocked.join(', ')}`}</dd>
        {typeof throttledUntilAt === 'string' && (
          <>
            <dt>Throttled</dt>
            <dd>until {throttledUntilAt}</dd>
          </>
        )}
      </dl>
    </>
  );
}

function Attributes({ state }: { readonly state: Row['state'] }) {
  const all = Object.entries(state.attributes);
  if (all.length === 0 || !isSessionState(state)) return null;
  return (
    <>
      <h3>Attributes</h3>
      <dl class="facts">
        {all.map(([name, value]) => (
          <>
            <dt>{name}</dt>
            <dd>{typeof value === 'string' ? value : JSON.stringify(value)}</dd>
          </>
        ))}
      </dl>
    </>
  );
}
