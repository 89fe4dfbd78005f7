import type { Json } from '../../model/json.js';
import type { Clock, Random, Timer } from '../../net/clock.js';
import { drawBetween, shuffled } from '../draw.js';

/** The venue's own state: which indices are locked, whether maintenance was announced, what prices do. */
export interface Platform {
  readonly indices: readonly string[];
  readonly lockedIndices: readonly string[];
  isLocked(index: string): boolean;
  /** Locks or unlocks one index, or all, and tells it. Answers whether the index exists. */
  lock(index: string | undefined, locked: boolean, reasons?: readonly string[]): boolean;
  /** Deribit docs, public/status. */
  status(): { readonly [name: string]: Json };
  /** Announced, and not over. */
  maintenance: boolean;
  publicMethods: boolean;
  /** What a new subscriber of `platform_state` is told: one frame an index (recorded), maintenance first. */
  snapshot(): readonly Json[];
  price(index: string): number | undefined;
  /** Prices move once a second while somebody listens. */
  listen(index: string): void;
  unlisten(index: string): void;
}

const BASES = ['btc', 'eth', 'sol', 'xrp', 'paxg', 'ada', 'avax', 'bnb', 'doge', 'dot', 'link', 'ltc', 'trx', 'uni'];
const QUOTES = ['usd', 'usdc', 'usdt'];
const FIRST_PRICES: { readonly [base: string]: number } = { btc: 95_000, eth: 3_300, sol: 180, paxg: 2_700 };
const DEFAULT_PRICE = 10;
const PRICE_EVERY_MS = 1_000;
/** The most that a price moves in one step, as a share of it. */
const PRICE_STEP = 0.0005;

export function createPlatform(options: {
  readonly clock: Clock;
  readonly random: Random;
  readonly now: () => number;
  readonly publish: (channel: string, data: Json) => void;
}): Platform {
  const { clock, random, now, publish } = options;
  const indices = BASES.flatMap((base) => QUOTES.map((quote) => `${base}_${quote}`));
  const locked = new Map<string, readonly string[]>();
  const prices = new Map(
    indices.map((index) => [index, FIRST_PRICES[index.split('_')[0] ?? ''] ?? DEFAULT_PRICE] as const),
  );
  const heard = new Map<string, number>();
  let timer: Timer | undefined;
  let maintenance = false;
  let publicMethods = true;

  const frame = (index: string): Json => ({
    locked: locked.has(index),
    price_index: index,
    reasons: locked.get(index) ?? [],
  });
  const move = (): void => {
    timer = clock.setTimer(move, PRICE_EVERY_MS);
    for (const index of heard.keys()) {
      const price = (prices.get(index) ?? DEFAULT_PRICE) * (1 + drawBetween(random, -PRICE_STEP, PRICE_STEP));
      prices.set(index, Math.round(price * 100) / 100);
      publish(`deribit_price_index.${index}`, priceFrame(index));
    }
  };
  const priceFrame = (index: string): Json => ({
    timestamp: now(),
    price: prices.get(index) ?? DEFAULT_PRICE,
    index_name: index,
  });

  return {
    indices,
    get lockedIndices() {
      return [...locked.keys()];
    },
    isLocked: (index) => locked.has(index),
    lock(index, wanted, reasons = []) {
      if (index !== undefined && !prices.has(index)) return false;
      for (const one of index === undefined ? indices : [index]) {
        if (locked.has(one) === wanted) continue;
        if (wanted) locked.set(one, reasons);
        else locked.delete(one);
        publish('platform_state', frame(one));
      }
      return true;
    },
    status() {
      if (locked.size === 0) return { locked: 'false', locked_indices: [] };
      return { locked: locked.size === indices.length ? 'true' : 'partial', locked_indices: [...locked.keys()] };
    },
    get maintenance() {
      return maintenance;
    },
    set maintenance(announced) {
      maintenance = announced;
      // Its end is not told: sockets are accepted again, and that is all (Deribit changelog, 23.02.2022).
      if (announced) publish('platform_state', { maintenance: true });
    },
    get publicMethods() {
      return publicMethods;
    },
    set publicMethods(allowed) {
      publicMethods = allowed;
      publish('platform_state.public_methods_state', { allow_unauthenticated_public_requests: allowed });
    },
    snapshot() {
      const frames = shuffled(random, indices).map(frame);
      return maintenance ? [{ maintenance: true }, ...frames] : frames;
    },
    price: (index) => prices.get(index),
    listen(index) {
      heard.set(index, (heard.get(index) ?? 0) + 1);
      timer ??= clock.setTimer(move, PRICE_EVERY_MS);
    },
    unlisten(index) {
      const left = (heard.get(index) ?? 1) - 1;
      if (left > 0) heard.set(index, left);
      else heard.delete(index);
      if (heard.size > 0) return;
      timer?.cancel();
      timer = undefined;
    },
  };
}
