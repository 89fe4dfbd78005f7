import { createHash } from 'node:crypto';
import { isDeepStrictEqual } from 'node:util';
import { asSessionRelayError, SessionRelayError } from '../errors.js';
import type { Grant } from '../model/grant.js';
import type { Authenticator } from './auth.js';

/**
 * An {@link Authenticator} whose rules may be replaced while it runs. Of each grant that it has given it knows what it
 * was given for, for as long as somebody holds the grant: a digest of the token where that is enough (`keys`), the
 * token itself where its signature must be checked again (`jwt`). Neither leaves the process.
 */
export interface LiveAuthenticator extends Authenticator {
  /** Whether a grant was given, or confirmed, by the present rules. */
  isCurrent(grant: Grant): boolean;
  /**
   * What the credentials behind a grant are worth now; the grant itself where nothing of it changed. Rejects with
   * `unauthenticated` where they are not good any more, with `not_available` where they cannot be checked now.
   */
  renewed(grant: Grant): Promise<Grant>;
  /**
   * Checks what is behind `living` grants by other rules, and changes nothing. Rejects with `not_available` where one
   * cannot be checked now: whoever holds it would be sent away by a fault that is not theirs.
   */
  prepare(next: Authenticator, living: Iterable<Grant>): Promise<Renewal>;
  /** What a grant was given for, so that another thread of this relay can judge it again. Never for a log. */
  credentialsOf(grant: Grant): Credentials;
  /** Knows a grant of another thread from now on; it is to be {@link renewed} before it is used. */
  recall(grant: Grant, credentials: Credentials): void;
}

export interface Renewal {
  /** From now on the new rules decide, also of tokens whose check is under way. */
  use(): void;
  /** What a grant of before is worth: itself, another one, `refused`, or `unchecked` where it was given since. */
  verdictOf(grant: Grant): Grant | 'refused' | 'unchecked';
}

/** What is kept of the credentials behind a grant. */
export interface Credentials {
  /** SHA-256 of the token; absent where there was none. */
  readonly digest?: Uint8Array;
  /** Kept only where nothing less can be checked again. */
  readonly token?: string;
}

/** Tokens that are checked at once, and before the event loop goes round. */
const CHECKED_AT_ONCE = 64;

export function liveAuthenticator(first: Authenticator): LiveAuthenticator {
  let rules = first;
  const given = new WeakMap<Grant, { readonly proof: Credentials; readonly by?: Authenticator }>();

  /** By the rules that hold when the check ends. */
  const byPresentRules = async (check: (by: Authenticator) => Promise<Grant>): Promise<Grant> => {
    for (;;) {
      const by = rules;
      try {
        const grant = await check(by);
        if (by === rules) return grant;
      } catch (thrown) {
        if (by === rules) throw thrown;
      }
    }
  };
  const isCurrent = (grant: Grant): boolean => grant === rules.anonymous || given.get(grant)?.by === rules;

  return {
    get mode() {
      return rules.mode;
    },
    get loopbackOnly() {
      return rules.loopbackOnly;
    },
    get anonymous() {
      return rules.anonymous;
    },
    authenticate: (token) =>
      byPresentRules(async (by) => {
        const grant = await by.authenticate(token);
        if (grant !== by.anonymous) given.set(grant, { proof: proofOf(token, by), by });
        return grant;
      }),
    isCurrent,
    renewed: (grant) =>
      byPresentRules(async (by) => {
        if (isCurrent(grant)) return grant;
        const proof = given.get(grant)?.proof ?? {};
        const now = sameOr(grant, await check(proof, by));
        if (now !== by.anonymous) given.set(now, { proof, by });
        return now;
      }),
    async prepare(next, living) {
      const verdicts = new Map<Grant, Grant | 'refused'>();
      const holders = [...new Set(living)];
      for (let from = 0; from < holders.length; from += CHECKED_AT_ONCE) {
        const some = holders.slice(from, from + CHECKED_AT_ONCE);
        const checked = await Promise.all(some.map((grant) => judge(grant, given.get(grant)?.proof ?? {}, next)));
        for (const [index, grant] of some.entries()) verdicts.set(grant, checked[index] ?? 'refused');
        await new Promise<void>((resolve) => setImmediate(resolve));
      }
      return {
        use() {
          rules = next;
          for (const [grant, now] of verdicts) {
            if (now !== 'refused' && now !== next.anonymous)
              given.set(now, { proof: given.get(grant)?.proof ?? {}, by: next });
          }
        },
        verdictOf: (grant) => (isCurrent(grant) ? grant : (verdicts.get(grant) ?? 'unchecked')),
      };
    },
    credentialsOf: (grant) => given.get(grant)?.proof ?? {},
    recall(grant, proof) {
      given.set(grant, { proof });
    },
  };
}

function proofOf(token: string, { mode }: Authenticator): Credentials {
  const digest = createHash('sha256').update(token, 'utf8').digest();
  return mode === 'jwt' ? { digest, token } : { digest };
}

/** Rejects as `authenticate` does. */
async function check({ digest, token }: Credentials, by: Authenticator): Promise<Grant> {
  if (by.anonymous !== undefined) return by.anonymous;
  if (token !== undefined) return by.authenticate(token);
  const known = digest === undefined ? undefined : by.ofDigest?.(Buffer.from(digest));
  if (known === undefined) throw new SessionRelayError('unauthenticated', 'the credentials are not good any more');
  return known;
}

async function judge(grant: Grant, proof: Credentials, by: Authenticator): Promise<Grant | 'refused'> {
  try {
    return sameOr(grant, await check(proof, by));
  } catch (thrown) {
    if (asSessionRelayError(thrown).code === 'unauthenticated') return 'refused';
    throw thrown;
  }
}

/** The grant of before where the new one says the same: nobody who holds it needs to be told. */
function sameOr(before: Grant, now: Grant): Grant {
  return isDeepStrictEqual(before, now) ? before : now;
}
