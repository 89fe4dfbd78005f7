import { describe, expect, test } from 'vitest';
import { z } from 'zod';
import { snaptradeModule } from '../../../src/venues/snaptrade/index.js';
import { snaptradeConfig } from '../../../src/venues/snaptrade/options.js';
import { CREDENTIALS, USER } from './world.js';

const GIVEN = { id: 'partner', credentials: CREDENTIALS, users: [USER] };

function problems(options: Record<string, unknown>): readonly string[] {
  const parsed = snaptradeConfig.safeParse({ ...GIVEN, ...options });
  return parsed.success ? [] : parsed.error.issues.map(({ path, message }) => `${path.join('.')}: ${message}`);
}

describe('the configuration of SnapTrade', () => {
  test('has defaults for all but id, credentials and users', () => {
    expect(snaptradeConfig.parse(GIVEN)).toMatchObject({
      url: 'https://api.snaptrade.com',
      pollSeconds: 60,
      sessionEvents: 'auto',
      webhookMaxAge: 300_000,
      forgetAfter: 86_400_000,
    });
  });

  test('takes durations as the other sources do, and a poll from 2 s on', () => {
    expect(snaptradeConfig.parse({ ...GIVEN, webhookMaxAge: '2h', pollSeconds: 2 })).toMatchObject({
      webhookMaxAge: 7_200_000,
      pollSeconds: 2,
    });
    expect(problems({ pollSeconds: 1 })).toHaveLength(1);
  });

  test.each([
    [{ url: 'ftp://example.org' }, 'url: a URL begins with https:// or http://'],
    [{ url: 'https://api.snaptrade.com/api/v1?x=1' }, 'url: a base URL has neither query nor fragment'],
    [{ url: 'https://api.snaptrade.com/a%20b' }, 'url: a base URL has a plain path'],
    [{ personal: true }, 'users: give one of users, usersFile and personal: true'],
    [{ users: undefined }, 'users: give one of users, usersFile and personal: true'],
    [{ users: [USER, { ...USER, userId: 'x' }] }, 'users.1.alias: only one user may go without alias'],
    [{ colour: 'blue' }, ': Unrecognized key: "colour"'],
  ])('refuses %j', (options, problem) => {
    expect(problems(options)).toEqual([problem]);
  });

  test('documents every key, as a JSON Schema too', () => {
    const schema = z.toJSONSchema(snaptradeModule.config, { io: 'input', unrepresentable: 'any' });
    const { properties = {} } = schema as { properties?: Record<string, { description?: string }> };
    const own = Object.entries(properties).filter(([name]) => name !== 'environment');
    expect(own.length).toBeGreaterThan(10);
    expect(own.filter(([, { description }]) => description === undefined).map(([name]) => name)).toEqual(
      own.some(([name, { description }]) => name === 'tls' && description === undefined) ? ['tls'] : [],
    );
  });
});
