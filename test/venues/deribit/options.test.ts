import { describe, expect, test } from 'vitest';
import { z } from 'zod';
import { deribitModule } from '../../../src/venues/deribit/index.js';
import { deribitConfig, sessionTokenOf } from '../../../src/venues/deribit/options.js';
import { CREDENTIALS } from './world.js';

function problems(options: object): readonly string[] {
  const parsed = deribitConfig.safeParse({ id: 'main', ...options });
  return parsed.success ? [] : parsed.error.issues.map(({ path, message }) => `${path.join('.')}: ${message}`);
}

describe('a Deribit source', () => {
  test('needs only an id: then it hears the public channels of production', () => {
    expect(deribitConfig.parse({ id: 'main' })).toMatchObject({
      url: 'wss://www.deribit.com/ws/api/v2',
      scope: 'connection',
      heartbeatSeconds: 30,
      cancelOnDisconnect: 'leave',
    });
  });

  test.each([
    [{ scope: 'session:connection', credentials: CREDENTIALS }, 'scope'],
    [{ scope: 'session:public', credentials: CREDENTIALS }, 'scope'],
    [{ scope: 'session:-', credentials: CREDENTIALS }, 'scope'],
    [{ scope: 'session:', credentials: CREDENTIALS }, 'scope'],
    [{ scope: ' ', credentials: CREDENTIALS }, 'scope'],
    [{ scope: 'session:a session:b', credentials: CREDENTIALS }, 'scope'],
    [{ scope: 'connection session:a', credentials: CREDENTIALS }, 'scope'],
    [{ scope: 'session:a' }, 'scope'],
    [{ cancelOnDisconnect: 'enable' }, 'cancelOnDisconnect'],
    [{ heartbeatSeconds: 9 }, 'heartbeatSeconds'],
    [{ heartbeatSeconds: 3_601 }, 'heartbeatSeconds'],
    [{ environment: 'paper' }, 'environment'],
    [{ url: 'https://www.deribit.com' }, 'url'],
    [{ credentials: { clientId: '', clientSecret: 'x' } }, 'credentials.clientId'],
    [{ credentials: { ...CREDENTIALS, grant: 'password' } }, 'credentials.grant'],
    [{ speed: 'fast' }, ''],
  ])('is refused with %j', (options, key) => {
    expect(problems(options).map((problem) => problem.split(':')[0])).toEqual([key]);
  });

  test('may go without the heartbeat, by 0', () => {
    expect(problems({ heartbeatSeconds: 0 })).toEqual([]);
  });

  test('takes further words into its scope, and names its session by the one that names it', () => {
    const config = (scope: string) => deribitConfig.parse({ id: 'main', credentials: CREDENTIALS, scope });
    expect(sessionTokenOf(config('trade:read session:relay expires:60'))).toBe('relay');
    expect(sessionTokenOf(config('expires:60'))).toBe('connection');
    expect(sessionTokenOf(deribitConfig.parse({ id: 'main' }))).toBe('public');
  });

  test('says what each of its keys is for', () => {
    const schema = z.toJSONSchema(deribitModule.config, { io: 'input' });
    const properties = schema.properties ?? {};
    const silent = Object.entries(properties).filter(
      ([name, key]) => typeof key === 'object' && key.description === undefined && name !== 'safety',
    );
    expect(silent.map(([name]) => name)).toEqual([]);
  });
});
