import { createHash } from 'node:crypto';
import { afterEach, describe, expect, test } from 'vitest';
import { SessionRelayError, VenueError } from '../../src/errors.js';
import { startPuppetRelay } from '../support/cli-relay.js';
import { type CliOptions, cli, endCliRuns } from '../support/cli-run.js';
import { closeTestRelays, startTestRelay } from '../support/relay.js';

const COMMAND_TIMEOUT_MS = 30_000;
const ALL = { auth: { mode: 'none', commands: ['deribit.main:read', 'deribit.main:act'] } } as const;

afterEach(async () => {
  await endCliRuns();
  await closeTestRelays();
});

async function command(args: readonly string[], options: CliOptions = {}) {
  const one = cli(['command', ...args], options);
  const code = await one.code;
  const stdout = one.stdout();
  const json: unknown = stdout === '' ? undefined : JSON.parse(stdout);
  return { code, json, stderr: one.stderr() };
}

describe('command', () => {
  test('prints the reply as one line of JSON', async () => {
    const { url, venue } = await startTestRelay('ws', ALL);
    venue.answer = () => Promise.resolve({ enabled: true });
    const { code, json, stderr } = await command([url, 'deribit.main', 'read', 'n=30']);
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    expect(json).toMatchObject({
      result: { enabled: true },
      cursor: expect.any(String),
      requestId: expect.any(String),
    });
    expect(venue.calls).toMatchObject([{ source: 'main', command: 'read', params: { n: 30 } }]);
  });

  test('names the session that it is for', async () => {
    const { url, venue, settled } = await startTestRelay('ws', ALL);
    venue.open('relay');
    await settled();
    expect((await command([url, 'deribit.main', 'read', '--session', 'relay'])).code).toBe(0);
    expect(venue.calls).toMatchObject([{ session: 'relay' }]);
  });

  test.each([
    ['n=30', { n: 30 }],
    ['scope=account', { scope: 'account' }],
    ['id="30"', { id: '30' }],
    ['on=true', { on: true }],
    ['list=[1,2]', { list: [1, 2] }],
    ['empty=', { empty: '' }],
    ['text=a=b', { text: 'a=b' }],
    ['order=12345678901234567890', { order: '12345678901234567890' }],
    ['lead=007', { lead: '007' }],
  ])('%s', async (pair, params) => {
    const puppet = await startPuppetRelay();
    try {
      const one = cli(['command', puppet.url, 'deribit.main', 'read', pair, '--yes']);
      const asked = await (await puppet.next()).request();
      expect(asked).toMatchObject({ method: 'command', params: { source: 'deribit.main', command: 'read', params } });
      asked.answer({ result: null, cursor: '1-1', requestId: 'a' });
      expect(await one.code).toBe(0);
    } finally {
      await puppet.close();
    }
  });
});

describe('a command that acts', () => {
  test('asks, and goes ahead with a yes', async () => {
    const { url, venue } = await startTestRelay('ws', ALL);
    const questions: string[] = [];
    const options = { answer: 'y', asked: (question: string) => void questions.push(question) };
    expect((await command([url, 'deribit.main', 'act'], options)).code).toBe(0);
    expect(questions).toEqual(['act acts at deribit.main. Go ahead? [y/N] ']);
    expect(venue.calls).toHaveLength(1);
  });

  test.each(['', 'n', 'yesterday', 'nyes'])('does nothing with the answer %j', async (answer) => {
    const { url, venue } = await startTestRelay('ws', ALL);
    const { code, json, stderr } = await command([url, 'deribit.main', 'act'], { answer });
    expect({ code, json }).toEqual({ code: 1, json: undefined });
    expect(stderr).toContain('nothing was done');
    expect(venue.calls).toEqual([]);
  });

  test('does nothing where nobody can be asked, and says what is missing', async () => {
    const { url, venue } = await startTestRelay('ws', ALL);
    const { code, stderr } = await command([url, 'deribit.main', 'act']);
    expect(code).toBe(1);
    expect(stderr).toContain('--yes');
    expect(venue.calls).toEqual([]);
  });

  test('goes ahead without a question with --yes', async () => {
    const { url, venue } = await startTestRelay('ws', ALL);
    expect((await command([url, 'deribit.main', 'act', '--yes'])).code).toBe(0);
    expect(venue.calls).toHaveLength(1);
  });

  test('asks also where the grant allows the command of a source that it does not show', async () => {
    const sha256 = createHash('sha256').update('t').digest('hex');
    const key = {
      name: 'bot',
      sha256,
      channels: ['tradernet.>'],
      commands: ['deribit.main:act'],
      fields: 'full',
    } as const;
    const { url, venue } = await startTestRelay('ws', { auth: { mode: 'keys', keys: [key] } });
    expect((await command([url, 'deribit.main', 'act', '--token', 't'])).code).toBe(1);
    expect(venue.calls).toEqual([]);
    expect((await command([url, 'deribit.main', 'act', '--token', 't'], { answer: 'yes' })).code).toBe(0);
    expect(venue.calls).toHaveLength(1);
  });
});

describe('a command that fails exits 1, with the error as JSON', () => {
  test('the venue refuses', async () => {
    const { url, venue } = await startTestRelay('ws', ALL);
    venue.answer = () => Promise.reject(new VenueError(13009, 'unauthorized'));
    const { code, json, stderr } = await command([url, 'deribit.main', 'read']);
    expect(code).toBe(1);
    expect(json).toEqual({
      error: { code: 4424, message: expect.any(String), data: { code: 13009, message: 'unauthorized' } },
    });
    expect(stderr).toContain('unauthorized (4424)');
  });

  test.each([
    ['a command that is not there', ['deribit.main', 'nothing'], 4403],
    ['parameters that do not fit', ['deribit.main', 'read', 'x=1'], -32_602],
    ['a session that is not there', ['deribit.main', 'read', '--session', 'x'], 4404],
  ])('%s', async (_name, args, code) => {
    const { url, venue } = await startTestRelay('ws', ALL);
    expect(await command([url, ...args])).toMatchObject({ code: 1, json: { error: { code } } });
    expect(venue.calls).toEqual([]);
  });

  test('nobody listens there: nothing was done', async () => {
    expect(await command(['http://127.0.0.1:1', 'deribit.main', 'read'])).toMatchObject({ code: 1, json: undefined });
  });

  test('the token is wrong, and is not repeated', async () => {
    const key = { name: 'a', sha256: '0'.repeat(64), channels: ['>'], commands: [], fields: 'full' } as const;
    const { url } = await startTestRelay('ws', { auth: { mode: 'keys', keys: [key] } });
    const { code, stderr } = await command([url, 'deribit.main', 'read', '--token', 's3cret']);
    expect(code).toBe(1);
    expect(stderr).toContain('401');
    expect(stderr).not.toContain('s3cret');
    expect((await command([url, 'deribit.main', 'read'])).json).toMatchObject({ error: { code: 4401 } });
  });
});

describe('a command whose outcome is unknown exits 3', () => {
  test('the venue does not answer in time', async () => {
    const { url, venue, clock, settled } = await startTestRelay('ws', ALL);
    let called: () => void = () => undefined;
    const reached = new Promise<void>((resolve) => {
      called = resolve;
    });
    venue.answer = () => {
      called();
      return new Promise(() => undefined);
    };
    const asked = command([url, 'deribit.main', 'read']);
    await reached;
    await settled();
    await clock.advance(COMMAND_TIMEOUT_MS);
    expect(await asked).toMatchObject({
      code: 3,
      json: { error: { code: 4504 }, outcome: 'unknown', requestId: expect.any(String) },
    });
  });

  test.each([
    [
      'the relay goes away meanwhile',
      (puppet: Awaited<ReturnType<Awaited<ReturnType<typeof startPuppetRelay>>['next']>>) => puppet.close(1012),
    ],
  ])('%s', async (_name, interrupt) => {
    const puppet = await startPuppetRelay();
    const one = cli(['command', puppet.url, 'deribit.main', 'act', '--yes']);
    const connection = await puppet.next();
    await connection.request();
    interrupt(connection);
    expect(await one.code).toBe(3);
    expect(JSON.parse(one.stdout())).toMatchObject({
      outcome: 'unknown',
      error: { message: expect.stringContaining('1012') },
    });
    expect(one.stderr()).toContain('whether it was done is not known');
    await puppet.close();
  });

  test('the relay falls silent meanwhile', async () => {
    const puppet = await startPuppetRelay({ heartbeatMs: 40 });
    const one = cli(['command', puppet.url, 'deribit.main', 'act', '--yes']);
    await (await puppet.next()).request();
    expect(await one.code).toBe(3);
    await puppet.close();
  });

  test('the person gives up waiting', async () => {
    const puppet = await startPuppetRelay();
    const one = cli(['command', puppet.url, 'deribit.main', 'act', '--yes']);
    await (await puppet.next()).request();
    one.stop();
    expect(await one.code).toBe(3);
    await puppet.close();
  });

  test('a fault in the relay cut it off', async () => {
    const { url, venue } = await startTestRelay('ws', ALL);
    venue.answer = () => Promise.reject(new TypeError('a bug'));
    expect(await command([url, 'deribit.main', 'read'])).toMatchObject({ code: 3, json: { outcome: 'unknown' } });
  });

  test('the relay only remembers that it does not know', async () => {
    const puppet = await startPuppetRelay();
    for (const [outcome, code] of [
      ['unknown', 3],
      ['failed', 1],
      ['succeeded', 0],
    ] as const) {
      const one = cli(['command', puppet.url, 'deribit.main', 'act', '--yes']);
      const asked = await (await puppet.next()).request();
      asked.answer({ replayed: true, outcome, cursor: '1-1', requestId: 'a' });
      expect(await one.code).toBe(code);
    }
    await puppet.close();
  });
});

test('a source that is not connected is an error, not an unknown outcome', async () => {
  const { url, venue } = await startTestRelay('ws', ALL);
  venue.answer = () => Promise.reject(new SessionRelayError('source_unavailable', 'not connected'));
  expect(await command([url, 'deribit.main', 'read'])).toMatchObject({ code: 1, json: { error: { code: 4503 } } });
});
