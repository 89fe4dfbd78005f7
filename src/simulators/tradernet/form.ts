import type { ApiRequest } from './http.js';
import type { Fields } from './keys.js';
import { refusals } from './refusal.js';

/** `a[b][c]=d` deeper than this is refused. */
const MAX_DEPTH = 8;

/** A form, URL-encoded or in parts; empty where the body is neither. */
export async function formOf({
  body,
  contentType,
}: Pick<ApiRequest, 'body' | 'contentType'>): Promise<URLSearchParams> {
  const form = new URLSearchParams();
  try {
    const fields = await new Response(body, { headers: { 'content-type': contentType } }).formData();
    for (const [name, value] of fields) if (typeof value === 'string') form.append(name, value);
  } catch {
    // no form
  }
  return form;
}

/** A form's fields, nested where their names say so: `params[safetyTypeId]=3`. */
export function fieldsOf(form: URLSearchParams): Fields {
  const root: Nested = Object.create(null);
  for (const [name, value] of form) {
    const [head = '', ...inner] = name.split('[');
    const path = [head, ...inner.map((part) => part.replace(/\]$/, ''))];
    if (path.length > MAX_DEPTH) throw refusals.badParams(head);
    put(root, path, value);
  }
  return root;
}

interface Nested {
  [name: string]: string | Nested;
}

function put(into: Nested, [name = '', ...rest]: readonly string[], value: string): void {
  if (rest.length === 0) {
    into[name] = value;
    return;
  }
  const inside = into[name];
  const next: Nested = typeof inside === 'object' ? inside : Object.create(null);
  into[name] = next;
  put(next, rest, value);
}
