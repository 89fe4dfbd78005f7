import { z } from 'zod';
import { parseCursor } from '../../src/model/cursor.js';
import { CursorList } from './cursors.js';

/**
 * The journal's own sequence, read back from the relay: what every subscriber's is held against. It is checked itself
 * while it is read: cursors without a hole, times that never go back, no key twice, and what the fountain numbered,
 * in its order and each once, also across kills.
 */
export interface JournalRecord {
  /** The last event, or where the record began. */
  readonly head: string;
  readonly length: number;
  readonly problems: readonly string[];
  add(event: JournaledEvent): void;
  /** Every cursor so far of the addresses that a pattern matches. */
  sequence(channel: string): CursorList;
  /** How many events of this type. */
  count(type: string): number;
  /** Events that were asked to be kept whole, in order. */
  readonly kept: readonly JournaledEvent[];
}

export const journaledEvent = z.looseObject({
  id: z.string(),
  key: z.string(),
  subject: z.string(),
  type: z.string(),
  time: z.string(),
  data: z.looseObject({
    changed: z.looseObject({ n: z.number().optional() }).optional(),
    level: z.string().optional(),
    silentMs: z.number().optional(),
    initiator: z.string().optional(),
  }),
});
export type JournaledEvent = z.output<typeof journaledEvent>;

/** More say no more than the first ones do. */
const MAX_PROBLEMS = 20;

export function createJournalRecord(
  options: {
    /** The cursor before the first event that it is given. */
    readonly from?: string;
    readonly keep?: (event: JournaledEvent) => boolean;
  } = {},
): JournalRecord {
  const { from = '0-0', keep } = options;
  const kept: JournaledEvent[] = [];
  const cursors = new CursorList();
  const addresses: string[] = [];
  const sequences = new Map<string, { readonly list: CursorList; scanned: number }>();
  const keys = new Set<string>();
  const numbers = new Map<string, number>();
  const types = new Map<string, number>();
  const problems: string[] = [];
  let head = from;
  let lastTime = '';

  const note = (problem: string): void => {
    if (problems.length < MAX_PROBLEMS) problems.push(`the journal: ${problem}`);
  };
  const follows = (id: string): void => {
    const [before, now] = [parseCursor(head), parseCursor(id)];
    if (before === undefined || now === undefined) return note(`${id} is no cursor`);
    const isNext = now.epoch === before.epoch ? now.offset === before.offset + 1 : now.offset === 1;
    // A record that begins in the middle of an epoch takes its first event as it comes.
    if (now.epoch < before.epoch || (!isNext && cursors.length > 0)) note(`${id} follows ${head}`);
    if (now.epoch !== before.epoch) lastTime = '';
    return undefined;
  };

  return {
    get head() {
      return head;
    },
    get length() {
      return cursors.length;
    },
    problems,
    kept,
    add(event) {
      const { id, key, subject, type, time, data } = event;
      follows(id);
      if (time < lastTime) note(`the time of ${id} is ${time}, before ${lastTime}`);
      if (keys.has(key)) note(`${id} tells the fact ${key} again`);
      const n = data.changed?.n;
      if (n !== undefined) {
        const before = numbers.get(subject);
        if (before !== undefined && n !== before + 1) note(`${id}: ${subject} tells its fact ${n} after ${before}`);
        numbers.set(subject, n);
      }
      if (keep?.(event) === true) kept.push(event);
      lastTime = time;
      keys.add(key);
      types.set(type, (types.get(type) ?? 0) + 1);
      cursors.add(id);
      addresses.push(`${subject}.${type}`);
      head = id;
    },
    sequence(channel) {
      const known = sequences.get(channel) ?? { list: new CursorList(), scanned: 0 };
      sequences.set(channel, known);
      const matches = matcher(channel);
      for (; known.scanned < addresses.length; known.scanned++) {
        const cursor = cursors.at(known.scanned);
        if (cursor !== undefined && matches(addresses[known.scanned] ?? '')) known.list.add(cursor);
      }
      return known.list;
    },
    count: (type) => types.get(type) ?? 0,
  };
}

/** NATS patterns as a regular expression: a second opinion on the relay's own matching. */
export function matcher(pattern: string): (address: string) => boolean {
  const parts = pattern
    .split('.')
    .map((token) => (token === '*' ? '[^.]+' : token === '>' ? '.+' : token.replaceAll(/[^\w~:@-]/g, '\\$&')));
  const expression = new RegExp(`^${parts.join('\\.')}$`);
  return (address) => expression.test(address);
}
