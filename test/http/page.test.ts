import { randomBytes } from 'node:crypto';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { brotliCompressSync, constants, gzipSync } from 'node:zlib';
import { afterEach, describe, expect, test } from 'vitest';
import { exchange } from '../support/raw-http.js';
import { closeTestRelays, startTestRelay, TRANSPORTS } from '../support/relay.js';
import { removeTempFolders, tempFolder } from '../support/temp-folder.js';

/** `GET /` (PROTOCOL.md §5): the built page, from a folder that a test makes; what Chromium makes of it: test/browser. */
afterEach(async () => {
  await closeTestRelays();
  removeTempFolders();
});

const HTML = '<!doctype html><title>page</title>';
/** Larger than any socket's buffer, also when it is compressed. */
const SCRIPT = randomBytes(1_500_000).toString('hex');
const SECRET = 'outside the page';
const BUILT = Object.entries({
  'index.html': HTML,
  'LICENSES.txt': 'MIT',
  'assets/index-abcdefgh.js': SCRIPT,
  'assets/index-abcdefgh.css': 'a{}',
}).flatMap(([name, text]) => [
  [name, Buffer.from(text)] as const,
  [`${name}.gz`, gzipSync(text, { level: 1 })] as const,
  [`${name}.br`, brotliCompressSync(text, { params: { [constants.BROTLI_PARAM_QUALITY]: 1 } })] as const,
]);
const lengthOf = (name: string): number => BUILT.find(([one]) => one === name)?.[1].length ?? 0;

async function builtPage(): Promise<string> {
  const folder = join(tempFolder(), 'dashboard');
  await mkdir(join(folder, 'assets'), { recursive: true });
  for (const [name, bytes] of BUILT) await writeFile(join(folder, name), bytes);
  await writeFile(join(folder, '..', 'secret.txt'), SECRET);
  return folder;
}

/** As it leaves the relay: `fetch` decodes, and asks for what it can decode by itself. */
const raw = (url: string, method: string, path: string, headers = ''): Promise<string> => {
  const { host } = new URL(url);
  const request = `${method} ${path} HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n${headers}\r\n`;
  return exchange(url, request, /\r\n\r\n[\s\S]*\}$|^HTTP\/1\.1 (?:200|304)[\s\S]*\r\n\r\n/);
};

describe.each(TRANSPORTS)('the page over %s', (transport) => {
  test('is served at /, for every look anew, with the headers that fence it in', async () => {
    const { url } = await startTestRelay(transport, { dashboard: await builtPage() });
    const answer = await fetch(`${url}/`);
    expect(answer.status).toBe(200);
    expect(await answer.text()).toBe(HTML);
    expect(Object.fromEntries(answer.headers)).toMatchObject({
      'content-type': 'text/html; charset=utf-8',
      'cache-control': 'no-cache',
      'x-content-type-options': 'nosniff',
      'referrer-policy': 'no-referrer',
      'cross-origin-opener-policy': 'same-origin',
      vary: 'Accept-Encoding',
      etag: expect.stringMatching(/^"[\w-]{43}"$/),
    });
    const policy = answer.headers.get('content-security-policy')?.split('; ');
    expect(policy).toEqual([
      "default-src 'none'",
      "script-src 'self'",
      "style-src 'self'",
      "connect-src 'self'",
      "img-src 'self' data:",
      "base-uri 'none'",
      "form-action 'none'",
      "frame-ancestors 'none'",
      "require-trusted-types-for 'script'",
      "trusted-types 'none'",
    ]);
  });

  test('what it loads is kept by browsers for ever, whole, whatever its size', async () => {
    const { url } = await startTestRelay(transport, { dashboard: await builtPage() });
    for (const coding of ['identity', 'gzip', 'br']) {
      const answer = await fetch(`${url}/assets/index-abcdefgh.js`, { headers: { 'accept-encoding': coding } });
      expect(answer.headers.get('cache-control')).toBe('public, max-age=31536000, immutable');
      expect(answer.headers.get('content-type')).toBe('text/javascript; charset=utf-8');
      expect(answer.headers.get('content-encoding')).toBe(coding === 'identity' ? null : coding);
      expect((await answer.text()) === SCRIPT).toBe(true);
    }
    const licences = await fetch(`${url}/LICENSES.txt`);
    expect([licences.headers.get('cache-control'), await licences.text()]).toEqual(['no-cache', 'MIT']);
  });

  test.each<readonly [string, string | null]>([
    ['', null],
    ['Accept-Encoding: *\r\n', null],
    ['Accept-Encoding: deflate, gzip;q=0\r\n', null],
    ['Accept-Encoding: gzip\r\n', 'gzip'],
    ['Accept-Encoding: gzip, deflate, BR;q=0.1\r\n', 'br'],
    ['Accept-Encoding: br; q=0.000 , gzip;q=1\r\n', 'gzip'],
  ])('%j gets the coding %s, and a tag of its own', async (header, coding) => {
    const { url } = await startTestRelay(transport, { dashboard: await builtPage() });
    const answer = await raw(url, 'HEAD', '/', header);
    expect(/content-encoding: (\w+)/i.exec(answer)?.[1] ?? null).toBe(coding);
    const suffix = { gzip: '.gz', br: '.br' }[coding ?? ''] ?? '';
    expect(Number(/content-length: (\d+)/i.exec(answer)?.[1])).toBe(lengthOf(`index.html${suffix}`));
    const [, etag] = /etag: (\S+)/i.exec(answer) ?? [];
    const again = await raw(url, 'GET', '/', `${header}If-None-Match: "other", ${etag}\r\n`);
    expect(again).toMatch(/^HTTP\/1\.1 304 /);
    expect(again.slice(again.indexOf('\r\n\r\n'))).toBe('\r\n\r\n');
    // The same page in another coding is other bytes.
    const inOther = coding === 'gzip' ? '' : 'Accept-Encoding: gzip\r\n';
    expect(await raw(url, 'HEAD', '/', `${inOther}If-None-Match: ${etag}\r\n`)).toMatch(/^HTTP\/1\.1 200 /);
  });

  test('HEAD tells the length and sends no byte of the body', async () => {
    const { url } = await startTestRelay(transport, { dashboard: await builtPage() });
    const answer = await fetch(`${url}/assets/index-abcdefgh.js`, {
      method: 'HEAD',
      headers: { 'accept-encoding': 'identity' },
    });
    expect([answer.status, answer.headers.get('content-length')]).toEqual([200, String(SCRIPT.length)]);
    expect(await answer.text()).toBe('');
  });

  test('nothing but what was read at the start is reached, by whatever spelling', async () => {
    const folder = await builtPage();
    const { url } = await startTestRelay(transport, { dashboard: folder });
    await writeFile(join(folder, 'assets', 'later.js'), SECRET);
    for (const path of [
      '/assets/later.js',
      '/assets/',
      '/assets',
      '/index.html',
      '/index.html.gz',
      '/assets/index-abcdefgh.js.br',
      '/../secret.txt',
      '/assets/../../secret.txt',
      '/assets/..%2f..%2fsecret.txt',
      '/assets/%2e%2e/%2e%2e/secret.txt',
      '/assets/..\\..\\secret.txt',
      '/assets/%00',
      '/assets/__proto__',
      '/constructor',
    ]) {
      const answer = await raw(url, 'GET', path);
      expect([path, /^HTTP\/1\.1 (\d+)/.exec(answer)?.[1]]).toEqual([path, '404']);
      expect(answer).not.toContain(SECRET);
    }
  });

  test('other methods are told which there are', async () => {
    const { url } = await startTestRelay(transport, { dashboard: await builtPage() });
    for (const path of ['/', '/assets/index-abcdefgh.js']) {
      const answer = await fetch(`${url}${path}`, { method: 'POST', body: 'x' });
      expect([answer.status, answer.headers.get('allow')]).toEqual([405, 'GET, HEAD']);
    }
  });

  test('with keys it is open without a token, and by any name; without auth by loopback names alone', async () => {
    const dashboard = await builtPage();
    const keys = [{ name: 'a', sha256: '0'.repeat(64), channels: ['>'], commands: [], fields: 'full' as const }];
    const guarded = await startTestRelay(transport, { dashboard, auth: { mode: 'keys', keys } });
    expect((await fetch(`${guarded.url}/v1/sessions`)).status).toBe(401);
    const byName = 'GET / HTTP/1.1\r\nHost: relay.example\r\n\r\n';
    expect(await exchange(guarded.url, byName, /<\/title>/)).toContain(HTML);
    const open = await startTestRelay(transport, { dashboard });
    for (const path of ['/', '/assets/index-abcdefgh.js', '/LICENSES.txt']) {
      const request = `GET ${path} HTTP/1.1\r\nHost: relay.example\r\n\r\n`;
      expect(await exchange(open.url, request, /\}$/)).toMatch(/^HTTP\/1\.1 403 /);
    }
  });

  test('a relay whose page was not built says so at /, and serves all the rest', async () => {
    const { url, logged } = await startTestRelay(transport, { dashboard: join(tempFolder(), 'none') });
    const answer = await fetch(`${url}/`);
    expect([answer.status, answer.headers.get('content-type')]).toEqual([501, 'application/problem+json']);
    expect(await answer.json()).toMatchObject({ detail: expect.stringContaining('npm run build') });
    expect((await fetch(`${url}/v1/sessions`)).status).toBe(200);
    expect(logged.filter((line) => line.includes('no dashboard'))).toHaveLength(1);
  });
});
