import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

export const README = readFileSync(fileURLToPath(new URL('../../README.md', import.meta.url)), 'utf8');

/** A code block of the README that is named before it: `<!-- example: NAME -->`. */
export function example(name: string): string {
  const [, code] = new RegExp(`<!-- example: ${name} -->\\n\`\`\`\\w+\\n([\\s\\S]*?)\`\`\``).exec(README) ?? [];
  if (code === undefined) throw new Error(`README has no example ${name}`);
  return code;
}
