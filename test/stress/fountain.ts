import { Subject } from 'rxjs';
import { z } from 'zod';
import type { Fact } from '../../src/model/event.js';
import type { Json } from '../../src/model/json.js';
import { defaultSafetyPolicy } from '../../src/model/safety.js';
import type { Random } from '../../src/net/clock.js';
import type { FactBatch, Venue } from '../../src/venues/venue.js';

/** What the fountain is called among the sources. */
export const FOUNTAIN_SOURCE = 'load';

/**
 * A venue at the `Venue` port, for rates that no simulated venue speaks at: its sessions say `session.updated`, each
 * with the next number. What it said last is remembered in the same batch, as a feed's lists are, so that after a kill
 * the journal must go on with exactly the next number of each session: a hole is a lost fact, a repeat one told twice.
 */
export interface Fountain extends Venue {
  /** Events a second from now on; resolves when everything that was told before is committed. */
  setRate(rate: number): Promise<void>;
}

/** Facts leave in bundles this often, as they do when a busy socket is read. */
const TICK_MS = 10;
/** A longer text of a fact is cut by the hub: what is padded more has several. */
const PAD_TEXT = 'x'.repeat(2_000);
/** Every so many batches the last fact is told a second time, which the journal must refuse, with a pulse. */
const REPEAT_EVERY = 7;
const numbers = z.record(z.string(), z.number()).catch({});

export function createFountain(options: {
  readonly sessions: number;
  readonly rate: number;
  /** So many of the sessions say so much more with each update. */
  readonly padded: number;
  readonly padBytes: number;
  readonly random: Random;
}): Fountain {
  const { random } = options;
  const facts = new Subject<FactBatch>();
  const said = new Map<string, number>();
  let rate = options.rate;
  let owed = 0;
  let tickedAt = performance.now();
  let uncommitted = 0;
  let batches = 0;
  const idle: (() => void)[] = [];
  let timer: NodeJS.Timeout | undefined;

  const sessions = Array.from({ length: options.sessions }, (_, index) => `s${index}`);
  const committed = (): void => {
    if (--uncommitted > 0) return;
    for (const tell of idle.splice(0)) tell();
  };
  const tell = (told: readonly Fact[]): void => {
    uncommitted++;
    const memory: { readonly [key: string]: Json } = { said: Object.fromEntries(said) };
    facts.next({ facts: told, memory, committed });
  };
  const update = (): Fact => {
    const index = Math.floor(random() * sessions.length);
    const session = sessions[index] ?? 's0';
    const n = (said.get(session) ?? 0) + 1;
    said.set(session, n);
    const pad = index < options.padded ? { pad: padOf(options.padBytes) } : {};
    return {
      source: FOUNTAIN_SOURCE,
      session,
      type: 'session.updated',
      key: `load-${session}-${n}`,
      data: { changed: { n, ...pad } },
    };
  };
  const tick = (): void => {
    const now = performance.now();
    // A busy machine ticks late; what is owed is told then, and no more than a quarter of a second of it.
    owed = Math.min(owed + (rate * (now - tickedAt)) / 1_000, Math.max(1, rate / 4));
    tickedAt = now;
    if (owed < 1) return;
    const bundle = Array.from({ length: Math.floor(owed) }, update);
    owed -= bundle.length;
    tell(bundle);
    const last = bundle.at(-1);
    if (last === undefined || ++batches % REPEAT_EVERY !== 0) return;
    tell([last, { source: FOUNTAIN_SOURCE, session: last.session, type: 'heartbeat.pulse', data: { rttMs: 1 } }]);
  };

  return {
    venue: 'deribit',
    id: FOUNTAIN_SOURCE,
    sources: () => [
      {
        venue: 'deribit',
        source: FOUNTAIN_SOURCE,
        role: 'watch',
        safety: defaultSafetyPolicy('deribit'),
        forgetAfterMs: 86_400_000,
        provedBy: {},
      },
    ],
    facts$: facts.asObservable(),
    commands: [],
    command: () => Promise.reject(new Error('the fountain takes no command')),
    start(memory) {
      const before = numbers.parse(memory?.get('said'));
      for (const [session, n] of Object.entries(before)) said.set(session, n);
      const url = 'wss://load.test';
      // A life of this name is this process: its link comes up once in it.
      tell([
        { source: FOUNTAIN_SOURCE, session: '-', type: 'link.up', data: { carrier: 'ws', generation: 1, url } },
        ...sessions.map(
          (session): Fact =>
            session in before
              ? { source: FOUNTAIN_SOURCE, session, type: 'session.restored', data: {} }
              : { source: FOUNTAIN_SOURCE, session, type: 'session.opened', data: { kind: 'api', role: 'watch' } },
        ),
      ]);
      timer = setInterval(tick, TICK_MS);
    },
    stop() {
      clearInterval(timer);
      facts.complete();
      return Promise.resolve();
    },
    setRate(next) {
      rate = next;
      owed = 0;
      if (uncommitted === 0) return Promise.resolve();
      return new Promise((resolve) => idle.push(resolve));
    },
  };
}

function padOf(bytes: number): readonly string[] {
  return Array.from({ length: Math.ceil(bytes / PAD_TEXT.length) }, () => PAD_TEXT);
}
