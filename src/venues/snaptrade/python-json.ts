import type { Json } from '../../model/json.js';

/**
 * JSON as Python's `json.dumps(value, separators=(",", ":"), sort_keys=True)` prints it: what SnapTrade signs (SnapTrade
 * docs, webhooks and request signatures). It escapes everything beyond ASCII, keeps `1.0` apart from `1`, prints floats
 * as `repr` does and sorts keys by code point, so that a value must not pass through `JSON.parse` on its way here.
 */
export type PythonJson =
  | null
  | boolean
  | string
  /** A number, already in Python's spelling. */
  | { readonly number: string }
  | { readonly items: readonly PythonJson[] }
  | { readonly fields: ReadonlyMap<string, PythonJson> };

/** Deeper nesting is refused: no message of the venue's comes near it, and a stack has an end. */
const MAX_DEPTH = 64;

const NUMBER = /-?(?:0|[1-9]\d*)(\.\d+)?([eE][+-]?\d+)?/y;
const STRING = /"[^"\\]*(?:\\.[^"\\]*)*"/y;
const SPACE = /[ \t\n\r]*/y;

/** Reads JSON and keeps how numbers were written. `undefined` where it is none, or is nested too deeply. */
export function readPythonJson(text: string): PythonJson | undefined {
  let at = 0;
  const match = (pattern: RegExp): RegExpExecArray | undefined => {
    pattern.lastIndex = at;
    const found = pattern.exec(text);
    if (found === null) return undefined;
    at = pattern.lastIndex;
    return found;
  };
  const skip = (word: string): boolean => {
    match(SPACE);
    if (!text.startsWith(word, at)) return false;
    at += word.length;
    return true;
  };
  const readString = (): string => {
    match(SPACE);
    const found = match(STRING);
    if (found === undefined) throw new NotJson();
    try {
      return String(JSON.parse(found[0]));
    } catch {
      throw new NotJson();
    }
  };
  const readItems = (depth: number): readonly PythonJson[] => {
    const items: PythonJson[] = [];
    if (skip(']')) return items;
    do items.push(readValue(depth));
    while (skip(','));
    if (!skip(']')) throw new NotJson();
    return items;
  };
  const readFields = (depth: number): ReadonlyMap<string, PythonJson> => {
    const fields = new Map<string, PythonJson>();
    if (skip('}')) return fields;
    do {
      const name = readString();
      if (!skip(':')) throw new NotJson();
      fields.set(name, readValue(depth)); // of two that are named alike Python keeps the last
    } while (skip(','));
    if (!skip('}')) throw new NotJson();
    return fields;
  };
  const readValue = (depth: number): PythonJson => {
    if (depth > MAX_DEPTH) throw new NotJson();
    if (skip('{')) return { fields: readFields(depth + 1) };
    if (skip('[')) return { items: readItems(depth + 1) };
    if (text[at] === '"') return readString();
    if (skip('true')) return true;
    if (skip('false')) return false;
    if (skip('null')) return null;
    const number = match(NUMBER);
    if (number === undefined) throw new NotJson();
    const [lexeme, fraction, exponent] = number;
    return { number: fraction === undefined && exponent === undefined ? integer(lexeme) : pythonFloat(Number(lexeme)) };
  };

  try {
    const value = readValue(0);
    match(SPACE);
    return at === text.length ? value : undefined;
  } catch (thrown) {
    if (thrown instanceof NotJson) return undefined;
    throw thrown;
  }
}

class NotJson extends Error {}

function integer(lexeme: string): string {
  return lexeme === '-0' ? '0' : lexeme;
}

/** `repr(float)`: the shortest digits that read back, an exponent below 1e-4 and from 1e16 on, `.0` on whole numbers. */
export function pythonFloat(value: number): string {
  if (!Number.isFinite(value)) return Number.isNaN(value) ? 'NaN' : value > 0 ? 'Infinity' : '-Infinity';
  if (value === 0) return Object.is(value, -0) ? '-0.0' : '0.0';
  const [mantissa = '', power = '0'] = value.toExponential().split('e');
  const exponent = Number(power);
  if (exponent < -4 || exponent >= 16) {
    return `${mantissa}e${exponent < 0 ? '-' : '+'}${String(Math.abs(exponent)).padStart(2, '0')}`;
  }
  const sign = mantissa.startsWith('-') ? '-' : '';
  const digits = mantissa.replace(/[-.]/g, '');
  if (exponent < 0) return `${sign}0.${'0'.repeat(-exponent - 1)}${digits}`;
  const whole = digits.slice(0, exponent + 1).padEnd(exponent + 1, '0');
  return `${sign}${whole}.${digits.slice(exponent + 1) || '0'}`;
}

/** Prints what {@link readPythonJson} read. */
export function printPythonJson(value: PythonJson): string {
  if (value === null || typeof value === 'boolean') return String(value);
  if (typeof value === 'string') return quote(value);
  if ('number' in value) return value.number;
  if ('items' in value) return `[${value.items.map(printPythonJson).join(',')}]`;
  const fields = [...value.fields].toSorted(([a], [b]) => compareCodePoints(a, b));
  return `{${fields.map(([name, inner]) => `${quote(name)}:${printPythonJson(inner)}`).join(',')}}`;
}

/** A value of our own: a number is an integer to Python where `JSON.stringify` writes it as one. */
export function toPythonJson(value: Json): PythonJson {
  if (value === null || typeof value === 'boolean' || typeof value === 'string') return value;
  if (typeof value === 'number') {
    const lexeme = JSON.stringify(value);
    return { number: /^-?\d+$/.test(lexeme) ? lexeme : pythonFloat(value) };
  }
  if (Array.isArray(value)) return { items: value.map((item: Json) => toPythonJson(item)) };
  return { fields: new Map(Object.entries(value).map(([name, inner]) => [name, toPythonJson(inner)])) };
}

/** What was read, as a value of ours; how numbers were written is lost. */
export function fromPythonJson(value: PythonJson): Json {
  if (value === null || typeof value === 'boolean' || typeof value === 'string') return value;
  if ('number' in value) {
    const number = Number(value.number);
    return Number.isFinite(number) ? number : null;
  }
  if ('items' in value) return value.items.map(fromPythonJson);
  return Object.fromEntries([...value.fields].map(([name, inner]) => [name, fromPythonJson(inner)]));
}

const SHORT: Readonly<Record<string, string>> = {
  '"': '\\"',
  '\\': '\\\\',
  '\n': '\\n',
  '\r': '\\r',
  '\t': '\\t',
  '\f': '\\f',
  '\b': '\\b',
};

function quote(text: string): string {
  const escaped = text.replace(
    /["\\]|[^ -~]/g,
    (unit) => SHORT[unit] ?? `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
  return `"${escaped}"`;
}

/** JavaScript orders texts by UTF-16 unit, Python by code point: they differ beyond U+FFFF. */
function compareCodePoints(a: string, b: string): number {
  const left = [...a];
  const right = [...b];
  for (let index = 0; index < Math.min(left.length, right.length); index++) {
    const difference = (left[index]?.codePointAt(0) ?? 0) - (right[index]?.codePointAt(0) ?? 0);
    if (difference !== 0) return difference;
  }
  return left.length - right.length;
}
