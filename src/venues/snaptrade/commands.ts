import { z } from 'zod';
import { SessionRelayError, VenueError } from '../../errors.js';
import { timestampOf } from '../../model/event.js';
import type { Json } from '../../model/json.js';
import type { CommandSpec, VenueCommand } from '../venue.js';
import { type Answer, errorOf, isAbsent } from './api.js';
import type { Feed } from './feed.js';
import { expectRemoval } from './mapper.js';
import { type ConnectionRow, connectionId, type PortalEvent, readApiError, readPortalEvents } from './messages.js';
import type { UserSource } from './source.js';

const none = z.strictObject({});
const connection = z.strictObject({
  connection: connectionId.exactOptional().describe('The connection; where it is not given, the session’s own.'),
});
const portals = z.strictObject({
  portals: z
    .array(z.string().regex(/^(portal-)?[A-Za-z0-9-]{1,64}$/))
    .max(20)
    .exactOptional()
    .describe('Only of these portal sessions.'),
});

/** What may be asked of a SnapTrade source. */
export const snaptradeCommands: readonly CommandSpec[] = [
  {
    command: 'list_connections',
    acts: false,
    summary: 'Lists the connections now and compares them with what is known.',
    params: none,
  },
  {
    command: 'get_connection',
    acts: false,
    summary: 'Reads one connection now and compares it with what is known.',
    params: connection,
  },
  {
    command: 'refresh_connection',
    acts: true,
    summary: 'Makes the venue fetch holdings anew: each refresh costs money, and plans with real-time data refuse it.',
    params: connection,
  },
  {
    command: 'disable_connection',
    acts: true,
    summary: 'Breaks a connection on purpose, to test how it is linked again: the customer has to log in anew.',
    params: connection,
  },
  {
    command: 'remove_connection',
    acts: true,
    summary: 'Removes a connection with its accounts for good: the customer has to link it anew.',
    params: connection,
  },
  { command: 'session_events', acts: false, summary: 'Reads the events of connection portals now.', params: portals },
];

/** How connections are removed: today's operation, and the one that it took the place of. */
const REMOVALS = ['/connection', '/authorizations'] as const;

/** Runs the commands of one venue; remembers which of two operations the venue has. */
export function createCommands(feed: Feed, clientId: string): (call: VenueCommand) => Promise<Json> {
  let removal: (typeof REMOVALS)[number] = REMOVALS[0];

  const removeBy = async (source: UserSource, id: string): Promise<Answer> => {
    const first = await source.ask({ method: 'DELETE', path: `${removal}/${id}` });
    if (first.kind === 'ok' || !isAbsent(first)) return first;
    const other = removal === REMOVALS[0] ? REMOVALS[1] : REMOVALS[0];
    const second = await source.ask({ method: 'DELETE', path: `${other}/${id}` });
    if (second.kind === 'ok') removal = other;
    // Neither has it: the connection is unknown, in the words of the one that says so itself.
    return second.kind !== 'ok' && isAbsent(second) && second.kind === 'refused' && second.status !== 404
      ? first
      : second;
  };

  return async (call) => {
    const source = feed.sourceFor(call.source);
    const act = async (method: 'POST', id: string, what: string): Promise<Json> => {
      const answer = await source.ask({ method, path: `/authorizations/${id}/${what}` });
      if (answer.kind !== 'ok') throw errorOf(answer);
      return { connection: id, detail: detailOf(answer) };
    };
    switch (call.command) {
      case 'list_connections':
        return { connections: (await source.list()).map(rowJson) };
      case 'get_connection':
        return rowJson(await source.detail(connectionOf(call)));
      case 'refresh_connection':
        return act('POST', connectionOf(call), 'refresh');
      case 'disable_connection': {
        const result = await act('POST', connectionOf(call), 'disable');
        feed.soon(call.source);
        return result;
      }
      case 'remove_connection': {
        const id = connectionOf(call);
        const expect = (isExpected: boolean): void =>
          source.apply((state) => [expectRemoval(state, id, isExpected), []]);
        // Before it is sent: a webhook may tell of the end before the answer comes.
        expect(true);
        const answer = await removeBy(source, id);
        feed.soon(call.source);
        if (answer.kind !== 'ok') {
          if (!(answer.kind === 'failed' && answer.sent)) expect(false);
          throw errorOf(answer);
        }
        // The one answers when it is done (204), the other says that it will be, and a webhook follows.
        return { connection: id, detail: detailOf(answer), pending: answer.status !== 204 };
      }
      case 'session_events': {
        const { events, raw } = await portalEvents(feed, source, call, clientId);
        feed.takePortal(raw);
        return { events };
      }
      default:
        throw new SessionRelayError('not_found', `a SnapTrade source has no command ${call.command}`);
    }
  };
}

async function portalEvents(
  feed: Feed,
  { user }: UserSource,
  { params }: VenueCommand,
  clientId: string,
): Promise<{ readonly events: readonly Json[]; readonly raw: readonly PortalEvent[] }> {
  const { portals: wanted = [] } = portals.parse(params);
  const ids = wanted.map((portal) => portal.replace(/^portal-/, ''));
  const answer = await feed.ask({
    method: 'GET',
    path: '/sessionEvents',
    query: [
      ['PartnerClientId', clientId],
      ...(user === undefined ? [] : [['userId', user.userId] as const]),
      ...(ids.length === 0 ? [] : [['sessionId', ids.join(',')] as const]),
    ],
  });
  if (answer.kind !== 'ok') throw errorOf(answer);
  const read = readPortalEvents(answer.body);
  if (read === undefined) throw new VenueError('unreadable', 'the session events cannot be read');
  // The filter is the venue's; that nothing of another customer is shown is the relay's.
  const raw = read.events.filter(({ userId }) => user === undefined || userId === user.userId);
  return { raw, events: raw.map(eventJson) };
}

/** The connection that a command is about: its session's, or the one that is named. */
function connectionOf({ session, params, command }: VenueCommand): string {
  const { connection: named } = connection.parse(params);
  if (named !== undefined && session !== undefined && named !== session) {
    throw new SessionRelayError('invalid_params', `${command}: session and connection name different connections`);
  }
  const id = named ?? session;
  if (id === undefined || !connectionId.safeParse(id).success) {
    throw new SessionRelayError('invalid_params', `${command} is about one connection: give its session`);
  }
  return id;
}

function detailOf({ body }: Extract<Answer, { kind: 'ok' }>): string {
  return readApiError(body)?.message ?? '';
}

function rowJson({ id, type, name, disabled, disabledMs, createdMs, freshness, brokerage }: ConnectionRow): Json {
  return {
    connection: id,
    disabled: disabled ?? null,
    ...(type === undefined ? {} : { type }),
    ...(name === undefined ? {} : { name }),
    ...(freshness === undefined ? {} : { dataFreshness: freshness }),
    ...(createdMs === undefined ? {} : { createdAt: timestampOf(createdMs) }),
    ...(disabledMs === undefined ? {} : { disabledAt: timestampOf(disabledMs) }),
    ...(brokerage === undefined
      ? {}
      : {
          brokerage: brokerage.slug,
          ...(brokerage.name === undefined ? {} : { brokerageName: brokerage.name }),
          ...(brokerage.trouble === undefined ? {} : { brokerageTrouble: brokerage.trouble }),
        }),
  };
}

function eventJson({ id, step, portal, createdMs, connection: of, statusCode }: PortalEvent): Json {
  return {
    id,
    step,
    portal: `portal-${portal}`,
    createdAt: timestampOf(createdMs),
    ...(of === undefined ? {} : { connection: of }),
    ...(statusCode === undefined ? {} : { statusCode }),
  };
}
