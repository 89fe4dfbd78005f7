import { isSessionState, type SafetyLevel, type SessionStatus } from '../client/index.js';
import type { Row } from './order.js';
import { reasonWords } from './reasons.js';

/** What the list and the timeline show. Empty fields leave everything through. */
export interface Filter {
  readonly venue: string;
  readonly status: '' | SessionStatus;
  readonly levels: ReadonlySet<SafetyLevel>;
  /** Words that must all occur, in whatever case. */
  readonly text: string;
}

export const NO_FILTER: Filter = { venue: '', status: '', levels: new Set(), text: '' };

export const STATUSES: readonly SessionStatus[] = [
  'active',
  'connecting',
  'contested',
  'attention',
  'expired',
  'closed',
  'lost',
  'unknown',
];

export function isFiltering({ venue, status, levels, text }: Filter): boolean {
  return venue !== '' || status !== '' || levels.size > 0 || termsOf(text).length > 0;
}

export function termsOf(text: string): readonly string[] {
  return text.toLowerCase().split(/\s+/).filter(Boolean);
}

/** Whether `hay`, in lower case, holds every term. */
export function holdsAll(hay: string, terms: readonly string[]): boolean {
  return terms.every((term) => hay.includes(term));
}

export function filterRows(rows: readonly Row[], filter: Filter): readonly Row[] {
  if (!isFiltering(filter)) return rows;
  const terms = termsOf(filter.text);
  return rows.filter((row) => passes(row, filter) && (terms.length === 0 || holdsAll(hayOf(row), terms)));
}

/** Everything of a filter but its text. */
export function passes({ state, safety }: Row, { venue, status, levels }: Filter): boolean {
  if (venue !== '' && state.venue !== venue) return false;
  if (levels.size > 0 && !levels.has(safety.level)) return false;
  return status === '' || (isSessionState(state) ? state.status === status : status === 'unknown');
}

const hays = new WeakMap<Row, string>();

/** What the text of a filter is looked for in: names, words and attributes, in lower case. */
function hayOf(row: Row): string {
  const known = hays.get(row);
  if (known !== undefined) return known;
  const { key, state, safety } = row;
  const parts = [key, state.venue, state.source, state.session, state.kind, safety.level];
  if (isSessionState(state)) {
    parts.push(state.role, state.status, state.environment ?? '', state.scope ?? '', state.stale ? 'stale' : '');
  }
  for (const code of [...safety.reasons, ...safety.notes]) parts.push(code, reasonWords(code));
  for (const value of Object.values(state.attributes)) if (typeof value === 'string') parts.push(value);
  const hay = parts.join('\n').toLowerCase();
  hays.set(row, hay);
  return hay;
}

/** The same set with one level more, or less. */
export function toggled(levels: ReadonlySet<SafetyLevel>, level: SafetyLevel): ReadonlySet<SafetyLevel> {
  const next = new Set(levels);
  if (!next.delete(level)) next.add(level);
  return next;
}
