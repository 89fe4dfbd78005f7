import type { Json } from '../../model/json.js';

/** How a connection ended, as the venue sees it. */
export type EndCause = 'client' | 'maintenance' | 'fault';

/** What was asked and what came of it, in counts: never a parameter. */
export interface Traffic {
  /** A request over HTTP or a command on a socket, by its name; names that the venue does not have are one. */
  asked(via: 'http' | 'socket', command: string | undefined): void;
  /** A request that was refused: the venue's code, or the HTTP status. */
  refused(code: number): void;
  upgradeRefused(status: number): void;
  ended(connection: number, cause: EndCause): void;
  state(): { readonly [name: string]: Json };
}

/** Ends of connections that are remembered. */
const MAX_ENDS = 100;
const UNKNOWN_COMMAND = 'unknown';

export function createTraffic(): Traffic {
  const asked = { http: new Map<string, number>(), socket: new Map<string, number>() };
  const refusals = new Map<string, number>();
  const refusedUpgrades = new Map<string, number>();
  const ends: Json[] = [];
  return {
    asked: (via, command) => count(asked[via], command ?? UNKNOWN_COMMAND),
    refused: (code) => count(refusals, String(code)),
    upgradeRefused: (status) => count(refusedUpgrades, String(status)),
    ended(connection, cause) {
      ends.push({ connection, cause });
      if (ends.length > MAX_ENDS) ends.shift();
    },
    state: () => ({
      requests: {
        http: Object.fromEntries(asked.http),
        socket: Object.fromEntries(asked.socket),
        refusals: Object.fromEntries(refusals),
      },
      refusedUpgrades: Object.fromEntries(refusedUpgrades),
      ended: [...ends],
    }),
  };
}

function count(counts: Map<string, number>, key: string): void {
  counts.set(key, (counts.get(key) ?? 0) + 1);
}
