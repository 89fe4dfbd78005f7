import type { Json, JsonObject } from '../model/json.js';

/**
 * Checks by hand what comes off the wire: a guard that fails means that the value must not be used. Objects may hold
 * more than is asked for. (The relay's own side uses zod; a page need not load it.)
 */
export type Guard<T> = (value: unknown) => value is T;

type Guarded<G> = G extends Guard<infer T> ? T : never;
type Guards = { readonly [name: string]: Guard<unknown> };
type Shape<R extends Guards, O extends Guards> = { readonly [K in keyof R]: Guarded<R[K]> } & {
  readonly [K in keyof O]?: Guarded<O[K]>;
};

export const string: Guard<string> = (value) => typeof value === 'string';
export const number: Guard<number> = (value) => typeof value === 'number';
export const boolean: Guard<boolean> = (value) => typeof value === 'boolean';
export const anything: Guard<unknown> = (_): _ is unknown => true;
/** What `JSON.parse` made is JSON. */
export const json: Guard<Json> = (_): _ is Json => true;
/** An object, not an array. What `JSON.parse` made holds nothing but JSON. */
export const record: Guard<JsonObject> = (value): value is JsonObject =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

export function oneOf<const T extends readonly (string | boolean)[]>(values: T): Guard<T[number]> {
  return (value): value is T[number] => values.some((one) => one === value);
}

export function either<A, B>(a: Guard<A>, b: Guard<B>): Guard<A | B> {
  return (value): value is A | B => a(value) || b(value);
}

export const nothing: Guard<null> = (value) => value === null;

export function list<T>(item: Guard<T>): Guard<readonly T[]> {
  return (value): value is readonly T[] => Array.isArray(value) && value.every(item);
}

/** Every value of an object. */
export function dictionary<T>(item: Guard<T>): Guard<{ readonly [name: string]: T }> {
  return (value): value is { readonly [name: string]: T } => record(value) && Object.values(value).every(item);
}

/** `required` must be there and fit; `optional` must fit where it is there. */
export function shape<R extends Guards, O extends Guards = Record<never, never>>(
  required: R,
  optional?: O,
): Guard<Shape<R, O>> {
  const needed = Object.entries(required);
  const possible = Object.entries(optional ?? {});
  return (value): value is Shape<R, O> =>
    record(value) &&
    // `value[name]` of what was never sent may be inherited (`constructor`): only its own fields count.
    needed.every(([name, fits]) => Object.hasOwn(value, name) && fits(value[name])) &&
    possible.every(([name, fits]) => !Object.hasOwn(value, name) || fits(value[name]));
}
