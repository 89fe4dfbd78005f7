import { type Fact, SOURCE_TOKEN } from '../../model/event.js';
import { createHttpLink } from '../http-link.js';

/** Whether one user's requests are answered, and whether the vendor's webhooks arrive. */
export interface Link {
  /** There was an answer. */
  answered(): void;
  /** There was none; whether the link went down by it. */
  failed(reason: string, byVenue: boolean): boolean;
  /** A webhook arrived that is the venue's. */
  hooked(): readonly Fact[];
  /** Ends it on the relay's own decision. */
  end(reason: string): void;
  /** In a row. */
  readonly failures: number;
}

const FAILURES_TO_DOWN = 2;
/** Webhooks have one way in for as long as the relay runs. */
const HOOK_GENERATION = 1;

export function createLink(options: {
  readonly source: string;
  /** What `link.up` names; without query. */
  readonly url: string;
  readonly hookUrl: string;
  readonly tell: (facts: readonly Fact[]) => void;
}): Link {
  const { source, url, hookUrl, tell } = options;
  const http = createHttpLink({ source, url, failuresToDown: FAILURES_TO_DOWN, tell });
  const hook = { carrier: 'hook', generation: HOOK_GENERATION } as const;
  const where = { source, session: SOURCE_TOKEN, generation: HOOK_GENERATION } as const;
  let hooked = false;

  return {
    answered: http.answered,
    failed(reason, byVenue) {
      const before = http.link;
      http.failed({ reason, byVenue });
      return before !== http.link;
    },
    hooked() {
      if (hooked) return [];
      hooked = true;
      return [{ ...where, type: 'link.up', data: { ...hook, url: hookUrl } }];
    },
    end(reason) {
      http.end(reason);
      if (!hooked) return;
      hooked = false;
      const data = { ...hook, code: 1000, reason, clean: true, initiator: 'relay' } as const;
      tell([{ ...where, type: 'link.down', data }]);
    },
    get failures() {
      return http.failures;
    },
  };
}
