import { describe, expect, test } from 'vitest';
import type { Fact } from '../../../src/model/event.js';
import { readDelivery } from '../../../src/venues/snaptrade/webhook.js';
import { settle } from '../../support/virtual-clock.js';
import {
  BROKEN,
  hook,
  ID,
  KEY,
  OTHER_ID,
  row,
  sign,
  startLive,
  startVenue,
  USER,
  type World,
  webhookOf,
} from './world.js';

/** `docs/webhooks.md` of the vendor, CONNECTION_BROKEN; signatures made with CPython's `json` and `hmac`. */
const SAMPLE = {
  webhookId: '434d23af-5f89-44f8-9415-5029557e64c7',
  clientId: 'yLNANjmwau',
  eventTimestamp: '2022-05-31T11:37:50.590720+00:00',
  userId: 'DbjLqtPsj6G1MlDLtZaps4YhtckD0jWOuLQjl6GPW4FmpUa8eo',
  eventType: 'CONNECTION_BROKEN',
  webhookSecret: 'SCNsZYmJcuXRiznplDdL',
  brokerageAuthorizationId: ID,
};
const SAMPLE_SIGNATURE = 'PMMU2psxJaJKaXCbv/EwRIt4s+rQ7flViugUXqnScl4=';
const UNUSUAL = `{"details":{"total_value":1.0,"n":1e21,"emoji":"😀","z":null},${JSON.stringify({
  ...SAMPLE,
  userId: 'Ünï-ß',
}).slice(1)}`;
const UNUSUAL_SIGNATURE = 'FAjfEl+4Xc4A2S/RSAR3Dbrdr0sYImhGBM7E7rQrhVc=';

const bytes = (text: string): Uint8Array => Buffer.from(text, 'utf8');

describe('a webhook’s signature', () => {
  test('is that of the vendor’s Python for its own sample, in whatever order and spacing it came', () => {
    for (const text of [
      JSON.stringify(SAMPLE),
      JSON.stringify(SAMPLE, null, 2),
      JSON.stringify(Object.fromEntries(Object.entries(SAMPLE).toReversed())),
    ]) {
      expect(readDelivery(bytes(text), SAMPLE_SIGNATURE, 'k3y')).toEqual({
        kind: 'delivery',
        delivery: {
          id: SAMPLE.webhookId,
          type: 'CONNECTION_BROKEN',
          userId: SAMPLE.userId,
          atMs: Date.parse('2022-05-31T11:37:50.590Z'),
          connection: ID,
        },
      });
    }
  });

  test('keeps 1.0, 1e+21, escapes and code points as Python writes them', () => {
    expect(readDelivery(bytes(UNUSUAL), UNUSUAL_SIGNATURE, 'k3y')).toMatchObject({
      kind: 'delivery',
      delivery: { userId: 'Ünï-ß' },
    });
  });

  test.each([
    ['none', undefined],
    ['an empty one', ''],
    ['a shorter one', SAMPLE_SIGNATURE.slice(0, -1)],
    ['another one', UNUSUAL_SIGNATURE],
  ])('is refused where it is %s', (_, signature) => {
    expect(readDelivery(bytes(JSON.stringify(SAMPLE)), signature, 'k3y')).toEqual({ kind: 'forged' });
  });

  test('covers every field', () => {
    const forged = { ...SAMPLE, eventType: 'CONNECTION_FIXED' };
    expect(readDelivery(bytes(JSON.stringify(forged)), SAMPLE_SIGNATURE, 'k3y')).toEqual({ kind: 'forged' });
  });

  test('of what is no webhook makes it no better', () => {
    for (const value of [{}, { eventType: 'X' }, { eventType: 'X', eventTimestamp: 'soon' }]) {
      expect(readDelivery(bytes(JSON.stringify(value)), sign(value), KEY)).toEqual({ kind: 'unreadable' });
    }
    for (const body of [bytes(''), bytes('{"a":'), new Uint8Array([0x22, 0xff, 0x22])]) {
      expect(readDelivery(body, 'x', KEY)).toEqual({ kind: 'unreadable' });
    }
  });

  test('is accepted with the vendor’s typo, without an id, and with the fields of OAuth applications', () => {
    const { webhookId, brokerageAuthorizationId, ...rest } = SAMPLE;
    const read = (value: Record<string, unknown>) => {
      const found = readDelivery(bytes(JSON.stringify(value)), sign(value), KEY);
      return found.kind === 'delivery' ? found.delivery : undefined;
    };
    expect(read({ ...rest, webookId: webhookId })?.id).toBe(webhookId);
    expect(read({ ...rest, connectionId: OTHER_ID, schemaVersion: 'oauth_v1' })?.connection).toBe(OTHER_ID);
    expect(read(rest)?.id).toMatch(/^body-[0-9a-f]{32}$/);
    expect(read(rest)?.id).toBe(read(rest)?.id);
    expect(brokerageAuthorizationId).toBe(ID);
  });
});

async function told(world: World, type: string, changes: Record<string, unknown> = {}): Promise<readonly string[]> {
  world.told();
  expect(await world.hook(hook(world, type, changes))).toEqual({ status: 200 });
  return world.told().filter((line) => !line.startsWith('- link.up hook'));
}

describe('a webhook', () => {
  test('tells that a connection broke, and that it was mended, before any list does', async () => {
    const world = await startLive({}, [row()]);
    expect(await told(world, 'CONNECTION_BROKEN')).toEqual([
      'A session.lost connection_broken',
      'A session.attention relink',
    ]);
    expect(await told(world, 'CONNECTION_FIXED')).toEqual(['A session.restored']);
    expect(world.facts.at(-1)?.key).toBe('restored:0.1');
  });

  test('shows the carrier once', async () => {
    const world = await startLive({}, [row()]);
    world.told();
    await world.hook(hook(world, 'CONNECTION_BROKEN'));
    expect(world.told()[0]).toBe('- link.up hook#1');
    await world.hook(hook(world, 'CONNECTION_FIXED'));
    expect(world.told()).toEqual(['A session.restored']);
  });

  test('and a list that tell the same fact name it alike, whichever comes first, and it is told once', async () => {
    const keysOf = (facts: readonly Fact[]) => facts.map(({ session, type, key }) => `${session} ${type} ${key}`);
    const byHook = await startLive({}, [row()]);
    await told(byHook, 'CONNECTION_BROKEN');
    byHook.rows = [row(ID, BROKEN)];
    await byHook.clock.advance(70_000);
    expect(byHook.told()).toEqual([]);

    const byList = await startLive({}, [row()]);
    byList.rows = [row(ID, BROKEN)];
    await byList.clock.advance(70_000);
    expect(await told(byList, 'CONNECTION_BROKEN')).toEqual([]);
    expect(keysOf(byHook.facts).filter((key) => !key.includes('link.up'))).toEqual(
      keysOf(byList.facts).filter((key) => !key.includes('link.up')),
    );
  });

  test('makes the relay list the connections, so that what it says is soon confirmed or completed', async () => {
    const world = await startLive({}, []);
    expect(await told(world, 'CONNECTION_ADDED')).toEqual(['A session.opening']);
    world.rows = [row()];
    const before = world.lists();
    await world.clock.advance(2_000);
    expect(world.lists()).toBe(before + 1);
    expect(world.told()).toEqual(['A session.opened trading']);
    expect(await told(world, 'CONNECTION_ADDED')).toEqual([]);
  });

  test('about a connection that no list has shown is a step; the list says what it is', async () => {
    const world = await startLive({}, []);
    world.rows = [row(ID, BROKEN)];
    expect(await told(world, 'CONNECTION_BROKEN')).toEqual(['- session.step CONNECTION_BROKEN']);
    expect(world.facts.at(-1)?.data).toMatchObject({ connection: ID });
    await world.clock.advance(2_000);
    expect(world.told()).toEqual([
      'A session.opened trading',
      'A session.lost connection_broken',
      'A session.attention relink',
    ]);
  });

  test('tells a removal as closed', async () => {
    const world = await startLive({}, [row()]);
    expect(await told(world, 'CONNECTION_DELETED')).toEqual(['A session.closed by:unknown']);
    world.rows = [];
    await world.clock.advance(70_000);
    expect(world.told()).toEqual([]);
  });

  test.each([
    ['CONNECTION_UPDATED', 'A session.updated connectionUpdatedAt'],
    ['NEW_ACCOUNT_AVAILABLE', 'A session.updated accountsChangedAt'],
    ['ACCOUNT_REMOVED', 'A session.updated accountsChangedAt'],
    ['ACCOUNT_HOLDINGS_UPDATED', 'A session.updated holdingsUpdatedAt'],
    ['ACCOUNT_TRANSACTIONS_INITIAL_UPDATE', 'A session.updated transactionsUpdatedAt'],
    ['ACCOUNT_TRANSACTIONS_UPDATED', 'A session.updated transactionsUpdatedAt'],
    ['CONNECTION_FAILED', 'A session.step CONNECTION_FAILED'],
    ['TRADE_DETECTION', 'A session.step TRADE_DETECTION'],
    ['TRADE_UPDATE', 'A session.step TRADE_UPDATE'],
  ])('%s is %s', async (type, line) => {
    const world = await startLive({}, [row()]);
    expect(await told(world, type, { accountId: '917c8734-8470-4a3e-a18f-57c3f2ee6631' })).toEqual([line]);
    expect(JSON.stringify(world.facts)).not.toContain('917c8734');
  });

  test.each(['USER_REGISTERED', 'USER_DELETED'])('%s is a step of the user as a whole', async (type) => {
    const world = await startLive({}, [row()]);
    expect(await told(world, type, { brokerageAuthorizationId: undefined })).toEqual([`- session.step ${type}`]);
  });

  test.each([
    'SUCCESS',
    'AUTH_EXPIRED',
    'INVALID_AUTH_CODE',
    'AUTH_NOT_IN_PROGRESS',
    'DIFFERENT_ACCOUNT',
    'UNCAUGHT_ERROR',
    'INVALID_CREDENTIALS',
    'INVALID_MFA_CODE',
    'NO_DATA',
  ])('an attempt that ended with %s says so', async (result) => {
    const world = await startLive({}, [row(ID, BROKEN)]);
    const line = [`A session.step CONNECTION_ATTEMPTED (${result})`];
    expect(await told(world, 'CONNECTION_ATTEMPTED', { connectionAttemptedResult: result })).toEqual(line);
    expect(await told(world, 'CONNECTION_ATTEMPTED', { details: { connectionAttemptedResult: result } })).toEqual(line);
  });

  test('of a type that nobody knows is passed on, and told as a fault once', async () => {
    const world = await startLive({}, [row()]);
    expect(await told(world, 'CONNECTION_TELEPORTED')).toEqual([
      '- source.fault unknown_value',
      'A session.step CONNECTION_TELEPORTED',
    ]);
    expect(await told(world, 'CONNECTION_TELEPORTED')).toEqual(['A session.step CONNECTION_TELEPORTED']);
  });

  test('says nothing of whether a connection works that cannot be seen', async () => {
    const world = await startLive({}, [row()]);
    world.answer = () => 'unreachable';
    await world.clock.advance(90_000);
    expect(await told(world, 'ACCOUNT_HOLDINGS_UPDATED')).toEqual(['A session.step ACCOUNT_HOLDINGS_UPDATED']);
    expect(await told(world, 'CONNECTION_FIXED')).toEqual(['A session.restored']);
  });

  test('that is older than what the vendor said last does not undo it', async () => {
    const world = await startLive({}, [row()]);
    const late = hook(world, 'CONNECTION_BROKEN');
    await world.clock.advance(1_000);
    await told(world, 'CONNECTION_BROKEN');
    expect(await told(world, 'CONNECTION_FIXED')).toEqual(['A session.restored']);
    expect(await world.hook(late)).toEqual({ status: 200 });
    expect(world.told()).toEqual([]);
  });

  test('is believed over a list that was asked for before it came', async () => {
    const world = await startLive({}, [row()]);
    let answer: () => void = () => {};
    world.answer = () => {
      world.answer = undefined;
      return new Promise((resolve) => {
        answer = () => resolve({ json: [row()] });
      });
    };
    await world.clock.advance(66_000);
    expect(await told(world, 'CONNECTION_BROKEN')).toHaveLength(2);
    world.rows = [row(ID, BROKEN)];
    answer();
    await world.clock.advance(70_000);
    expect(world.told()).toEqual([]);
  });
});

describe('the answer to a webhook', () => {
  test('is 200 once it is journaled, and not before', async () => {
    const world = await startLive({}, [row()]);
    world.journal = undefined;
    const reply = world.hook(hook(world, 'CONNECTION_BROKEN'));
    let status: number | undefined;
    void reply.then((given) => {
      status = given.status;
    });
    await settle();
    expect(status).toBeUndefined();
    world.batches.at(-1)?.committed?.(true);
    expect((await reply).status).toBe(200);
  });

  test('is 503 where it never will be, or is not in time', async () => {
    const world = await startLive({}, [row()]);
    world.journal = false;
    expect((await world.hook(hook(world, 'CONNECTION_BROKEN'))).status).toBe(503);
    world.journal = undefined;
    const reply = world.hook(hook(world, 'CONNECTION_FIXED'));
    await world.clock.advance(10_000);
    expect((await reply).status).toBe(503);
  });

  test('to a repetition is 200 and tells nothing, also after a restart', async () => {
    const world = await startLive({}, [row()]);
    const first = hook(world, 'CONNECTION_BROKEN');
    await world.hook(first);
    await told(world, 'CONNECTION_FIXED');
    expect(await world.hook({ ...first, eventTimestamp: hook(world, 'X').eventTimestamp })).toEqual({ status: 200 });
    expect(world.told()).toEqual([]);
    const again = await startLive({}, [row()], { memory: world.memory });
    again.told();
    expect(await again.hook({ ...first, eventTimestamp: hook(again, 'X').eventTimestamp })).toEqual({ status: 200 });
    expect(again.told()).toEqual([]);
  });

  test('to a repetition while the first is not journaled waits for the first', async () => {
    const world = await startLive({}, [row()]);
    world.journal = undefined;
    const payload = hook(world, 'CONNECTION_BROKEN');
    const replies = [world.hook(payload), world.hook(payload)];
    await settle();
    expect(world.batches.filter(({ committed }) => committed !== undefined)).toHaveLength(1);
    world.batches.at(-1)?.committed?.(false);
    expect((await Promise.all(replies)).map(({ status }) => status)).toEqual([503, 503]);
    world.journal = true;
    expect((await world.hook(payload)).status).toBe(200);
  });

  test('to an old one that is well signed is 202, no event, and a list', async () => {
    const world = await startLive({}, [row()]);
    await world.clock.advance(10_000);
    world.told();
    const payload = hook(world, 'CONNECTION_BROKEN', { eventTimestamp: '2026-11-23T07:50:00.000000+00:00' });
    const before = world.lists();
    expect((await world.hook(payload)).status).toBe(202);
    expect(world.told()).toEqual([]);
    world.rows = [row(ID, BROKEN)];
    await world.clock.advance(2_000);
    expect(world.lists()).toBe(before + 1);
    expect(world.told()).toEqual(['A session.lost connection_broken', 'A session.attention relink']);
  });

  test('follows the configured age, for what comes from the future too', async () => {
    const world = await startLive({ webhookMaxAge: '24h' }, [row()]);
    const at = (time: string) => hook(world, 'CONNECTION_UPDATED', { eventTimestamp: time });
    expect((await world.hook(at('2026-11-22T09:00:00+00:00'))).status).toBe(200);
    expect((await world.hook(at('2026-11-22T07:00:00+00:00'))).status).toBe(202);
    expect((await world.hook(at('2026-11-24T09:00:00+00:00'))).status).toBe(202);
  });

  test('is 401 to a wrong signature, 400 to a bad body, 503 before the start, and repeats nothing of what was sent', async () => {
    const world = await startLive({}, [row()]);
    world.told();
    const payload = hook(world, 'CONNECTION_BROKEN');
    const replies = [
      await world.hook(payload, sign(payload, 'another key')),
      await webhookOf(world.venue)({ headers: {}, body: bytes(JSON.stringify(payload)) }),
      await webhookOf(world.venue)({ headers: { signature: 'x' }, body: bytes('{"userId":"customer-1"') }),
      await startVenue({}, [], { start: false }).hook(payload),
    ];
    expect(replies.map(({ status }) => status)).toEqual([401, 401, 400, 503]);
    const text = JSON.stringify([replies, world.facts, world.logged]);
    for (const secret of [USER.userId, USER.userSecret, KEY, 'deprecated-but-still-there']) {
      expect(text).not.toContain(secret);
    }
    expect(world.told()).toEqual([]);
  });

  test('about a customer who is not watched is 200 and says nothing', async () => {
    const world = await startLive({}, [row()]);
    world.told();
    expect((await world.hook(hook(world, 'CONNECTION_BROKEN', { userId: 'somebody-else' }))).status).toBe(200);
    expect(world.told()).toEqual([]);
  });
});
