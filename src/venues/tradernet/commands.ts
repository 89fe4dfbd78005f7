import { z } from 'zod';
import { SessionRelayError } from '../../errors.js';
import { timestampOf } from '../../model/event.js';
import type { Json } from '../../model/json.js';
import type { CommandSpec, VenueCommand } from '../venue.js';
import type { Feed } from './feed.js';
import type { SessionRow } from './rows.js';

const params = z.strictObject({});

/** What may be asked of a Tradernet source. There is no `logout`: leaving the login alive is what keeps its sessions. */
export const tradernetCommands: readonly CommandSpec[] = [
  {
    command: 'refresh_sessions',
    acts: false,
    summary: 'Reads the list of security sessions over HTTP now and compares it with what is known.',
    params,
  },
  { command: 'sid_info', acts: false, summary: 'Asks the venue whether it knows the login.', params },
  {
    command: 'login',
    acts: true,
    summary: 'Logs in anew and connects with the new login; the venue allows about five logins a minute.',
    params,
  },
  {
    command: 'reconnect',
    acts: true,
    summary: 'Ends the socket and opens another; starts a source again that waits for a person.',
    params,
  },
];

/** Carries out one command. Results never hold a SID; rejections as in `errors.ts`. */
export async function runCommand(feed: Feed, { command }: VenueCommand): Promise<Json> {
  switch (command) {
    case 'refresh_sessions': {
      const { rows } = await feed.refresh();
      return { sessions: rows.map(rowJson) };
    }
    case 'sid_info': {
      const { alive, userId } = await feed.sidInfo();
      return { alive, ...(userId === undefined ? {} : { userId }) };
    }
    case 'login':
      return { ...(await feed.login()) };
    case 'reconnect':
      return { ...(await feed.reconnect()) };
    default:
      throw new SessionRelayError('not_found', `a Tradernet source has no command ${command}`);
  }
}

function rowJson({ id, expiresMs, attributes }: SessionRow): Json {
  return { id, ...attributes, ...(expiresMs === undefined ? {} : { expiresAt: timestampOf(expiresMs) }) };
}
