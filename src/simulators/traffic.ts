import type { Json } from '../model/json.js';

/** What was asked of a venue over HTTP and sockets, and what came of it, in counts: never a parameter. */
export interface Traffic<Cause extends string> {
  /** A request over HTTP or a command on a socket, by its name; names that the venue does not have are one. */
  asked(via: 'http' | 'socket', name: string | undefined): void;
  /** What a request came to: the venue's code, or the HTTP status. */
  outcome(code: number): void;
  upgradeRefused(status: number): void;
  ended(connection: number, cause: Cause): void;
  state(): { readonly [name: string]: Json };
}

/** Ends of connections that are remembered. */
const MAX_ENDS = 100;
const UNKNOWN = 'unknown';

/** `outcomes`: under which name `state()` counts what requests came to. */
export function createTraffic<Cause extends string>(outcomes: 'answers' | 'refusals'): Traffic<Cause> {
  const asked = { http: new Map<string, number>(), socket: new Map<string, number>() };
  const codes = new Map<string, number>();
  const refusedUpgrades = new Map<string, number>();
  const ends: Json[] = [];
  return {
    asked: (via, name) => count(asked[via], name ?? UNKNOWN),
    outcome: (code) => count(codes, String(code)),
    upgradeRefused: (status) => count(refusedUpgrades, String(status)),
    ended(connection, cause) {
      ends.push({ connection, cause });
      if (ends.length > MAX_ENDS) ends.shift();
    },
    state: () => ({
      requests: {
        http: Object.fromEntries(asked.http),
        socket: Object.fromEntries(asked.socket),
        [outcomes]: Object.fromEntries(codes),
      },
      refusedUpgrades: Object.fromEntries(refusedUpgrades),
      ended: [...ends],
    }),
  };
}

function count(counts: Map<string, number>, key: string): void {
  counts.set(key, (counts.get(key) ?? 0) + 1);
}
