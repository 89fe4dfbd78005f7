/**
 * Names: tokens, session keys, addresses, and the patterns over addresses (PROTOCOL.md §1).
 *
 * An address is `<venue>.<source>.<session>.<type>`, and a type has a dot of its own, so an address has five tokens.
 */
const ADDRESS_TOKENS = 5;
const KEY_TOKENS = 3;
/** A pattern longer than this is refused: no address comes near it. */
export const MAX_PATTERN_CHARACTERS = 1024;

const PLAIN = /^[A-Za-z0-9_~:@+-]+$/;
const ENCODED = /^(?:[A-Za-z0-9_~:@+-]|%[0-9A-F]{2})+$/;

/** Percent-encodes everything but `A-Z a-z 0-9 _ ~ : @ + -`, as UTF-8; an empty name becomes `%`-free `_`. */
export function encodeToken(raw: string): string {
  if (PLAIN.test(raw)) return raw;
  if (raw === '') return '_';
  let token = '';
  for (const byte of new TextEncoder().encode(raw)) {
    const character = String.fromCharCode(byte);
    token += byte < 0x80 && PLAIN.test(character) ? character : `%${byte.toString(16).toUpperCase().padStart(2, '0')}`;
  }
  return token;
}

/** The name that a token stands for; a token that is badly encoded is returned as it is. */
export function decodeToken(token: string): string {
  try {
    return decodeURIComponent(token);
  } catch {
    return token;
  }
}

export function sessionKey(venue: string, source: string, session: string): string {
  return `${encodeToken(venue)}.${encodeToken(source)}.${encodeToken(session)}`;
}

/** The three names of a session key; `undefined` where it is none. */
export function parseSessionKey(
  key: string,
): { readonly venue: string; readonly source: string; readonly session: string } | undefined {
  const tokens = key.split('.');
  const [venue, source, session] = tokens;
  if (tokens.length !== KEY_TOKENS || venue === undefined || source === undefined || session === undefined)
    return undefined;
  if (!tokens.every((token) => ENCODED.test(token))) return undefined;
  return { venue: decodeToken(venue), source: decodeToken(source), session: decodeToken(session) };
}

export function addressOf(event: { readonly subject: string; readonly type: string }): string {
  return `${event.subject}.${event.type}`;
}

/** Why a text is no pattern, in words; `undefined` where it is one. */
export function patternProblem(text: string): string | undefined {
  if (text === '') return 'a channel is not empty';
  if (text.length > MAX_PATTERN_CHARACTERS) return `a channel has at most ${MAX_PATTERN_CHARACTERS} characters`;
  const tokens = text.split('.');
  if (tokens.length > ADDRESS_TOKENS)
    return `a channel has at most ${ADDRESS_TOKENS} tokens: venue.source.session and a type of two`;
  for (const [index, token] of tokens.entries()) {
    if (token === '') return 'a channel has no empty token';
    if (token === '*') continue;
    if (token === '>') {
      if (index !== tokens.length - 1) return '`>` stands only at the end of a channel';
      continue;
    }
    if (index >= KEY_TOKENS ? !/^[a-z_]+$/.test(token) : !ENCODED.test(token)) {
      return `the token ${JSON.stringify(token)} has characters that must be percent-encoded`;
    }
  }
  if (tokens.length < ADDRESS_TOKENS && tokens.at(-1) !== '>') {
    return `a channel without \`>\` at its end has ${ADDRESS_TOKENS} tokens`;
  }
  return undefined;
}

/** Whether a pattern matches an address: `*` one token, `>` one or more at the end. */
export function matches(pattern: string, address: string): boolean {
  return matchesTokens(pattern.split('.'), address.split('.'));
}

/** {@link matches} of a pattern and an address that are cut at their dots already. */
export function matchesTokens(wanted: readonly string[], tokens: readonly string[]): boolean {
  for (const [index, token] of wanted.entries()) {
    if (token === '>') return tokens.length > index;
    if (index >= tokens.length || (token !== '*' && token !== tokens[index])) return false;
  }
  return wanted.length === tokens.length;
}

/** Whether every address of `inner` is one of `outer`. Both are patterns; addresses have five tokens. */
export function contains(outer: string, inner: string): boolean {
  const wide = expand(outer);
  const narrow = expand(inner);
  return wide.every((token, index) => token === '*' || token === narrow[index]);
}

/** Whether some address is of both. */
export function overlaps(a: string, b: string): boolean {
  const left = expand(a);
  const right = expand(b);
  return left.every((token, index) => token === '*' || right[index] === '*' || token === right[index]);
}

/** Addresses have exactly five tokens, so `>` at the end stands for as many `*` as are left. */
function expand(pattern: string): readonly string[] {
  const tokens = pattern.split('.');
  if (tokens.at(-1) === '>') {
    tokens.pop();
    while (tokens.length < ADDRESS_TOKENS) tokens.push('*');
  }
  return tokens;
}

/** Whether a pattern names no type: only then a channel has a snapshot. */
export function hasSnapshot(pattern: string): boolean {
  const [, , , family, kind] = expand(pattern);
  return family === '*' && kind === '*';
}

/** The pattern of everything that a session says. */
export function everythingOf(key: string): string {
  return `${key}.>`;
}

/** Whether a pattern over session keys, given with any tail, covers a key. */
export function coversKey(pattern: string, key: string): boolean {
  const wanted = expand(pattern);
  const tokens = key.split('.');
  return tokens.every((token, index) => wanted[index] === '*' || wanted[index] === token);
}

/** Addresses that were cut last: the same few come again and again, and tokens cut anew are hashed anew at each step. */
const cut = new Map<string, readonly string[]>();
const MAX_CUT = 16_384;

function tokensOf(address: string): readonly string[] {
  const known = cut.get(address);
  if (known !== undefined) return known;
  if (cut.size >= MAX_CUT) cut.clear();
  const tokens = address.split('.');
  cut.set(address, tokens);
  return tokens;
}

interface Node<T> {
  readonly children: Map<string, Node<T>>;
  readonly exact: Set<T>;
  readonly rest: Set<T>;
}

/** Values by pattern: finds all whose pattern matches an address, at a cost that does not grow with the patterns that do not. */
export class PatternTrie<T> {
  readonly #root: Node<T> = node();
  #size = 0;

  /** How many (pattern, value) pairs it holds. */
  get size(): number {
    return this.#size;
  }

  add(pattern: string, value: T): void {
    const set = this.#find(pattern, true);
    if (set === undefined || set.has(value)) return;
    set.add(value);
    this.#size++;
  }

  /** Whether it was there. */
  delete(pattern: string, value: T): boolean {
    const removed = this.#find(pattern, false)?.delete(value) ?? false;
    if (removed) {
      this.#size--;
      this.#prune(this.#root, pattern.split('.'), 0);
    }
    return removed;
  }

  /** Calls `visit` for each value whose pattern matches, each once a pattern. */
  match(address: string, visit: (value: T) => void): void {
    walk(this.#root, tokensOf(address), 0, visit);
  }

  #find(pattern: string, create: boolean): Set<T> | undefined {
    let at = this.#root;
    for (const token of pattern.split('.')) {
      if (token === '>') return at.rest;
      let next = at.children.get(token);
      if (next === undefined) {
        if (!create) return undefined;
        next = node();
        at.children.set(token, next);
      }
      at = next;
    }
    return at.exact;
  }

  #prune(at: Node<T>, tokens: readonly string[], index: number): void {
    const token = tokens[index];
    const next = token === undefined ? undefined : at.children.get(token);
    if (token === undefined || next === undefined) return;
    this.#prune(next, tokens, index + 1);
    if (next.children.size === 0 && next.exact.size === 0 && next.rest.size === 0) at.children.delete(token);
  }
}

function node<T>(): Node<T> {
  return { children: new Map(), exact: new Set(), rest: new Set() };
}

function walk<T>(at: Node<T>, tokens: readonly string[], index: number, visit: (value: T) => void): void {
  const token = tokens[index];
  if (token === undefined) {
    for (const value of at.exact) visit(value);
    return;
  }
  for (const value of at.rest) visit(value);
  const exact = at.children.get(token);
  if (exact !== undefined) walk(exact, tokens, index + 1, visit);
  const any = at.children.get('*');
  if (any !== undefined) walk(any, tokens, index + 1, visit);
}
