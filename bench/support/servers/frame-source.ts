import { entryOf, frameOf, headOf } from '../../../src/edge/frames.js';
import { formatCursor } from '../../../src/model/cursor.js';
import { type SessionEvent, timestampOf } from '../../../src/model/event.js';
import type { BenchServer } from './server.js';

/**
 * The relay's very frames for servers that are not it, rendered by its own renderer, chained, and ready as bytes before
 * the clock runs.
 */
export interface FrameSource {
  /** Where the chain stands. */
  cursor(): string;
  prepare(events: number): void;
  next(): Uint8Array;
}

/** A contestant that sends these frames, on one port for its subscribers and for what makes its events happen. */
export function serving(frames: FrameSource, port: number, deliveries: () => number): BenchServer {
  return {
    port,
    triggerPort: port,
    get cursor() {
      return frames.cursor();
    },
    prepare: frames.prepare,
    counts: () => ({ deliveries: deliveries() }),
  };
}

/** Thirteen digits, as a real epoch has. */
const EPOCH = 1_795_353_302_123;

export function createFrameSource(channel: string): FrameSource {
  const head = headOf(channel);
  let ready: Uint8Array[] = [];
  let used = 0;
  let rendered = 0;

  const render = (): Uint8Array => {
    const previous = formatCursor(EPOCH, rendered);
    rendered++;
    const time = timestampOf(EPOCH + rendered);
    const event: SessionEvent = {
      id: formatCursor(EPOCH, rendered),
      key: `deribit.main.relay.access.logged:${1_000_000_000 + rendered}`,
      source: '/deribit/main',
      subject: 'deribit.main.relay',
      type: 'access.logged',
      time,
      data: { action: 'success', venueTime: time, ip: '192.0.2.17', country: 'Netherlands' },
    };
    return Buffer.from(frameOf(head, previous, entryOf(event), 'full').text);
  };

  return {
    cursor: () => formatCursor(EPOCH, rendered - (ready.length - used)),
    prepare(events) {
      ready = [...ready.slice(used), ...Array.from({ length: Math.max(0, events - (ready.length - used)) }, render)];
      used = 0;
    },
    next: () => ready[used++] ?? render(),
  };
}
