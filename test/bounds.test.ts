import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';

/**
 * ARCHITECTURE.md, "Every queue and its bound": each row names one thing that can grow, and the test file that drives it
 * to its bound. A row without a test, or a test without a row, is a promise that nobody keeps.
 */
const root = fileURLToPath(new URL('..', import.meta.url));
const HEADING = '## Every queue and its bound';

interface Row {
  readonly what: string;
  readonly bound: string;
  readonly beyond: string;
  readonly file: string;
}

function rows(): readonly Row[] {
  const [, section = ''] = readFileSync(`${root}ARCHITECTURE.md`, 'utf8').split(HEADING);
  return (
    section
      .split('\n## ')[0]
      ?.split('\n')
      .flatMap((line) => {
        const [, what, bound, beyond, file] = /^\| ([^|]+) \| ([^|]+) \| ([^|]+) \| `([^|`]+)` \|$/.exec(line) ?? [];
        if (what === undefined || bound === undefined || beyond === undefined || file === undefined) return [];
        return [{ what, bound, beyond, file }];
      }) ?? []
  );
}

/** What the tests of a file name before the colon: `inbox: 200,000 facts; …`. */
function named(file: string): readonly string[] {
  const text = readFileSync(`${root}${file}`, 'utf8');
  return [...text.matchAll(/\btest\('([^':]+): /g)].flatMap(([, name]) => name?.split(', ')[0] ?? []);
}

test('the table is there and whole', () => {
  expect(rows().length).toBeGreaterThan(25);
  expect(new Set(rows().map(({ what }) => what)).size).toBe(rows().length);
});

describe.each(rows())('$what: $bound', ({ what, file }) => {
  test(`is driven to its bound by ${file}`, () => {
    if (file.startsWith('test/bounds/')) expect(named(file)).toContain(what);
    else expect(readFileSync(`${root}${file}`, 'utf8')).toContain('test(');
  });
});

test('each bound that a test drives is in the table', () => {
  const files = readdirSync(`${root}test/bounds`).map((name) => `test/bounds/${name}`);
  const tested = files.flatMap((file) => named(file).map((what) => `${file} ${what}`));
  expect([...new Set(tested)].toSorted()).toEqual(
    rows()
      .filter(({ file }) => file.startsWith('test/bounds/'))
      .map(({ file, what }) => `${file} ${what}`)
      .toSorted(),
  );
});
