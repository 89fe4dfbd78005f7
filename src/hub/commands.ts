import type { CommandReply, CommandRequest } from '../bus/bus.js';
import { asSessionRelayError, SessionRelayError, VenueTimeoutError } from '../errors.js';
import { type EventData, type Fact, SOURCE_TOKEN, VENUES, type VenueName } from '../model/event.js';
import { sampleOf, withoutCredentials } from '../model/grant.js';
import type { Json } from '../model/json.js';
import type { Clock } from '../net/clock.js';
import type { CommandSpec, Venue } from '../venues/venue.js';
import { createLanes } from './lanes.js';
import {
  callName,
  createRequestMemory,
  type Outcome,
  parseRequestRecord,
  REQUEST_MEMORY_MS,
  type RequestRecord,
  requestJson,
  requestName,
} from './request-memory.js';

/** The venue's answer is waited for this long; then the outcome is unknown. */
export const COMMAND_TIMEOUT_MS = 30_000;

/** The journal's memory of commands: those under way, and the outcomes of those that ended. */
export const COMMAND_SPACE = 'hub.commands';

/** Takes commands one at a time a source, leaves an audit trail, and answers a repeated `requestId` with the first result. */
export interface CommandDesk {
  run(request: CommandRequest): Promise<CommandReply>;
  /** What a life before this one left behind: unfinished commands become unknown, outcomes are known again. */
  recover(memory: ReadonlyMap<string, Json> | undefined): Promise<void>;
  /** What the journal's memory need not hold any more of commands that ended long ago, once. */
  forgotten(): { readonly [name: string]: null };
  /** Begins no more: what waits is refused with `closed`. */
  close(): void;
  /** Waits no longer for venues, or for these alone: the outcome of what still runs is unknown. */
  cut(venues?: ReadonlySet<Venue>): void;
  /** Resolves when nothing runs, at all or at these sources, `<venue>.<source>`. */
  idle(sources?: readonly string[]): Promise<void>;
}

/** What to remember with an audit event, once its cursor is known. */
export type Entries = (cursor: string) => { readonly [key: string]: Json };

export interface CommandDeskOptions {
  readonly clock: Clock;
  /** The venue that holds `<venue>.<source>` now. */
  readonly venueOf: (source: string) => { readonly venue: Venue; readonly source: string } | undefined;
  readonly hasSession: (source: string, session: string) => boolean;
  /** Whether commands may be sent to this venue now: one that is being ended takes none. */
  readonly takesCommands: (venue: Venue) => boolean;
  /**
   * Commits an audit event, with what to remember in the same transaction, and resolves with its cursor. Rejects where
   * it will never be committed.
   */
  readonly commit: (venue: VenueName, fact: Fact, entries: Entries) => Promise<string>;
}

interface Done {
  readonly result: Json;
  readonly cursor: string;
}

type AuditType = 'command.accepted' | 'command.succeeded' | 'command.failed' | 'command.unknown';
type AuditData = EventData<AuditType>;

export function createCommandDesk(options: CommandDeskOptions): CommandDesk {
  const { clock, venueOf, commit } = options;
  const requests = createRequestMemory(clock);
  const lanes = createLanes<Done>(clock);
  /** Cuts off what runs. */
  const running = new Map<() => void, Venue>();

  const run = async (given: CommandRequest): Promise<CommandReply> => {
    const request = withoutSourceToken(given);
    const { requestId, source } = request;
    const name = requestName(request.by, requestId);
    const call = callName(request);
    const before = requests.find(name);
    if (before !== undefined) {
      if (before.call === call) return before.reply;
      throw new SessionRelayError('conflict', `requestId ${requestId} was used for another call: take a new one`, {
        data: { why: 'request_id_reused' },
      });
    }
    const ready = prepare(request, venueOf, options.hasSession);
    mustTake(ready.venue, source);
    const { acts } = ready.spec;
    const done = lanes.run(source, () => carryOut(request, ready, call), acts ? undefined : call);
    const reply = done.then(({ result, cursor }) => ({ result, cursor, requestId }));
    requests.remember(name, { call, at: clock.monotonic(), reply }, acts);
    return reply;
  };

  const mustTake = (venue: Venue, source: string): void => {
    if (options.takesCommands(venue)) return;
    const why = 'its configuration has changed: it is being ended, and this command was not sent';
    throw new SessionRelayError('source_unavailable', `${source}: ${why}`, { data: { source } });
  };

  /** `accepted`, the venue, the outcome: each committed before the next. */
  const carryOut = async (request: CommandRequest, ready: Ready, call: string): Promise<Done> => {
    const { venue, source, params } = ready;
    const { command, by, requestId, session } = request;
    // It may have been ended while the command waited for its turn.
    mustTake(venue, request.source);
    const name = requestName(by, requestId);
    const base = { command, by, requestId };
    const token = session ?? SOURCE_TOKEN;
    const record = { by, requestId, call, venue: venue.venue, source, session: token, command } as const;
    const remember = (state: RequestRecord['state'], cursor?: string): { readonly [key: string]: Json } => ({
      [name]: requestJson({ ...record, state, at: clock.now(), ...(cursor === undefined ? {} : { cursor }) }),
    });
    const audit = (type: AuditType, data: AuditData, entries: Entries): Promise<string> =>
      commit(venue.venue, { source, session: token, type, data }, entries);

    const askedAt = clock.monotonic();
    const forgotten = requests.takeForgotten();
    await audit('command.accepted', base, () => ({ ...forgotten, ...remember('running') }));
    const answer = await settle(async () => {
      if (clock.monotonic() - askedAt > COMMAND_TIMEOUT_MS) throw tooLate(command);
      const call = { source, command, params, ...(session === undefined ? {} : { session }) };
      return withDeadline(command, venue, async () => venue.command(call));
    });
    const outcome = outcomeOf(answer, command, ready.spec);
    let cursor: string;
    try {
      cursor = await audit(`command.${outcome.state}`, { ...base, ...outcome.data }, (at) =>
        remember(outcome.state, at),
      );
    } catch (thrown) {
      if ('error' in outcome) throw outcome.error;
      throw new VenueTimeoutError(`${command}: the venue answered, but its outcome could not be recorded`, {
        cause: thrown,
      });
    }
    if ('error' in outcome) throw outcome.error;
    return { result: outcome.result, cursor };
  };

  /** Rejects with `venue_timeout` after {@link COMMAND_TIMEOUT_MS}, or when it is cut off. */
  const withDeadline = (command: string, venue: Venue, ask: () => Promise<Json>): Promise<Json> =>
    new Promise((resolve, reject) => {
      const end = (): void => {
        timer.cancel();
        running.delete(cutOff);
      };
      const giveUp = (why: string): void => {
        end();
        reject(new VenueTimeoutError(`${command}: ${why}; whether the venue acted is unknown`));
      };
      const cutOff = (): void => giveUp('the connection was ended before the venue answered');
      const timer = clock.setTimer(() => giveUp(`no answer within ${COMMAND_TIMEOUT_MS} ms`), COMMAND_TIMEOUT_MS);
      running.set(cutOff, venue);
      ask().finally(end).then(resolve, reject);
    });

  /** A command that was under way when the relay's last life ended. */
  const recoverOne = async (name: string, record: RequestRecord): Promise<void> => {
    const venue = VENUES.find((one) => one === record.venue);
    if (venue === undefined) {
      requests.forget(name);
      return;
    }
    const { by, requestId, command, source, session } = record;
    const data = { by, requestId, command, reason: 'relay_restarted' };
    const ended = { ...record, state: 'unknown', at: clock.now() } as const;
    const cursor = await commit(venue, { source, session, type: 'command.unknown', data }, (at) => ({
      [name]: requestJson({ ...ended, cursor: at }),
    }));
    recall(name, record, 'unknown', cursor, 0);
  };

  const recall = (name: string, { call, requestId }: RequestRecord, outcome: Outcome, cursor: string, ageMs: number) =>
    requests.remember(
      name,
      {
        call,
        at: clock.monotonic() - ageMs,
        reply: Promise.resolve({ replayed: true, outcome, cursor, requestId }),
      },
      true,
    );

  return {
    run,
    async recover(memory) {
      const cutOff: (readonly [string, RequestRecord])[] = [];
      const ended: (readonly [string, RequestRecord, Outcome])[] = [];
      for (const [name, value] of memory ?? []) {
        const record = parseRequestRecord(value);
        if (record === undefined) requests.forget(name);
        else if (record.state === 'running') cutOff.push([name, record]);
        else ended.push([name, record, record.state]);
      }
      ended.sort(([, a], [, b]) => a.at - b.at);
      for (const [name, record, outcome] of ended) {
        const ageMs = Math.max(0, clock.now() - record.at);
        if (ageMs >= REQUEST_MEMORY_MS) requests.forget(name);
        else recall(name, record, outcome, record.cursor ?? '', ageMs);
      }
      for (const [name, record] of cutOff) await recoverOne(name, record);
    },
    forgotten: () => requests.takeForgotten(),
    close: () => lanes.close(),
    cut(venues) {
      for (const [cutOff, venue] of [...running]) if (venues === undefined || venues.has(venue)) cutOff();
    },
    idle: (sources) => lanes.idle(sources),
  };
}

interface Ready {
  readonly venue: Venue;
  readonly source: string;
  readonly spec: CommandSpec;
  readonly params: { readonly [name: string]: Json };
}

/** `-` stands for the source as a whole, and so for no session. */
function withoutSourceToken(request: CommandRequest): CommandRequest {
  if (request.session !== SOURCE_TOKEN) return request;
  const { session: _, ...rest } = request;
  return rest;
}

function prepare(
  { source, session, command, params }: CommandRequest,
  venueOf: CommandDeskOptions['venueOf'],
  hasSession: CommandDeskOptions['hasSession'],
): Ready {
  const found = venueOf(source);
  if (found === undefined)
    throw new SessionRelayError('not_found', `there is no source ${source}`, { data: { source } });
  const spec = found.venue.commands.find((one) => one.command === command);
  if (spec === undefined) {
    throw new SessionRelayError('not_found', `${source} has no command ${command}: get_sources lists them`, {
      data: { command },
    });
  }
  if (session !== undefined && !hasSession(source, session)) {
    throw new SessionRelayError('not_found', `${source} has no session ${session}`, { data: { session } });
  }
  const parsed = spec.params.safeParse(params);
  if (parsed.success) return { venue: found.venue, source: found.source, spec, params: parsed.data };
  const [issue] = parsed.error.issues;
  const at = issue?.code === 'unrecognized_keys' ? issue.keys.join(', ') : issue?.path.join('.');
  throw new SessionRelayError(
    'invalid_params',
    `${command}: params${at === undefined || at === '' ? '' : `.${at}`}: ${issue?.message ?? 'do not fit'}`,
  );
}

type Settled = { readonly answer: Json } | { readonly thrown: unknown };

async function settle(task: () => Promise<Json>): Promise<Settled> {
  try {
    return { answer: await task() };
  } catch (thrown) {
    return { thrown };
  }
}

type Ending =
  | { readonly state: 'succeeded'; readonly result: Json; readonly data: Partial<AuditData> }
  | { readonly state: 'failed' | 'unknown'; readonly error: SessionRelayError; readonly data: Partial<AuditData> };

/** What is known of the outcome: after a fault on the way nobody knows whether the venue acted. */
function outcomeOf(settled: Settled, command: string, { acts }: CommandSpec): Ending {
  if ('answer' in settled) {
    const { answer } = settled;
    return { state: 'succeeded', result: withoutCredentials(answer), data: isPending(answer) ? { pending: true } : {} };
  }
  const error = asSessionRelayError(settled.thrown);
  const said = { code: error.code, message: sampleOf(error.message) };
  if (error.code === 'venue_timeout') return { state: 'unknown', error, data: { error: said } };
  if (error.code !== 'internal' || !acts) return { state: 'failed', error, data: { error: said } };
  const why = new VenueTimeoutError(`${command}: a fault in the relay; whether the venue acted is unknown`, {
    cause: settled.thrown,
  });
  return { state: 'unknown', error: why, data: { error: said } };
}

/** A venue that carries a command out later says `{pending: true}`. */
function isPending(answer: Json): boolean {
  return typeof answer === 'object' && answer !== null && 'pending' in answer && answer.pending === true;
}

function tooLate(command: string): SessionRelayError {
  return new SessionRelayError(
    'journal_failed',
    `${command}: the journal took longer than ${COMMAND_TIMEOUT_MS} ms to record it: it was not sent to the venue`,
  );
}
