import { afterEach, describe, expect, test } from 'vitest';
import { closeTestRelays, startTestRelay, TRANSPORTS } from '../support/relay.js';
import type { Message, Subscriber } from '../support/subscriber.js';

/** PROTOCOL.md §4, Errors and Close codes: what wrong frames get, and that nobody else notices. */
afterEach(closeTestRelays);

const errorsOf = (subscriber: Subscriber): Message[] => subscriber.messages.filter(({ error }) => error !== undefined);
const request = (id: unknown, method: string, params?: unknown): string =>
  JSON.stringify({ jsonrpc: '2.0', id, method, params });

describe.each(TRANSPORTS)('frames over %s', (transport) => {
  test('the first frame is welcome, with what a subscriber must know', async () => {
    const { connect } = await startTestRelay(transport);
    const subscriber = await connect({ protocols: ['session-relay.v1'] });
    expect(subscriber.socket.protocol).toBe('session-relay.v1');
    await subscriber.next('welcome');
    expect(subscriber.messages[0]?.params).toEqual({
      server: expect.stringMatching(/^session-relay\/\d+\.\d+\.\d+/),
      protocol: 1,
      features: [],
      node: expect.any(String),
      now: '2026-11-23T08:00:00.000Z',
      cursor: expect.stringMatching(/^\d+-0$/),
      authRequired: false,
      heartbeatMs: 15_000,
      limits: { maxPayloadBytes: 65_536, maxChannels: 256, maxRequestsPerSecond: 50 },
    });
  });

  test.each([
    ['not JSON', '{"jsonrpc":', null, -32_700],
    ['a batch', '[{"jsonrpc":"2.0","id":1,"method":"ping"}]', null, -32_600],
    ['an empty batch', '[]', null, -32_600],
    ['no object', '7', null, -32_600],
    ['another version', '{"jsonrpc":"1.0","id":"a","method":"ping"}', 'a', -32_600],
    ['no id', '{"jsonrpc":"2.0","method":"ping"}', null, -32_600],
    ['an id that is none', '{"jsonrpc":"2.0","id":{},"method":"ping"}', null, -32_600],
    ['an unknown member', '{"jsonrpc":"2.0","id":4,"method":"ping","extra":1}', 4, -32_600],
    ['an unknown method', request('x', 'publish'), 'x', -32_601],
    ['no channels', request(2, 'subscribe', {}), 2, -32_602],
    ['an unknown parameter', request(3, 'get_sources', { all: true }), 3, -32_602],
    ['parameters by position', request(5, 'subscribe', [['>']]), 5, -32_602],
    ['an invalid pattern', request(6, 'subscribe', { channels: ['a.>.b'] }), 6, -32_602],
    ['a since that is no cursor', request(7, 'subscribe', { channels: ['>'], since: 'yesterday' }), 7, -32_602],
    ['a limit beyond the most', request(8, 'get_events', { limit: 1_001 }), 8, -32_602],
    ['a ping of more than 1 KiB', request(9, 'ping', 'x'.repeat(1_100)), 9, -32_602],
  ])('%s gets its error, with the id echoed, and the connection goes on', async (_what, text, id, code) => {
    const { connect } = await startTestRelay(transport);
    const subscriber = await connect();
    subscriber.send(text);
    await subscriber.until(() => errorsOf(subscriber).length === 1);
    expect(errorsOf(subscriber)[0]).toMatchObject({ id, error: { code } });
    expect(await subscriber.request('ping', { still: 'here' })).toEqual({ still: 'here' });
  });

  test('ids are echoed as they came, strings and numbers', async () => {
    const { connect } = await startTestRelay(transport);
    const subscriber = await connect();
    for (const id of ['a', '7', 0, -1, 1.5]) subscriber.send(request(id, 'ping', { id }));
    await subscriber.until(() => subscriber.messages.length === 6);
    expect(subscriber.messages.slice(1).map(({ id }) => id)).toEqual(['a', '7', 0, -1, 1.5]);
  });

  test('the eleventh error of the protocol within 10 s closes with 4400, each before gets its error', async () => {
    const { connect } = await startTestRelay(transport);
    const subscriber = await connect();
    for (let sent = 0; sent < 11; sent++) subscriber.send('nonsense');
    expect(await subscriber.closed).toMatchObject({ code: 4400 });
    expect(errorsOf(subscriber)).toHaveLength(10);
  });

  test('errors that are further apart than the window do not add up', async () => {
    const { connect, clock } = await startTestRelay(transport);
    const subscriber = await connect();
    for (let round = 1; round <= 3; round++) {
      for (let sent = 0; sent < 9; sent++) subscriber.send('nonsense');
      await subscriber.until(() => errorsOf(subscriber).length === round * 9);
      await clock.advance(10_000);
    }
    expect(await subscriber.request('ping', 1)).toBe(1);
  });

  test('over the request rate each request gets 4429 with retryAfterMs; after 10 s of it the close is 4429', async () => {
    const { connect, clock } = await startTestRelay(transport, { limits: { maxRequestsPerSecond: 5 } });
    const subscriber = await connect();
    for (let second = 0; second < 11; second++) {
      const before = errorsOf(subscriber).length;
      for (let sent = 0; sent < 12; sent++) subscriber.send(request(`raw-${sent}`, 'ping'));
      if (second < 10) await subscriber.until(() => errorsOf(subscriber).length >= before + 6);
      await clock.advance(1_000);
    }
    expect(await subscriber.closed).toMatchObject({ code: 4429 });
    expect(errorsOf(subscriber)[0]?.error).toMatchObject({
      code: 4429,
      data: { retryAfterMs: expect.any(Number) },
    });
  });

  test('a burst over the rate that ends is forgiven', async () => {
    const { connect, clock } = await startTestRelay(transport, { limits: { maxRequestsPerSecond: 5 } });
    const subscriber = await connect();
    for (let round = 1; round <= 4; round++) {
      for (let sent = 0; sent < 8; sent++) subscriber.send(request(`raw-${sent}`, 'ping'));
      await subscriber.until(() => errorsOf(subscriber).length === round * 3);
      await clock.advance(6_000);
    }
    expect(await subscriber.request('ping', 1)).toBe(1);
  });

  test('a binary frame closes with 1003', async () => {
    const { connect } = await startTestRelay(transport);
    const subscriber = await connect();
    subscriber.send(Buffer.from('{"jsonrpc":"2.0","id":1,"method":"ping"}'));
    expect(await subscriber.closed).toMatchObject({ code: 1003 });
  });

  test('a message of exactly maxPayloadBytes is read, one byte more closes with 1009', async () => {
    const { connect } = await startTestRelay(transport);
    const subscriber = await connect();
    const text = request(1, 'ping').padEnd(65_536, ' ');
    subscriber.send(text);
    await subscriber.until(() => subscriber.messages.length === 2);
    subscriber.send(`${text} `);
    expect(await subscriber.closed).toMatchObject({ code: 1009 });
  });

  test('a message of a whole MiB closes with 1009 too', async () => {
    const { connect } = await startTestRelay(transport);
    const subscriber = await connect();
    subscriber.send('x'.repeat(1024 * 1024));
    expect(await subscriber.closed).toMatchObject({ code: 1009 });
  });

  test('text that is not UTF-8 ends the connection (1007 where the transport can still say so)', async () => {
    const { connect } = await startTestRelay(transport);
    const subscriber = await connect();
    subscriber.socket.send(Buffer.from([0x22, 0xc3, 0x28, 0x22]), { binary: false });
    expect((await subscriber.closed).code).toBe(transport === 'ws' ? 1007 : 1006);
  });

  test('what one subscriber does wrong, others do not notice', async () => {
    const { connect, venue, settled } = await startTestRelay(transport);
    venue.open('bot');
    await settled();
    const good = await connect();
    await good.request('subscribe', { channels: ['>'] });
    const bad = await Promise.all(Array.from({ length: 5 }, () => connect()));
    for (const one of bad) await one.request('subscribe', { channels: ['>'] });
    venue.update('bot');
    bad[0]?.send(Buffer.from([1]));
    bad[1]?.send('x'.repeat(70_000));
    for (let sent = 0; sent < 11; sent++) bad[2]?.send('[');
    bad[3]?.socket.terminate();
    bad[4]?.socket.close(1000);
    venue.update('bot', 5);
    await Promise.all(bad.map(({ closed }) => closed));
    venue.update('bot', 5);
    await good.until(() => good.events('>').filter(({ type }) => type === 'session.updated').length === 11);
    expect(good.losses).toEqual([]);
  });

  test('requests of one connection are answered whatever another one waits for', async () => {
    const { connect, venue, settled } = await startTestRelay(transport);
    venue.open('bot');
    await settled();
    let finish: (() => void) | undefined;
    venue.answer = () => new Promise((resolve) => (finish = () => resolve({ late: true })));
    const subscriber = await connect();
    const command = subscriber.request('command', { source: 'deribit.main', command: 'read' });
    expect(await subscriber.request('ping', 'now')).toBe('now');
    await settled();
    finish?.();
    expect(await command).toMatchObject({ result: { late: true } });
  });
});
