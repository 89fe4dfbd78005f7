import type { RateAnswer, WindowAnswer } from './asks.js';
import type { Crowd } from './crowd.js';
import { createSampling, type Tally } from './tally.js';
import type { Trigger } from './trigger.js';

/** What runs are made of. */
export interface Ground {
  readonly crowd: Crowd;
  readonly tally: Tally;
  readonly trigger: Trigger;
  readonly perEvent: number;
}

/** What has not come by then is lost. */
const PATIENCE_MS = 15_000;
const LOOK_MS = 100;

/** One burst after the other, each when everybody has got the last. */
export async function runWindow(
  { tally, trigger, perEvent }: Ground,
  { burst, most, forMs }: { readonly burst: number; readonly most: number; readonly forMs: number },
): Promise<WindowAnswer> {
  const before = { deliveries: tally.deliveries, cpu: process.cpuUsage(), at: performance.now() };
  let events = 0;
  await new Promise<void>((resolve) => {
    const end = (): void => {
      clearInterval(watch);
      tally.reached = () => {};
      resolve();
    };
    const watch = setInterval(() => {
      if (performance.now() - before.at > forMs + PATIENCE_MS) lose(tally, before.deliveries + events * perEvent);
      // Void already: nothing is gained by waiting.
      if (tally.faults > 0) end();
    }, LOOK_MS);
    const next = (): void => {
      if (events + burst > most || performance.now() - before.at >= forMs) return end();
      events += burst;
      tally.target = before.deliveries + events * perEvent;
      trigger.fire(burst);
      return undefined;
    };
    tally.reached = next;
    next();
  });
  const tookMs = performance.now() - before.at;
  const { user, system } = process.cpuUsage(before.cpu);
  await surplus(tally, before.deliveries + events * perEvent);
  return { events, deliveries: tally.deliveries - before.deliveries, tookMs, cpuUs: user + system, ...faultsOf(tally) };
}

/** Events at their times, whether or not the last has arrived; looked for as fast as this process can. */
export async function runRate(
  { crowd, tally, trigger }: Ground,
  { perSecond, forMs, below }: { readonly perSecond: number; readonly forMs: number; readonly below: number },
): Promise<RateAnswer> {
  const sampled = crowd.links.slice(0, below);
  const first = sampled[0]?.chain.count ?? 0;
  const sampling = createSampling(first, below);
  const before = { deliveries: tally.deliveries, cpu: process.cpuUsage(), at: performance.now() };
  const total = Math.floor((perSecond * forMs) / 1_000);
  tally.sampling = sampling;
  const lateAt = before.at + forMs + PATIENCE_MS;
  const isDone = (): boolean =>
    sampling.sentAt.length >= total && sampled.every(({ chain }) => chain.count >= first + total);
  let events = 0;
  await new Promise<void>((resolve) => {
    const turn = (): void => {
      const now = performance.now();
      const due = Math.min(total, Math.floor(((now - before.at) * perSecond) / 1_000) + 1);
      if (events < due) {
        const more = due - events;
        for (let index = 0; index < more; index++) sampling.sentAt.push(now);
        events = due;
        trigger.fire(more);
      }
      if (tally.faults > 0 || (events >= total && (isDone() || now > lateAt))) resolve();
      else setImmediate(turn);
    };
    turn();
  });
  const tookMs = performance.now() - before.at;
  const { user, system } = process.cpuUsage(before.cpu);
  if (!isDone()) lose(tally, Number.NaN);
  tally.sampling = undefined;
  const { latencies } = sampling;
  return {
    events,
    deliveries: tally.deliveries - before.deliveries,
    tookMs,
    cpuUs: user + system,
    ...faultsOf(tally),
    samples: latencies.count,
    p50: latencies.quantile(0.5),
    p99: latencies.quantile(0.99),
    p999: latencies.quantile(0.999),
    mostMs: latencies.mostMs,
  };
}

/** What comes after everything has come is one too many. */
async function surplus(tally: Tally, expected: number): Promise<void> {
  await new Promise<void>((resolve) => setTimeout(resolve, 2));
  if (tally.deliveries <= expected) return;
  tally.faults++;
  tally.firstFault ??= `${tally.deliveries - expected} deliveries too many`;
}

function lose(tally: Tally, expected: number): void {
  tally.faults++;
  tally.firstFault ??= `lost: ${tally.deliveries} deliveries instead of ${expected} after ${PATIENCE_MS} ms`;
}

function faultsOf({ faults, firstFault }: Tally): Pick<WindowAnswer, 'faults' | 'firstFault'> {
  return { faults, ...(firstFault === undefined ? {} : { firstFault }) };
}
