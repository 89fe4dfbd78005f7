import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { SessionRelayError, VenueError, VenueTimeoutError } from '../../src/errors.js';
import type { Json } from '../../src/model/json.js';
import { createJsonRpc, type JsonRpc } from '../../src/net/json-rpc.js';
import { VirtualClock } from '../support/virtual-clock.js';

interface Sent {
  readonly jsonrpc: string;
  readonly id: number;
  readonly method: string;
  readonly params: Json;
}

function connection(): { readonly clock: VirtualClock; readonly rpc: JsonRpc; readonly sent: Sent[] } {
  const clock = new VirtualClock();
  const sent: Sent[] = [];
  const rpc = createJsonRpc({ clock, send: (text) => sent.push(JSON.parse(text) as Sent) });
  return { clock, rpc, sent };
}

/** What became of a call, without waiting for it. */
function outcome(call: Promise<Json>): { value?: Json; error?: SessionRelayError } {
  const found: { value?: Json; error?: SessionRelayError } = {};
  call.then(
    (value) => {
      found.value = value;
    },
    (error: unknown) => {
      if (error instanceof SessionRelayError) found.error = error;
      else throw error;
    },
  );
  return found;
}

function answer(id: unknown, rest: object): string {
  return JSON.stringify({ jsonrpc: '2.0', id, ...rest });
}

describe('a call', () => {
  test('is sent as JSON-RPC 2.0 with an id of its own and params that are an object', () => {
    const { rpc, sent } = connection();
    outcome(rpc.call('public/auth', { grant_type: 'client_credentials' }));
    outcome(rpc.call('public/test'));
    expect(sent).toEqual([
      { jsonrpc: '2.0', id: 1, method: 'public/auth', params: { grant_type: 'client_credentials' } },
      { jsonrpc: '2.0', id: 2, method: 'public/test', params: {} },
    ]);
    expect(rpc.pending).toBe(2);
    rpc.close('the test is over');
  });

  test('is settled by the reply with its id, in whatever order the replies come', async () => {
    await fc.assert(
      fc.asyncProperty(fc.shuffledSubarray([1, 2, 3, 4, 5], { minLength: 5 }), async (order) => {
        const { rpc, clock } = connection();
        const calls = [1, 2, 3, 4, 5].map((number) => rpc.call(`method/${number}`));
        for (const id of order) rpc.accept(answer(id, { result: `of ${id}` }));
        expect(await Promise.all(calls)).toEqual([1, 2, 3, 4, 5].map((id) => `of ${id}`));
        expect(rpc.pending).toBe(0);
        expect(clock.timers).toBe(0);
      }),
      { numRuns: 20 },
    );
  });

  test.each([null, false, 0, '', [], {}, 'ok'])('resolves with the result %j', async (result) => {
    const { rpc } = connection();
    const call = rpc.call('x');
    rpc.accept(answer(1, { result }));
    expect(await call).toEqual(result);
  });

  test('rejects with the venue’s error, its data kept', async () => {
    const { rpc } = connection();
    const call = rpc.call('private/subscribe');
    const error = { code: -32_602, message: 'Invalid params', data: { reason: 'invalid format', param: 'nonce' } };
    const told = rpc.accept(answer(1, { error }));
    expect(told).toMatchObject({ kind: 'reply', method: 'private/subscribe', error });
    const thrown = await call.catch((caught: unknown) => caught);
    expect(thrown).toBeInstanceOf(VenueError);
    expect(thrown).toMatchObject({
      code: 'venue_error',
      venueCode: -32_602,
      data: { code: -32_602, message: 'Invalid params', detail: { reason: 'invalid format', param: 'nonce' } },
    });
  });

  test('is told to its owner with the round trip and the frame’s other members', async () => {
    const { rpc, clock } = connection();
    const found = outcome(rpc.call('public/test'));
    await clock.advance(138);
    // Recorded frame, Deribit: members beside the protocol's own.
    const told = rpc.accept(answer(1, { result: 'ok', usIn: 1_765_425_742_820_267, usDiff: 537, testnet: false }));
    await clock.advance(0);
    expect(found.value).toBe('ok');
    expect(told).toEqual({
      kind: 'reply',
      method: 'public/test',
      roundTripMs: 138,
      extras: { usIn: 1_765_425_742_820_267, usDiff: 537, testnet: false },
    });
  });

  test('that is not answered in 10 s ends as venue_timeout, never as done or not done', async () => {
    const { rpc, clock } = connection();
    const found = outcome(rpc.call('private/logout', { token: 'never-in-a-message' }));
    await clock.advance(9_999);
    expect(found.error).toBeUndefined();
    await clock.advance(1);
    expect(found.error).toBeInstanceOf(VenueTimeoutError);
    expect(found.error?.message).toMatch(/private\/logout.*10000 ms.*unknown/);
    expect(found.error?.message).not.toContain('never-in-a-message');
    expect(rpc.pending).toBe(0);
  });

  test('has the patience that it was given, or that its client was', async () => {
    const clock = new VirtualClock();
    const rpc = createJsonRpc({ clock, send: () => {}, timeoutMs: 500 });
    const usual = outcome(rpc.call('a'));
    const patient = outcome(rpc.call('b', {}, { timeoutMs: 2_000 }));
    await clock.advance(500);
    expect(usual.error?.code).toBe('venue_timeout');
    expect(patient.error).toBeUndefined();
    await clock.advance(1_500);
    expect(patient.error?.code).toBe('venue_timeout');
  });

  test('that cannot be sent ends as source_unavailable at once, and leaves nothing behind', async () => {
    const clock = new VirtualClock();
    const cause = new SessionRelayError('closed', 'the socket to the venue is not open');
    const rpc = createJsonRpc({
      clock,
      send() {
        throw cause;
      },
    });
    const thrown = await rpc.call('private/buy').catch((caught: unknown) => caught);
    expect(thrown).toMatchObject({ code: 'source_unavailable', cause });
    expect((thrown as Error).message).toBe('private/buy was not sent: the socket to the venue is not open');
    expect(rpc.pending).toBe(0);
    expect(clock.timers).toBe(0);
  });
});

describe('a reply', () => {
  test('to a call that has timed out is late, and settles no other', async () => {
    const { rpc, clock } = connection();
    const first = outcome(rpc.call('a'));
    await clock.advance(10_000);
    const second = outcome(rpc.call('b'));
    expect(rpc.accept(answer(1, { result: 'too late' }))).toEqual({ kind: 'late', id: 1 });
    await clock.advance(0);
    expect(first.error?.code).toBe('venue_timeout');
    expect(second).toEqual({});
  });

  test('that comes twice is late the second time', () => {
    const { rpc } = connection();
    outcome(rpc.call('a'));
    expect(rpc.accept(answer(1, { result: 1 })).kind).toBe('reply');
    expect(rpc.accept(answer(1, { result: 2 }))).toEqual({ kind: 'late', id: 1 });
  });

  test.each(['1', 'auth', 99, 1.5, -1])(
    'with an id that is none of ours, %j, is late and settles nothing',
    async (id) => {
      const { rpc, clock } = connection();
      const found = outcome(rpc.call('a'));
      expect(rpc.accept(answer(id, { result: 'ok' }))).toEqual({ kind: 'late', id });
      await clock.advance(0);
      expect(found).toEqual({});
    },
  );

  test('of an old generation settles nothing of the new one’s: each connection has a client of its own', async () => {
    const old = connection();
    const before = outcome(old.rpc.call('private/get_cancel_on_disconnect'));
    old.rpc.close('the connection ended');
    const now = connection();
    const after = outcome(now.rpc.call('public/auth'));
    expect(old.rpc.accept(answer(1, { result: { enabled: true } }))).toEqual({ kind: 'late', id: 1 });
    await old.clock.advance(0);
    expect(before.error?.code).toBe('venue_timeout');
    expect(after).toEqual({});
    expect(now.rpc.pending).toBe(1);
  });

  test('with neither a result nor an error is no success: the call waits on', async () => {
    const { rpc, clock } = connection();
    const found = outcome(rpc.call('private/logout'));
    expect(rpc.accept('{"jsonrpc":"2.0","id":1}')).toMatchObject({ kind: 'bad' });
    expect(rpc.pending).toBe(1);
    await clock.advance(10_000);
    expect(found.error?.code).toBe('venue_timeout');
  });

  test('with an error that is null is a success', async () => {
    const { rpc } = connection();
    const call = rpc.call('x');
    rpc.accept(answer(1, { result: 'ok', error: null }));
    expect(await call).toBe('ok');
  });
});

describe('a frame without an id', () => {
  test.each([
    // Deribit's changelog of 10.02.2021, and a recorded frame.
    [
      '{"jsonrpc":"2.0","error":{"message":"system_maintenance","code":11051}}',
      { code: 11_051, message: 'system_maintenance' },
    ],
    [
      '{"jsonrpc":"2.0","error":{"code":11050,"data":"invalid json","message":"bad_request"},"usIn":1790133844787014}',
      { code: 11_050, message: 'bad_request', data: 'invalid json' },
    ],
    ['{"jsonrpc":"2.0","id":null,"error":{"code":1}}', { code: 1, message: 'no message' }],
  ])('that is an error goes to the owner, not to a call: %s', async (text, error) => {
    const { rpc, clock } = connection();
    const found = outcome(rpc.call('public/test'));
    expect(rpc.accept(text)).toEqual({ kind: 'error', error });
    await clock.advance(0);
    expect(found).toEqual({});
    expect(rpc.pending).toBe(1);
  });

  test.each([
    ['{"params":{"type":"test_request"},"method":"heartbeat","jsonrpc":"2.0"}', 'heartbeat', { type: 'test_request' }],
    ['{"jsonrpc":"2.0","method":"ping"}', 'ping', null],
    ['{"jsonrpc":"2.0","id":1,"method":"ask","params":[1]}', 'ask', [1]],
  ])('that has a method is a notification: %s', (text, method, params) => {
    const { rpc } = connection();
    outcome(rpc.call('x'));
    expect(rpc.accept(text)).toEqual({ kind: 'notification', method, params });
    expect(rpc.pending).toBe(1);
  });
});

describe('a frame that cannot be understood', () => {
  test.each([
    ['', 'not JSON'],
    ['{"id":1,', 'not JSON'],
    ['[]', 'a batch'],
    ['[{"jsonrpc":"2.0","id":1,"result":1}]', 'a batch'],
    ['null', 'neither a reply nor a notification'],
    ['7', 'neither a reply nor a notification'],
    ['"text"', 'neither a reply nor a notification'],
    ['{"id":{},"result":1}', 'neither a reply nor a notification'],
    ['{"id":1,"error":"broken"}', 'neither a reply nor a notification'],
    ['{"method":7}', 'a reply without an id'],
    ['{}', 'a reply without an id'],
    ['{"result":1}', 'a reply without an id'],
  ])('is bad, and settles nothing: %j is %s', (text, why) => {
    const { rpc } = connection();
    outcome(rpc.call('x'));
    expect(rpc.accept(text)).toEqual({ kind: 'bad', why, sample: text });
    expect(rpc.pending).toBe(1);
  });

  test('is bad where it is nested beyond reason: it does not throw', () => {
    const { rpc } = connection();
    const deep = 20_000;
    const text = `{"method":"x","params":${'['.repeat(deep)}${']'.repeat(deep)}}`;
    expect(rpc.accept(text).kind).toBe('bad');
  });

  test('is shown by its first 256 characters, without the piece of a token at the cut', () => {
    const { rpc } = connection();
    const cut = `${'{ "a": 1 }, '.repeat(21)} abcdefgh`;
    const told = rpc.accept(`${cut}${'i'.repeat(50)}`);
    expect(told).toMatchObject({ kind: 'bad', why: 'not JSON' });
    if (told.kind !== 'bad') return;
    expect(told.sample.length).toBeLessThanOrEqual(256);
    expect(told.sample).not.toContain('abc');
  });

  test('never throws, whatever it is, and never settles a call that it does not name', () => {
    fc.assert(
      fc.property(
        fc.oneof(
          fc.string(),
          fc.json(),
          fc.jsonValue().map((value) => JSON.stringify({ id: 7, ...Object(value) })),
        ),
        (text) => {
          const { rpc } = connection();
          outcome(rpc.call('x'));
          rpc.accept(text);
          expect(rpc.pending).toBe(1);
        },
      ),
    );
  });
});

describe('a client that is closed', () => {
  test('rejects what is pending as unknown and what comes after as not sent, once and for all', async () => {
    const { rpc, clock, sent } = connection();
    const pending = outcome(rpc.call('private/enable_cancel_on_disconnect'));
    rpc.close('the connection ended');
    rpc.close('again');
    const after = outcome(rpc.call('private/disable_cancel_on_disconnect'));
    await clock.advance(0);
    expect(pending.error).toBeInstanceOf(VenueTimeoutError);
    expect(pending.error?.message).toBe(
      'private/enable_cancel_on_disconnect: the connection ended before the venue answered; whether it acted is unknown',
    );
    expect(after.error).toMatchObject({
      code: 'source_unavailable',
      message: 'private/disable_cancel_on_disconnect was not sent: the connection ended',
    });
    expect(sent).toHaveLength(1);
    expect(rpc.pending).toBe(0);
    expect(clock.timers).toBe(0);
  });
});
