import { z } from 'zod';
import { patternProblem } from '../model/subject.js';
import { MAX_WORKERS } from '../relay/count.js';
import { duration } from '../venues/options.js';
import { LOG_LEVELS } from './log.js';

/**
 * The configuration's schema, all but `sources` (each venue's module says its own). The JSON Schema of
 * `check --json-schema` is generated from it. Durations are `250ms 10s 5m 24h 7d` or ms, sizes `B KiB MiB GiB` or
 * bytes; both become numbers.
 */
const BYTES = { B: 1, KiB: 1024, MiB: 1024 ** 2, GiB: 1024 ** 3 } as const;
const unit = z.enum(['B', 'KiB', 'MiB', 'GiB']);
const MIN_FRAME_BYTES = 1024;
const MIN_SECRET_CHARACTERS = 32;
const MAX_PORT = 65_535;

/** `256KiB` or a number of bytes. */
export const size = z.union([
  z.number().int().nonnegative(),
  z
    .string()
    .regex(/^\d+\s*(B|KiB|MiB|GiB)?$/, 'a size is a number of bytes, or a number with B, KiB, MiB or GiB')
    .transform((text) => {
      const [, digits, name] = /^(\d+)\s*(\w*)$/.exec(text) ?? [];
      return Number(digits) * BYTES[unit.catch('B').parse(name)];
    }),
]);

/** A whole number from 0; also as text, as an environment variable gives it. */
const whole = z.union([z.number().int().nonnegative(), z.string().regex(/^\d+$/, 'a whole number').transform(Number)]);
const flag = z.union([z.boolean(), z.enum(['true', 'false']).transform((text) => text === 'true')]);
const positive = whole.refine((value) => value >= 1, 'at least 1');
const some = duration.refine((ms) => ms > 0, 'more than nothing');
const frameSize = size.refine((bytes) => bytes >= MIN_FRAME_BYTES, `at least ${MIN_FRAME_BYTES} bytes`);
const list = z.array(z.string().min(1));

const channel = z.string().superRefine((text, context) => {
  const problem = patternProblem(text);
  if (problem !== undefined) context.addIssue({ code: 'custom', message: problem });
});
const commandRule = z
  .string()
  .regex(/^[^.:]+\.[^.]+:[^:.]+$/, 'a command is <venue>.<source>:<command>, each part may be *');

const listen = z
  .strictObject({
    host: z
      .string()
      .min(1)
      .transform((text) => text.replace(/^\[(.*)\]$/, '$1'))
      .default('127.0.0.1')
      .describe('The address to listen on. Beyond loopback `auth` is required, or --insecure.'),
    port: whole
      .refine((value) => value <= MAX_PORT, `a port is 0 to ${MAX_PORT}`)
      .default(8080)
      .describe('The port of sockets and HTTP; 0 takes a free one.'),
    transport: z
      .enum(['auto', 'uws', 'ws'])
      .default('auto')
      .describe('`auto`: uWebSockets.js where its binary loads, `ws` where it does not.'),
  })
  .describe('Where subscribers connect.');

const key = z.strictObject({
  name: z.string().min(1).describe('The identity that this key stands for.'),
  sha256: z
    .string()
    .regex(/^[0-9a-f]{64}$/, 'lower-case hex SHA-256 of the token, 64 characters')
    .describe("SHA-256 over the token's UTF-8 bytes: the token itself is never kept."),
  channels: z.array(channel).describe('Patterns; a subscription must be contained in one of them.'),
  commands: z
    .array(commandRule)
    .default([])
    .describe('`<venue>.<source>:<command>`; `*` as command means reading ones, one that acts must be named.'),
  fields: z.enum(['full', 'redacted']).default('redacted').describe('Whether personal data is shown.'),
});

const auth = z
  .discriminatedUnion('mode', [
    z.strictObject({
      mode: z.literal('none').describe('No credentials: whoever reaches the address, by a loopback name.'),
      commands: z
        .array(commandRule)
        .optional()
        .describe('What whoever connects may do; default: the reading commands of every source.'),
    }),
    z.strictObject({
      mode: z.literal('keys').describe('Tokens, known by their SHA-256.'),
      keys: z.array(key).min(1, 'name at least one key').describe('Who may connect.'),
    }),
    z.strictObject({
      mode: z
        .literal('jwt')
        .describe('JSON Web Tokens with `sub`, `exp`, `channels`, `commands` and `fields` at the top level.'),
      secret: z
        .string()
        .min(MIN_SECRET_CHARACTERS, `an HS256 secret has at least ${MIN_SECRET_CHARACTERS} characters`)
        .optional()
        .describe('The shared secret of HS256.'),
      publicKey: z.string().min(1, 'is empty').optional().describe('The public key, in PEM (SPKI).'),
      jwks: z
        .string()
        .min(1, 'is empty')
        .optional()
        .describe(
          "A JSON Web Key Set: an https URL, or a file (a relative one counts from the configuration's folder).",
        ),
      issuer: z.string().min(1).optional().describe('What `iss` must be.'),
      audience: z.string().min(1).optional().describe('What `aud` must contain.'),
    }),
  ])
  .superRefine((value, context) => {
    if (value.mode === 'jwt') {
      const given = [value.secret, value.publicKey, value.jwks].filter((one) => one !== undefined).length;
      if (given !== 1) context.addIssue({ code: 'custom', message: 'give exactly one of secret, publicKey, jwks' });
    }
    if (value.mode !== 'keys') return;
    const first = new Map<string, number>();
    for (const [index, { sha256 }] of value.keys.entries()) {
      const before = first.get(sha256);
      if (before === undefined) first.set(sha256, index);
      else {
        const message = `is the token of keys[${before}] too: each key needs a token of its own`;
        context.addIssue({ code: 'custom', path: ['keys', index, 'sha256'], message });
      }
    }
  })
  .describe('Who may connect, see and do what.');

const limits = z
  .strictObject({
    maxConnections: positive.default(100_000).describe('Sockets at once; more are refused with 503.'),
    maxConnectionsPerAddress: whole.default(1_000).describe('Sockets of one address at once; 0 = no limit.'),
    maxConnectionsPerIdentity: whole.default(1_000).describe('Sockets of one identity at once; 0 = no limit.'),
    trustProxy: flag.default(false).describe("Take a subscriber's address from X-Forwarded-For's last entry."),
    handshakeTimeout: some.default(10_000).describe('How long an upgrade or a request may take to arrive.'),
    maxPayloadBytes: frameSize.default(65_536).describe('A larger inbound message closes with 1009.'),
    maxBufferedBytes: frameSize.default(262_144).describe('What one subscriber may leave unread.'),
    stall: some.default(30_000).describe('No downward progress for this long closes with 4408.'),
    maxChannels: positive.default(256).describe('Subscriptions of one connection.'),
    maxRequestsPerSecond: positive
      .default(50)
      .describe('Requests of one connection; over it for 10 s closes with 4429.'),
    origins: list.default([]).describe("Web origins that may connect beside the relay's own."),
  })
  .describe('What subscribers may cost.');

const journal = z
  .strictObject({
    engine: z
      .enum(['lmdb', 'memory'])
      .default('lmdb')
      .describe('`lmdb`: on disk, survives restarts and `kill -9`. `memory`: gone with the process.'),
    path: z
      .string()
      .min(1, 'is empty')
      .default('./data')
      .describe(
        "The folder of `lmdb`, for one relay at a time; never on a network file system. A relative one counts from the configuration's folder; --data and the default from the working directory.",
      ),
    sync: z
      .enum(['interval', 'always'])
      .default('interval')
      .describe(
        '`interval`: told once it survives the process, flushed at once in the background; a power cut takes back what was not flushed yet. `always`: told once it is flushed.',
      ),
    retention: z
      .strictObject({
        maxAge: some.default(7 * 86_400_000).describe('Older events are dropped.'),
        maxBytes: frameSize
          .default(256 * 1024 ** 2)
          .describe('The oldest events are dropped beyond it. The file of `lmdb` does not shrink by it.'),
      })
      .prefault({})
      .describe('How much can be replayed. States and what sources remember stay.'),
  })
  .describe('What was said, for replay and for the next start.');

const workers = z
  .union([z.literal('auto'), positive.refine((value) => value <= MAX_WORKERS, `at most ${MAX_WORKERS}`)])
  .default(1)
  .describe(
    'Threads that serve subscribers: 1, everything in one; more, each with a part of the subscribers (uWebSockets.js only); `auto`: one a processor.',
  );

export const relaySchema = z.strictObject({
  listen: listen.prefault({}),
  auth: auth.prefault({ mode: 'none' }),
  limits: limits.prefault({}),
  workers,
  journal: journal.prefault({}),
  metrics: z
    .strictObject({
      public: flag
        .default(false)
        .describe('Whether `/metrics` is told to everybody; otherwise to loopback peers, and to others with a token.'),
    })
    .prefault({})
    .describe('What Prometheus asks.'),
  drain: z
    .strictObject({
      timeout: duration
        .default(20_000)
        .describe("How long subscribers are sent away after SIGTERM: keep it below your orchestrator's grace."),
    })
    .prefault({})
    .describe('How the relay ends.'),
  log: z
    .strictObject({
      level: z.enum(LOG_LEVELS).default('info').describe('The least of what is logged to stderr, as JSON lines.'),
    })
    .prefault({})
    .describe('What is logged.'),
  sources: z
    .array(z.looseObject({ venue: z.string() }))
    .min(1, 'name at least one source')
    .describe('The connections to venues.'),
});

export type RelaySettings = z.infer<typeof relaySchema>;
export type AuthSettings = RelaySettings['auth'];
