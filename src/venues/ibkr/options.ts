import { z } from 'zod';
import { commonSourceOptions, duration, tlsOptions } from '../options.js';

/** Where a gateway listens as it is delivered (`conf.yaml`: port 5000, TLS on). */
export const DEFAULT_URL = 'https://localhost:5000/v1/api';
/** The venue ends what is idle for about 5 minutes (reported). */
const MIN_TICKLE_SECONDS = 5;
const MAX_TICKLE_SECONDS = 240;
/** `/sso/validate` may be asked once a minute (IBKR docs); a second more for what the network does to the distance. */
export const VALIDATE_APART_MS = 61_000;
/** `/tickle` once a second (IBKR docs), likewise. */
export const TICKLE_APART_MS = 1_200;
const MIN_VALIDATE_SECONDS = 60;

const method = z.enum(['GET', 'POST']);

const time = z.string().regex(/^(([01]\d|2[0-3]):[0-5]\d|24:00)$/, 'a time is HH:MM');

/** Whether `Intl` knows a time zone by this name. */
function isZone(zone: string): boolean {
  try {
    new Intl.DateTimeFormat('en-US', { timeZone: zone });
    return true;
  } catch {
    return false;
  }
}

export const WEEKDAYS = ['sun', 'mon', 'tue', 'wed', 'thu', 'fri', 'sat'] as const;

const maintenanceWindow = z.strictObject({
  zone: z
    .string()
    .refine(isZone, 'is no time zone: give a name like America/New_York')
    .describe('The time zone of `from` and `to`, by its IANA name.'),
  days: z.array(z.enum(WEEKDAYS)).min(1).describe('The days on which it begins.'),
  from: time.describe('HH:MM.'),
  to: time.describe('HH:MM; where it is not after `from` it is on the next day.'),
});
export type MaintenanceWindow = z.output<typeof maintenanceWindow>;

/**
 * The brokerage sessions are reset at about 01:00 of the region on weekdays, and the Web API is maintained on Saturday
 * evenings (IBKR's documentation, mirrored). Neither has exact times: these are the project's own bounds, for America.
 */
const AMERICAN_WINDOWS: MaintenanceWindow[] = [
  { zone: 'America/New_York', days: ['mon', 'tue', 'wed', 'thu', 'fri'], from: '00:50', to: '01:30' },
  { zone: 'America/New_York', days: ['sat'], from: '18:00', to: '24:00' },
];

/** The configuration of an IBKR source; parsed durations are ms. */
export const ibkrConfig = z.strictObject({
  ...commonSourceOptions,
  url: z
    .url({ protocol: /^https?$/, error: 'a URL begins with https:// or http://' })
    .default(DEFAULT_URL)
    .transform((url) => url.replace(/\/+$/, ''))
    .describe('The base of the Web API: a Client Portal gateway, to which a person has logged in with a browser.'),
  tickleSeconds: z
    .number()
    .min(MIN_TICKLE_SECONDS)
    .max(MAX_TICKLE_SECONDS)
    .default(60)
    .describe('How often `POST /tickle` keeps the session alive, with 10 % of jitter; the status is read after each.'),
  compete: z
    .enum(['never', 'oncePerCooldown'])
    .default('never')
    .describe(
      '`never`: a login that takes the brokerage session keeps it. `oncePerCooldown`: it is taken back, which ends the other login.',
    ),
  cooldown: duration
    .default(1_800_000)
    .describe('The least time before the session is taken back again; doubles each time that it is lost again.'),
  reauthenticate: z
    .strictObject({ method: method.default('GET').describe('GET as on the reference page; some gateways want POST.') })
    .prefault({})
    .describe('How `/iserver/reauthenticate` is asked; where the gateway has it no more, `ssodh/init` is.'),
  authStatus: z
    .strictObject({ method: method.default('POST').describe('POST as on the reference page; GET works as well.') })
    .prefault({})
    .describe('How `/iserver/auth/status` is asked.'),
  validateSeconds: z
    .number()
    .min(MIN_VALIDATE_SECONDS)
    .default(300)
    .describe('How often `/sso/validate` is asked while all is well; the venue allows once a minute.'),
  websocket: z.boolean().default(true).describe('Whether `/ws` is opened, which tells changes at once.'),
  websocketAuth: z
    .enum(['auto', 'json', 'plain', 'frame'])
    .default('auto')
    .describe(
      'How the socket says which session it is of: the cookie `api={"session":"…"}`, the cookie `api=…`, or the first text frame. `auto`: one cookie, then the other; the frame where the venue waits for it.',
    ),
  silence: duration
    .default(25_000)
    .refine((ms) => ms > 17_000, 'is more than 17s: silence is asked about at 17 s')
    .describe('A socket that is silent for so long is dead: the venue beats every 10 s.'),
  establish: duration
    .default(90_000)
    .describe('How long a brokerage session may say that it is being established before it is initialised anew.'),
  initRetry: z
    .strictObject({
      from: duration.default(60_000).describe('The least time between two of the relay’s own `ssodh/init`.'),
      to: duration.default(1_800_000).describe('The longest.'),
    })
    .prefault({})
    .describe('The back-off of `ssodh/init`: a gateway that is asked each minute for hours refuses fresh logins.'),
  maintenance: z
    .array(maintenanceWindow)
    .default(AMERICAN_WINDOWS)
    .describe('When outages are expected: back-offs are longer, and reasons carry `maintenance_suspected`.'),
  headers: z
    .record(z.string(), z.string())
    .default({})
    .describe('HTTP headers of every request and upgrade, over the default User-Agent.'),
  tls: tlsOptions.optional(),
});

export type IbkrConfig = z.output<typeof ibkrConfig>;
