import { afterEach, describe, expect, test } from 'vitest';
import type { Answer, Request } from './model-relay.js';
import { closeStages, expectNothingLeft, stage } from './stage.js';

afterEach(closeStages);

const SOURCE = 'deribit.main';
const done = ({ params }: Request) => ({
  result: { result: { ok: true }, cursor: '1-2', requestId: params.requestId },
});

/** A stage whose relay answers commands so, after what it was given for the first ones. */
async function commanding(...first: readonly Answer[]) {
  const answers = [...first];
  const on = await stage({
    prepare: (relay) => relay.answers.set('command', (request) => (answers.shift() ?? done)(request)),
  });
  const ids = () => on.relay.asked('command').map(({ params }) => params.requestId);
  return { on, ids };
}
const nothing: Answer = () => undefined;
const refusal =
  (code: number, data: object = {}): Answer =>
  () => ({ error: { code, message: 'the relay says no', data } });
const rejected = (promise: Promise<unknown>): Promise<unknown> =>
  promise.then(
    () => expect.fail('it must reject'),
    (thrown: unknown) => thrown,
  );

test('is asked with all that was given and an id of its own, and resolves with the relay’s answer', async () => {
  const { on, ids } = await commanding();
  const reply = await on.client.command(SOURCE, 'set_heartbeat', { interval: 30 }, { session: 'relay' });
  expect(on.relay.asked('command')[0]?.params).toEqual({
    source: SOURCE,
    session: 'relay',
    command: 'set_heartbeat',
    params: { interval: 30 },
    requestId: expect.stringMatching(/^[0-9a-f]{32}$/),
  });
  expect(reply).toEqual({ result: { ok: true }, cursor: '1-2', requestId: ids()[0] });
  await on.client.command(SOURCE, 'read');
  expect(ids()[1]).not.toBe(ids()[0]);
  expect((await on.client.command(SOURCE, 'read', {}, { requestId: 'mine' })).requestId).toBe('mine');
  await expectNothingLeft(on);
});

test.each([
  [-32_602, 'invalid_params', 'not_done'],
  [4403, 'forbidden', 'not_done'],
  [4404, 'not_found', 'not_done'],
  [4409, 'conflict', 'not_done'],
  [4424, 'venue_error', 'failed'],
  [4429, 'rate_limited', 'not_done'],
  [4503, 'source_unavailable', 'not_done'],
  [4504, 'venue_timeout', 'unknown'],
  [-32_603, 'internal', 'unknown'],
  [4999, 'internal', 'not_done'],
])('the relay’s %i rejects with %s: %s', async (wire, code, outcome) => {
  const { on } = await commanding(refusal(wire, { retryAfterMs: 7 }));
  expect(await rejected(on.client.command(SOURCE, 'act', {}, { requestId: 'r' }))).toMatchObject({
    code,
    message: 'the relay says no',
    data: { requestId: 'r', outcome, retryAfterMs: 7, rpcCode: wire },
  });
});

describe('when the connection dies under it', () => {
  test('it is asked again under the same id, and resolves with the first result', async () => {
    const { on, ids } = await commanding(nothing);
    const reply = on.client.command(SOURCE, 'act');
    on.relay.hangUp(1006);
    await on.advance(2_000);
    expect(await reply).toMatchObject({ result: { ok: true } });
    expect(ids()).toEqual([ids()[0], ids()[0]]);
  });

  test('also after the relay restarted, where its journal reaches back to when it was sent', async () => {
    const { on, ids } = await commanding(nothing, ({ params }) => ({
      result: { replayed: true, outcome: 'succeeded', cursor: '1-2', requestId: params.requestId },
    }));
    on.relay.happen('session.restored', {});
    const reply = on.client.command(SOURCE, 'act');
    on.relay.restart(true);
    await on.advance(2_000);
    expect(await reply).toEqual({ replayed: true, outcome: 'succeeded', cursor: '1-2', requestId: ids()[0] });
    expect(on.relay.asked('get_events')[0]?.params).toEqual({ since: '1-0', limit: 1 });
  });

  test('a relay that restarted without its journal would do it twice: it is not asked, the outcome is unknown', async () => {
    const { on, ids } = await commanding(nothing);
    on.relay.happen('session.restored', {});
    const reply = rejected(on.client.command(SOURCE, 'act'));
    on.relay.restart(false);
    await on.advance(2_000);
    expect(await reply).toMatchObject({ code: 'venue_timeout', data: { outcome: 'unknown' } });
    expect(ids()).toHaveLength(1);
  });

  test('another identity would do it twice: it is not asked', async () => {
    let identity = 'desk';
    const on = await stage({
      token: () => 'good',
      prepare(relay) {
        relay.token = 'good';
        relay.answers.set('auth', () => ({ result: { identity } }));
        relay.answers.set('command', nothing);
      },
    });
    const reply = rejected(on.client.command(SOURCE, 'act'));
    identity = 'other';
    on.relay.hangUp(1006);
    await on.advance(2_000);
    expect(await reply).toMatchObject({ code: 'venue_timeout', data: { outcome: 'unknown' } });
    expect(on.relay.asked('command')).toHaveLength(1);
  });

  test('a refusal of the second asking says nothing of the first', async () => {
    const { on } = await commanding(nothing, refusal(4429));
    const reply = rejected(on.client.command(SOURCE, 'act'));
    on.relay.hangUp(1006);
    await on.advance(2_000);
    expect(await reply).toMatchObject({ code: 'rate_limited', data: { outcome: 'unknown' } });
  });

  test.each(['failed', 'unknown'])('what was %s before a restart is no success', async (outcome) => {
    const { on } = await commanding(() => ({
      result: { replayed: true, outcome, cursor: '1-2', requestId: 'r' },
    }));
    expect(await rejected(on.client.command(SOURCE, 'act', {}, { requestId: 'r' }))).toMatchObject({
      data: { outcome },
    });
  });
});

describe('time', () => {
  test('before there is a connection it waits, and is sent once there is one', async () => {
    const on = await stage({
      prepare(relay) {
        relay.network.isDown = true;
        relay.answers.set('command', done);
      },
    });
    const reply = on.client.command(SOURCE, 'read');
    await on.advance(5_000);
    on.relay.network.isDown = false;
    await on.advance(30_000);
    expect(await reply).toMatchObject({ result: { ok: true } });
  });

  test('never sent in time: not done', async () => {
    const on = await stage({ prepare: (relay) => (relay.network.isDown = true) });
    const reply = rejected(on.client.command(SOURCE, 'act', {}, { timeoutMs: 10_000 }));
    await on.advance(10_000);
    expect(await reply).toMatchObject({ code: 'relay_unreachable', data: { outcome: 'not_done' } });
    on.relay.network.isDown = false;
    await on.advance(60_000);
    expect(on.relay.asked('command')).toHaveLength(0);
  });

  test('sent and never answered: unknown, after 45 s', async () => {
    const { on } = await commanding(nothing);
    const reply = rejected(on.client.command(SOURCE, 'act'));
    await on.advance(44_999);
    let isOver = false;
    void reply.then(() => {
      isOver = true;
    });
    await on.settle();
    expect(isOver).toBe(false);
    await on.advance(1);
    expect(await reply).toMatchObject({ code: 'venue_timeout', data: { outcome: 'unknown' } });
    await expectNothingLeft(on);
  });

  test('no longer than the relay remembers an id, whatever was asked for', async () => {
    const { on } = await commanding(nothing);
    const reply = rejected(on.client.command(SOURCE, 'act', {}, { timeoutMs: 3_600_000 }));
    await on.advance(540_000);
    expect(await reply).toMatchObject({ code: 'venue_timeout' });
  });
});

test('an answer that cannot be read leaves the outcome unknown', async () => {
  const { on } = await commanding(() => ({ result: { ok: true } }));
  expect(await rejected(on.client.command(SOURCE, 'act'))).toMatchObject({ data: { outcome: 'unknown' } });
});

test('one that is larger than the relay reads is refused here, for there it would end the connection', async () => {
  const { on } = await commanding();
  const text = 'é'.repeat(40_000);
  expect(await rejected(on.client.command(SOURCE, 'act', { text }))).toMatchObject({
    code: 'invalid_params',
    data: { outcome: 'not_done' },
  });
  expect(on.status.state).toBe('open');
});

test('close rejects what waits', async () => {
  const { on } = await commanding(nothing);
  const reply = rejected(on.client.command(SOURCE, 'act'));
  await on.client.close();
  expect(await reply).toMatchObject({ code: 'closed', data: { outcome: 'unknown' } });
});
