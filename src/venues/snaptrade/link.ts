import { type Fact, SOURCE_TOKEN } from '../../model/event.js';

/** Whether one user's requests are answered: one that fails is not an outage, the second in a row is. */
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

export function createLink(options: {
  readonly source: string;
  /** What `link.up` names; without query. */
  readonly url: string;
  readonly hookUrl: string;
  readonly tell: (facts: readonly Fact[]) => void;
}): Link {
  const { source, tell } = options;
  let http: 'never' | 'up' | 'down' = 'never';
  let hook = false;
  let generation = 0;
  let failures = 0;

  const fact = (one: Pick<Fact, 'type' | 'data'>, of = generation): Fact =>
    ({ source, session: SOURCE_TOKEN, generation: of, ...one }) as Fact;
  const ended = (carrier: 'http' | 'hook', of: number, reason: string): Fact => {
    const data = { carrier, generation: of, code: 1000, reason, clean: true, initiator: 'relay' } as const;
    return fact({ type: 'link.down', data }, of);
  };

  return {
    answered() {
      failures = 0;
      if (http === 'up') return;
      http = 'up';
      generation++;
      tell([fact({ type: 'link.up', data: { carrier: 'http', generation, url: options.url } })]);
    },
    failed(reason, byVenue) {
      failures++;
      if (http === 'down' || (http === 'up' && failures < FAILURES_TO_DOWN)) return false;
      if (http === 'never') generation++;
      const code = http === 'up' ? 1006 : 0;
      http = 'down';
      const initiator = byVenue ? 'venue' : 'network';
      const data = { carrier: 'http', generation, code, reason, clean: false, initiator } as const;
      tell([fact({ type: 'link.down', data })]);
      return true;
    },
    hooked() {
      if (hook) return [];
      hook = true;
      return [fact({ type: 'link.up', data: { carrier: 'hook', generation: 1, url: options.hookUrl } }, 1)];
    },
    end(reason) {
      const facts = [
        ...(http === 'up' ? [ended('http', generation, reason)] : []),
        ...(hook ? [ended('hook', 1, reason)] : []),
      ];
      http = 'down';
      hook = false;
      if (facts.length > 0) tell(facts);
    },
    get failures() {
      return failures;
    },
  };
}
