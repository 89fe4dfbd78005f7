/** A number that Python holds as a float, so that it prints `1.0` where JavaScript prints `1`. */
export interface PythonFloat {
  readonly [FLOAT]: number;
}

const FLOAT = Symbol('float');

/** What JSON can say, with Python's difference between 1 and 1.0. */
export type PythonValue =
  | null
  | boolean
  | number
  | string
  | PythonFloat
  | readonly PythonValue[]
  | { readonly [key: string]: PythonValue };

export function pythonFloat(value: number): PythonFloat {
  return { [FLOAT]: value };
}

export interface DumpOptions {
  /** By code point, at every depth. */
  readonly sortKeys?: boolean;
  /** Default `', '` and `': '`, as Python writes by itself; compact is `','` and `':'`. */
  readonly compact?: boolean;
  /** Default true: what is not printable ASCII is written as `\uXXXX`, in lower case. */
  readonly ascii?: boolean;
}

/**
 * `json.dumps` of CPython 3. Numbers that JavaScript holds as integers print as such up to 2^53, all others as Python's
 * `repr` of a float does.
 */
export function dumps(value: PythonValue, options: DumpOptions = {}): string {
  const { sortKeys = false, compact = false, ascii = true } = options;
  const [comma, colon] = compact ? [',', ':'] : [', ', ': '];
  const text = (string: string): string => (ascii ? asciiText(string) : JSON.stringify(string));
  const write = (given: PythonValue): string => {
    if (given === null) return 'null';
    if (typeof given === 'boolean') return String(given);
    if (typeof given === 'number') return Number.isSafeInteger(given) ? String(given) : floatText(given);
    if (typeof given === 'string') return text(given);
    if (isList(given)) return `[${given.map(write).join(comma)}]`;
    if (isFloat(given)) return floatText(given[FLOAT]);
    const entries = Object.entries(given);
    if (sortKeys) entries.sort(([one], [other]) => byCodePoint(one, other));
    return `{${entries.map(([key, entry]) => text(key) + colon + write(entry)).join(comma)}}`;
  };
  return write(value);
}

function isList(value: PythonValue): value is readonly PythonValue[] {
  return Array.isArray(value);
}

function isFloat(value: PythonFloat | { readonly [key: string]: PythonValue }): value is PythonFloat {
  return FLOAT in value;
}

/** UTF-8 keeps the order of code points; UTF-16, which JavaScript compares by, does not. */
function byCodePoint(one: string, other: string): number {
  return Buffer.compare(Buffer.from(one), Buffer.from(other));
}

/** Python escapes DEL as well. */
function asciiText(text: string): string {
  return JSON.stringify(text).replace(
    /[\u007f-\uffff]/g,
    (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}

/** From here on, and below 10^-4, Python writes an exponent. */
const LEAST_EXPONENT = -4;
const MOST_EXPONENT = 16;

/** Both languages print the shortest digits that read back as the same number; they differ in where they put the point. */
function floatText(value: number): string {
  if (!Number.isFinite(value)) return Number.isNaN(value) ? 'NaN' : value > 0 ? 'Infinity' : '-Infinity';
  const sign = value < 0 || Object.is(value, -0) ? '-' : '';
  const [mantissa = '0', power = '0'] = Math.abs(value).toExponential().split('e');
  const digits = mantissa.replace('.', '');
  const exponent = Number(power);
  if (exponent < LEAST_EXPONENT || exponent >= MOST_EXPONENT) {
    const [first = '0', rest] = [digits.slice(0, 1), digits.slice(1)];
    const size = String(Math.abs(exponent)).padStart(2, '0');
    return `${sign}${first}${rest === '' ? '' : `.${rest}`}e${exponent < 0 ? '-' : '+'}${size}`;
  }
  if (exponent < 0) return `${sign}0.${'0'.repeat(-exponent - 1)}${digits}`;
  const whole = digits.slice(0, exponent + 1).padEnd(exponent + 1, '0');
  return `${sign}${whole}.${digits.slice(exponent + 1) || '0'}`;
}
