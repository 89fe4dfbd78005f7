import type { Pulse, SessionEvent } from './event.js';
import { isSessionState } from './fold.js';
import type { Json } from './json.js';
import type { State } from './session.js';

/** What a grant may read: `redacted` shows personal data as {@link REDACTED}. */
export type Fields = 'full' | 'redacted';

export const REDACTED = '[redacted]';

/** Names of fields whose values are personal, however they are spelled: compared without case, `_` and `-`. */
const PERSONAL: ReadonlySet<string> = new Set([
  'ip',
  'ips',
  'ipclient',
  'ipaddress',
  'address',
  'city',
  'mac',
  'hardwareinfo',
  'login',
  'ownerlogin',
  'userlogin',
  'authlogin',
  'clientlogin',
  'credential',
  'user',
  'userid',
  'username',
  'paperusername',
  'uniqueloginid',
  'uid',
  'clientid',
  'firstname',
  'lastname',
  'fullname',
  'email',
  'emails',
  'phone',
  'tel',
  'account',
  'accounts',
  'accountid',
  'accountids',
  'accountnumber',
  'accountnumbers',
  'selectedaccount',
  'aliases',
  'keycurrent',
]);

/** Names of fields that are credentials: never shown, whatever the grant. Compared as those above. */
const SECRET: ReadonlySet<string> = new Set([
  'token',
  'accesstoken',
  'refreshtoken',
  'idtoken',
  'authtoken',
  'bearertoken',
  'ssotoken',
  'livesessiontoken',
  'bearer',
  'jwt',
  'secret',
  'clientsecret',
  'usersecret',
  'webhooksecret',
  'apisecret',
  'secretkey',
  'consumerkey',
  'privatekey',
  'apikey',
  'password',
  'passwd',
  'pwd',
  'passphrase',
  'pin',
  'otp',
  'sms',
  'authcode',
  'smscode',
  'validationkey',
  'signature',
  'sig',
  'xntapisig',
  'authorization',
  'cookie',
  'setcookie',
  'sid',
  'sidbeta',
  'sessionid',
]);

/** What `account` may be beside a number: the states of a protection are nobody's. */
const IMPERSONAL: ReadonlySet<Json> = new Set(['armed', 'disarmed', 'unknown']);

/** IBKR's `session` is a credential of 32 hex digits; others name a session by it. */
const OPAQUE = /[A-Za-z0-9]{20,}/;

function normal(name: string): string {
  return name.replace(/[_-]/g, '').toLowerCase();
}

/** Neither `null` nor a flag tells who or what: only that something is there. */
function tellsNothing(value: Json): boolean {
  return value === null || typeof value === 'boolean';
}

function isPersonal(name: string, value: Json): boolean {
  return PERSONAL.has(normal(name)) && !tellsNothing(value) && !IMPERSONAL.has(value);
}

function isSecret(name: string, value: Json): boolean {
  const plain = normal(name);
  if (plain === 'session') return typeof value === 'string' && OPAQUE.test(value);
  return SECRET.has(plain) && !tellsNothing(value);
}

/** From its first character on, so that a long text without an address is walked through once. */
const E_MAIL = /(?<![\w.+-])[\w.+-]+@[\w-]{1,63}(?:\.[\w-]{1,63})+/g;
/** Not after `//`: the host of a URL is the venue's. */
const IP_ADDRESS = /(?<![\d./])\d{1,3}(?:\.\d{1,3}){3}(?![\d.])/g;

/** In full, or with `::`. Deribit writes `ip:2001:db8::1`; a time of day, a MAC and a URL's host are none. */
const IPV6_ADDRESS =
  /(?<![\w.])(?<![\da-f]:)(?<!\/\/\[)(?:(?:[\da-f]{1,4}:){7}[\da-f]{1,4}|(?:[\da-f]{1,4}(?::[\da-f]{1,4}){0,6})?::(?:[\da-f]{1,4}(?::[\da-f]{1,4}){0,6})?)(?![\w:])/gi;

/** Addresses of the network, of either version, masked. */
export function withoutAddresses(text: string): string {
  return text.replace(IP_ADDRESS, REDACTED).replace(IPV6_ADDRESS, REDACTED);
}

/** What is personal whatever the field is called: Deribit's granted scope, say, names the address it is bound to. */
function impersonal(text: string): string {
  return withoutAddresses(text.replace(E_MAIL, REDACTED));
}

const URL_SECRET =
  /([?&](?:access_?token|refresh_?token|token|sid|secret|(?:client|user)_?secret|password|signature|api_?key)=)[^&#\s"]*/gi;
const BEARER = /\b(Bearer\s+)[\w.~+/=-]+/gi;
/** Words with dots between them. From their first character on: each text is walked through once, whatever it holds. */
const DOTTED = /(?<![\w-])[\w-]+(?:\.[\w-]+)+/g;

function hideToken(run: string): string {
  const parts = run.split('.');
  let from = 0;
  for (const [index, part] of parts.entries()) {
    const jwt = index + 1 < parts.length ? part.search(/\beyJ[\w-]/) : -1;
    const isBeforeTwo = index + 2 < parts.length && (parts[index + 1] ?? '').length >= 6;
    const at = jwt < 0 && isBeforeTwo ? part.search(/\b\d{13}$/) : jwt;
    if (at >= 0) return run.slice(0, from + at) + REDACTED;
    from += part.length + 1;
  }
  return run;
}

/** Masks what looks like a JWT, or like a token of Deribit's (its expiry in ms and two parts), wherever it stands. */
export function withoutTokens(text: string): string {
  return text.replace(DOTTED, hideToken);
}

function secretless(text: string): string {
  return withoutTokens(text.replace(URL_SECRET, `$1${REDACTED}`).replace(BEARER, `$1${REDACTED}`));
}

/** A copy without personal data where `fields` is `redacted`; the same value where there is none. */
export function redactJson(value: Json, fields: Fields): Json {
  return fields === 'full' ? value : mask(value, isPersonal, impersonal);
}

/**
 * A copy in which every credential is {@link REDACTED}, whatever the grant: for what a venue answers to a command.
 * Told by the field's name, in URLs by the parameter's, and where a text is a bearer token or a JWT.
 */
export function withoutCredentials(value: Json): Json {
  return mask(value, isSecret, secretless);
}

export function redactEvent(event: SessionEvent, fields: Fields): SessionEvent {
  if (fields === 'full') return event;
  const data = redactJson(event.data as unknown as Json, fields);
  return data === (event.data as unknown) ? event : ({ ...event, data } as unknown as SessionEvent);
}

/** A pulse holds nothing personal; it goes as it is. */
export function redactPulse(pulse: Pulse, _fields: Fields): Pulse {
  return pulse;
}

/**
 * Beside its attributes a session's scope may be personal. Keys and tokens are names that the configuration or the
 * venue gave, and stay: a subscriber could not address the session without them.
 */
export function redactState(state: State, fields: Fields): State {
  if (fields === 'full') return state;
  const attributes = redactJson(state.attributes, fields);
  const scope = isSessionState(state) && state.scope !== undefined ? impersonal(state.scope) : undefined;
  const same = attributes === state.attributes && (!isSessionState(state) || scope === state.scope);
  return same ? state : ({ ...state, attributes, ...(scope === undefined ? {} : { scope }) } as State);
}

function mask(value: Json, hides: (name: string, value: Json) => boolean, clean: (text: string) => string): Json {
  if (typeof value === 'string') return clean(value);
  if (Array.isArray(value)) {
    const items = value.map((item: Json) => mask(item, hides, clean));
    return items.some((item, index) => item !== value[index]) ? items : value;
  }
  if (typeof value !== 'object' || value === null) return value;
  let changed = false;
  const entries = Object.entries(value).map(([name, inner]): [string, Json] => {
    const masked = hides(name, inner) ? REDACTED : mask(inner, hides, clean);
    changed ||= masked !== inner;
    return [name, masked];
  });
  return changed ? Object.fromEntries(entries) : value;
}
