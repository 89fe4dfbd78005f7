import { z } from 'zod';
import { commonSourceOptions, duration, tlsOptions } from '../options.js';

/** Where today's SDKs send requests; with `/api/v1` behind it, where older ones and the docs do. */
export const DEFAULT_URL = 'https://api.snaptrade.com';
/** Polling faster spends the venue's 250 requests a minute on one customer. */
const MIN_POLL_SECONDS = 2;

const text = z.string().min(1, 'is empty').max(512);

/** One customer of the partner. */
export const snaptradeUser = z.strictObject({
  alias: z
    .string()
    .regex(/^[A-Za-z0-9_:@+-]{1,64}$/, 'an alias has 1 to 64 letters, digits or _ : @ + -')
    .optional()
    .describe('Names the source of this user, `<id>~<alias>`. One user may go without: its source is `<id>`.'),
  userId: text.describe("The user's id at SnapTrade."),
  userSecret: text.describe("The user's secret, as registering the user returned it. Never logged, never published."),
});

export type SnaptradeUser = z.output<typeof snaptradeUser>;

/** A list of users in which each source's name, and each user, occurs once. */
export const snaptradeUsers = z.array(snaptradeUser).superRefine((users, context) => {
  const names = new Set<string>();
  const ids = new Set<string>();
  users.forEach(({ alias = '', userId }, index) => {
    const refuse = (key: string, message: string): void =>
      void context.addIssue({ code: 'custom', path: [index, key], message });
    if (names.has(alias)) {
      refuse('alias', alias === '' ? 'only one user may go without alias' : `two users have the alias ${alias}`);
    }
    if (ids.has(userId)) refuse('userId', 'this user is listed twice');
    names.add(alias);
    ids.add(userId);
  });
});

/** The configuration of a SnapTrade source; parsed durations are ms. */
export const snaptradeConfig = z
  .strictObject({
    ...commonSourceOptions,
    url: z
      .url({ protocol: /^https?$/, error: 'a URL begins with https:// or http://' })
      .default(DEFAULT_URL)
      .describe('The base URL, with or without /api/v1: what is requested is what is signed.'),
    credentials: z
      .strictObject({
        clientId: text.describe('The client id of the partner, or of a personal key.'),
        consumerKey: text.describe('The consumer key: requests are signed with it, it is never sent.'),
      })
      .describe('The API key: {clientId, consumerKey}.'),
    users: snaptradeUsers.optional().describe('The users whose connections are watched, each a source of its own.'),
    usersFile: z
      .string()
      .min(1)
      .optional()
      .describe('A JSON or YAML file with the list of users instead; it is read again when it changes.'),
    personal: z
      .literal(true)
      .optional()
      .describe('The key is a personal one: it has no users, and its connections are those of this source.'),
    pollSeconds: z
      .number()
      .min(MIN_POLL_SECONDS)
      .default(60)
      .describe('How often each user’s connections are listed, where the limit of 250 requests a minute allows it.'),
    sessionEvents: z
      .enum(['auto', 'on', 'off'])
      .default('auto')
      .describe('Whether /sessionEvents is polled; `auto` stops for good once the venue has it no more.'),
    webhookMaxAge: duration
      .default(300_000)
      .describe('An older webhook is no event: it only makes the relay list the connections again.'),
    tls: tlsOptions.optional(),
  })
  .superRefine((options, context) => {
    const { users, usersFile, personal } = options;
    const given = [users, usersFile, personal].filter((one) => one !== undefined).length;
    if (given !== 1) {
      context.addIssue({ code: 'custom', path: ['users'], message: 'give one of users, usersFile and personal: true' });
    }
    const { pathname, search, hash } = URL.canParse(options.url) ? new URL(options.url) : new URL(DEFAULT_URL);
    if (search !== '' || hash !== '') {
      context.addIssue({ code: 'custom', path: ['url'], message: 'a base URL has neither query nor fragment' });
    }
    if (!/^[/\w.~-]*$/.test(pathname)) {
      context.addIssue({ code: 'custom', path: ['url'], message: 'a base URL has a plain path' });
    }
  });

export type SnaptradeConfig = z.output<typeof snaptradeConfig>;
