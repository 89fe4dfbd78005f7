import { type EventData, type Fact, SOURCE_TOKEN } from '../model/event.js';

/** Whether a venue that is asked over HTTP is there. One request that fails is not an outage; some in a row are. */
export interface HttpLink {
  /** There was an answer of the venue's. */
  answered(): void;
  /** There was none, or none that anybody can use. `dialled: false`: the venue could not even be connected to. */
  failed(how: { readonly reason: string; readonly byVenue: boolean; readonly dialled?: boolean }): void;
  /** Ends it on the relay's own decision; nothing is told any more. */
  end(reason: string): void;
  readonly link: 'never' | 'up' | 'down';
  readonly generation: number;
  /** In a row. */
  readonly failures: number;
}

export interface HttpLinkOptions {
  readonly source: string;
  /** What `link.up` names; without query. */
  readonly url: string;
  /** So many failures in a row are an outage. */
  readonly failuresToDown: number;
  /** So many dials that failed in a row are; default: as `failuresToDown`. */
  readonly failedDialsToDown?: number;
  /** Put before the reason of an end. */
  readonly tag?: () => string;
  readonly tell: (facts: readonly Fact[]) => void;
  /** It went up or down, and the fact has been told. Not for `end`. */
  readonly moved?: (link: 'up' | 'down') => void;
}

/** PROTOCOL.md §2, `link.down`: without a close frame, never opened, and ended as it should. */
const ABNORMAL = 1006;
const NEVER_OPENED = 0;
const NORMAL = 1000;

export function createHttpLink(options: HttpLinkOptions): HttpLink {
  const { source, failuresToDown, failedDialsToDown = failuresToDown, tell, moved } = options;
  let link: HttpLink['link'] = 'never';
  let generation = 0;
  let failures = 0;
  let failedDials = 0;
  let ended = false;

  const down = (end: Pick<EventData<'link.down'>, 'code' | 'reason' | 'clean' | 'initiator'>): void => {
    link = 'down';
    const data = { carrier: 'http', generation, ...end } as const;
    tell([{ source, session: SOURCE_TOKEN, type: 'link.down', data, generation }]);
  };

  return {
    answered() {
      failures = 0;
      failedDials = 0;
      if (ended || link === 'up') return;
      link = 'up';
      generation++;
      const data = { carrier: 'http', generation, url: options.url } as const;
      tell([{ source, session: SOURCE_TOKEN, type: 'link.up', data, generation }]);
      moved?.('up');
    },
    failed({ reason, byVenue, dialled = true }) {
      failures++;
      failedDials = dialled ? 0 : failedDials + 1;
      const isOutage = failures >= failuresToDown || failedDials >= failedDialsToDown;
      if (ended || link === 'down' || (link === 'up' && !isOutage)) return;
      if (link === 'never') generation++;
      const code = link === 'up' ? ABNORMAL : NEVER_OPENED;
      const tagged = (options.tag?.() ?? '') + reason;
      down({ code, reason: tagged, clean: false, initiator: byVenue ? 'venue' : 'network' });
      moved?.('down');
    },
    end(reason) {
      if (link === 'up' && !ended) down({ code: NORMAL, reason, clean: true, initiator: 'relay' });
      ended = true;
    },
    get link() {
      return link;
    },
    get generation() {
      return generation;
    },
    get failures() {
      return failures;
    },
  };
}
