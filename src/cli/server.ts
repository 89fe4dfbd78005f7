import { constants } from 'node:os';
import { z } from 'zod';
import type { Relay } from '../relay.js';
import { aborted, type CommandContext } from './args.js';

/** A second signal still gives Deribit's logout this long before the process ends. */
const SECOND_SIGNAL_MS = 500;
/** A drain is given up at its timeout, and never sooner than this: a shorter one still logs out of Deribit. */
const LEAST_DRAIN_MS = 5_000;
const EXIT_FAILED = 1;

const signalName = z.enum(['SIGINT', 'SIGTERM']).catch('SIGTERM');

export interface ServerOptions {
  readonly drainTimeoutMs: number;
  /** What the ready line says beside the address and the transport. */
  readonly extra?: Readonly<Record<string, unknown>>;
}

/**
 * Says that the relay is ready, one JSON line on stdout, and runs it until a signal. The first drains and resolves
 * with exit code 0, or with 1 where the journal did not take everything that was said, or the drain does not end in
 * time: whoever sees 0 may rely on both. A second one resolves with 128 + its number as soon as the venues are left, at
 * most 500 ms later, orders left as they are.
 */
export async function runServer(
  relay: Relay,
  { stdout, stderr, signal, hurry }: CommandContext,
  { drainTimeoutMs, extra = {} }: ServerOptions,
): Promise<number> {
  stdout.write(`${JSON.stringify({ listening: relay.url, transport: relay.transport, ...extra })}\n`);
  await aborted(signal);
  const over = new AbortController();
  const drained = relay.drain().then(({ journaled }) => {
    if (journaled) return 0;
    stderr.write('session-relay: the journal did not take everything that was said last: see the log\n');
    return EXIT_FAILED;
  });
  // After a second signal nobody takes what becomes of the drain.
  drained.catch(() => undefined);
  const late = async (): Promise<number> => {
    await waited(Math.max(drainTimeoutMs, LEAST_DRAIN_MS), over.signal);
    stderr.write(`session-relay: the drain has not ended in ${drainTimeoutMs} ms: ending now\n`);
    return EXIT_FAILED;
  };
  const hurried = async (): Promise<number> => {
    await aborted(hurry);
    stderr.write(`session-relay: ${signalName.parse(hurry.reason)} again: ending now\n`);
    const left = relay.close({ orders: 'leave' }).catch(() => undefined);
    await Promise.race([waited(SECOND_SIGNAL_MS, over.signal), left]);
    return EXIT_FAILED;
  };
  try {
    const code = await Promise.race([drained, late(), hurried()]);
    // Hurrying ends the drain too: whichever is seen first, it was the signal that ended the process.
    return hurry.aborted ? 128 + constants.signals[signalName.parse(hurry.reason)] : code;
  } finally {
    over.abort();
  }
}

/** Resolves after a time; never once `signal` is aborted. */
function waited(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, ms);
    signal.addEventListener('abort', () => clearTimeout(timer), { once: true });
  });
}
