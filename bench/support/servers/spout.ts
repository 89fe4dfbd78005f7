import { createServer } from 'node:net';
import { Subject } from 'rxjs';
import type { Fact } from '../../../src/model/event.js';
import { defaultSafetyPolicy } from '../../../src/model/safety.js';
import type { FactBatch, Venue } from '../../../src/venues/venue.js';

/** What the spout is called among the sources. */
export const SPOUT_SOURCE = 'load';

/**
 * A venue at the `Venue` port with as many sessions as are wanted, for questions that no venue can be asked: each line
 * that comes in on its socket is the number of a session, to which something happens then.
 */
export interface Spout extends Venue {
  readonly port: number;
  /** Bytes that each fact says more from now on. */
  pad(bytes: number): void;
}

const MAX_TEXT = 2_000;
const NEWLINE = 0x0a;
const ZERO = 0x30;

export async function createSpout(sessions: number): Promise<Spout> {
  const facts = new Subject<FactBatch>();
  // Names must not come twice, in whichever life of the journal.
  const life = Date.now().toString(36);
  let told = 0;
  let pad: readonly string[] = [];

  const happen = (session: number): Fact => ({
    source: SPOUT_SOURCE,
    session: `s${session}`,
    type: 'session.updated',
    key: `load-${life}-${++told}`,
    data: { changed: pad.length === 0 ? { n: told } : { n: told, pad } },
  });
  const server = createServer({ noDelay: true }, (socket) => {
    let number = 0;
    socket.on('error', () => socket.destroy());
    socket.on('data', (chunk: Buffer) => {
      for (const byte of chunk) {
        if (byte !== NEWLINE) number = number * 10 + byte - ZERO;
        else {
          facts.next({ facts: [happen(number)] });
          number = 0;
        }
      }
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();

  return {
    port: typeof address === 'object' ? (address?.port ?? 0) : 0,
    pad(bytes) {
      const whole = Math.floor(bytes / MAX_TEXT);
      pad = Array.from({ length: whole }, () => 'x'.repeat(MAX_TEXT));
    },
    venue: 'deribit',
    id: SPOUT_SOURCE,
    sources: () => [
      {
        venue: 'deribit',
        source: SPOUT_SOURCE,
        role: 'watch',
        safety: defaultSafetyPolicy('deribit'),
        forgetAfterMs: 86_400_000,
        provedBy: {},
      },
    ],
    facts$: facts.asObservable(),
    commands: [],
    command: () => Promise.reject(new Error('the spout takes no command')),
    start() {
      const url = 'wss://load.test';
      const link: Fact = {
        source: SPOUT_SOURCE,
        session: '-',
        type: 'link.up',
        data: { carrier: 'ws', generation: 1, url },
      };
      const opened = Array.from(
        { length: sessions },
        (_, index): Fact => ({
          source: SPOUT_SOURCE,
          session: `s${index}`,
          type: 'session.opened',
          data: { kind: 'api', role: 'watch' },
        }),
      );
      facts.next({ facts: [link, ...opened] });
    },
    stop() {
      server.close();
      facts.complete();
      return Promise.resolve();
    },
  };
}
