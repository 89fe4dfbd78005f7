import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { cli } from '../support/cli-run.js';
import { secret } from '../support/secrets.js';

/** A configuration that cannot be read is told by its line, and what stands there is not repeated: it may be a credential. */
const folder = mkdtempSync(join(tmpdir(), 'session-relay-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const SECRET = secret('S3cr3t-of-a-typist');

test.each([
  ['a quoted text behind another', `clientSecret: "a" "${SECRET}"`],
  ['a quote that is not closed', `clientSecret: "${SECRET}`],
  ['an alias of nothing', `clientSecret: *${SECRET}`],
  ['an anchor', `clientSecret: &${SECRET} *${SECRET}x`],
  ['a tag of nobody', `clientSecret: !${SECRET}!x x`],
  ['an escape that is none', `clientSecret: "\\q${SECRET}"`],
  ['a brace', `clientSecret: }${SECRET}`],
  ['a percent sign', `clientSecret: x\n%${SECRET}`],
  ['a reserved character', `clientSecret: @${SECRET}`],
  ['a back tick', `clientSecret: \`${SECRET}`],
  ['a text without a key', `${SECRET}`],
  ['a list in its place', `clientSecret: [${SECRET}`],
  ['a block that is none', `clientSecret: |${SECRET}`],
  ['a map in its place', `clientSecret: ${SECRET}: x: y`],
  ['a key that is none', `clientSecret: x\n      "${SECRET} ": y`],
  ['a colon too few', `clientSecret ${SECRET}: y`],
])('%s is told without it', async (_what, line) => {
  const file = join(folder, 'relay.yaml');
  writeFileSync(
    file,
    `sources:\n  - venue: deribit\n    id: main\n    credentials:\n      clientId: a\n      ${line}\n`,
  );
  for (const command of ['check', 'serve']) {
    const run = cli([command, '--config', file]);
    expect(await run.code).toBe(2);
    expect(run.stderr()).toContain('relay.yaml');
    expect(run.stderr()).not.toContain(SECRET);
    expect(run.stderr().split('\n')[0]?.length).toBeGreaterThan(file.length + 20);
  }
});
