import { readdirSync, readFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { brotliDecompressSync, gunzipSync } from 'node:zlib';
import { describe, expect, test } from 'vitest';

/** What `npm run build` makes of src/dashboard, as it is packed. */
const root = fileURLToPath(new URL('..', import.meta.url));
const folder = join(root, 'dist', 'dashboard');
const files = readdirSync(folder, { recursive: true, withFileTypes: true })
  .filter((entry) => entry.isFile())
  .map((entry) => join(entry.parentPath, entry.name));
const plain = files.filter((path) => !/\.(br|gz)$/.test(path));
const text = (path: string): string => readFileSync(path, 'utf8');
/** A page that is opened in an emergency comes over a bad line. */
const BUDGET_BYTES = 100_000;

describe('the built page', () => {
  test('every file is there plain and compressed, and the compressed ones hold the same', () => {
    expect(
      plain.map((path) => relative(folder, path)).filter((path) => !/^assets.[\w-]+-[\w-]{8}\.\w+$/.test(path)),
    ).toEqual(['LICENSES.txt', 'index.html']);
    for (const path of plain) {
      const bytes = readFileSync(path);
      expect(brotliDecompressSync(readFileSync(`${path}.br`)).equals(bytes)).toBe(true);
      expect(gunzipSync(readFileSync(`${path}.gz`)).equals(bytes)).toBe(true);
    }
  });

  test('it tells nothing of the machine that built it, and has no source map', () => {
    for (const path of plain) {
      expect(path).not.toMatch(/\.map$/);
      expect(text(path)).not.toMatch(/sourceMappingURL|node_modules/);
      expect(text(path)).not.toContain(root);
    }
  });

  test('its HTML has no script and no style of its own, which its policy would refuse', () => {
    const html = text(join(folder, 'index.html'));
    expect(html.match(/<script(?![^>]*\ssrc=)/g)).toBeNull();
    expect(html.match(/<style|\sstyle=|\son\w+=/g)).toBeNull();
  });

  test('the licences of what is bundled are beside it', () => {
    const licences = text(join(folder, 'LICENSES.txt'));
    expect([...licences.matchAll(/^## (\S+) - \S+ \((.+)\)$/gm)].map(([, name, licence]) => [name, licence])).toEqual([
      ['preact', 'MIT'],
      ['rxjs', 'Apache-2.0'],
      // What rxjs's compiler left to it.
      ['tslib', '0BSD'],
      ['uplot', 'MIT'],
    ]);
  });

  test(`it is at most ${BUDGET_BYTES} bytes over the line`, () => {
    const sent = files.filter((path) => path.endsWith('.gz') && !path.includes('LICENSES'));
    expect(sent.reduce((sum, path) => sum + readFileSync(path).length, 0)).toBeLessThan(BUDGET_BYTES);
  });
});
