import { invalidParams } from './wire.js';

/** What a `scope` parameter asks for, and what of it is granted (Deribit docs, "Access scope"). */
export interface Granted {
  /** As told in the reply, without an order. */
  readonly scopes: ReadonlySet<string>;
  /** The NAME of `session:NAME`; absent: connection scope. */
  readonly session: string | undefined;
  /** The life of the tokens in seconds. */
  readonly expiresIn: number;
}

/** What the simulator's one API key may at most; each is `read`, `read_write` or absent. */
const KEY_PERMISSIONS: { readonly [family: string]: Level } = {
  account: 'read_write',
  block_rfq: 'read',
  block_trade: 'read',
  trade: 'read_write',
  wallet: 'read',
};

type Level = 'none' | 'read' | 'read_write';
const LEVELS: readonly Level[] = ['none', 'read', 'read_write'];

/** Recorded frame: one year. `expires:N` asks for less. */
export const DEFAULT_EXPIRES_IN_S = 31_536_000;

/** Throws -32602 for a scope that cannot be read. What the key does not have is left out without a word. */
export function grantScopes(requested: string | undefined, mainAccount: boolean): Granted {
  const asked = (requested ?? '').split(' ').filter((one) => one !== '');
  const levels = new Map(Object.entries(KEY_PERMISSIONS));
  const scopes = new Set<string>();
  let session: string | undefined;
  let expiresIn = DEFAULT_EXPIRES_IN_S;
  for (const scope of asked) {
    const colon = scope.indexOf(':');
    const [family, value] = colon < 0 ? [scope, ''] : [scope.slice(0, colon), scope.slice(colon + 1)];
    if (family === 'session') {
      if (value === '') throw invalidParams('invalid format', 'scope');
      session = value;
    } else if (family === 'expires') {
      expiresIn = Number(value);
      if (!Number.isInteger(expiresIn) || expiresIn < 1) throw invalidParams('invalid format', 'scope');
      expiresIn = Math.min(expiresIn, DEFAULT_EXPIRES_IN_S);
      scopes.add(`expires:${expiresIn}`);
    } else if (family === 'ip') {
      scopes.add(scope);
    } else {
      const most = levels.get(family);
      if (most !== undefined && isLevel(value)) levels.set(family, lesser(most, value));
    }
  }
  for (const [family, level] of levels) if (level !== 'none') scopes.add(`${family}:${level}`);
  scopes.add(session === undefined ? 'connection' : `session:${session}`);
  if (mainAccount) scopes.add('mainaccount');
  return { scopes, session, expiresIn };
}

/** Whether what was granted covers `account:read`, `trade:read_write` and the like. */
export function covers(scopes: ReadonlySet<string>, needed: string): boolean {
  return scopes.has(needed) || (needed.endsWith(':read') && scopes.has(`${needed}_write`));
}

/** `ip:ADDR` restricts to that address; `ip:*`, or none at all, does not. */
export function allowsAddress(scopes: ReadonlySet<string>, address: string): boolean {
  const addresses = [...scopes].filter((scope) => scope.startsWith('ip:')).map((scope) => scope.slice('ip:'.length));
  return addresses.length === 0 || addresses.includes('*') || addresses.includes(address);
}

function isLevel(value: string): value is Level {
  return LEVELS.some((level) => level === value);
}

function lesser(one: Level, other: Level): Level {
  return LEVELS.indexOf(one) < LEVELS.indexOf(other) ? one : other;
}
