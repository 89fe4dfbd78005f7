import type { WebSocket } from 'uWebSockets.js';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { createSlots } from '../../src/transports/slots.js';
import { createUwsFanOut } from '../../src/transports/uws-fan-out.js';
import { createUwsWire } from '../../src/transports/uws-wire.js';

/**
 * A native socket that keeps bytes back and tells of no drain, which uWebSockets.js does now and then on a busy machine,
 * and not when a test wants it to. An empty cork lets go of what the kernel would take.
 */
function forgetfulSocket(kernelTakes: () => number) {
  let kept = 0;
  const socket = {
    send(text: string) {
      kept += text.length;
      return 0;
    },
    getBufferedAmount: () => kept,
    cork(task: () => void) {
      task();
      kept -= Math.min(kept, kernelTakes());
    },
    end: () => undefined,
    close: () => undefined,
  };
  return socket as unknown as WebSocket<unknown>;
}

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

function openWire(kernelTakes: () => number) {
  const slots = createSlots<WebSocket<unknown>>();
  const wire = createUwsWire(forgetfulSocket(kernelTakes), {
    remoteAddress: '192.0.2.1',
    maxBufferedBytes: 1_000,
    slots,
    fanOut: createUwsFanOut({ slots, publish: () => true }),
  });
  const drains: number[] = [];
  wire.attach({ message: () => undefined, closed: () => undefined, drained: () => void drains.push(wire.buffered()) });
  return { wire, drains };
}

test('what uWebSockets.js keeps back is written once more, and whoever waits for room is told', () => {
  const { wire, drains } = openWire(() => 60);
  expect(wire.send('x'.repeat(100))).toBe('queued');
  expect(wire.buffered()).toBe(100);
  vi.advanceTimersByTime(199);
  expect(drains).toEqual([]);
  vi.advanceTimersByTime(1);
  expect(drains).toEqual([40]);
  vi.advanceTimersByTime(200);
  expect(drains).toEqual([40, 0]);
  vi.advanceTimersByTime(10_000);
  expect([drains, vi.getTimerCount()]).toEqual([[40, 0], 0]);
});

test('a peer that reads nothing is not told of as of one that does, and a socket that drains is left alone', () => {
  let corks = 0;
  const { wire, drains } = openWire(() => {
    corks++;
    return 0;
  });
  wire.send('x'.repeat(100));
  expect(wire.buffered()).toBe(100);
  vi.advanceTimersByTime(1_000);
  expect([corks, drains]).toEqual([5, []]);
  for (let round = 0; round < 5; round++) {
    wire.drained();
    vi.advanceTimersByTime(200);
  }
  expect(corks).toBe(5);
  wire.ended(1006, '');
  expect(vi.getTimerCount()).toBe(0);
});
