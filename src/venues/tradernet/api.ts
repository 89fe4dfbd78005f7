import { z } from 'zod';
import type { Clock } from '../../net/clock.js';
import type { HttpRequest } from '../../net/http.js';
import type { Answer, HttpLine } from './http-line.js';
import { readList } from './messages.js';
import type { TradernetConfig } from './options.js';
import type { SessionRow } from './rows.js';
import { type ApiKey, signV2, signV3 } from './signing.js';

/** What the relay asks of Tradernet over HTTP: to log in, for the list, and whether a SID lives. */
export interface Api {
  /** `check-login-password`; the SID from the body (`SID`, `sid`, `sessionId`) or a cookie (`SID`, `SIDBETA`). */
  login(login: string, password: string): Promise<LoginAnswer>;
  /** `getSecuritySessions`: the full list. */
  sessions(auth: Auth, options?: SendOptions): Promise<Asked<ListAnswer>>;
  /** `getSidInfo`: whether the venue knows the SID. */
  sidInfo(auth: Auth, options?: SendOptions): Promise<Asked<SidInfo>>;
}

export type Auth = { readonly sid: string } | (ApiKey & { readonly signature: 'v2' | 'v3' });

export interface SendOptions {
  readonly patient?: boolean;
}

export type Failure = Exclude<Answer, { kind: 'ok' }>;
export type Asked<T> = { readonly kind: 'ok'; readonly value: T } | Failure;

export interface ListAnswer {
  readonly rows: readonly SessionRow[];
  readonly unread: number;
}

export interface SidInfo {
  readonly alive: boolean;
  readonly userId?: number | string;
}

export type LoginAnswer =
  | { readonly kind: 'ok'; readonly sid: string }
  /** A code sent to a person is asked for. Asking again would send another. */
  | { readonly kind: 'two_factor'; readonly message: string }
  | Failure;

const loginBody = z.looseObject({
  SID: z.unknown().optional(),
  sid: z.unknown().optional(),
  sessionId: z.unknown().optional(),
});
const sidText = z.union([z.string().min(1).max(1024), z.number().transform(String)]);
const sidInfoBody = z.looseObject({
  SID: z.unknown().optional(),
  sid: z.unknown().optional(),
  user_id: z.union([z.number(), z.string()]).nullish().catch(undefined),
});
const listBody = z.union([
  z.array(z.unknown()),
  z.looseObject({ sessions: z.array(z.unknown()) }).transform(({ sessions }) => sessions),
  z.looseObject({ result: z.array(z.unknown()) }).transform(({ result }) => result),
  z.looseObject({ res: z.array(z.unknown()) }).transform(({ res }) => res),
]);

const FORM = { 'content-type': 'application/x-www-form-urlencoded' } as const;

export function createApi(options: {
  readonly line: HttpLine;
  readonly clock: Clock;
  readonly config: Pick<TradernetConfig, 'httpUrl'>;
  readonly headers: Readonly<Record<string, string>>;
}): Api {
  const { line, clock, headers } = options;
  const base = options.config.httpUrl.replace(/\/+$/, '');
  let lastNonce = 0;

  const requestFor = (command: string, auth: Auth): HttpRequest => {
    if ('sid' in auth) {
      // Version 1 (reference page): the whole request in `q`, proved by the SID in it.
      const query = JSON.stringify({ cmd: command, SID: auth.sid, params: {} });
      return { method: 'GET', url: `${base}/api/?q=${encodeURIComponent(query)}`, headers };
    }
    if (auth.signature === 'v2') {
      lastNonce = Math.max(lastNonce + 1, clock.now());
      const signed = signV2(auth, command, lastNonce);
      const url = `${base}/api/v2/cmd/${command}`;
      return { method: 'POST', url, headers: { ...headers, ...FORM, ...signed.headers }, body: signed.body };
    }
    const signed = signV3(auth, '', clock.now());
    const url = `${base}/api/${command}`;
    return { method: 'POST', url, headers: { ...headers, 'content-type': 'application/json', ...signed } };
  };

  return {
    async login(login, password) {
      const body = new URLSearchParams({ login, password, rememberMe: '1' }).toString();
      const request: HttpRequest = {
        method: 'POST',
        url: `${base}/api/check-login-password`,
        headers: { ...headers, ...FORM },
        body,
      };
      return readLogin(await line.send(request));
    },
    async sessions(auth, send) {
      const answer = await line.send(requestFor('getSecuritySessions', auth), send);
      if (answer.kind !== 'ok') return answer;
      const parsed = listBody.safeParse(answer.body);
      const list = parsed.success ? readList(parsed.data, false) : undefined;
      if (list?.kind !== 'sessions') {
        const garbage = JSON.stringify(answer.body);
        return { kind: 'failed', reason: 'getSecuritySessions without a list', sent: true, garbage };
      }
      return { kind: 'ok', value: { rows: list.rows, unread: list.unread } };
    },
    async sidInfo(auth, send) {
      const answer = await line.send(requestFor('getSidInfo', auth), send);
      if (answer.kind !== 'ok') return answer;
      const parsed = sidInfoBody.safeParse(answer.body);
      if (!parsed.success) {
        return {
          kind: 'failed',
          reason: 'getSidInfo without an object',
          sent: true,
          garbage: JSON.stringify(answer.body),
        };
      }
      const { SID, sid, user_id: userId } = parsed.data;
      // A signed request is proved by its signature; a SID by being known.
      const alive = 'sid' in auth ? [SID, sid].some((one) => sidText.safeParse(one).success) : true;
      return { kind: 'ok', value: { alive, ...(userId === undefined || userId === null ? {} : { userId }) } };
    },
  };
}

/** What a login was answered with. `error` with HTTP 200 is a refusal, unless it asks for a code. */
export function readLogin(answer: Answer): LoginAnswer {
  if (answer.kind === 'refused') {
    return asksForCode(answer.body, answer.code, answer.message)
      ? { kind: 'two_factor', message: answer.message }
      : answer;
  }
  if (answer.kind !== 'ok') return answer;
  const sid = sidOfBody(answer.body) ?? sidOfCookies(answer.cookies);
  if (sid !== undefined) return { kind: 'ok', sid };
  if (asksForCode(answer.body, '', '')) return { kind: 'two_factor', message: 'the venue asks for a code' };
  return { kind: 'failed', reason: 'the login was answered without a SID', sent: true, garbage: '' };
}

function sidOfBody(body: unknown): string | undefined {
  const parsed = loginBody.safeParse(body);
  if (!parsed.success) return undefined;
  const { SID, sid, sessionId } = parsed.data;
  for (const given of [SID, sid, sessionId]) {
    const read = sidText.safeParse(given);
    if (read.success) return read.data;
  }
  return undefined;
}

const SID_COOKIE = /^(SID|SIDBETA)=([^;]+)/;

function sidOfCookies(cookies: readonly string[]): string | undefined {
  for (const cookie of cookies) {
    const [, , value] = SID_COOKIE.exec(cookie.trim()) ?? [];
    if (value !== undefined && value !== 'deleted') return decodeCookie(value.replace(/^"|"$/g, ''));
  }
  return undefined;
}

function decodeCookie(value: string): string {
  try {
    return decodeURIComponent(value);
  } catch {
    return value;
  }
}

/** Names of fields by which a login is asked to go on with a code (Tradernet docs: `mode: 'sms'`, `auth_code_id`). */
const CODE_FIELDS: ReadonlySet<string> = new Set([
  'authcodeid',
  'sms',
  'needsms',
  'smsrequired',
  'twofactor',
  'needcode',
]);
const CODE_WORDS = /\bsms\b|two.?factor|\b2fa\b|\botp\b|(?:confirmation|verification|one.?time).{0,20}\bcode\b/i;
/** `bad code` in the venue's table of errors. */
const BAD_CODE = '14';

/** Whether a person has to type a code in. How the venue says so is not documented: the signs are the documented names. */
function asksForCode(body: unknown, code: string | number, message: string): boolean {
  if (String(code) === BAD_CODE || CODE_WORDS.test(message)) return true;
  const parsed = z.looseObject({ mode: z.unknown().optional() }).safeParse(body);
  if (!parsed.success) return false;
  if (parsed.data.mode === 'sms') return true;
  return Object.entries(parsed.data).some(
    ([name, value]) =>
      CODE_FIELDS.has(name.replace(/[_-]/g, '').toLowerCase()) && value !== false && value !== null && value !== 0,
  );
}

/** The venue does not know the login that was given with a request (`User is not found`), whatever was asked for. */
export function isUnknownLogin(failure: Failure): boolean {
  return failure.kind === 'refused' && ['7', '401'].includes(String(failure.code));
}

/** An API key that is not taken: bad signature, unknown user, access denied, or a key of another domain. */
export function isRefusedKey(failure: Failure): boolean {
  if (failure.kind !== 'refused') return false;
  return ['4', '7', '12', '401', '403'].includes(String(failure.code)) || /api key|signature/i.test(failure.message);
}
