import type { Json } from '../../model/json.js';

/** What was asked and what came of it, in counts: never a parameter. */
export interface Traffic {
  /** A request that came, by its operation; undefined: there is none at its path. */
  asked(operation: string | undefined): void;
  /** A request that was refused: its status, and the venue's code where it has one. */
  refused(status: number, code: string | undefined): void;
  /** A request that is never answered. */
  unanswered(): void;
  state(): { readonly [name: string]: Json };
}

export function createTraffic(): Traffic {
  const asked = new Map<string, number>();
  const refusals = new Map<string, number>();
  let unanswered = 0;
  return {
    asked: (operation) => count(asked, operation ?? 'unknown'),
    refused: (status, code) => count(refusals, code === undefined ? String(status) : `${status} ${code}`),
    unanswered() {
      unanswered += 1;
    },
    state: () => ({
      asked: Object.fromEntries(asked),
      refusals: Object.fromEntries(refusals),
      unanswered,
    }),
  };
}

function count(counts: Map<string, number>, key: string): void {
  counts.set(key, (counts.get(key) ?? 0) + 1);
}
