import { Subject } from 'rxjs';
import { z } from 'zod';
import type { Fact } from '../../src/model/event.js';
import type { Json } from '../../src/model/json.js';
import { defaultSafetyPolicy } from '../../src/model/safety.js';
import type {
  FactBatch,
  StopOptions,
  Venue,
  VenueCommand,
  WebhookReply,
  WebhookRequest,
} from '../../src/venues/venue.js';

/** A venue that says what a test tells it to, under the name `deribit.<id>`. */
export interface ScriptedVenue extends Venue {
  /** One batch of facts. */
  tell(...facts: readonly Fact[]): void;
  /** The link comes up and these sessions open. */
  open(...sessions: readonly string[]): void;
  /** `session.updated` of one session, each with the next number in `attributes.n`. */
  update(session: string, times?: number): void;
  pulse(session: string): void;
  /** What was called, in order. */
  readonly calls: readonly VenueCommand[];
  /** What the next calls are answered with; by default `{ ok: true }`. */
  answer: (call: VenueCommand) => Promise<Json>;
  readonly stopped: StopOptions | undefined;
  /** What it does, and tells, when it is stopped; by default nothing. */
  stopping: () => Promise<void>;
  /** What it answers to webhooks, told what it wants journaled. */
  hook: (request: WebhookRequest, tell: (batch: FactBatch) => void) => Promise<WebhookReply>;
  webhook(request: WebhookRequest): Promise<WebhookReply>;
}

export function createScriptedVenue(id = 'main'): ScriptedVenue {
  const facts = new Subject<FactBatch>();
  const calls: VenueCommand[] = [];
  let stopped: StopOptions | undefined;
  let ending: Promise<void> | undefined;
  let updates = 0;
  const tell = (...told: readonly Fact[]): void => facts.next({ facts: told });
  const venue: ScriptedVenue = {
    venue: 'deribit',
    id,
    sources: () => [
      {
        venue: 'deribit',
        source: id,
        role: 'watch',
        environment: 'test',
        safety: defaultSafetyPolicy('deribit'),
        forgetAfterMs: 86_400_000,
        provedBy: {},
      },
    ],
    facts$: facts.asObservable(),
    commands: [
      {
        command: 'read',
        acts: false,
        summary: 'Reads.',
        params: z.strictObject({ n: z.number().optional() }) as never,
      },
      { command: 'act', acts: true, summary: 'Acts.', params: z.strictObject({ n: z.number().optional() }) as never },
    ],
    command(call) {
      calls.push(call);
      return venue.answer(call);
    },
    answer: () => Promise.resolve({ ok: true }),
    start() {},
    stop(how) {
      stopped ??= how;
      ending ??= venue.stopping().then(() => facts.complete());
      return ending;
    },
    stopping: () => Promise.resolve(),
    tell,
    open(...sessions) {
      tell(
        { source: id, session: '-', type: 'link.up', data: { carrier: 'ws', generation: 1, url: 'wss://venue.test' } },
        ...sessions.map(
          (session): Fact => ({
            source: id,
            session,
            type: 'session.opened',
            data: { kind: 'api', role: 'watch', environment: 'test', attributes: { login: `${session}@example.test` } },
          }),
        ),
      );
    },
    update(session, times = 1) {
      for (let left = times; left > 0; left--) {
        const n = ++updates;
        tell({ source: id, session, type: 'session.updated', data: { changed: { n } }, key: `update-${n}` });
      }
    },
    pulse(session) {
      tell({ source: id, session, type: 'heartbeat.pulse', data: { rttMs: 7 } });
    },
    calls,
    hook: () => Promise.resolve({ status: 200 }),
    webhook: (request) => venue.hook(request, (batch) => facts.next(batch)),
    get stopped() {
      return stopped;
    },
  };
  return venue;
}
