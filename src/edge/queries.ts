import { randomUUID } from 'node:crypto';
import { z } from 'zod';
import type { Bus, CommandReply, SourceInfo } from '../bus/bus.js';
import { SessionRelayError } from '../errors.js';
import { parseCursor } from '../model/cursor.js';
import type { SessionEvent } from '../model/event.js';
import {
  allowsChannel,
  allowsCommand,
  type Grant,
  redactEvent,
  redactJson,
  redactState,
  showsSession,
} from '../model/grant.js';
import { json } from '../model/json.js';
import type { State } from '../model/session.js';
import { addressOf, MAX_PATTERN_CHARACTERS, matches, patternProblem } from '../model/subject.js';
import { MAX_EVENTS_PAGE_BYTES, MAX_EVENTS_SCANNED, MAX_PAGE, MAX_SESSIONS_PAGE_BYTES, REPLAY_PAGE } from './limits.js';

/** The questions that a subscriber may ask, whichever carrier it asks them on (PROTOCOL.md §4, Methods; §5). */
export const pattern = z.string().superRefine((text, context) => {
  const problem = patternProblem(text);
  if (problem !== undefined) context.addIssue({ code: 'custom', message: problem });
});
export const cursor = z.string().refine((text) => parseCursor(text) !== undefined, 'a cursor is <epoch>-<offset>');
/** A pattern over session keys: three tokens, or any pattern over addresses, whose type is then passed over. */
const keyPattern = z
  .string()
  .transform((text) => (/^[^.>]+\.[^.>]+\.[^.>]+$/.test(text) ? `${text}.>` : text))
  .pipe(pattern);
const limit = z.number().int().min(1).max(MAX_PAGE);
const time = z
  .string()
  .refine((text) => /^\d{4}-\d{2}-\d{2}T/.test(text) && !Number.isNaN(Date.parse(text)), 'a time is RFC 3339');

export const sessionsParams = z.strictObject({
  channel: keyPattern.optional(),
  limit: limit.default(MAX_PAGE),
  after: z.string().max(MAX_PATTERN_CHARACTERS).optional(),
});
export const eventsParams = z.strictObject({
  channel: pattern.optional(),
  since: cursor.optional(),
  from: time.optional(),
  to: time.optional(),
  limit: limit.default(MAX_PAGE),
});
/** Of a source or a command. A longer one is nobody's, and would only be repeated in an error. */
const name = z.string().min(1).max(256);
export const commandParams = z.strictObject({
  source: name,
  session: z.string().min(1).max(MAX_PATTERN_CHARACTERS).optional(),
  command: name,
  params: z.record(z.string(), json).default({}),
  requestId: z.string().min(1).max(128).optional(),
});

export interface SessionsPage {
  readonly cursor: string;
  readonly sessions: readonly State[];
  readonly next?: string;
}

/**
 * States in key order, only those that the grant shows: a page ends at its limit or at 128 KiB. The cursor is the first
 * page's.
 */
export async function getSessions(
  bus: Bus,
  grant: Grant,
  params: z.output<typeof sessionsParams>,
): Promise<SessionsPage> {
  const sessions: State[] = [];
  let bytes = 0;
  let at: string | undefined;
  let after = params.after;
  for (;;) {
    const page = await bus.states({
      limit: MAX_PAGE,
      ...(params.channel === undefined ? {} : { within: [params.channel] }),
      ...(after === undefined ? {} : { after }),
    });
    at ??= page.cursor;
    for (const state of page.states) {
      if (!showsSession(grant, state.key)) continue;
      const shown = redactState(state, grant.fields);
      const size = Buffer.byteLength(JSON.stringify(shown));
      const isFull = sessions.length > 0 && bytes + size > MAX_SESSIONS_PAGE_BYTES;
      if (isFull || sessions.length === params.limit) return { cursor: at, sessions, next: sessions.at(-1)?.key ?? '' };
      sessions.push(shown);
      bytes += size;
    }
    if (page.next === undefined) return { cursor: at, sessions };
    after = page.next;
  }
}

/** One state; rejects with `not_found` where there is none or the grant does not show it. */
export async function getSession(bus: Bus, grant: Grant, key: string): Promise<State> {
  if (showsSession(grant, key)) {
    const { states } = await bus.states({ within: [`${key}.>`], limit: 1 });
    const [state] = states;
    if (state !== undefined && state.key === key) return redactState(state, grant.fields);
  }
  throw new SessionRelayError('not_found', `there is no session ${key}`);
}

export interface EventsAnswer {
  readonly events: readonly SessionEvent[];
  readonly cursor: string;
  readonly next?: string;
  readonly complete: boolean;
}

/**
 * Journaled events that match, in order: a page ends at its limit, at 128 KiB, or at 10,000 events scanned. Without a
 * channel: all that the grant contains.
 */
export async function getEvents(bus: Bus, grant: Grant, params: z.output<typeof eventsParams>): Promise<EventsAnswer> {
  const { channel } = params;
  if (channel !== undefined && !allowsChannel(grant, channel)) throw forbiddenChannel(channel);
  const wanted = channel === undefined ? grant.channels : [channel];
  const from = params.from === undefined ? Number.NEGATIVE_INFINITY : Date.parse(params.from);
  const to = params.to === undefined ? Number.POSITIVE_INFINITY : Date.parse(params.to);
  const events: SessionEvent[] = [];
  let at = params.since ?? '0-0';
  let bytes = 0;
  let scanned = 0;
  let complete = true;
  for (;;) {
    const page = await bus.events(at, REPLAY_PAGE);
    complete &&= page.complete || (scanned === 0 && isBefore(page.events[0], from));
    for (const event of page.events) {
      const when = Date.parse(event.time);
      if (when > to) return { events, cursor: at, complete };
      if (when >= from && isWanted(wanted, event)) {
        const shown = redactEvent(event, grant.fields);
        const size = Buffer.byteLength(JSON.stringify(shown));
        const isFull = events.length === params.limit || (events.length > 0 && bytes + size > MAX_EVENTS_PAGE_BYTES);
        if (isFull) return { events, cursor: at, next: at, complete };
        events.push(shown);
        bytes += size;
      }
      at = event.id;
      scanned++;
    }
    if (!page.more) return { events, cursor: at, complete };
    if (scanned >= MAX_EVENTS_SCANNED) return { events, cursor: at, next: at, complete };
  }
}

function isWanted(patterns: readonly string[], event: SessionEvent): boolean {
  const address = addressOf(event);
  return patterns.some((one) => matches(one, address));
}

/** Everything that the journal dropped came before its first event: where that lies before `from`, nothing of the range is missing. */
function isBefore(first: SessionEvent | undefined, from: number): boolean {
  return first !== undefined && Date.parse(first.time) < from;
}

/** The sources whose own state the grant shows, each with the commands that it allows. */
export async function getSources(bus: Bus, grant: Grant): Promise<{ readonly sources: readonly SourceInfo[] }> {
  const all = await bus.sources();
  const shown = all.filter(({ state }) => showsSession(grant, state.key));
  return {
    sources: shown.map((info) => ({
      ...info,
      state: redactState(info.state, grant.fields) as SourceInfo['state'],
      commands: info.commands.filter(({ command, acts }) =>
        allowsCommand(grant, `${info.venue}.${info.source}`, command, acts),
      ),
    })),
  };
}

/** Runs a command that the grant allows; its result is redacted as the grant says. */
export async function runCommand(
  bus: Bus,
  grant: Grant,
  params: z.output<typeof commandParams>,
): Promise<CommandReply> {
  const { source, command, session, requestId = randomUUID() } = params;
  const info = (await bus.sources()).find((one) => `${one.venue}.${one.source}` === source);
  const spec = info?.commands.find((one) => one.command === command);
  // A source or command that does not exist is told apart only to those who may use it.
  if (!allowsCommand(grant, source, command, spec?.acts ?? false)) {
    throw new SessionRelayError('forbidden', `the grant does not allow ${command} of ${source}`, { data: { command } });
  }
  const reply = await bus.command({
    by: grant.identity,
    source,
    command,
    params: params.params,
    requestId,
    ...(session === undefined ? {} : { session }),
  });
  return 'result' in reply ? { ...reply, result: redactJson(reply.result, grant.fields) } : reply;
}

export function forbiddenChannel(channel: string): SessionRelayError {
  return new SessionRelayError('forbidden', `the grant does not contain the channel ${channel}`, { data: { channel } });
}
