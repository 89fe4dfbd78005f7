import type { Json } from '../../model/json.js';

/** How a connection ended, as the venue sees it. */
export type EndCause =
  | 'client_close'
  | 'client_gone'
  | 'logout'
  | 'heartbeat'
  | 'idle'
  | 'credits'
  | 'eviction'
  | 'maintenance'
  | 'fault';

/** What was asked and what came of it, in counts: never a parameter. */
export interface Traffic {
  /** `method` is one that the venue has, or undefined. */
  asked(method: string | undefined): void;
  refused(code: number): void;
  ended(end: {
    readonly connection: number;
    readonly cause: EndCause;
    readonly cancelledOrders: readonly string[];
  }): void;
  upgradeRefused(status: number): void;
  state(): { readonly [name: string]: Json };
}

/** Ends of connections that are remembered. */
const MAX_ENDS = 100;
const UNKNOWN_METHOD = 'unknown';

export function createTraffic(): Traffic {
  let total = 0;
  const methods = new Map<string, number>();
  const errors = new Map<string, number>();
  const refusedUpgrades = new Map<string, number>();
  const ends: Json[] = [];
  return {
    asked(method) {
      total += 1;
      count(methods, method ?? UNKNOWN_METHOD);
    },
    refused: (code) => count(errors, String(code)),
    ended({ connection, cause, cancelledOrders }) {
      ends.push({ connection, cause, cancelledOrders });
      if (ends.length > MAX_ENDS) ends.shift();
    },
    upgradeRefused: (status) => count(refusedUpgrades, String(status)),
    state: () => ({
      requests: { total, methods: Object.fromEntries(methods), errors: Object.fromEntries(errors) },
      refusedUpgrades: Object.fromEntries(refusedUpgrades),
      ended: [...ends],
    }),
  };
}

function count(counts: Map<string, number>, key: string): void {
  counts.set(key, (counts.get(key) ?? 0) + 1);
}
