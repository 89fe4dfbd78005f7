import { describe, expect, test } from 'vitest';
import { z } from 'zod';
import { tradernet, tradernetModule } from '../../../src/venues/tradernet/index.js';
import { tradernetConfig } from '../../../src/venues/tradernet/options.js';
import { targetOf } from '../../../src/venues/tradernet/target.js';
import { VirtualClock } from '../../support/virtual-clock.js';

const LOGIN = { login: 'desk@example.org', password: 'correct horse' };

function problems(options: unknown): readonly string[] {
  const parsed = tradernetConfig.safeParse(options);
  if (parsed.success) return [];
  return parsed.error.issues.map(({ path, message }) => `${path.join('.')}: ${message}`);
}

describe('the configuration', () => {
  test('needs an id and credentials, and has a default for everything else', () => {
    expect(tradernetConfig.parse({ id: 'desk', credentials: LOGIN })).toMatchObject({
      transport: 'websocket',
      httpUrl: 'https://tradernet.com',
      sessionsCommand: 'auto',
      userTemplate: '%username',
      pollSeconds: 60,
      expiryWarning: 60_000,
      headers: {},
    });
    expect(problems({ id: 'desk' })).toHaveLength(1);
  });

  test.each([
    ['an unknown key', { id: 'desk', credentials: LOGIN, sesionsCommand: 'auto' }, /Unrecognized key/],
    [
      'half a login',
      { id: 'desk', credentials: { login: 'x' } },
      /^credentials: give \{login, password\}, \{sid\} or \{publicKey, secretKey\}$/,
    ],
    ['an empty password', { id: 'desk', credentials: { login: 'x', password: '' } }, /^credentials/],
    ['two kinds of credentials at once', { id: 'desk', credentials: { ...LOGIN, sid: 'x' } }, /^credentials/],
    [
      'API keys over socket.io',
      { id: 'desk', transport: 'socketio2', credentials: { publicKey: 'a', secretKey: 'b' } },
      /API keys do not work over socketio2/,
    ],
    [
      'a login placeholder without a login',
      { id: 'desk', transport: 'socketio4', userTemplate: '%{login}', credentials: { sid: 'x' } },
      /needs credentials with a login/,
    ],
    [
      'an http URL for the raw WebSocket',
      { id: 'desk', url: 'https://wss.tradernet.com', credentials: LOGIN },
      /wss:\/\//,
    ],
    ['a URL of no use', { id: 'desk', httpUrl: 'ftp://x', credentials: LOGIN }, /^httpUrl/],
    ['a poll that is too fast', { id: 'desk', pollSeconds: 1, credentials: LOGIN }, /^pollSeconds/],
    ['an id with a dot', { id: 'a.b', credentials: LOGIN }, /^id/],
  ])('refuses %s', (_name, options, message) => {
    const found = problems(options);
    expect(found.length).toBeGreaterThan(0);
    expect(found.join('\n')).toMatch(message);
    expect(found.join('\n')).not.toContain('correct horse');
  });

  test('can be told as a JSON Schema in which every key is described', () => {
    const schema = z.toJSONSchema(tradernetConfig, { io: 'input', unrepresentable: 'any' }) as {
      properties: Record<string, { description?: string }>;
    };
    const undescribed = Object.entries(schema.properties).filter(([, { description }]) => description === undefined);
    expect(undescribed.map(([name]) => name)).toEqual([]);
  });

  test('its login trades, under serve and in the library', () => {
    expect(tradernetModule.serveRole).toBe('trading');
    expect(tradernet({ id: 'desk', credentials: LOGIN }).sources()[0]).toMatchObject({
      venue: 'tradernet',
      source: 'desk',
      role: 'trading',
      safety: { graceMs: 150_000 },
      provedBy: { login: ['ws', 'http'], security: ['ws', 'http'] },
    });
  });

  test('every command has a sentence, and only those of the protocol act', () => {
    const { commands } = tradernet({ id: 'desk', credentials: LOGIN });
    expect(commands.map(({ command, acts }) => [command, acts])).toEqual([
      ['refresh_sessions', false],
      ['sid_info', false],
      ['login', true],
      ['reconnect', true],
    ]);
    for (const { summary } of commands) expect(summary).toMatch(/\.$/);
  });
});

describe('where it connects to', () => {
  const clock = new VirtualClock(123_456_000);
  const target = (options: Record<string, unknown>, auth: Parameters<typeof targetOf>[1]) =>
    targetOf(tradernetConfig.parse({ id: 'desk', credentials: LOGIN, ...options }), auth, clock);

  test('the SID is in the query, encoded, beside a query of the URL’s own', () => {
    const { url, headers } = target({ url: 'wss://wss.example.org/ws?lang=en' }, { sid: 'a&b c' });
    expect(url).toBe('wss://wss.example.org/ws?lang=en&SID=a%26b+c');
    expect(headers).toEqual({
      'user-agent': 'Mozilla/5.0 (compatible; session-relay)',
      origin: 'https://tradernet.com',
    });
  });

  test('socket.io gets it as a cookie too, and has an address of its own', () => {
    const { url, headers } = target({ transport: 'socketio2' }, { sid: 'a b' });
    expect(url).toBe('wss://ws.tradernet.com/?SID=a+b');
    expect(headers).toMatchObject({ cookie: 'SID=a%20b' });
  });

  test('an API key signs the time', () => {
    const { url } = target({}, { publicKey: 'public', secretKey: 'secret', signature: 'v3' });
    const { searchParams } = new URL(url);
    expect([...searchParams.keys()]).toEqual(['X-NtApi-PublicKey', 'X-NtApi-Timestamp', 'X-NtApi-Sig']);
    expect(searchParams.get('X-NtApi-Timestamp')).toBe('123456');
  });

  test('configured headers win over the defaults, however they are spelled', () => {
    const { headers } = target({ headers: { 'User-Agent': 'mine', 'X-More': '1' } }, undefined);
    expect(headers).toEqual({ 'user-agent': 'mine', origin: 'https://tradernet.com', 'x-more': '1' });
  });

  test.each([
    ['%username', '%username'],
    ['{login}', 'desk@example.org'],
    ['%{login}', '%desk@example.org'],
  ])('the user template %s is sent as %s', (userTemplate, user) => {
    expect(target({ transport: 'socketio2', userTemplate }, undefined).user).toBe(user);
  });
});
