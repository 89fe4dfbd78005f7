import { createHash, createPublicKey, type KeyObject, timingSafeEqual } from 'node:crypto';
import { readFileSync } from 'node:fs';
import {
  createLocalJWKSet,
  createRemoteJWKSet,
  errors,
  type JSONWebKeySet,
  type JWTPayload,
  type JWTVerifyOptions,
  jwtVerify,
} from 'jose';
import { z } from 'zod';
import { ConfigError, messageOf, SessionRelayError } from '../errors.js';
import type { Grant } from '../model/grant.js';
import { patternProblem } from '../model/subject.js';
import type { Clock } from '../net/clock.js';

export interface GrantTerms {
  readonly channels: readonly string[];
  readonly commands: readonly string[];
  readonly fields: Grant['fields'];
}

export type AuthOptions =
  /** Loopback peers only, unless `anyHost`. `commands`: default the reading ones. */
  | { readonly mode: 'none'; readonly commands?: readonly string[]; readonly anyHost?: boolean }
  /** `sha256`: lower-case hex over the token's UTF-8 bytes. */
  | {
      readonly mode: 'keys';
      readonly keys: readonly (GrantTerms & { readonly name: string; readonly sha256: string })[];
    }
  /** Exactly one of `secret` (HS256), `publicKey` (PEM), `jwks` (file or URL). */
  | {
      readonly mode: 'jwt';
      readonly secret?: string;
      readonly publicKey?: string;
      readonly jwks?: string;
      readonly issuer?: string;
      readonly audience?: string;
    };

export interface Authenticator {
  readonly mode: AuthOptions['mode'];
  /** Requests must name the relay by a loopback name: without auth, so that no web page reaches it by DNS rebinding. */
  readonly loopbackOnly: boolean;
  /** The grant of whoever gives no token; `undefined` where one is needed. */
  readonly anonymous: Grant | undefined;
  /** Rejects with `unauthenticated`; the message never repeats the token. */
  authenticate(token: string): Promise<Grant>;
  /** The grant of the token with this SHA-256; absent where tokens are not known by it. */
  readonly ofDigest?: (sha256: Buffer) => Grant | undefined;
}

/** Clocks of whoever issues tokens may differ by so much. */
const LEEWAY_SECONDS = 5;
/** A longer token is refused unread. */
const MAX_TOKEN_CHARACTERS = 8_192;
const RSA = ['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512'];
const ASYMMETRIC = [...RSA, 'ES256', 'ES384', 'ES512', 'EdDSA', 'Ed25519'];
/** The latest time that a date can be: 8.64e15 ms. */
const MAX_EXP_SECONDS = 8_640_000_000_000;

const pattern = z.string().refine((text) => patternProblem(text) === undefined, 'no channel pattern');
const claims = z.object({
  sub: z.string().min(1),
  exp: z.number().max(MAX_EXP_SECONDS),
  channels: z.array(pattern).default([]),
  commands: z.array(z.string()).default([]),
  fields: z.enum(['full', 'redacted']).default('redacted'),
});

/** Rejects with a {@link ConfigError} where a key cannot be read. */
export async function createAuthenticator(auth: AuthOptions, clock: Clock): Promise<Authenticator> {
  switch (auth.mode) {
    case 'none': {
      const anonymous: Grant = {
        identity: 'anonymous',
        channels: ['>'],
        commands: auth.commands ?? ['*.*:*'],
        fields: 'full',
      };
      return {
        mode: 'none',
        loopbackOnly: auth.anyHost !== true,
        anonymous,
        authenticate: () => Promise.resolve(anonymous),
      };
    }
    case 'keys':
      return { mode: 'keys', loopbackOnly: false, anonymous: undefined, ...keysOf(auth.keys) };
    case 'jwt':
      return { mode: 'jwt', loopbackOnly: false, anonymous: undefined, authenticate: await tokensOf(auth, clock) };
  }
}

function keysOf(
  keys: Extract<AuthOptions, { readonly mode: 'keys' }>['keys'],
): Required<Pick<Authenticator, 'authenticate' | 'ofDigest'>> {
  const known = keys.map(({ name, sha256, channels, commands, fields }) => ({
    digest: Buffer.from(sha256, 'hex'),
    grant: { identity: name, channels, commands, fields } satisfies Grant,
  }));
  const ofDigest = (digest: Buffer): Grant | undefined => {
    let found: Grant | undefined;
    // Every key is compared, so that the time taken tells nothing.
    for (const one of known)
      if (one.digest.length === digest.length && timingSafeEqual(one.digest, digest)) found = one.grant;
    return found;
  };
  return {
    ofDigest,
    authenticate(token) {
      const found = ofDigest(createHash('sha256').update(token, 'utf8').digest());
      return found === undefined ? Promise.reject(refused('the token is not known here')) : Promise.resolve(found);
    },
  };
}

async function tokensOf(
  auth: Extract<AuthOptions, { readonly mode: 'jwt' }>,
  clock: Clock,
): Promise<Authenticator['authenticate']> {
  const verify = await verifierOf(auth);
  return async (token) => {
    if (token.length > MAX_TOKEN_CHARACTERS) throw refused('the token is too long');
    try {
      const payload = await verify(token, {
        clockTolerance: LEEWAY_SECONDS,
        currentDate: new Date(clock.now()),
        requiredClaims: ['exp', 'sub'],
        ...(auth.issuer === undefined ? {} : { issuer: auth.issuer }),
        ...(auth.audience === undefined ? {} : { audience: auth.audience }),
      });
      const parsed = claims.safeParse(payload);
      if (!parsed.success)
        throw refused(`the token's claim ${parsed.error.issues[0]?.path.join('.') ?? ''} does not fit`);
      const { sub, exp, channels, commands, fields } = parsed.data;
      return { identity: sub, channels, commands, fields, expiresAtMs: exp * 1_000 };
    } catch (thrown) {
      if (thrown instanceof SessionRelayError) throw thrown;
      if (thrown instanceof errors.JWTExpired) throw refused('the token has expired');
      if (isUnreachable(thrown))
        throw new SessionRelayError('not_available', 'the token cannot be checked now', { cause: thrown });
      // A TypeError says that the key does not fit what the token's header claims.
      const why = thrown instanceof errors.JOSEError ? thrown.code : 'it does not fit the key';
      throw refused(`the token is refused (${why})`);
    }
  };
}

/** The key set could not be fetched: that says nothing about the token. */
function isUnreachable(thrown: unknown): boolean {
  if (thrown instanceof errors.JWKSTimeout) return true;
  if (thrown instanceof errors.JOSEError) return thrown.code === 'ERR_JOSE_GENERIC';
  return thrown instanceof TypeError && thrown.message === 'fetch failed';
}

type Verify = (token: string, options: JWTVerifyOptions) => Promise<JWTPayload>;

/** The algorithms are pinned by the kind of key: a token cannot choose one. */
async function verifierOf(auth: Extract<AuthOptions, { readonly mode: 'jwt' }>): Promise<Verify> {
  const { secret, publicKey, jwks } = auth;
  if (secret !== undefined) {
    if (secret === '') throw badKey('auth.secret', 'is empty');
    const key = new TextEncoder().encode(secret);
    return async (token, options) => (await jwtVerify(token, key, { ...options, algorithms: ['HS256'] })).payload;
  }
  if (publicKey !== undefined) {
    const key = publicKeyOf(publicKey);
    const algorithms = algorithmsOf(key);
    return async (token, options) => (await jwtVerify(token, key, { ...options, algorithms })).payload;
  }
  if (jwks === undefined) throw badKey('auth', 'give one of secret, publicKey, jwks');
  if (/^https?:\/\//.test(jwks)) {
    const remote = createRemoteJWKSet(new URL(jwks));
    return async (token, options) => (await jwtVerify(token, remote, { ...options, algorithms: ASYMMETRIC })).payload;
  }
  const local = createLocalJWKSet(readJwks(jwks));
  return async (token, options) => (await jwtVerify(token, local, { ...options, algorithms: ASYMMETRIC })).payload;
}

function publicKeyOf(pem: string): KeyObject {
  try {
    return createPublicKey(pem);
  } catch {
    throw badKey('auth.publicKey', 'is no public key in PEM (SPKI)');
  }
}

function algorithmsOf(key: KeyObject): string[] {
  switch (key.asymmetricKeyType) {
    case 'rsa':
      return RSA;
    case 'ec':
      return ['ES256', 'ES384', 'ES512'];
    case 'ed25519':
      return ['EdDSA', 'Ed25519'];
    default:
      throw badKey('auth.publicKey', `is of type ${key.asymmetricKeyType ?? 'unknown'}: RSA, EC and Ed25519 serve`);
  }
}

const keySet = z.object({ keys: z.array(z.looseObject({ kty: z.string() })).min(1) });

function readJwks(file: string): JSONWebKeySet {
  try {
    return keySet.parse(JSON.parse(readFileSync(file, 'utf8'))) as JSONWebKeySet;
  } catch (cause) {
    throw badKey('auth.jwks', `the file ${file} is no JSON Web Key Set: ${messageOf(cause)}`);
  }
}

function badKey(key: string, message: string): ConfigError {
  return new ConfigError([{ key, message }]);
}

function refused(message: string): SessionRelayError {
  return new SessionRelayError('unauthenticated', message);
}
