import { z } from 'zod';
import { commonSourceOptions, tlsOptions } from '../options.js';

const DEFAULT_URL = 'wss://www.deribit.com/ws/api/v2';
/** Deribit docs, public/set_heartbeat: "not less than 10". */
export const MIN_HEARTBEAT_SECONDS = 10;
/** The venue documents no upper bound; beyond an hour a heartbeat proves nothing. */
export const MAX_HEARTBEAT_SECONDS = 3_600;
/** Policy of the venue: "confirm heartbeat every 30-60 seconds". */
const DEFAULT_HEARTBEAT_SECONDS = 30;
const SESSION_WORD = /^session:(.*)$/;
/** Tokens of the relay's own: a session of the same name could not be told from them. */
const RESERVED_SESSIONS: readonly string[] = ['connection', 'public', '-'];
/** The session token of a source without credentials. */
export const PUBLIC_TOKEN = 'public';
/** The session token of a login that lives and dies with its socket. */
export const CONNECTION_TOKEN = 'connection';

/** The words of a `scope`, in the order given. */
export function scopeWords(scope: string): readonly string[] {
  return scope.split(/\s+/).filter((word) => word !== '');
}

/** The NAME of `session:NAME`; `undefined` in connection scope. */
export function sessionNameOf(scope: string): string | undefined {
  for (const word of scopeWords(scope)) {
    const [, name] = SESSION_WORD.exec(word) ?? [];
    if (name !== undefined) return name;
  }
  return undefined;
}

/** Why a scope cannot be asked for; `undefined` where it can. */
function scopeProblem(scope: string): string | undefined {
  const words = scopeWords(scope);
  if (words.length === 0) return 'a scope has a word: connection, or session:NAME';
  const names = words.flatMap((word) => SESSION_WORD.exec(word)?.slice(1) ?? []);
  if (names.length > 1 || (names.length === 1 && words.includes('connection'))) {
    return 'a scope names one of connection and session:NAME, once';
  }
  const [name] = names;
  if (name === '') return 'session: is followed by a name';
  if (name !== undefined && RESERVED_SESSIONS.includes(name)) {
    return `a session cannot have the name ${name}: ${RESERVED_SESSIONS.join(', ')} are the relay's own`;
  }
  return undefined;
}

const secret = z.string().min(1, 'is empty');

const credentials = z
  .strictObject({
    clientId: secret.describe('The client id of an API key.'),
    clientSecret: secret.describe('Its secret. Never logged, never published.'),
    grant: z
      .enum(['client_credentials', 'client_signature'])
      .default('client_credentials')
      .describe(
        '`client_credentials` sends the secret; `client_signature` sends an HMAC of it, which needs a clock that is right to the minute.',
      ),
  })
  .describe('An API key. Without one the source hears public channels only: heartbeat and platform_state.');

const HEARTBEAT_WORDS = `a heartbeat is ${MIN_HEARTBEAT_SECONDS} to ${MAX_HEARTBEAT_SECONDS} seconds, or 0 for none`;

/** The configuration of a Deribit source; parsed durations are ms. */
export const deribitConfig = z
  .strictObject({
    ...commonSourceOptions,
    url: z
      .url({ protocol: /^wss?$/, error: 'a URL begins with wss:// or ws://' })
      .default(DEFAULT_URL)
      .describe(`The JSON-RPC WebSocket. Default ${DEFAULT_URL}; the testnet is wss://test.deribit.com/ws/api/v2.`),
    credentials: credentials.optional(),
    scope: z
      .string()
      .default(CONNECTION_TOKEN)
      .describe(
        '`connection`: the login dies with its socket. `session:NAME`: a named session that a reconnect finds again (16 a key). Further words narrow it, like `trade:read` or `expires:900` (seconds).',
      ),
    heartbeatSeconds: z
      .union([
        z.literal(0),
        z.number().int().min(MIN_HEARTBEAT_SECONDS, HEARTBEAT_WORDS).max(MAX_HEARTBEAT_SECONDS, HEARTBEAT_WORDS),
      ])
      .default(DEFAULT_HEARTBEAT_SECONDS)
      .describe(
        "The venue's heartbeat, in seconds; asked for after every connect. 0: none (the relay then asks for a sign of life every 30 s by itself, and cancel-on-disconnect is less reliable).",
      ),
    cancelOnDisconnect: z
      .enum(['leave', 'enable', 'disable'])
      .default('leave')
      .describe(
        'What is done after every connect about cancel-on-disconnect of this connection. Account scope is changed only by a command.',
      ),
    tls: tlsOptions.optional(),
  })
  .superRefine((options, context) => {
    const refuse = (key: string, message: string): void =>
      void context.addIssue({ code: 'custom', path: [key], message });
    const problem = scopeProblem(options.scope);
    if (problem !== undefined) refuse('scope', problem);
    if (options.environment === 'paper' || options.environment === 'demo') {
      refuse('environment', `Deribit has no ${options.environment} environment: live or test`);
    }
    if (options.credentials !== undefined) return;
    if (options.scope !== CONNECTION_TOKEN) refuse('scope', 'a scope needs credentials');
    if (options.cancelOnDisconnect !== 'leave') refuse('cancelOnDisconnect', 'protection needs credentials');
  });

export type DeribitConfig = z.output<typeof deribitConfig>;
export type Credentials = NonNullable<DeribitConfig['credentials']>;

/** The session's token: the name in `session:NAME`, `connection`, or `public` without credentials. */
export function sessionTokenOf({ credentials, scope }: Pick<DeribitConfig, 'credentials' | 'scope'>): string {
  return credentials === undefined ? PUBLIC_TOKEN : (sessionNameOf(scope) ?? CONNECTION_TOKEN);
}
