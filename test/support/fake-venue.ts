import { Subject } from 'rxjs';
import { z } from 'zod';
import { type EventData, type EventType, type Fact, SOURCE_TOKEN } from '../../src/model/event.js';
import { type Json, json } from '../../src/model/json.js';
import { defaultSafetyPolicy } from '../../src/model/safety.js';
import type {
  CommandSpec,
  FactBatch,
  SourceDescription,
  StopOptions,
  Venue,
  VenueCommand,
  VenueMemory,
} from '../../src/venues/venue.js';

/** A venue that says what the test says, and answers commands as the test answers them. */
export interface FakeVenue extends Venue {
  /** Tells one batch. */
  say(...facts: readonly Fact[]): void;
  tell(batch: FactBatch): void;
  /** The facts end without having been asked to. */
  breakOff(thrown?: Error): void;
  /** How often it was started, and with which memory last. */
  readonly starts: number;
  readonly memory: VenueMemory | undefined;
  /** What `stop` was asked for, in order. */
  readonly stops: readonly StopOptions[];
  /** Commands that reached it, each waiting for its answer until the test gives one. */
  readonly calls: readonly FakeCall[];
  /** The last command that reached it. */
  readonly lastCall: FakeCall;
}

export interface FakeCall extends VenueCommand {
  answer(result: Json): void;
  fail(thrown: unknown): void;
}

export interface FakeVenueOptions extends Partial<Omit<SourceDescription, 'source'>> {
  readonly id?: string;
  /** Sources beside the one named by `id`. */
  readonly others?: readonly string[];
  /** Answers every command at once; without it each waits in `calls`. */
  readonly answer?: (call: VenueCommand) => Json | Promise<Json>;
  /** What it wants remembered when a session is dropped. */
  readonly forget?: (source: string, session: string) => FactBatch['memory'];
  /** Facts that it says while it stops. */
  readonly farewell?: readonly Fact[];
  /** How it stops, where not at once. */
  readonly stopping?: () => Promise<void>;
}

const anyParams = z.record(z.string(), json);

/** `read` only reads, `act` and `set` act; `set` wants a number. */
const COMMANDS: readonly CommandSpec[] = [
  { command: 'read', acts: false, summary: 'Reads.', params: anyParams },
  { command: 'act', acts: true, summary: 'Acts.', params: anyParams },
  { command: 'set', acts: true, summary: 'Sets a number.', params: z.strictObject({ interval: z.number() }) },
];

export function fakeVenue(options: FakeVenueOptions = {}): FakeVenue {
  const { venue = 'tradernet', id = 'desk', others = [], answer, farewell = [], stopping } = options;
  const facts$ = new Subject<FactBatch>();
  const calls: FakeCall[] = [];
  const stops: StopOptions[] = [];
  let starts = 0;
  let memory: VenueMemory | undefined;
  const sources = [id, ...others].map(
    (source): SourceDescription => ({
      venue,
      source,
      role: options.role ?? 'trading',
      safety: options.safety ?? defaultSafetyPolicy(venue),
      forgetAfterMs: options.forgetAfterMs ?? 86_400_000,
      provedBy: options.provedBy ?? {},
      ...(options.environment === undefined ? {} : { environment: options.environment }),
    }),
  );
  return {
    venue,
    id,
    sources: () => sources,
    facts$: facts$.asObservable(),
    commands: COMMANDS,
    command(call) {
      if (answer !== undefined) return Promise.resolve(answer(call));
      return new Promise((resolve, reject) => {
        calls.push({ ...call, answer: resolve, fail: reject });
      });
    },
    ...(options.forget === undefined ? {} : { forget: options.forget }),
    start(given) {
      starts++;
      memory = given;
    },
    async stop(how) {
      stops.push(how);
      if (stops.length > 1) return;
      await stopping?.();
      if (farewell.length > 0) facts$.next({ facts: farewell });
      facts$.complete();
    },
    say: (...facts) => facts$.next({ facts }),
    tell: (batch) => facts$.next(batch),
    breakOff: (thrown) => (thrown === undefined ? facts$.complete() : facts$.error(thrown)),
    get starts() {
      return starts;
    },
    get memory() {
      return memory;
    },
    stops,
    calls,
    get lastCall() {
      const call = calls.at(-1);
      if (call === undefined) throw new Error('no command reached the venue');
      return call;
    },
  };
}

/** A fact of the source `desk`; `session` may be `<source>/<session>`. */
export function fact<T extends EventType>(
  session: string,
  type: T,
  data: EventData<T>,
  extra: { readonly key?: string; readonly generation?: number } = {},
): Fact {
  const [source, token] = session.includes('/') ? session.split('/') : ['desk', session];
  return { source, session: token, type, data, ...extra } as Fact;
}

export function linkUp(carrier: 'ws' | 'http' | 'hook' = 'ws', generation = 1): Fact {
  return fact(SOURCE_TOKEN, 'link.up', { carrier, generation, url: 'wss://venue.test' }, { generation });
}

export function linkDown(carrier: 'ws' | 'http' | 'hook' = 'ws', generation = 1): Fact {
  const data = { carrier, generation, code: 1006, reason: '', clean: false, initiator: 'network' } as const;
  return fact(SOURCE_TOKEN, 'link.down', data, { generation });
}

export function opened(session: string, data: Partial<EventData<'session.opened'>> = {}, key?: string): Fact {
  return fact(session, 'session.opened', { kind: 'login', role: 'trading', ...data }, key === undefined ? {} : { key });
}
