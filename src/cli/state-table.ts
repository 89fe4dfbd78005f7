import type { SafetyLevel } from '../model/event.js';
import { isSessionState } from '../model/fold.js';
import type { SessionState, State } from '../model/session.js';
import type { View } from './follow.js';
import { LEVELS_WORST_FIRST, levelColour, type Paint, printable } from './paint.js';

/** What the table shows beside the states. */
export interface TableContext {
  readonly origin: string;
  readonly view: View;
  /** The last thing that a person watching should know. */
  readonly note: string | undefined;
  readonly events: number;
  readonly perSecond: number;
  /** Wall-clock ms, for what is left until a session ends. */
  readonly now: number;
  readonly columns: number;
  readonly rows: number;
}

const VIEWS: Readonly<Record<View, string>> = {
  live: 'live',
  behind: 'REPLAYING: not up to date yet, every level is unknown',
  blind: 'BLIND: the relay cannot see, every level is unknown',
  unreachable: 'UNREACHABLE: what was true once, every level is unknown',
};
const TITLES = ['SAFETY', 'SESSION', 'STATUS', 'ENDS IN', 'RTT', 'PROTECTION', 'REASONS'] as const;
const GAP = '  ';
const SECOND = 1_000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

/**
 * One screen of sessions, unsafe first, as lines that fit it. While the relay cannot be believed (it is out of reach,
 * blind, or still replaying) every level is shown as unknown: what was true once must not look true.
 */
export function stateTable(states: Iterable<State>, context: TableContext, paint: Paint): readonly string[] {
  const { origin, view, note, events, perSecond, columns, rows } = context;
  const isBelieved = view === 'live';
  const sessions = [...states].filter(isSessionState).map((state) => ({
    state,
    level: isBelieved ? state.safety.level : ('unknown' as const),
  }));
  sessions.sort((a, b) => rank(a.level) - rank(b.level) || (a.state.key < b.state.key ? -1 : 1));
  const counts = LEVELS_WORST_FIRST.map((level) => {
    const count = sessions.filter((one) => one.level === level).length;
    return { level, text: `${count} ${level}`, count };
  });
  const head = [
    { text: origin, colour: 'bold' as const },
    ...counts.map(({ level, text, count }) => ({
      text,
      colour: count === 0 ? ('gray' as const) : levelColour(level),
    })),
    { text: `${events} events, ${perSecond.toFixed(1)}/s`, colour: 'gray' as const },
  ];
  const lines = [
    oneLine(head, columns, paint),
    oneLine(
      [
        { text: VIEWS[view], colour: isBelieved ? 'green' : 'red' },
        { text: note ?? '', colour: 'yellow' },
      ],
      columns,
      paint,
    ),
  ];
  const room = Math.max(0, rows - lines.length - 1);
  const isCut = sessions.length > room;
  const shown = sessions.slice(0, isCut ? Math.max(0, room - 1) : room);
  const cells = shown.map(({ state, level }) => cellsOf(state, level, context.now, isBelieved));
  const widths = TITLES.map((title, column) =>
    Math.max(title.length, ...cells.map((line) => line[column]?.length ?? 0)),
  );
  const pad = (line: readonly string[]): string =>
    line.map((cell, column) => (column === line.length - 1 ? cell : cell.padEnd(widths[column] ?? 0))).join(GAP);
  lines.push(paint(pad(TITLES).slice(0, columns), 'bold'));
  for (const [index, line] of cells.entries())
    lines.push(paint(pad(line).slice(0, columns), levelColour(shown[index]?.level ?? 'unknown')));
  if (isCut) lines.push(paint(`and ${sessions.length - shown.length} more`.slice(0, columns), 'gray'));
  if (sessions.length === 0) lines.push(paint('no sessions'.slice(0, columns), 'gray'));
  return lines.slice(0, rows);
}

function rank(level: SafetyLevel): number {
  return LEVELS_WORST_FIRST.indexOf(level);
}

function cellsOf(state: SessionState, level: SafetyLevel, now: number, isBelieved: boolean): readonly string[] {
  const { key, status, stale, expiresAt, heartbeat, protection, safety } = state;
  const reasons = isBelieved ? safety.reasons : [`was ${safety.level}`, ...safety.reasons];
  return [
    level,
    key,
    `${status}${stale ? ' (stale)' : ''}`,
    expiresAt === undefined ? '-' : left(Date.parse(expiresAt) - now),
    heartbeat?.rttMs === undefined ? '-' : `${Math.round(heartbeat.rttMs)} ms`,
    [protection?.connection, protection?.account].map((one) => one ?? '-').join('/'),
    reasons.join(' ') || '-',
  ].map(printable);
}

/** `3d 4h`, `2h 05m`, `4m 09s`, `12s`, `over`: two units at most. */
export function left(ms: number): string {
  if (ms <= 0) return 'over';
  const two = (value: number): string => String(Math.floor(value)).padStart(2, '0');
  if (ms >= DAY) return `${Math.floor(ms / DAY)}d ${Math.floor((ms % DAY) / HOUR)}h`;
  if (ms >= HOUR) return `${Math.floor(ms / HOUR)}h ${two((ms % HOUR) / MINUTE)}m`;
  if (ms >= MINUTE) return `${Math.floor(ms / MINUTE)}m ${two((ms % MINUTE) / SECOND)}s`;
  return `${Math.floor(ms / SECOND)}s`;
}

/** Parts of one line, each in its colour, cut where the screen ends. */
function oneLine(
  parts: readonly { readonly text: string; readonly colour: Parameters<Paint>[1] }[],
  columns: number,
  paint: Paint,
): string {
  let room = columns;
  const painted: string[] = [];
  for (const { text, colour } of parts) {
    if (text === '') continue;
    const gap = painted.length === 0 ? '' : GAP;
    const shown = `${gap}${printable(text)}`.slice(0, room);
    if (shown.length <= gap.length) break;
    room -= shown.length;
    painted.push(paint(shown, colour));
  }
  return painted.join('');
}
