import type { Feed } from './feed.js';
import { SKEW_TOLD_MS } from './skew.js';
import { statusWords } from './status-words.js';
import type { ThemeChoice } from './theme.js';
import { ago, clockTime, counted, zone } from './times.js';

export interface HeaderProps {
  readonly feed: Feed;
  readonly now: number;
  readonly theme: ThemeChoice;
  readonly hasToken: boolean;
  readonly onTheme: () => void;
  readonly onForget: () => void;
  readonly onRetry: () => void;
}

/** How it stands with the relay, and what of its stream was lost. */
export function PageHeader({ feed, now, theme, hasToken, onTheme, onForget, onRetry }: HeaderProps) {
  const { status, heardAtMs, skewMs, narrowedTo } = feed;
  const words = status === undefined ? undefined : statusWords(status, now, feed.channels);
  return (
    <header class="page-head">
      <h1>session-relay</h1>
      <div class="relay" data-tone={words?.tone ?? 'doubt'}>
        <span class="dot" aria-hidden="true" />
        <strong>{words?.short ?? 'Starting'}</strong>
        <span class="sub">{words?.more ?? ''}</span>
        {status?.state === 'unreachable' && (
          <button type="button" onClick={onRetry}>
            Try now
          </button>
        )}
      </div>
      <div class="sub tally">
        {heardAtMs !== undefined && <span>heard {ago(now - heardAtMs)} ago</span>}
        {status !== undefined && <Tally what="gap" count={status.gaps} />}
        {status !== undefined && <Tally what="resubscription" count={status.resubscribed} />}
        {status !== undefined && <Tally what="fault" count={status.faults} />}
        {narrowedTo !== undefined && <span class="chip">token shows {counted(narrowedTo.length, 'source')}</span>}
        {Math.abs(skewMs) >= SKEW_TOLD_MS && (
          <span class="chip" data-bad>
            this clock is {ago(Math.abs(skewMs))} {skewMs > 0 ? 'ahead of' : 'behind'} the relay's: countdowns are
            corrected
          </span>
        )}
      </div>
      <div class="tools">
        <span class="clock">
          {clockTime(now)} <span class="sub">{zone(now)}</span>
        </span>
        {hasToken && (
          <button type="button" class="quiet" onClick={onForget}>
            Forget token
          </button>
        )}
        <button type="button" class="quiet" onClick={onTheme}>
          Theme: {theme}
        </button>
      </div>
    </header>
  );
}

function Tally({ what, count }: { readonly what: string; readonly count: number }) {
  if (count === 0) return null;
  return (
    <span class="chip" data-bad={what !== 'resubscription'}>
      {counted(count, what)}
    </span>
  );
}
