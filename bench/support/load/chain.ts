import type { Tally } from './tally.js';

/**
 * Checks that one connection is told every event once and in order: each frame's `previous` must be the cursor of the
 * frame before, and its own cursor a later one. Both stand at places that are known beforehand, so nothing is parsed
 * but their digits.
 */
export interface Chain {
  /** One frame: the relay's text at `at`, which ends before `end`. */
  take(bytes: Buffer, at: number, end: number): void;
  /** What the subscribe reply named. */
  begin(cursor: string): void;
  /** What the end of a replay named: `false` where that lies before what came. */
  moveTo(cursor: string): boolean;
  /** Events that were delivered. */
  readonly count: number;
  /** The last one. */
  readonly cursor: string;
}

/** `{"jsonrpc":"2.0","method":"` comes before it. */
export const METHOD_AT = 27;
/** Between the two cursors of a frame. */
const BETWEEN = '","data":{"id":"';
const QUOTE = 0x22;
const DASH = 0x2d;
const COLON = 0x3a;
const ZERO = 0x30;

/** `headBytes`: where the value of `previous` begins. */
export function createChain(index: number, headBytes: number, tally: Tally): Chain {
  let epoch = 0;
  let offset = 0;
  let count = 0;
  // Where `readCursor` stopped, and what it read.
  let stop = 0;
  let readEpoch = 0;
  let readOffset = 0;

  const readCursor = (bytes: Buffer, from: number): void => {
    let at = from;
    let value = 0;
    readEpoch = 0;
    for (; ; at++) {
      const byte = bytes[at] ?? QUOTE;
      if (byte >= ZERO && byte <= ZERO + 9) value = value * 10 + byte - ZERO;
      else if (byte === DASH) {
        readEpoch = value;
        value = 0;
      } else break;
    }
    readOffset = value;
    stop = at;
  };
  const fault = (what: string): void => {
    tally.faults++;
    tally.firstFault ??= `connection ${index}, frame ${count}: ${what}`;
  };

  const set = (cursor: string): void => {
    const [first = '', second = ''] = cursor.split('-');
    epoch = Number(first);
    offset = Number(second);
  };

  return {
    begin: set,
    moveTo(cursor) {
      const before = { epoch, offset };
      set(cursor);
      return epoch > before.epoch || (epoch === before.epoch && offset >= before.offset);
    },
    get count() {
      return count;
    },
    get cursor() {
      return `${epoch}-${offset}`;
    },
    take(bytes, at, end) {
      readCursor(bytes, at + headBytes);
      if (readEpoch !== epoch || readOffset !== offset)
        fault(`previous is ${readEpoch}-${readOffset}, and the last was ${epoch}-${offset}`);
      const next = stop + BETWEEN.length;
      if (next >= end || bytes[stop] !== QUOTE || bytes[next - 1] !== QUOTE || bytes[next - 2] !== COLON) {
        fault(`not a frame: ${bytes.toString('latin1', at, Math.min(end, at + 200))}`);
        return;
      }
      readCursor(bytes, next);
      if (readEpoch < epoch || (readEpoch === epoch && readOffset <= offset))
        fault(`${readEpoch}-${readOffset} comes after ${epoch}-${offset}`);
      epoch = readEpoch;
      offset = readOffset;
      const { sampling } = tally;
      if (sampling !== undefined && index < sampling.below) {
        const sentAt = sampling.sentAt[count - sampling.from];
        if (sentAt !== undefined) sampling.latencies.record(sampling.now - sentAt);
      }
      count++;
      if (++tally.deliveries === tally.target) tally.reached();
    },
  };
}
