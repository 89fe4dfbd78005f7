import { afterEach, describe, expect, test } from 'vitest';
import { WEBHOOK_TYPES } from '../../src/simulators/snaptrade/payloads.js';
import type { SnaptradeSimulatorOptions } from '../../src/simulators/snaptrade.js';
import { until, VirtualClock } from '../support/virtual-clock.js';
import { ask, CONSUMER_KEY, type Hook, harness, hmac, list, plainSignature, stateOf } from './snaptrade-client.js';

const { start, receive, closeAll } = harness();
afterEach(closeAll);

const MINUTE_MS = 60_000;

async function live(options: SnaptradeSimulatorOptions = {}) {
  const clock = new VirtualClock();
  const heard = await receive();
  const simulator = await start({ clock, webhookUrl: heard.url, ...options });
  const rows = () => list(simulator, { nowMs: clock.now() });
  /** Waits until what was sent has been answered, and the simulator knows it. */
  const answered = (count: number) =>
    until(() => {
      const { taken, refused, failed } = stateOf(simulator).webhooks;
      return taken + refused + failed >= count;
    }, `${count} answers`);
  return { clock, heard, simulator, rows, answered };
}

const types = (hooks: readonly Hook[]) => hooks.map(({ payload }) => payload.eventType);
const isGenuine = ({ signature, payload }: Hook) => signature === plainSignature(payload);

describe('a webhook', () => {
  test('of a broken connection is the vendor’s sample, signed over its canonical form and not over its bytes', async () => {
    const { heard, simulator, rows } = await live();
    const [first] = await rows();
    simulator.fault('break_connection');
    const [hook] = await heard.wait(1);
    expect(hook?.payload).toEqual({
      webhookId: expect.stringMatching(/^[0-9a-f-]{36}$/),
      clientId: 'SIMULATOR-CLIENT',
      eventTimestamp: '2026-11-23T08:00:00.000000+00:00',
      userId: 'SIMULATOR-CUSTOMER-1',
      eventType: 'CONNECTION_BROKEN',
      webhookSecret: 'SIMULATOR-WEBHOOK-SECRET',
      brokerageAuthorizationId: first?.id,
    });
    expect(hook?.signature).toBe(plainSignature(hook?.payload ?? null));
    expect(hook?.signature).not.toBe(hmac(CONSUMER_KEY, hook?.text ?? ''));
  });

  test('comes for every change, and what was changed is in the list by then', async () => {
    const { clock, heard, simulator, rows } = await live();
    const [first] = await rows();
    simulator.fault('break_connection');
    await heard.wait(1);
    expect(await rows()).toMatchObject([{ disabled: true }, { disabled: false }]);
    simulator.fault('fix_connection');
    await heard.wait(2);
    expect(await rows()).toMatchObject([{ disabled: false }, { disabled: false }]);
    simulator.fault('add_connection');
    await heard.wait(3);
    expect(await rows()).toHaveLength(3);
    simulator.fault('delete_connection', { user: 'customer-1' });
    await heard.wait(4);
    expect(await rows()).toHaveLength(2);
    const post = { method: 'POST', nowMs: clock.now() };
    await ask(simulator, `/authorizations/${first?.id}/refresh`, post);
    await clock.advance(3_000);
    await heard.wait(5);
    await ask(simulator, `/authorizations/${first?.id}/disable`, { ...post, nowMs: clock.now() });
    await heard.wait(6);
    await ask(simulator, `/connection/${first?.id}`, { method: 'DELETE', nowMs: clock.now() });
    await clock.advance(2_000);
    const hooks = await heard.wait(7);
    expect(types(hooks)).toEqual([
      'CONNECTION_BROKEN',
      'CONNECTION_FIXED',
      'CONNECTION_ADDED',
      'CONNECTION_DELETED',
      'ACCOUNT_HOLDINGS_UPDATED',
      'CONNECTION_BROKEN',
      'CONNECTION_DELETED',
    ]);
    expect(hooks.every(isGenuine)).toBe(true);
    expect(new Set(hooks.map(({ payload }) => payload.webhookId)).size).toBe(7);
    expect(hooks[4]?.payload).toMatchObject({ details: { orders: { success: true, error: null } } });
  });

  test.each(WEBHOOK_TYPES)('of type %s can be sent, with what the vendor’s sample has', async (type) => {
    const { heard, simulator } = await live();
    simulator.fault('webhook', { type });
    const [hook] = await heard.wait(1);
    expect(hook?.payload.eventType).toBe(type);
    const withConnection = !/^USER_|ATTEMPTED|FAILED/.test(type);
    expect('brokerageAuthorizationId' in (hook?.payload ?? {})).toBe(withConnection);
    expect('accountId' in (hook?.payload ?? {})).toBe(/ACCOUNT|TRADE/.test(type));
    expect('webookId' in (hook?.payload ?? {})).toBe(type.startsWith('TRADE_'));
    const withBrokerage = /ATTEMPTED|CONNECTION_ADDED|DELETED|HOLDINGS|TRADE/.test(type) && !type.startsWith('USER_');
    expect('brokerageId' in (hook?.payload ?? {})).toBe(withBrokerage);
  });

  test('writes floats and text as Python does, in its bytes and in what is signed', async () => {
    const { heard, simulator } = await live();
    simulator.fault('webhook', { type: 'TRADE_DETECTION' });
    simulator.fault('webhook', { type: 'TRADE_UPDATE', details: { n: 1e21, small: 1e-7, name: 'Börse 😀' } });
    const [detected, updated] = await heard.wait(2);
    expect(detected?.text).toContain('"detection_lag_seconds": 5.0}');
    const canonical = (hook: Hook | undefined, details: string) => {
      const { details: _, ...rest } = hook?.payload ?? {};
      const entries = Object.entries({ ...rest, details: '@' }).sort(([one], [other]) => (one < other ? -1 : 1));
      return JSON.stringify(Object.fromEntries(entries)).replace('"@"', () => details);
    };
    expect(detected?.signature).toBe(
      hmac(CONSUMER_KEY, canonical(detected, '{"detection_lag_seconds":5.0,"orders":[]}')),
    );
    const details = String.raw`{"n":1e+21,"name":"B\u00f6rse \ud83d\ude00","small":1e-07}`;
    expect(updated?.signature).toBe(hmac(CONSUMER_KEY, canonical(updated, details)));
  });

  test('of an OAuth application has other names and no client', async () => {
    const { heard, simulator, rows } = await live();
    const [first] = await rows();
    simulator.fault('webhook_schema', { schema: 'oauth_v1' });
    simulator.fault('webhook', {
      type: 'CONNECTION_ATTEMPTED',
      more: { connectionAttemptedResult: 'DIFFERENT_ACCOUNT' },
    });
    simulator.fault('break_connection');
    const [attempted, broken] = await heard.wait(2);
    expect(attempted?.payload).toMatchObject({ connectionAttemptedResult: 'DIFFERENT_ACCOUNT' });
    expect(broken?.payload).toEqual({
      schemaVersion: 'oauth_v1',
      webhookId: expect.any(String),
      oauthClientId: 'simulator-app',
      eventTimestamp: '2026-11-23T08:00:00.000000+00:00',
      userId: 'SIMULATOR-CUSTOMER-1',
      eventType: 'CONNECTION_BROKEN',
      connectionId: first?.id,
    });
    expect(broken && isGenuine(broken)).toBe(true);
  });
});

describe('a webhook that is not taken', () => {
  test.each([500, 404, 203, 0])(
    'with %d is sent again after 30, 60 and 120 minutes, the same, and then no more',
    async (status) => {
      const { clock, heard, simulator, answered } = await live();
      heard.status = status;
      simulator.fault('break_connection');
      await answered(1);
      for (const [index, minutes] of [30, 60, 120].entries()) {
        await clock.advance(minutes * MINUTE_MS - 1);
        expect(heard.hooks).toHaveLength(index + 1);
        await clock.advance(1);
        await answered(index + 2);
        expect(heard.hooks).toHaveLength(index + 2);
      }
      await clock.advance(10_000 * MINUTE_MS);
      expect(heard.hooks).toHaveLength(4);
      expect(new Set(heard.hooks.map(({ text, signature }) => text + signature)).size).toBe(1);
      expect(stateOf(simulator).webhooks).toMatchObject({ sent: 4, taken: 0, repeated: 3, givenUp: 1 });
    },
  );

  test.each([200, 201, 202, 204])('is none where it is answered with %d', async (status) => {
    const { clock, heard, simulator, answered } = await live();
    heard.status = status;
    simulator.fault('break_connection');
    await answered(1);
    await clock.advance(1_000 * MINUTE_MS);
    expect(heard.hooks).toHaveLength(1);
    expect(stateOf(simulator).webhooks).toMatchObject({ taken: 1, repeated: 0 });
  });

  test('is taken the second time, and is not sent a third time', async () => {
    const { clock, heard, simulator, answered } = await live();
    heard.status = 503;
    simulator.fault('break_connection');
    await answered(1);
    heard.status = 200;
    await clock.advance(1_000 * MINUTE_MS);
    await answered(2);
    await clock.advance(1_000 * MINUTE_MS);
    expect(heard.hooks).toHaveLength(2);
    expect(stateOf(simulator).webhooks).toMatchObject({ taken: 1, refused: 1, repeated: 1, givenUp: 0 });
  });

  test('has a new time when it comes again, where fresh_repeats says so, and the same id', async () => {
    const { clock, heard, simulator, answered } = await live();
    heard.status = 500;
    simulator.fault('fresh_repeats');
    simulator.fault('break_connection');
    await answered(1);
    await clock.advance(30 * MINUTE_MS);
    const [first, again] = await heard.wait(2);
    expect(again?.payload).toEqual({ ...first?.payload, eventTimestamp: '2026-11-23T08:30:00.000000+00:00' });
    expect(again && isGenuine(again)).toBe(true);
  });
});

describe('faults of webhooks', () => {
  test('duplicate_webhook: the last once more, byte for byte', async () => {
    const { heard, simulator } = await live();
    simulator.fault('break_connection');
    await heard.wait(1);
    simulator.fault('duplicate_webhook');
    const [first, again] = await heard.wait(2);
    expect(again).toEqual(first);
  });

  test('duplicate_webhook before there was one: the next comes twice, the one after it once', async () => {
    const { heard, simulator, answered } = await live();
    simulator.fault('duplicate_webhook');
    simulator.fault('break_connection');
    simulator.fault('fix_connection');
    await answered(3);
    expect(types(heard.hooks)).toEqual(['CONNECTION_BROKEN', 'CONNECTION_BROKEN', 'CONNECTION_FIXED']);
    expect(stateOf(simulator).webhooks).toMatchObject({ sent: 3, waiting: 0 });
    expect(heard.hooks[1]).toEqual(heard.hooks[0]);
  });

  test('late_webhook: the next is over age and signed rightly, the one after it is not', async () => {
    const { heard, simulator } = await live();
    simulator.fault('late_webhook', { ageMs: 301_000 });
    simulator.fault('break_connection');
    simulator.fault('fix_connection');
    const hooks = await heard.wait(2);
    expect(hooks.map(({ payload }) => payload.eventTimestamp)).toEqual([
      '2026-11-23T07:54:59.000000+00:00',
      '2026-11-23T08:00:00.000000+00:00',
    ]);
    expect(hooks.every(isGenuine)).toBe(true);
  });

  test.each(['signature', 'missing', 'tampered', 'unreadable'])(
    'bad_webhook (%s): the next is not genuine, is never repeated, and the one after it is genuine',
    async (how) => {
      const { clock, heard, simulator, answered } = await live();
      heard.status = 401;
      simulator.fault('bad_webhook', { how });
      simulator.fault('break_connection');
      await answered(1);
      heard.status = 200;
      simulator.fault('fix_connection');
      await answered(2);
      await clock.advance(1_000 * MINUTE_MS);
      expect(heard.hooks.map(isGenuine)).toEqual([false, true]);
      const [bad] = heard.hooks;
      expect(bad?.signature === undefined).toBe(how === 'missing');
      expect(bad?.payload.eventType).toBe(
        how === 'unreadable' ? undefined : how === 'tampered' ? 'CONNECTION_DELETED' : 'CONNECTION_BROKEN',
      );
    },
  );

  test('reordered_webhooks: two are kept and come last first, and then no longer', async () => {
    const { heard, simulator } = await live();
    simulator.fault('reordered_webhooks');
    simulator.fault('break_connection');
    simulator.fault('fix_connection');
    simulator.fault('break_connection');
    expect(types(await heard.wait(3))).toEqual(['CONNECTION_FIXED', 'CONNECTION_BROKEN', 'CONNECTION_BROKEN']);
  });

  test('webhooks_off: what happens meanwhile is never told', async () => {
    const { clock, heard, simulator } = await live();
    simulator.fault('webhooks_off', { forMs: 20_000 });
    simulator.fault('break_connection');
    await clock.advance(20_000);
    simulator.fault('fix_connection');
    expect(types(await heard.wait(1))).toEqual(['CONNECTION_FIXED']);
    expect(stateOf(simulator).webhooks).toMatchObject({ lost: 1, sent: 1 });
  });

  test('disable_connection, and a change without a webhook, are told by no webhook; one after a while comes then', async () => {
    const { clock, heard, simulator, rows } = await live();
    simulator.fault('disable_connection');
    simulator.fault('fix_connection', { webhook: false });
    simulator.fault('break_connection', { webhookAfterMs: 12_000 });
    expect(await rows()).toMatchObject([{ disabled: true }, { disabled: false }]);
    await clock.advance(11_999);
    expect(heard.hooks).toEqual([]);
    await clock.advance(1);
    const [hook] = await heard.wait(1);
    expect(hook?.payload).toMatchObject({
      eventType: 'CONNECTION_BROKEN',
      eventTimestamp: '2026-11-23T08:00:12.000000+00:00',
    });
    expect(stateOf(simulator).webhooks.sent).toBe(1);
  });

  test('webhook_url: nowhere, until there is one', async () => {
    const heard = await receive();
    const simulator = await start();
    simulator.fault('break_connection');
    simulator.fault('webhook_url', { url: heard.url });
    simulator.fault('fix_connection');
    expect(types(await heard.wait(1))).toEqual(['CONNECTION_FIXED']);
    simulator.sendWebhooksTo(undefined);
    simulator.fault('break_connection');
    simulator.sendWebhooksTo(heard.url);
    simulator.fault('fix_connection');
    expect(types(await heard.wait(2))).toEqual(['CONNECTION_FIXED', 'CONNECTION_FIXED']);
    expect(stateOf(simulator).webhooks.lost).toBe(2);
    expect(() => simulator.fault('webhook_url', { url: 'file:///etc/passwd' })).toThrow('webhook_url');
  });
});

test('nothing is sent after the end, and no timer is left', async () => {
  const { clock, heard, simulator, answered } = await live();
  heard.status = 500;
  simulator.fault('break_connection');
  await answered(1);
  simulator.fault('fix_connection', { webhookAfterMs: 1_000 });
  await simulator.close();
  expect(clock.timers).toBe(0);
  await clock.advance(1_000 * MINUTE_MS);
  expect(heard.hooks).toHaveLength(1);
});
