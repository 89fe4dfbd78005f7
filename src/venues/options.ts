import { isDeepStrictEqual } from 'node:util';
import { z } from 'zod';
import { environment, type Role, role, type VenueName } from '../model/event.js';
import { defaultSafetyPolicy, type SafetyPolicy } from '../model/safety.js';
import type { SourceDescription } from './venue.js';

/** Schemas that the configurations of all venues share. Parsed values are plain: durations are ms. */
const UNITS: Readonly<Record<string, number>> = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 };

/** `250ms 10s 5m 24h 7d`, or a number of ms; becomes ms. */
export const duration = z.union([
  z.number().nonnegative(),
  z
    .string()
    .regex(/^\d+(\.\d+)?(ms|s|m|h|d)$/, 'a duration is a number with ms, s, m, h or d, like 10s')
    .transform((text) => {
      const [, amount = '0', unit = 'ms'] = /^(\d+(?:\.\d+)?)(ms|s|m|h|d)$/.exec(text) ?? [];
      return Number(amount) * (UNITS[unit] ?? 1);
    }),
]);

/** A source's id: one token of a session key, without characters that would need encoding. */
export const sourceId = z
  .string()
  .regex(/^[A-Za-z0-9_-]{1,64}$/, 'an id has 1 to 64 letters, digits, _ or -')
  .describe('The name of this source in session keys: <venue>.<id>.<session>.');

const quietWindow = z
  .string()
  .regex(/^([01]\d|2[0-3]):[0-5]\d-([01]\d|2[0-3]):[0-5]\d$/, 'a window is HH:MM-HH:MM in UTC');

/** What every source may say of itself beside its own keys. */
export const commonSourceOptions = {
  id: sourceId,
  environment: environment
    .optional()
    .describe('What this source must be; a venue that says otherwise is `attention {check_credentials}`.'),
  expiryWarning: duration.default(60_000).describe('How long before an end `session.expiring` is said.'),
  forgetAfter: duration.default(86_400_000).describe('Ended sessions are dropped after this.'),
  safety: z
    .strictObject({
      role: role.optional().describe('`trading`: orders go through this very session. `watch`: it only has to work.'),
      protection: z
        .enum(['required', 'preferred', 'ignored'])
        .optional()
        .describe('What missing cancel-on-disconnect means; default preferred.'),
      grace: duration.optional().describe('How long a dead link stays at_risk before it is unsafe.'),
      only: z
        .array(z.string().min(1))
        .optional()
        .describe('Currencies and indices whose trouble counts; default: none does.'),
      quiet: z.array(quietWindow).optional().describe('Daily windows in UTC in which a lost bridge is expected.'),
    })
    .prefault({})
    .describe('When a session counts as safe (PROTOCOL.md §3).'),
};

export type SafetyOptions = z.output<(typeof commonSourceOptions)['safety']>;

/** The policy and role of a source: what is configured, over the venue's defaults. */
export function safetyOf(
  venue: VenueName,
  options: SafetyOptions,
  defaultRole: Role,
): { readonly role: Role; readonly policy: SafetyPolicy } {
  const fallback = defaultSafetyPolicy(venue);
  return {
    role: options.role ?? defaultRole,
    policy: {
      protection: options.protection ?? fallback.protection,
      graceMs: options.grace ?? fallback.graceMs,
      only: options.only ?? fallback.only,
      quiet: options.quiet ?? fallback.quiet,
    },
  };
}

/** What every source takes over while it runs: the rest of its options decides on its connection, or on what it says. */
const revisable = z.object({ safety: commonSourceOptions.safety, forgetAfter: commonSourceOptions.forgetAfter });
const REVISABLE: readonly string[] = Object.keys(revisable.shape);

/**
 * Whether two sets of options differ in nothing but what a running source takes over. A role does not belong to it: it
 * is told when a session opens. `more`: keys that this venue takes over too.
 */
export function differLittle(
  before: { readonly safety: SafetyOptions },
  after: { readonly safety: SafetyOptions },
  more: readonly string[] = [],
): boolean {
  const rest = (options: object): object =>
    Object.fromEntries(Object.entries(options).filter(([key]) => !REVISABLE.includes(key) && !more.includes(key)));
  return before.safety.role === after.safety.role && isDeepStrictEqual(rest(before), rest(after));
}

/** The description of a source that takes over other options. */
export function revised(description: SourceDescription, options: unknown): SourceDescription {
  const { safety, forgetAfter } = revisable.parse(options);
  const { policy } = safetyOf(description.venue, safety, description.role);
  return { ...description, safety: policy, forgetAfterMs: forgetAfter };
}

/** How one source's peer is verified (`net/tls.ts`). */
export const tlsOptions = z
  .strictObject({
    ca: z.string().min(1).exactOptional().describe('A CA certificate: PEM, or a path to one.'),
    fingerprint: z
      .string()
      .regex(/^([0-9A-Fa-f]{2}:){31}[0-9A-Fa-f]{2}$/, 'a fingerprint is 32 hex bytes with colons between them')
      .exactOptional()
      .describe("SHA-256 of the peer's certificate; replaces the chain's verification."),
    insecure: z.boolean().exactOptional().describe('No verification at all, of this source alone.'),
  })
  .describe("How the venue's certificate is verified; default: against the system's roots.");
