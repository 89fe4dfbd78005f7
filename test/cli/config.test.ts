import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { stringify } from 'yaml';
import { z } from 'zod';
import { type LoadOptions, loadConfig, parseConfig, type RelayConfig } from '../../src/cli/config.js';
import { ConfigError, describeProblem } from '../../src/errors.js';

let folder = '';
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'config-'));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

type Options = Partial<LoadOptions> & { readonly file?: string };

function parse(text: string, options: Options = {}): RelayConfig {
  return parseConfig(text, { env: {}, file: 'relay.yaml', ...options });
}

/** What is wrong, one line a problem, as the command line prints it. */
function problems(text: string, options: Options = {}): readonly string[] {
  try {
    parse(text, options);
  } catch (thrown) {
    if (thrown instanceof ConfigError) return thrown.problems.map(describeProblem);
    throw thrown;
  }
  return [];
}

const DERIBIT = '  - { venue: deribit, id: main, url: "wss://test.deribit.com/ws/api/v2" }';
const TRADERNET = '  - { venue: tradernet, id: desk, credentials: { login: desk, password: secret } }';
const SOURCES = `sources:\n${DERIBIT}\n`;

describe('a right configuration', () => {
  test('says how many threads serve subscribers, by file, environment or flag', () => {
    expect(parse(SOURCES).workers).toBe(1);
    expect(parse(`workers: auto\n${SOURCES}`).workers).toBe('auto');
    expect(parse(`workers: 4\n${SOURCES}`, { env: { SESSION_RELAY_WORKERS: '3' } }).workers).toBe(3);
    expect(parse(`workers: 4\n${SOURCES}`, { flags: { workers: '2' } }).workers).toBe(2);
    expect(problems(`workers: 0\n${SOURCES}`)).toHaveLength(1);
    expect(problems(`workers: many\n${SOURCES}`)[0]).toContain('workers');
    expect(problems(SOURCES, { flags: { workers: '1000' } })[0]).toContain('--workers');
    expect(problems(`workers: 2\nlisten: { transport: ws }\n${SOURCES}`)).toEqual([
      'relay.yaml:1: workers: more than 1 needs uWebSockets.js, and listen.transport is ws: leave one of the two out',
    ]);
  });

  test('has a default for everything but its sources', () => {
    const config = parse(SOURCES);
    expect(config.listen).toEqual({ host: '127.0.0.1', port: 8080, transport: 'auto' });
    expect(config.auth).toEqual({ mode: 'none' });
    expect(config.journal).toEqual({
      engine: 'lmdb',
      path: './data',
      sync: 'interval',
      retention: { maxAge: 7 * 86_400_000, maxBytes: 256 * 1024 ** 2 },
    });
    expect(config.drain.timeout).toBe(20_000);
    expect(config.limits).toMatchObject({ maxConnections: 100_000, handshakeTimeout: 10_000, stall: 30_000 });
    expect(config.sources.map(({ module, id }) => `${module.venue}.${id}`)).toEqual(['deribit.main']);
    expect(config.anyHost).toBe(false);
  });

  test('may be JSON, indented with tabs', () => {
    const json = JSON.stringify({ listen: { port: 0 }, sources: [{ venue: 'deribit', id: 'main' }] }, undefined, '\t');
    expect(parse(json).listen.port).toBe(0);
  });

  test('has durations and sizes with units', () => {
    const { drain, journal, limits } = parse(
      `drain: { timeout: 1.5s }\njournal: { retention: { maxAge: 24h, maxBytes: 1GiB } }\nlimits: { stall: 250ms, maxBufferedBytes: 64KiB, maxPayloadBytes: 2048 }\n${SOURCES}`,
    );
    expect(drain.timeout).toBe(1_500);
    expect(journal.retention).toEqual({ maxAge: 86_400_000, maxBytes: 1024 ** 3 });
    expect(limits).toMatchObject({ stall: 250, maxBufferedBytes: 65_536, maxPayloadBytes: 2_048 });
  });

  test('takes an IPv6 address in brackets or without', () => {
    for (const host of ['"[::1]"', '"::1"'])
      expect(parse(`listen: { host: ${host} }\n${SOURCES}`).listen.host).toBe('::1');
  });

  test('says under which role a source is served, unless it says so itself', () => {
    const roleOf = ({ sources: [source] }: RelayConfig): unknown =>
      z.looseObject({ safety: z.looseObject({ role: z.string() }) }).parse(source?.options).safety.role;
    expect(roleOf(parse(SOURCES))).toBe('watch');
    expect(roleOf(parse('sources: [{ venue: deribit, id: main, safety: { role: trading } }]'))).toBe('trading');
  });

  test('may have the same id at two venues', () => {
    expect(parse(`${SOURCES}${TRADERNET.replace('desk', 'main')}\n`).sources).toHaveLength(2);
  });
});

describe('what is wrong is said with its line and key', () => {
  test.each([
    ['no sources', 'listen: { port: 1 }', 'relay.yaml:1: sources: is missing'],
    ['an empty file', '', 'relay.yaml: sources: is missing'],
    ['no map', '- 1', 'relay.yaml:1: a configuration is a map of keys'],
    ['an empty list of sources', 'sources: []', 'relay.yaml:1: sources: name at least one source'],
    [
      'an unknown key',
      `${SOURCES}listen:\n  port: 1\n  prot: 2\n`,
      'relay.yaml:5: listen.prot: is no key that is known here: did you mean port?',
    ],
    [
      'an unknown section',
      `${SOURCES}notifications: {}\n`,
      'relay.yaml:3: notifications: is no key that is known here',
    ],
    [
      'an unknown key of a source',
      'sources:\n  - venue: deribit\n    id: main\n    heartbeat_seconds: 30\n',
      'relay.yaml:4: sources[0].heartbeat_seconds: is no key that is known here: did you mean heartbeatSeconds?',
    ],
    [
      'an unknown key of credentials',
      'sources:\n  - venue: deribit\n    id: main\n    credentials:\n      clientId: a\n      clientSecret: b\n      grnt: c\n',
      'relay.yaml:7: sources[0].credentials.grnt: is no key that is known here: did you mean grant?',
    ],
    ['a text for a number', `${SOURCES}listen:\n  port: many\n`, 'relay.yaml:4: listen.port: a whole number'],
    [
      'a negative port',
      `${SOURCES}listen: { port: -1 }\n`,
      'relay.yaml:3: listen.port: Too small: expected number to be >=0',
    ],
    ['a port that is none', `${SOURCES}listen: { port: 65536 }\n`, 'relay.yaml:3: listen.port: a port is 0 to 65535'],
    ['a list for a map', `${SOURCES}limits: []\n`, 'relay.yaml:3: limits: expected object, received array'],
    ['a map that is left empty', `${SOURCES}limits:\n`, 'relay.yaml:3: limits: expected object, received null'],
    [
      'a number for a secret',
      'sources:\n  - venue: deribit\n    id: main\n    credentials: { clientId: 12, clientSecret: b }\n',
      'relay.yaml:4: sources[0].credentials.clientId: expected string, received number',
    ],
    [
      'half of the credentials',
      'sources:\n  - venue: deribit\n    id: main\n    credentials:\n      clientId: a\n',
      'relay.yaml:4: sources[0].credentials.clientSecret: is missing',
    ],
    [
      'half of one way to give credentials',
      'sources:\n  - venue: tradernet\n    id: desk\n    credentials:\n      login: a\n',
      'relay.yaml:4: sources[0].credentials.password: is missing',
    ],
    [
      'no credentials where they are needed',
      'sources:\n  - venue: tradernet\n    id: desk\n',
      'relay.yaml:2: sources[0].credentials: is missing: give {login, password}, {sid} or {publicKey, secretKey}',
    ],
    ['no id', 'sources:\n  - venue: deribit\n', 'relay.yaml:2: sources[0].id: is missing'],
    ['no venue', 'sources:\n  - id: main\n', 'relay.yaml:2: sources[0].venue: is missing'],
    [
      'an unknown venue',
      'sources:\n  - id: main\n    venue: derebit\n',
      'relay.yaml:3: sources[0].venue: derebit is no venue that this version knows: did you mean deribit?',
    ],
    [
      'a source that is no map',
      'sources:\n  - deribit\n',
      'relay.yaml:2: sources[0]: expected object, received string',
    ],
    [
      'an id that is no token',
      'sources:\n  - { venue: deribit, id: a.b }\n',
      'relay.yaml:2: sources[0].id: an id has 1 to 64 letters, digits, _ or -',
    ],
    [
      'the same source twice',
      `${SOURCES}${TRADERNET}\n${DERIBIT}\n`,
      'relay.yaml:4: sources[2].id: deribit.main is configured twice (first as sources[0]): each source needs an id of its own',
    ],
    [
      'a duration without a unit',
      `${SOURCES}drain: { timeout: "20" }\n`,
      'relay.yaml:3: drain.timeout: a duration is a number with ms, s, m, h or d, like 10s',
    ],
    ['no duration at all', `${SOURCES}limits: { stall: 0s }\n`, 'relay.yaml:3: limits.stall: more than nothing'],
    [
      'a size with a unit that is none',
      `${SOURCES}journal: { retention: { maxBytes: 1GB } }\n`,
      'relay.yaml:3: journal.retention.maxBytes: a size is a number of bytes, or a number with B, KiB, MiB or GiB',
    ],
    [
      'a heartbeat that the venue refuses',
      'sources:\n  - { venue: deribit, id: main, heartbeatSeconds: 5 }\n',
      'relay.yaml:2: sources[0].heartbeatSeconds: a heartbeat is 10 to 3600 seconds, or 0 for none',
    ],
    [
      'an unknown value',
      `${SOURCES}log: { level: loud }\n`,
      'relay.yaml:3: log.level: expected one of "debug"|"info"|"warn"|"error"|"silent"',
    ],
    [
      'an unknown mode of auth',
      `${SOURCES}auth: { mode: basic }\n`,
      'relay.yaml:3: auth.mode: expected one of "none"|"keys"|"jwt"',
    ],
    [
      'an address that others reach, without auth',
      `${SOURCES}listen:\n  host: 0.0.0.0\n`,
      'relay.yaml:4: listen.host: 0.0.0.0 can be reached from other machines and auth.mode is none: configure auth, listen on 127.0.0.1, or say --insecure',
    ],
    [
      'an engine that is none',
      `journal:\n  engine: sqlite\n  path: ./data\n${SOURCES}`,
      'relay.yaml:2: journal.engine: expected one of "lmdb"|"memory"',
    ],
    ['no folder for the journal', `journal: { path: "" }\n${SOURCES}`, 'relay.yaml:1: journal.path: is empty'],
    [
      'a digest that is none',
      `${SOURCES}auth:\n  mode: keys\n  keys:\n    - { name: a, sha256: ABC, channels: [">"] }\n`,
      'relay.yaml:6: auth.keys[0].sha256: lower-case hex SHA-256 of the token, 64 characters',
    ],
    [
      'a channel that is none',
      `${SOURCES}auth:\n  mode: keys\n  keys:\n    - { name: a, sha256: "${'a'.repeat(64)}", channels: ["deribit"] }\n`,
      'relay.yaml:6: auth.keys[0].channels[0]: a channel without `>` at its end has 5 tokens',
    ],
    [
      'a command that is none',
      `${SOURCES}auth:\n  mode: none\n  commands:\n    - logout\n`,
      'relay.yaml:6: auth.commands[0]: a command is <venue>.<source>:<command>, each part may be *',
    ],
    [
      'one token for two keys',
      `${SOURCES}auth:\n  mode: keys\n  keys:\n    - { name: a, sha256: "${'a'.repeat(64)}", channels: [">"] }\n    - { name: b, sha256: "${'a'.repeat(64)}", channels: [">"] }\n`,
      'relay.yaml:7: auth.keys[1].sha256: is the token of keys[0] too: each key needs a token of its own',
    ],
    [
      'two keys of tokens',
      `${SOURCES}auth: { mode: jwt, secret: "${'s'.repeat(32)}", jwks: "https://a.test" }\n`,
      'relay.yaml:3: auth: give exactly one of secret, publicKey, jwks',
    ],
    [
      'a secret that is guessed',
      `${SOURCES}auth: { mode: jwt, secret: short }\n`,
      'relay.yaml:3: auth.secret: an HS256 secret has at least 32 characters',
    ],
    [
      'a public key that is none',
      `${SOURCES}auth: { mode: jwt, publicKey: x }\n`,
      'relay.yaml:3: auth.publicKey: is no public key in PEM (-----BEGIN PUBLIC KEY-----)',
    ],
    [
      'a key set that comes in the clear',
      `${SOURCES}auth: { mode: jwt, jwks: "http://a.test/keys" }\n`,
      'relay.yaml:3: auth.jwks: a key set is fetched over https alone: whoever changes it on its way can make tokens',
    ],
  ])('%s', (_name, text, problem) => {
    expect(problems(text)).toEqual([problem]);
  });

  test('a key set that is not there', () => {
    const file = join(folder, 'relay.yaml');
    const found = problems(`${SOURCES}auth: { mode: jwt, jwks: keys.json }\n`, { file });
    expect(found).toEqual([
      expect.stringContaining(`${file}:3: auth.jwks: the file ${join(folder, 'keys.json')} is no JSON Web Key Set`),
    ]);
  });

  test('a CA that is not there, or none; one that is there is read from beside the configuration', () => {
    const file = join(folder, 'relay.yaml');
    const source = (ca: string) => `sources:\n  - venue: deribit\n    id: main\n    tls: { ca: "${ca}" }\n`;
    const path = join(folder, 'absent.pem');
    expect(problems(source('absent.pem'), { file })).toEqual([
      expect.stringContaining(`${file}:4: sources[0].tls.ca: the file ${path} cannot be read: ENOENT`),
    ]);
    writeFileSync(join(folder, 'none.pem'), 'nothing');
    expect(problems(source('none.pem'), { file })[0]).toContain('holds no certificate in PEM');
    const pem = '-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n';
    writeFileSync(join(folder, 'ca.pem'), pem);
    expect(parse(source('ca.pem'), { file }).sources[0]?.options).toMatchObject({ tls: { ca: pem } });
  });

  test("a users' file is beside the configuration", () => {
    const file = join(folder, 'relay.yaml');
    const text = `sources:\n  - venue: snaptrade\n    id: partner\n    credentials: { clientId: a, consumerKey: b }\n    usersFile: users.json\n`;
    expect(problems(text, { file })).toEqual([
      `${file}:5: sources[0].usersFile: the file of users cannot be read: ENOENT`,
    ]);
    const write = (users: unknown): void => writeFileSync(join(folder, 'users.json'), JSON.stringify(users));
    write([{ userId: 'a', userSecret: '' }]);
    expect(problems(text, { file })[0]).toContain(
      'sources[0].usersFile: the file of users is not usable: 0.userSecret',
    );
    write([{ userId: 'a', userSecret: 'secret-of-anna' }]);
    const [source] = parse(text, { file }).sources;
    expect(source?.options).toMatchObject({ usersFile: join(folder, 'users.json') });
    write([{ userId: 'a', userSecret: 'secret-of-bert' }]);
    expect(parse(text, { file }).sources[0]).toMatchObject({ options: source?.options, files: expect.any(String) });
    expect(parse(text, { file }).sources[0]?.files).not.toBe(source?.files);
  });

  test('a file that is not there', () => {
    const file = join(folder, 'absent.yaml');
    expect(() => loadConfig(file, { env: {} })).toThrow(`${file}: cannot be read: ENOENT`);
  });

  test('what is no YAML, with the line where it breaks', () => {
    expect(problems('listen:\n  port: [1\nsources: 2\n')[0]).toMatch(/^relay\.yaml:\d: /);
    expect(problems('a: 1\na: 2\n')).toEqual(['relay.yaml:2: Map keys must be unique']);
    expect(problems('a: 1\n---\nb: 2\n')[0]).toMatch(/^relay\.yaml:2: Source contains multiple documents/);
    expect(problems('a: *nowhere\n')).toEqual([expect.stringContaining('relay.yaml: cannot be read: ')]);
  });

  test('everything at once, in the order of the file', () => {
    const text = `listen:
  host: 0.0.0.0
  prot: 1
journal: { engine: paper }
sources:
  - venue: tradernet
    id: desk
    credentials: { login: "\${TN_LOGIN}", password: "\${TN_PASSWORD}" }
    transport: carrier-pigeon
  - { venue: mtgox, id: gateway }
`;
    const found = problems(text, { env: { TN_LOGIN: 'desk', SESSION_RELAY_LIMITS_STALL: 'long' } });
    expect(found.map((line) => line.split(': ').slice(0, 2).join(': '))).toEqual([
      'SESSION_RELAY_LIMITS_STALL: a duration is a number with ms, s, m, h or d, like 10s',
      'relay.yaml:2: listen.host',
      'relay.yaml:3: listen.prot',
      'relay.yaml:4: journal.engine',
      'relay.yaml:8: sources[0].credentials.password',
      'relay.yaml:9: sources[0].transport',
      'relay.yaml:10: sources[1].venue',
    ]);
  });
});

describe('--insecure', () => {
  test('serves without auth beyond loopback, under any name', () => {
    expect(parse(`listen: { host: 0.0.0.0 }\n${SOURCES}`, { insecure: true }).anyHost).toBe(true);
  });
  test('changes nothing on loopback', () => {
    expect(parse(SOURCES, { insecure: true }).anyHost).toBe(false);
  });
  test('is not needed with auth', () => {
    const auth = `auth: { mode: keys, keys: [{ name: a, sha256: "${'0'.repeat(64)}", channels: [">"] }] }`;
    expect(problems(`listen: { host: 0.0.0.0 }\n${auth}\n${SOURCES}`)).toEqual([]);
  });
});

describe('secrets', () => {
  const withSecret = (secret: string): string =>
    `sources:\n  - venue: deribit\n    id: main\n    credentials:\n      clientId: ${JSON.stringify(secret)}\n      clientSecret: x\n`;
  const clientId = (text: string, options: Options = {}): unknown => {
    const [source] = parse(text, options).sources;
    return z.looseObject({ credentials: z.looseObject({ clientId: z.string() }) }).parse(source?.options).credentials
      .clientId;
  };

  test('come from the environment, whole or as a part', () => {
    expect(clientId(withSecret(`\${ID}`), { env: { ID: 'a b' } })).toBe('a b');
    expect(clientId(withSecret(`x-\${ID}-\${ID}`), { env: { ID: '1' } })).toBe('x-1-1');
  });

  test('come from a file beside the configuration, without its last line break', () => {
    writeFileSync(join(folder, 'id'), 'from a file\n');
    expect(clientId(withSecret(`\${file:id}`), { file: join(folder, 'relay.yaml') })).toBe('from a file');
    expect(clientId(withSecret(`\${file:${join(folder, 'id')}}`))).toBe('from a file');
  });

  test('are put in as they are: what they hold is not looked at again', () => {
    expect(clientId(withSecret(`\${ID}`), { env: { ID: `\${OTHER} $& $1` } })).toBe(`\${OTHER} $& $1`);
    expect(clientId(withSecret(`$\${ID}`))).toBe(`\${ID}`);
    expect(clientId(withSecret('12'), { env: {} })).toBe('12');
  });

  test.each([
    ['a variable that is not set', `\${ABSENT}`, 'the environment variable ABSENT is not set'],
    ['a variable that is empty', `\${EMPTY}`, 'the environment variable EMPTY is not set'],
    ['no variable', `\${}`, `\${} names no environment variable: write $\${ for a literal one`],
    ['a brace that is never closed', `a\${b`, `a \${ is never closed: write $\${ for a literal one`],
  ])('%s is one problem with its line', (_name, secret, message) => {
    expect(problems(withSecret(secret), { env: { EMPTY: '' } })).toEqual([
      `relay.yaml:5: sources[0].credentials.clientId: ${message}`,
    ]);
  });

  test('a file that is absent or empty is one problem with its line', () => {
    writeFileSync(join(folder, 'empty'), '\n');
    const file = join(folder, 'relay.yaml');
    const place = `${file}:5: sources[0].credentials.clientId: the file `;
    expect(problems(withSecret(`\${file:empty}`), { file })).toEqual([`${place}${join(folder, 'empty')} is empty`]);
    expect(problems(withSecret(`\${file:absent}`), { file })).toEqual([
      expect.stringContaining(`${place}${join(folder, 'absent')} cannot be read: ENOENT`),
    ]);
  });

  test('are in no message, whatever else is wrong with their neighbours', () => {
    const secret = 'correct-horse-battery-staple';
    const text = `sources:
  - { venue: tradernet, id: desk, transport: x, credentials: { login: "\${S}", password: "\${S}", sid: "\${S}", pasword: "\${S}" } }
  - { venue: deribit, id: "\${S}!", scope: 3, url: "\${S}", credentials: ["\${S}"] }
auth: { mode: jwt, secret: "\${S}", publicKey: "\${S}", jwks: "\${S}", x: "\${S}" }
`;
    const found = problems(text, { env: { S: secret } });
    expect(found.length).toBeGreaterThan(4);
    expect(found.join('\n').replaceAll(`${secret} is no JSON Web Key Set`, '')).not.toContain(secret);
  });
});

describe('precedence: flags, environment, file, defaults', () => {
  const file = `listen: { port: 1 }\n${SOURCES}`;
  test('each wins over what stands behind it', () => {
    const env = { SESSION_RELAY_LISTEN_PORT: '2' };
    expect(parse(SOURCES).listen.port).toBe(8080);
    expect(parse(file).listen.port).toBe(1);
    expect(parse(file, { env }).listen.port).toBe(2);
    expect(parse(file, { env, flags: { 'listen.port': '3' } }).listen.port).toBe(3);
  });

  test('the environment reaches every section, nested keys and lists', () => {
    const { limits, journal, auth, log } = parse(SOURCES, {
      env: {
        SESSION_RELAY_LIMITS_MAX_REQUESTS_PER_SECOND: '7',
        SESSION_RELAY_LIMITS_TRUST_PROXY: 'true',
        SESSION_RELAY_LIMITS_ORIGINS: 'https://a.test, https://b.test',
        SESSION_RELAY_JOURNAL_RETENTION_MAX_AGE: '2h',
        SESSION_RELAY_AUTH_MODE: 'jwt',
        SESSION_RELAY_AUTH_SECRET: 's'.repeat(32),
        SESSION_RELAY_LOG_LEVEL: 'warn',
      },
    });
    expect(limits).toMatchObject({
      maxRequestsPerSecond: 7,
      trustProxy: true,
      origins: ['https://a.test', 'https://b.test'],
    });
    expect(journal.retention.maxAge).toBe(7_200_000);
    expect(auth).toEqual({ mode: 'jwt', secret: 's'.repeat(32) });
    expect(log.level).toBe('warn');
  });

  test('the journal’s folder counts from the file’s where the file says it, else from where the relay is started', () => {
    const text = `${SOURCES}journal: { path: here/data }\n`;
    const where = (options: Options = {}): string =>
      parse(text, { file: '/etc/relay/relay.yaml', ...options }).journal.path;
    expect(where()).toBe('/etc/relay/here/data');
    expect(where({ env: { SESSION_RELAY_JOURNAL_PATH: 'there' } })).toBe('there');
    expect(where({ env: { SESSION_RELAY_JOURNAL_PATH: 'there' }, flags: { 'journal.path': 'flagged' } })).toBe(
      'flagged',
    );
    expect(parse(SOURCES).journal.path).toBe('./data');
    expect(parse(`${SOURCES}journal: { path: /var/lib/relay }\n`).journal.path).toBe('/var/lib/relay');
  });

  test('a folder for a journal that keeps nothing there is a contradiction, where a flag names it', () => {
    const text = `${SOURCES}journal: { engine: memory, path: ./data }\n`;
    expect(problems(text)).toEqual([]);
    expect(problems(text, { flags: { 'journal.path': 'data' } })).toEqual([
      '--data: journal.engine is memory, which keeps nothing there: leave one of the two out',
    ]);
  });

  test('what is wrong is laid at the door of the variable or flag that said it', () => {
    expect(problems(file, { env: { SESSION_RELAY_LISTEN_PORT: 'x' } })).toEqual([
      'SESSION_RELAY_LISTEN_PORT: a whole number',
    ]);
    expect(problems(file, { env: { SESSION_RELAY_LISTEN_HOST: '::' }, flags: {} })).toEqual([
      expect.stringMatching(/^SESSION_RELAY_LISTEN_HOST: :: can be reached/),
    ]);
    expect(problems(file, { flags: { 'listen.host': '::' } })).toEqual([
      expect.stringMatching(/^--host: :: can be reached/),
    ]);
    expect(problems(file, { env: { SESSION_RELAY_LIMITS_MAX_CHANELS: '1' } })).toEqual([
      'SESSION_RELAY_LIMITS_MAX_CHANELS: is no key that is known here: did you mean maxChannels?',
    ]);
    expect(problems(file, { env: { SESSION_RELAY_LISTN_PORT: '1' } })).toEqual([
      expect.stringMatching(/^SESSION_RELAY_LISTN_PORT: names no setting/),
    ]);
  });

  test('a token, an empty variable and what an orchestrator sets for a service are no settings', () => {
    const env = {
      SESSION_RELAY_TOKEN: 'x',
      SESSION_RELAY_LISTEN_PORT: '',
      SESSION_RELAY_SERVICE_HOST: '10.0.0.1',
      SESSION_RELAY_SERVICE_PORT: '8080',
      SESSION_RELAY_SERVICE_PORT_HTTP: '8080',
      SESSION_RELAY_PORT: 'tcp://10.0.0.1:8080',
      SESSION_RELAY_PORT_8080_TCP: 'tcp://10.0.0.1:8080',
      SESSION_RELAY_PORT_8080_TCP_ADDR: '10.0.0.1',
    };
    expect(parse(file, { env }).listen.port).toBe(1);
  });
});

describe('whatever the file holds', () => {
  const refusesOrReads = (text: string): void => {
    for (const problem of problems(text, { env: { HOME: '/root' } })) expect(problem).not.toBe('');
  };

  test('any text is read or refused', () => {
    fc.assert(fc.property(fc.string({ unit: 'grapheme', maxLength: 200 }), refusesOrReads));
  });

  test('any YAML is read or refused', () => {
    const key = fc.oneof(
      fc.constantFrom(
        'listen',
        'auth',
        'limits',
        'journal',
        'sources',
        'mode',
        'keys',
        'venue',
        'id',
        'credentials',
        'safety',
        '__proto__',
      ),
      fc.string({ maxLength: 6 }),
    );
    const leaf = fc.oneof(
      fc.constantFrom(
        'deribit',
        'tradernet',
        'jwt',
        'keys',
        'none',
        `\${HOME}`,
        `\${file:/}`,
        `\${`,
        'lmdb',
        '0.0.0.0',
      ),
      fc.string({ maxLength: 10 }),
      fc.double(),
      fc.boolean(),
      fc.constant(null),
    );
    const { tree } = fc.letrec((tie) => ({
      tree: fc.oneof(
        { maxDepth: 5 },
        leaf,
        fc.array(tie('tree'), { maxLength: 4 }),
        fc.dictionary(key, tie('tree'), { maxKeys: 5 }),
      ),
    }));
    fc.assert(fc.property(tree, (value) => refusesOrReads(stringify(value))));
  });

  test('a right file with something cut out or put in is read or refused', () => {
    const right = `listen: { host: 127.0.0.1, port: 8080 }\nauth:\n  mode: keys\n  keys:\n    - { name: a, sha256: "${'0'.repeat(64)}", channels: [">"] }\n${SOURCES}${TRADERNET}\n`;
    fc.assert(
      fc.property(fc.nat(right.length), fc.nat(12), fc.string({ maxLength: 6 }), (at, cut, put) => {
        refusesOrReads(right.slice(0, at) + put + right.slice(at + cut));
      }),
    );
  });

  test('aliases without end and nesting without bottom are refused', () => {
    const bomb = `a: &a [x,x]\n${Array.from({ length: 30 }, (_, n) => `b${n}: &b${n} [*${n === 0 ? 'a' : `b${n - 1}`},*${n === 0 ? 'a' : `b${n - 1}`}]`).join('\n')}\n`;
    expect(problems(bomb)).toEqual([expect.stringContaining('relay.yaml: cannot be read: ')]);
    expect(problems('['.repeat(20_000))[0]).toContain('relay.yaml');
    expect(problems('a: &a [*a]\n')[0]).toContain('relay.yaml');
  });
});
