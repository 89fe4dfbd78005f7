import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { createSweep, MIN_SECRET_CHARACTERS } from '../support/secrets.js';
import { showToSweep } from '../support/secrets-plugin.js';

/** The sweep for secrets over the whole test run (test/support/secrets.ts): that it would find one. */
const ROOT = new URL('../..', import.meta.url).pathname;

describe('a vitest of its own, over tests that leak and pass', () => {
  let output = '';
  let code: number | null = null;
  beforeAll(async () => {
    const child = spawn(process.execPath, ['test/security/planted/run.mjs'], {
      cwd: ROOT,
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    for (const stream of [child.stdout, child.stderr])
      stream.setEncoding('utf8').on('data', (text: string) => (output += text));
    [code] = (await once(child, 'close')) as [number | null];
  }, 120_000);

  test('fails, though each of its tests passes', () => {
    expect(output).toContain('a secret has leaked');
    expect(code).toBe(1);
    expect(output).not.toMatch(/AssertionError/);
  });

  test.each([
    ['planted_event', /in an event, or what is remembered with it: .*planted_event/],
    ['planted_memory', /in an event, or what is remembered with it: .*planted_memory/],
    ['planted_log', /in a log line \(error\): .*planted_log/],
    ['planted_message', /in an error: .*planted_message/],
    ['planted_data', /in an error: .*planted_data/],
    ['planted_cause', /in an error: .*planted_cause/],
    ['planted_answer', /in a frame to a subscriber: .*planted_answer/],
    ['planted_answer', /in an HTTP body: .*planted_answer/],
    ['planted_stderr', /in the output of the process: .*planted_stderr/],
    ['planted_cli', /in the stderr of the command line: .*planted_cli/],
    ['planted_child', /in the stdout of a child process: .*planted_child/],
    ['planted_issued', /in an error: planted_issued/],
    ['planted_made', /in an error: planted_made/],
  ])('and says where it found %s', (_what, line) => {
    expect(output).toMatch(line);
  });
});

describe('what is searched for', () => {
  test.each([
    ['as it is', 'pass word/+ü'],
    ['in a URL', encodeURIComponent('pass word/+ü')],
    ['in a form', encodeURIComponent('pass word/+ü').replaceAll('%20', '+')],
    ['in base64', Buffer.from('pass word/+ü').toString('base64')],
  ])('is found %s, and never repeated', (_how, text) => {
    const sweep = createSweep(['pass word/+ü']);
    sweep.look('here', `{"before":"${text}","after":1}`);
    const leaks = sweep.take();
    expect(leaks).toEqual([{ where: 'here', excerpt: expect.stringContaining('"before":"<the secret>') }]);
    expect(JSON.stringify(leaks)).not.toContain(text);
    expect(sweep.take()).toEqual([]);
  });

  test('is no secret that cannot be told from other text', () => {
    expect(() => createSweep([]).add('x'.repeat(MIN_SECRET_CHARACTERS - 1))).toThrow(/make it longer/);
  });

  test('every credential that is written in a test or a simulator is one of them', () => {
    const NAMED =
      /\b(?:clientSecret|client_secret|consumerKey|consumer_key|userSecret|user_secret|password|secretKey|secret_key|webhookSecret|access_token|refresh_token|sid|SID|SECRET|SESSION|KEY)"?\s*[:=]\s*(['"`])((?:(?!\1)[^\\\n${}]){8,})\1/g;
    const sweep = createSweep();
    const missing: string[] = [];
    for (const file of ['test', 'src/simulators'].flatMap(filesOf)) {
      if (file.includes('/planted/') || file.endsWith('sweep.test.ts')) continue;
      for (const [, , value = ''] of readFileSync(file, 'utf8').matchAll(NAMED)) {
        // What is masked, and the key of a session, are none.
        if (value === '[redacted]' || /^(deribit|tradernet|ibkr|snaptrade)\.\w+\.\w+$/.test(value)) continue;
        sweep.look('', value);
        if (sweep.take().length === 0) missing.push(`${file.slice(ROOT.length)}: ${value}`);
      }
    }
    expect(missing).toEqual([]);
  });
});

function filesOf(folder: string): readonly string[] {
  return readdirSync(join(ROOT, folder), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.ts'))
    .map((name) => join(ROOT, folder, name));
}

test('what shows the product’s own writing to the sweep fails where it no longer fits', () => {
  const { transform } = showToSweep();
  expect(transform('log.warn("x", { a });\nports.log.error("y");', '/r/src/hub/x.ts')?.code).toBe(
    '(globalThis.__secretSweep?.log(log) ?? log).warn("x", { a });\nports.(globalThis.__secretSweep?.log(log) ?? log).error("y");',
  );
  expect(() => transform('export class Changed {}', '/r/src/errors.ts')).toThrow(/no longer fits/);
  expect(transform('log.warn(1)', '/r/test/x.ts')).toBeUndefined();
});
