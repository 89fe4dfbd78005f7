import { mustHold } from '../broken.js';
import type { EntryInput } from '../entry-options.js';
import { judge } from '../judge.js';
import { openRaw } from '../raw-carrier.js';
import type { Scenario } from '../scenario.js';
import type { Subscriber } from '../subscriber.js';

const SESSIONS = 50;
const RATE = 100;
const MiB = 1024 * 1024;
/** At most 1,000 connections an address (`limits.maxConnectionsPerAddress`): they come from several. */
const PER_ADDRESS = 625;
/** While they come for the first time so many at once; after the restart all at once. */
const AT_ONCE = 250;
const ALL_LIVE_MS = 60_000;

/** Thousands of subscribers lose their relay, wait for its restart, and all come back in the same moment. */
export const reconnectStorm: Scenario = {
  name: 'reconnect-storm',
  lane: 'load',
  boundSeconds: [120, 40],
  async run(stage) {
    const options: Omit<EntryInput, 'transport' | 'seed'> = {
      journal: { engine: 'lmdb', path: stage.folder(), maxBytes: 256 * MiB },
      fountain: { sessions: SESSIONS, rate: 0 },
    };
    let relay = await stage.relay(options);
    let isUp = true;
    const count = stage.size(5_000, 500);
    for (let index = 0; index < count; index++) {
      const localAddress = `127.0.0.${1 + Math.floor(index / PER_ADDRESS)}`;
      stage.subscriber({
        name: `subscriber ${index}`,
        channels: index % 100 === 0 ? ['>'] : [`deribit.load.s${index % SESSIONS}.>`],
        open: (dial, handlers) => openRaw(dial, handlers),
        dial: () => (isUp ? { port: relay.port, localAddress } : undefined),
        start: index % 10 === 0 ? 'snapshot' : 'live',
        backMs: [20, 200],
      });
      if (index % AT_ONCE === AT_ONCE - 1)
        await stage.until(() => stage.subscribers.every(({ isLive }) => isLive), 'they come', ALL_LIVE_MS);
    }
    await relay.rate(RATE);
    await stage.pause(stage.size(2_000, 1_000));
    isUp = false;
    await relay.kill();
    await stage.until(() => stage.subscribers.every(({ isLive }) => !isLive), 'everybody sees that it is gone');
    relay = await stage.relay(options);
    await relay.rate(RATE);
    isUp = true;
    const began = performance.now();
    for (const one of stage.subscribers) one.hurry();
    await stage.until(
      () => stage.subscribers.every(({ isLive }) => isLive),
      () => `everybody is live again: ${tally(stage.subscribers)}`,
      ALL_LIVE_MS,
    );
    const took = ((performance.now() - began) / 1_000).toFixed(1);
    await stage.pause(500);
    await relay.rate(0);
    const verdict = await judge(stage, { relay });
    mustHold(verdict.announced === 0, `a journal that survives serves every cursor: ${verdict.announced} gaps`);
    return {
      ...verdict,
      done: `${count.toLocaleString('en-US')} subscribers come back at once after a kill and a restart, all live and level in ${took} s`,
    };
  },
};

/** How many are live, and what those that are not have met. */
function tally(subscribers: readonly Subscriber[]): string {
  const counts = new Map<string, number>();
  for (const { isLive, seen, connects } of subscribers) {
    if (isLive) continue;
    const met = [...seen].filter(([what]) => /^(refused|close)/.test(what)).map(([what, times]) => `${what} ×${times}`);
    const what = `${connects} connects, ${met.join(', ')}`;
    counts.set(what, (counts.get(what) ?? 0) + 1);
  }
  const late = [...counts].toSorted(([, a], [, b]) => b - a).slice(0, 6);
  return late.map(([what, count]) => `${count} not live with ${what}`).join('; ');
}
