import { SignJWT } from 'jose';

/** Signs what a relay under `auth: {mode: jwt, secret}` takes. */
export interface TokenIssuer {
  readonly secret: string;
  issue(terms: {
    readonly sub: string;
    readonly expiresAtMs: number;
    readonly channels?: readonly string[];
  }): Promise<string>;
}

export function createTokenIssuer(): TokenIssuer {
  const secret = 'a secret of a stress run, long enough for HS256';
  const key = new TextEncoder().encode(secret);
  return {
    secret,
    issue({ sub, expiresAtMs, channels = ['>'] }) {
      // An `exp` may have a fraction (RFC 7519 §2): tokens of a stress run end at any moment, not on the second.
      const claims = { sub, exp: expiresAtMs / 1_000, channels, fields: 'full' };
      return new SignJWT(claims).setProtectedHeader({ alg: 'HS256' }).sign(key);
    },
  };
}
