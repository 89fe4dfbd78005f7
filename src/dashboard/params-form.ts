import type { Json } from '../client/index.js';

/** One field of a command's form, of the JSON Schema that the relay gives for its parameters. */
export interface Field {
  readonly name: string;
  readonly kind: 'choice' | 'integer' | 'boolean' | 'text' | 'json';
  readonly required: boolean;
  readonly about: string;
  readonly options: readonly string[];
  readonly min?: number;
  readonly max?: number;
  /** What stands in the field at first, as text. */
  readonly initial: string;
}

type Record_ = { readonly [name: string]: Json };

const isRecord = (value: Json | undefined): value is Record_ =>
  typeof value === 'object' && value !== null && !Array.isArray(value);
const text = (value: Json | undefined): string => (typeof value === 'string' ? value : '');

export function fieldsOf(schema: Json): readonly Field[] {
  if (!isRecord(schema) || !isRecord(schema.properties)) return [];
  const required = Array.isArray(schema.required) ? schema.required : [];
  return Object.entries(schema.properties).flatMap(([name, property]) =>
    isRecord(property) ? [fieldOf(name, property, required.includes(name))] : [],
  );
}

function fieldOf(name: string, property: Record_, required: boolean): Field {
  const { minimum, maximum } = property;
  const options = Array.isArray(property.enum) ? property.enum.filter((one) => typeof one === 'string') : [];
  return {
    name,
    kind: kindOf(property, options),
    required,
    about: text(property.description).replaceAll('`', ''),
    options,
    initial: property.default === undefined || property.default === null ? '' : String(property.default),
    ...(typeof minimum === 'number' ? { min: minimum } : {}),
    ...(typeof maximum === 'number' ? { max: maximum } : {}),
  };
}

function kindOf({ type }: Record_, options: readonly string[]): Field['kind'] {
  if (options.length > 0) return 'choice';
  switch (type) {
    case 'integer':
    case 'number':
      return 'integer';
    case 'boolean':
      return 'boolean';
    case 'string':
      return 'text';
    default:
      return 'json';
  }
}

export type Filled =
  | { readonly ok: true; readonly params: { readonly [name: string]: Json } }
  | { readonly ok: false; readonly name: string; readonly problem: string };

/** What was filled in, as parameters. An empty field is one that is not given. The relay checks them once more. */
export function paramsOf(fields: readonly Field[], filled: { readonly [name: string]: string }): Filled {
  const params: { [name: string]: Json } = {};
  for (const field of fields) {
    const said = (filled[field.name] ?? field.initial).trim();
    if (said === '') {
      if (field.required) return { ok: false, name: field.name, problem: `${field.name} is needed` };
      continue;
    }
    const value = readValue(field, said);
    if (value === undefined) return { ok: false, name: field.name, problem: problemOf(field) };
    params[field.name] = value;
  }
  return { ok: true, params };
}

function readValue({ kind, min, max, options }: Field, said: string): Json | undefined {
  switch (kind) {
    case 'integer': {
      const number = Number(said);
      const fits = Number.isFinite(number) && number >= (min ?? number) && number <= (max ?? number);
      return fits ? number : undefined;
    }
    case 'boolean':
      return said === 'true' ? true : said === 'false' ? false : undefined;
    case 'choice':
      return options.includes(said) ? said : undefined;
    case 'text':
      return said;
    case 'json':
      return parsed(said);
  }
}

function parsed(said: string): Json | undefined {
  try {
    return JSON.parse(said);
  } catch {
    return undefined;
  }
}

function problemOf({ name, kind, min, max, options }: Field): string {
  switch (kind) {
    case 'integer':
      return `${name} is a number${min === undefined ? '' : ` from ${min}`}${max === undefined ? '' : ` to ${max}`}`;
    case 'boolean':
      return `${name} is true or false`;
    case 'choice':
      return `${name} is one of ${options.join(', ')}`;
    case 'text':
      return `${name} is a text`;
    case 'json':
      return `${name} is JSON`;
  }
}
