import type { Json } from '../../model/json.js';
import { type Budget, createBudget } from '../../net/budget.js';
import type { Clock } from '../../net/clock.js';

/** One (sub)account of the customer: what belongs to it and not to a connection. */
export interface Account {
  /** The venue's `user_id`, and what `public/exchange_token` calls `subject_id`. */
  readonly id: number;
  readonly isMain: boolean;
  readonly credits: Credits;
  /** The account scope of cancel-on-disconnect: newly opened connections begin with it. */
  protectsNew: boolean;
  /** Currencies that are locked; `ALL` for every one. */
  readonly locks: Set<string>;
  /** The venue's security log, oldest first. */
  readonly accessLog: AccessEntry[];
}

export interface AccessEntry {
  readonly id: number;
  readonly ip: string;
  readonly timestamp: number;
  readonly country: string;
  readonly city: string;
  readonly log: string;
  readonly data?: Json;
}

/** What a request costs, by the pool that pays (Deribit docs, "Rate limits"; matching: the default tier). */
export type Pool = 'general' | 'subscriptions' | 'matching';

/** One pool each; spent per (sub)account, and per address by requests without authentication. */
export interface Credits {
  /** Whether they sufficed. */
  spend(pool: Pool): boolean;
  /** No credits for so long. */
  block(forMs: number): void;
}

const POOLS = {
  general: { cost: 500, burst: 50_000, perSecond: 10_000 },
  subscriptions: { cost: 3_000, burst: 30_000, perSecond: 10_000 },
  matching: { cost: 1, burst: 20, perSecond: 5 },
} as const;

export function createCredits(clock: Clock): Credits {
  const budgets: { readonly [P in Pool]: Budget } = {
    general: createBudget({ clock, ...POOLS.general }),
    subscriptions: createBudget({ clock, ...POOLS.subscriptions }),
    matching: createBudget({ clock, ...POOLS.matching }),
  };
  return {
    spend: (pool) => budgets[pool].take(POOLS[pool].cost) === 0,
    block(forMs) {
      for (const budget of Object.values(budgets)) budget.block(forMs);
    },
  };
}

export interface Accounts {
  readonly main: Account;
  readonly all: readonly Account[];
  byId(id: number): Account | undefined;
}

/** The one customer of this venue: a main account, and a subaccount to switch to. */
const ACCOUNT_IDS = { main: 10_580, sub: 10_581 } as const;
/** Older entries of the security log are dropped. */
const MAX_ACCESS_ENTRIES = 1_000;
/** Documentation addresses (RFC 5737). */
const LOGIN_ADDRESS = '198.51.100.7';

export function createAccounts(clock: Clock): Accounts {
  const account = (id: number, isMain: boolean): Account => ({
    id,
    isMain,
    credits: createCredits(clock),
    protectsNew: false,
    locks: new Set(),
    accessLog: [],
  });
  const main = account(ACCOUNT_IDS.main, true);
  const all = [main, account(ACCOUNT_IDS.sub, false)];
  logAccess(main, clock.now(), { log: 'success' });
  return { main, all, byId: (id) => all.find((one) => one.id === id) };
}

/** Writes one entry into an account's security log. */
export function logAccess(
  account: Account,
  timestamp: number,
  { log, ip = LOGIN_ADDRESS, data }: { readonly log: string; readonly ip?: string; readonly data?: Json },
): AccessEntry {
  const id = (account.accessLog.at(-1)?.id ?? 243_342) + 1;
  const place = { country: 'Netherlands', city: 'Amsterdam' };
  const entry = { id, ip, timestamp, ...place, log, ...(data === undefined ? {} : { data }) };
  account.accessLog.push(entry);
  if (account.accessLog.length > MAX_ACCESS_ENTRIES) account.accessLog.shift();
  return entry;
}
