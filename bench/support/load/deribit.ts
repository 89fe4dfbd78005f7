import { connect, createServer, type Socket } from 'node:net';
import type { Json } from '../../../src/model/json.js';
import { subscriptionText } from '../../../src/simulators/deribit/wire.js';
import { startDeribitSimulator } from '../../../src/simulators/deribit.js';
import { createCutter, serverFrame, webSocketFraming } from './framing.js';
import type { Trigger } from './trigger.js';

/**
 * A simulated Deribit that says as many things as it is told to in one write. Between the relay and the simulator lies
 * a pipe; the frames that are counted are put into it, between two of the simulator's own, so that what a venue's frame
 * costs here is a write and nothing else.
 */
export interface BenchVenue extends Trigger {
  /** An entry of `sources`. */
  readonly source: { readonly [key: string]: Json };
  close(): Promise<void>;
}

const CHANNEL = 'user.access_log';
const BLANK_LINE = '\r\n\r\n';
/** Ids of the frames that are put in begin here: the simulator's own are far below. */
const FIRST_ID = 1_000_000_000;

export async function startBenchVenue(): Promise<BenchVenue> {
  const simulator = await startDeribitSimulator();
  const venue = new URL(simulator.url);
  const sockets = new Set<Socket>();
  let relay: Socket | undefined;
  let id = FIRST_ID;

  const server = createServer({ noDelay: true }, (down) => {
    const up = connect({ host: venue.hostname, port: Number(venue.port), noDelay: true });
    let head = '';
    const cutter = createCutter(webSocketFraming, (bytes, at, size) => {
      down.write(Buffer.from(bytes.subarray(at, at + size)));
    });
    up.on('data', (chunk: Buffer) => {
      if (head.endsWith(BLANK_LINE)) return cutter.feed(chunk, 0, chunk.length);
      const before = head.length;
      head += chunk.toString('latin1');
      const end = head.indexOf(BLANK_LINE);
      const from = end < 0 ? chunk.length : end + BLANK_LINE.length - before;
      down.write(chunk.subarray(0, from));
      if (end < 0) return undefined;
      head = BLANK_LINE;
      relay = down;
      return cutter.feed(chunk, from, chunk.length);
    });
    down.on('data', (chunk) => up.write(chunk));
    for (const [one, other] of [
      [up, down],
      [down, up],
    ] as const) {
      sockets.add(one);
      one.on('error', () => one.destroy());
      one.on('close', () => {
        sockets.delete(one);
        other.destroy();
        if (relay === down) relay = undefined;
      });
    }
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  const url = new URL(simulator.url);
  url.port = String(typeof address === 'object' ? address?.port : 0);

  const next = (): Buffer => {
    const entry = { id: ++id, timestamp: Date.now(), log: 'success', ip: '192.0.2.17', country: 'Netherlands' };
    return serverFrame(Buffer.from(subscriptionText(CHANNEL, entry)));
  };
  return {
    source: { ...simulator.source, url: url.href },
    fire(events) {
      if (relay === undefined) throw new Error('the relay is not connected to its venue');
      relay.write(events === 1 ? next() : Buffer.concat(Array.from({ length: events }, next)));
    },
    async close() {
      for (const socket of sockets) socket.destroy();
      await new Promise<void>((resolve) => server.close(() => resolve()));
      await simulator.close();
    },
  };
}
