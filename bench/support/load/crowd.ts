import type { Dialect } from './dialect.js';
import { type Link, openLink } from './link.js';
import type { Tally } from './tally.js';

/** The subscribers of one load generator. */
export interface Crowd {
  readonly links: readonly Link[];
  close(): void;
}

export interface CrowdOptions {
  readonly connections: number;
  readonly port: number;
  readonly dialectOf: (index: number) => Dialect;
  readonly headBytesOf: (index: number) => number;
  readonly cursor: string;
  readonly tally: Tally;
  /** Connections that may be on their way to being subscribed; the others wait. */
  readonly atOnce: number;
  /** When each is done: the server has greeted it, it is subscribed, or its replay has ended. */
  readonly until: 'connected' | 'subscribed' | 'caught_up';
}

const PATIENCE_MS = 120_000;

/** Resolves when all are done; rejects where one is refused. */
export function gatherCrowd(options: CrowdOptions): Promise<Crowd> {
  const { connections, port, tally, atOnce, until } = options;
  const links: Link[] = [];
  let done = 0;
  const crowd: Crowd = {
    links,
    close() {
      for (const link of links) link.close();
    },
  };
  return new Promise((resolve, reject) => {
    const settle = (error?: Error): void => {
      clearInterval(watch);
      if (error === undefined) resolve(crowd);
      else reject(error);
    };
    const startedAt = performance.now();
    const watch = setInterval(() => {
      if (tally.faults > 0) settle(new Error(`a subscriber failed: ${tally.firstFault ?? ''}`));
      else if (performance.now() - startedAt > PATIENCE_MS)
        settle(new Error(`${done} of ${connections} subscribed within ${PATIENCE_MS} ms`));
    }, 50);
    const oneDone = (): void => {
      done++;
      more();
      if (done === connections) settle();
    };
    const more = (): void => {
      while (links.length < connections && links.length - done < atOnce) {
        const index = links.length;
        links.push(
          openLink({
            index,
            port,
            dialect: options.dialectOf(index),
            headBytes: options.headBytesOf(index),
            cursor: options.cursor,
            tally,
            said: (what) => {
              if (what === until) oneDone();
            },
          }),
        );
      }
    };
    more();
  });
}
