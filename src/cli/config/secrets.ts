import { readFileSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { type Document, isPair, isScalar, isSeq, visit } from 'yaml';
import { messageOf } from '../../errors.js';
import type { Path } from './locate.js';

/** `${NAME}`, `${file:PATH}`, `$${` for a literal `${`, or a `${` that is never closed. */
const PLACEHOLDER = /\$?\$\{(?:([^}]*)\})?/g;
const VARIABLE = /^[A-Za-z_][A-Za-z0-9_]*$/;
const FILE = 'file:';

/**
 * Replaces `${NAME}` (an environment variable) and `${file:PATH}` (a file's content without its last line break; a
 * relative path counts from the configuration's folder) in every value. What was put in is not looked at again, and is
 * in no message.
 */
export function substituteSecrets(
  document: Document,
  { env, file }: { readonly env: Readonly<Record<string, string | undefined>>; readonly file: string },
  missing: (path: Path, message: string) => void,
): void {
  visit(document, {
    Scalar(key, node, ancestors) {
      if (typeof node.value !== 'string' || key === 'key' || !node.value.includes('${')) return;
      const path = pathOf(ancestors, node);
      const fail = (message: string): string => {
        missing(path, message);
        return '';
      };
      node.value = node.value.replaceAll(PLACEHOLDER, (whole, name: string | undefined) => {
        if (whole.startsWith('$$')) return whole.slice(1);
        if (name === undefined) return fail('a ${ is never closed: write $${ for a literal one');
        if (name.startsWith(FILE)) return contentOf(resolve(dirname(file), name.slice(FILE.length)), fail);
        if (!VARIABLE.test(name))
          return fail(`\${${name}} names no environment variable: write $\${ for a literal one`);
        const value = env[name] ?? '';
        return value === '' ? fail(`the environment variable ${name} is not set`) : value;
      });
    },
  });
}

function contentOf(path: string, fail: (message: string) => string): string {
  let content: string;
  try {
    content = readFileSync(path, 'utf8').replace(/\r?\n$/, '');
  } catch (cause) {
    return fail(`the file ${path} cannot be read: ${messageOf(cause)}`);
  }
  return content === '' ? fail(`the file ${path} is empty`) : content;
}

function pathOf(ancestors: readonly unknown[], leaf: unknown): Path {
  const path: (string | number)[] = [];
  const chain = [...ancestors, leaf];
  for (const [index, node] of chain.entries()) {
    if (isPair(node)) path.push(isScalar(node.key) ? String(node.key.value) : '?');
    else if (isSeq(node)) path.push(node.items.indexOf(chain[index + 1]));
  }
  return path;
}
