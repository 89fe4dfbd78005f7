import type { Json } from '../../model/json.js';

/** How a socket ended, as the gateway sees it. */
export type EndCause = 'client' | 'fault' | 'maintenance' | 'new_login';

/** What was asked and what came of it, in counts: never a parameter. */
export interface Traffic {
  /** A request over HTTP by its endpoint, or a text on a socket by its topic; what the gateway does not have is one. */
  asked(via: 'http' | 'socket', name: string | undefined): void;
  answered(status: number): void;
  upgradeRefused(status: number): void;
  ended(connection: number, cause: EndCause): void;
  state(): { readonly [name: string]: Json };
}

/** Ends of sockets that are remembered. */
const MAX_ENDS = 100;
const UNKNOWN = 'unknown';

export function createTraffic(): Traffic {
  const asked = { http: new Map<string, number>(), socket: new Map<string, number>() };
  const answers = new Map<string, number>();
  const refusedUpgrades = new Map<string, number>();
  const ends: Json[] = [];
  return {
    asked: (via, name) => count(asked[via], name ?? UNKNOWN),
    answered: (status) => count(answers, String(status)),
    upgradeRefused: (status) => count(refusedUpgrades, String(status)),
    ended(connection, cause) {
      ends.push({ connection, cause });
      if (ends.length > MAX_ENDS) ends.shift();
    },
    state: () => ({
      requests: {
        http: Object.fromEntries(asked.http),
        socket: Object.fromEntries(asked.socket),
        answers: Object.fromEntries(answers),
      },
      refusedUpgrades: Object.fromEntries(refusedUpgrades),
      ended: [...ends],
    }),
  };
}

function count(counts: Map<string, number>, key: string): void {
  counts.set(key, (counts.get(key) ?? 0) + 1);
}
