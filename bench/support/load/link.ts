import { connect, type Socket } from 'node:net';
import { type Chain, createChain } from './chain.js';
import type { Dialect } from './dialect.js';
import { createCutter } from './framing.js';
import type { Tally } from './tally.js';

/** One subscriber of a load generator. */
export interface Link {
  readonly chain: Chain;
  /** Events may come. */
  readonly isSubscribed: boolean;
  /** The server said that it fell behind, and has not said that it caught up. */
  readonly isLagging: boolean;
  /** It reads nothing until `resume`; what is in the socket's buffers stays there. */
  pause(): void;
  /** Reads again; with `bytes` only about so many, and then it pauses again. */
  resume(bytes?: number): void;
  close(): void;
}

export interface LinkOptions {
  readonly index: number;
  readonly port: number;
  readonly dialect: Dialect;
  readonly headBytes: number;
  /** Where the chain begins, where the server does not say it. */
  readonly cursor: string;
  readonly tally: Tally;
  readonly said: (what: 'connected' | 'subscribed' | 'caught_up') => void;
}

/** One address has some 28,000 ports to call one server from: beyond that the next of 127.0.0.0/8 calls. */
const PORTS_OF_ADDRESS = 28_000;
const BLANK_LINE = '\r\n\r\n';
const READ_BYTES = 64 * 1024;
/** All links read into it, one after the other: what a frame needs beyond a read is copied by its cutter. */
const shared = Buffer.allocUnsafeSlow(READ_BYTES);

/** An address is only named where it must be: the kernel then looks for a port that nobody uses towards any server. */
function callingFrom(index: number): { readonly localAddress?: string } {
  const address = Math.floor(index / PORTS_OF_ADDRESS);
  return address === 0 ? {} : { localAddress: `127.0.0.${1 + address}` };
}

export function openLink(options: LinkOptions): Link {
  const { index, port, dialect, headBytes, tally } = options;
  const chain = createChain(index, headBytes, tally);
  chain.begin(options.cursor);
  let isUpgraded = !dialect.upgrades;
  let isSubscribed = false;
  let isLagging = false;
  let isClosed = false;
  let mayRead = Number.POSITIVE_INFINITY;
  let head = '';

  const fault = (what: string): void => {
    tally.faults++;
    tally.firstFault ??= `connection ${index}: ${what}`;
  };
  const subscribe = (cursor: string | undefined): void => {
    if (cursor !== undefined) chain.begin(cursor);
    isSubscribed = true;
    options.said('subscribed');
  };
  const send = (bytes: Buffer): void => void socket.write(bytes);
  const cutter = createCutter(dialect.framing, (bytes, at, size) => {
    const start = dialect.eventAt(bytes, at, size);
    if (start >= 0) {
      chain.take(bytes, start, at + size - dialect.tailBytes);
      return;
    }
    const meaning = dialect.other(bytes, at, size, send);
    if (meaning.what === 'subscribed') subscribe(meaning.cursor);
    else if (meaning.what === 'connected') options.said('connected');
    else if (meaning.what === 'lag') isLagging = true;
    else if (meaning.what === 'fault') fault(meaning.why);
    else if (meaning.what === 'caught_up') {
      // Where its group was made anew this is the position then, which lies behind the channel's own last event.
      if (meaning.cursor !== undefined && !chain.moveTo(meaning.cursor))
        fault(`caught up at ${meaning.cursor}, and the last was ${chain.cursor}`);
      isLagging = false;
      options.said('caught_up');
    }
  });
  /** Takes the answer to the upgrade; where what follows it begins. */
  const readHead = (size: number): number => {
    const before = head.length;
    head += shared.toString('latin1', 0, size);
    const end = head.indexOf(BLANK_LINE);
    if (end < 0) return size;
    isUpgraded = true;
    if (head.startsWith('HTTP/1.1 101')) {
      if (dialect.isOpenSubscribed) subscribe(undefined);
    } else fault(head.slice(0, 200));
    return end + BLANK_LINE.length - before;
  };

  const socket: Socket = connect({
    host: '127.0.0.1',
    port,
    ...callingFrom(index),
    noDelay: true,
    onread: {
      buffer: shared,
      callback(size) {
        if (tally.sampling !== undefined) tally.sampling.now = performance.now();
        const from = isUpgraded ? 0 : readHead(size);
        if (from < size) cutter.feed(shared, from, size);
        mayRead -= size;
        if (mayRead > 0) return true;
        socket.pause();
        return false;
      },
    },
  });
  if (dialect.hello.length > 0) socket.write(dialect.hello);
  socket.on('error', (error) => {
    if (!isClosed) fault(error.message);
  });
  socket.on('close', () => {
    if (isClosed) return;
    isClosed = true;
    tally.ended++;
    fault('the server ended it');
  });

  return {
    chain,
    get isSubscribed() {
      return isSubscribed;
    },
    get isLagging() {
      return isLagging;
    },
    pause() {
      mayRead = 0;
      socket.pause();
    },
    resume(bytes = Number.POSITIVE_INFINITY) {
      mayRead = bytes;
      socket.resume();
    },
    close() {
      isClosed = true;
      // Without a trace: tens of thousands of ports that wait out their minute would be missing in the next run.
      socket.resetAndDestroy();
    },
  };
}
