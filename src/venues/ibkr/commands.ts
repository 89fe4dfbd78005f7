import { z } from 'zod';
import { SessionRelayError } from '../../errors.js';
import type { Json, JsonObject } from '../../model/json.js';
import type { CommandSpec, VenueCommand } from '../venue.js';
import type { Feed } from './feed.js';
import type { BrokerageStatus } from './messages.js';

const none = z.strictObject({});
const initParams = z.strictObject({
  compete: z
    .boolean()
    .exactOptional()
    .describe('Take the session from whatever other login has it, and end that one. Default false.'),
});

/** The operations of the trading session (IBKR Web API, TradingSessionApi), as commands. */
export const ibkrCommands: readonly CommandSpec[] = [
  {
    command: 'init',
    acts: true,
    summary:
      'Opens the brokerage session (ssodh/init); with compete: true the other login of this username is ended, wherever it is.',
    params: initParams,
  },
  {
    command: 'reauthenticate',
    acts: true,
    summary: 'Triggers a new login to the brokerage system; what comes of it is told by events.',
    params: none,
  },
  {
    command: 'logout',
    acts: true,
    summary: 'Logs out of the gateway: orders stay, both sessions end, and a person has to log in again.',
    params: none,
  },
  { command: 'auth_status', acts: false, summary: 'Reads the status of the brokerage session.', params: none },
  {
    command: 'validate_sso',
    acts: false,
    summary: 'Asks whether the login at the gateway is valid; once a minute at most.',
    params: none,
  },
  { command: 'tickle', acts: false, summary: 'Pings the gateway, which keeps the sessions alive.', params: none },
];

/** Carries out one command. Results never hold the session's credential; rejections as in `errors.ts`. */
export async function runCommand(feed: Feed, { command, params }: VenueCommand): Promise<Json> {
  switch (command) {
    case 'init': {
      const parsed = initParams.safeParse(params);
      if (!parsed.success) throw new SessionRelayError('invalid_params', 'init takes compete: true or false');
      return statusJson(await feed.init(parsed.data.compete ?? false));
    }
    case 'reauthenticate': {
      const answer = await feed.reauthenticate();
      return 'triggered' in answer ? { ...answer } : statusJson(answer);
    }
    case 'logout':
      await feed.logout();
      return { loggedOut: true };
    case 'auth_status':
      return statusJson(await feed.authStatus());
    case 'validate_sso':
      return { ...(await feed.validateSso()) } satisfies JsonObject;
    case 'tickle': {
      const { session: _, status, ...shown } = await feed.tickle();
      return { ...shown, brokerage: statusJson(status) };
    }
    default:
      throw new SessionRelayError('not_found', `an IBKR source has no command ${command}`);
  }
}

function statusJson(status: BrokerageStatus): JsonObject {
  return { ...status };
}
