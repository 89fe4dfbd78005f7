import { isSessionState, type SessionEvent, type SessionState } from '../client/index.js';
import { Badge } from './badge.js';
import { eventWords } from './event-words.js';
import type { Row } from './order.js';
import { ProtectionChips } from './protection.js';
import { isDoubtful, reasonWords } from './reasons.js';
import type { Samples } from './round-trips.js';
import { Sparkline } from './sparkline.js';
import { ago, countdown, milliseconds } from './times.js';
import { Cell } from './virtual-grid.js';

export const SESSION_COLUMNS = [
  { name: 'Safety', className: 'c-safety' },
  { name: 'Session', className: 'c-session' },
  { name: 'State', className: 'c-state' },
  { name: 'Why', className: 'c-why' },
  { name: 'Expires in', className: 'c-expires' },
  { name: 'Round trip', className: 'c-rtt' },
  { name: 'Protection', className: 'c-protection' },
  { name: 'Last event', className: 'c-event' },
] as const;

export interface SessionCellsProps {
  readonly row: Row;
  readonly lastEvent: SessionEvent | undefined;
  readonly samples: Samples;
  /** The relay's time. */
  readonly now: number;
}

export function SessionCells({ row, lastEvent, samples, now }: SessionCellsProps) {
  const { state, safety } = row;
  const session = isSessionState(state) ? state : undefined;
  return (
    <>
      <Cell className="c-safety">
        <Badge level={safety.level} />
      </Cell>
      <Cell className="c-session">
        <span class="name">
          <span class="dim">{state.venue}</span> <strong>{state.source}</strong>
        </span>
        <span class="name">
          <strong>{session === undefined ? 'source' : state.session}</strong>{' '}
          <span class="dim">{session === undefined ? 'no session yet' : kindWords(session)}</span>
        </span>
      </Cell>
      <Cell className="c-state">
        {session === undefined ? <span class="dim">no session</span> : <Status state={session} now={now} />}
      </Cell>
      <Cell className="c-why">
        <Reasons row={row} />
      </Cell>
      <Cell className="c-expires">
        {session?.expiresAt === undefined ? (
          <None />
        ) : (
          <>
            <span class="label">ends in </span>
            <Expiry state={session} now={now} />
          </>
        )}
      </Cell>
      <Cell className="c-rtt">
        <RoundTrip state={session} samples={samples} />
      </Cell>
      <Cell className="c-protection">
        {session?.protection === undefined ? <None /> : <ProtectionChips state={session} />}
      </Cell>
      <Cell className="c-event">
        {lastEvent === undefined ? (
          <span class="dim">none seen here</span>
        ) : (
          <>
            <span class="words">{eventWords(lastEvent)}</span>
            <span class="sub">
              <span class="event-type">{lastEvent.type} · </span>
              {ago(now - Date.parse(lastEvent.time))} ago
            </span>
          </>
        )}
      </Cell>
    </>
  );
}

/** Where the columns have names, an empty one says that it is. */
function None() {
  return <span class="none">–</span>;
}

/** What it is, without what its name says already. */
function kindWords({ session, kind, role, environment, attributes }: SessionState): string {
  const { brokerageName } = attributes;
  const broker = typeof brokerageName === 'string' ? brokerageName : undefined;
  return [broker, kind, role, environment].filter((one) => one !== undefined && one !== session).join(' · ');
}

function Status({ state, now }: { readonly state: SessionState; readonly now: number }) {
  const since = state.statusSince === undefined ? Number.NaN : Date.parse(state.statusSince.at);
  return (
    <>
      <span class="words">
        {isDoubtful(state.safety) && 'was '}
        {state.status}
        {state.stale && <span class="chip"> stale</span>}
      </span>
      <span class="sub">{Number.isNaN(since) ? '' : `for ${ago(now - since)}`}</span>
    </>
  );
}

function Reasons({ row: { safety } }: { readonly row: Row }) {
  const { reasons, notes } = safety;
  if (reasons.length + notes.length === 0) return null;
  return (
    <span class="reasons">
      {reasons.map(reasonWords).join('; ')}
      {notes.length > 0 && (
        <span class="dim">
          {reasons.length > 0 ? ' · ' : ''}noted: {notes.map(reasonWords).join('; ')}
        </span>
      )}
    </span>
  );
}

/** The last five minutes are marked. */
const SOON_MS = 300_000;

export function Expiry({ state, now }: { readonly state: SessionState; readonly now: number }) {
  const left = state.expiresAt === undefined ? Number.NaN : Date.parse(state.expiresAt) - now;
  if (Number.isNaN(left)) return <span class="dim">–</span>;
  return (
    <span class="count" data-soon={left < SOON_MS}>
      {countdown(left)}
      {left < SOON_MS && left > 0 ? ' !' : ''}
    </span>
  );
}

function RoundTrip({ state, samples }: { readonly state: SessionState | undefined; readonly samples: Samples }) {
  const last = samples.ms.at(-1) ?? state?.heartbeat?.rttMs;
  if (last === undefined) return <None />;
  return (
    <span class="rtt">
      <span class="label">rtt</span>
      <span class="ms">{milliseconds(last)}</span>
      <Sparkline samples={samples} />
    </span>
  );
}
