import { z } from 'zod';
import { commonSourceOptions, tlsOptions } from '../options.js';

/** What the raw WebSocket is reached at (Tradernet docs, WebSocket API). */
export const DEFAULT_WEBSOCKET_URL = 'wss://wss.tradernet.com/';
/** What the reference page's socket.io sample connects to. */
export const DEFAULT_SOCKETIO_URL = 'wss://ws.tradernet.com/';
const DEFAULT_HTTP_URL = 'https://tradernet.com';
/** Stands for the login in `userTemplate`. */
export const LOGIN_PLACEHOLDER = '{login}';
/** Polling faster than this spends the venue's limits, which it does not state. */
const MIN_POLL_SECONDS = 5;

const secret = z.string().min(1, 'is empty');

const credentials = z
  .union(
    [
      z.strictObject({
        login: secret.describe('The login at tradernet.com, usually an e-mail address.'),
        password: secret.describe('Its password. Never logged, never published.'),
      }),
      z.strictObject({
        sid: secret.describe('A SID that was obtained elsewhere: when it ends only a person can mend it.'),
      }),
      z.strictObject({
        publicKey: secret.describe('The public API key. A key of one Tradernet domain fails at another.'),
        secretKey: secret.describe('The secret API key: requests are signed with it, it is never sent.'),
        signature: z
          .enum(['v3', 'v2'])
          .default('v3')
          .describe("How HTTP requests are signed: `v3` as today's SDKs do, `v2` as `/api/v2` asks."),
      }),
    ],
    { error: 'give {login, password}, {sid} or {publicKey, secretKey}' },
  )
  .describe('One of {login, password}, {sid} or {publicKey, secretKey}.');

/** The configuration of a Tradernet source; parsed durations are ms. */
export const tradernetConfig = z
  .strictObject({
    ...commonSourceOptions,
    transport: z
      .enum(['websocket', 'socketio2', 'socketio4'])
      .default('websocket')
      .describe(
        '`websocket`: the raw protocol; `socketio2`: the endpoint on the reference page; `socketio4`: socket.io 3 and 4.',
      ),
    url: z
      .url({ protocol: /^(wss?|https?)$/, error: 'a URL begins with wss://, ws://, https:// or http://' })
      .optional()
      .describe(`The socket. Default ${DEFAULT_WEBSOCKET_URL}, for socket.io ${DEFAULT_SOCKETIO_URL}.`),
    httpUrl: z
      .url({ protocol: /^https?$/, error: 'a URL begins with https:// or http://' })
      .default(DEFAULT_HTTP_URL)
      .describe('The origin of the HTTP API.'),
    credentials,
    sessionsCommand: z
      .enum(['sessions', 'session', 'auto'])
      .default('auto')
      .describe(
        'The word that asks for the list on the raw WebSocket; `auto`: `sessions`, then `session` where nothing answers.',
      ),
    userTemplate: z
      .string()
      .min(1)
      .default('%username')
      .describe(
        `The user of socket.io's subscription. The reference page sends %username literally, and so does the default; ${LOGIN_PLACEHOLDER} stands for the login.`,
      ),
    headers: z
      .record(z.string(), z.string())
      .default({})
      .describe(
        'HTTP headers of every request and upgrade, over the defaults: the venue refuses the User-Agents of well-known HTTP libraries with 403.',
      ),
    pollSeconds: z
      .number()
      .min(MIN_POLL_SECONDS)
      .default(60)
      .describe('How often the list is read over HTTP and compared, beside after each connect.'),
    tls: tlsOptions.optional(),
  })
  .superRefine((options, context) => {
    const { transport, userTemplate } = options;
    const given = options.credentials;
    const refuse = (key: string, message: string): void =>
      void context.addIssue({ code: 'custom', path: [key], message });
    if (transport === 'websocket' && options.url !== undefined && !/^wss?:/i.test(options.url)) {
      refuse('url', 'a raw WebSocket begins with wss:// or ws://');
    }
    if (transport === 'websocket') return;
    if ('publicKey' in given) {
      refuse('credentials', `API keys do not work over ${transport}: give {login, password} or {sid}`);
    }
    if (userTemplate.includes(LOGIN_PLACEHOLDER) && !('login' in given)) {
      refuse('userTemplate', `${LOGIN_PLACEHOLDER} needs credentials with a login`);
    }
  });

export type TradernetConfig = z.output<typeof tradernetConfig>;
export type TradernetCredentials = TradernetConfig['credentials'];
