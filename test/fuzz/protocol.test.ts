import { createHash } from 'node:crypto';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { AuthOptions } from '../../src/edge/auth.js';
import { settle } from '../support/virtual-clock.js';
import { runsOf } from './budget.js';
import { join, type Stage, startEdge } from './edge.js';
import { hostileText, mustNotBePolluted } from './hostile.js';

/**
 * The subscriber protocol over our own wire port: each message gets one answer of the documented codes, or the
 * connection its documented end; nothing throws, the log has no fault, and nothing is left behind.
 */
const sha256 = (token: string): string => createHash('sha256').update(token).digest('hex');
const KEYS: AuthOptions = {
  mode: 'keys',
  keys: [
    { name: 'desk', sha256: sha256('desk'), channels: ['deribit.main.desk.>'], commands: [], fields: 'redacted' },
    { name: 'all', sha256: sha256('all'), channels: ['>'], commands: ['*.*:*', '*.*:act'], fields: 'full' },
  ],
};
/** PROTOCOL.md §4, Errors: all but -32603, which would be a fault of the relay's. */
const CODES = new Set([-32_700, -32_600, -32_601, -32_602, 4401, 4403, 4404, 4409, 4424, 4429, 4503, 4504]);
/** PROTOCOL.md §4, Close codes that a subscriber can bring about by what it sends. */
const CLOSES = new Set([1003, 4400, 4401, 4408, 4429]);

const VALID: readonly unknown[] = [
  { jsonrpc: '2.0', id: 1, method: 'ping', params: { a: [1] } },
  { jsonrpc: '2.0', id: 'a', method: 'auth', params: { token: 'all' } },
  { jsonrpc: '2.0', id: 2, method: 'auth', params: { token: 'desk' } },
  { jsonrpc: '2.0', id: 3, method: 'subscribe', params: { channels: ['>'], pulses: true, mode: 'events' } },
  { jsonrpc: '2.0', id: 3, method: 'subscribe', params: { channels: ['deribit.main.desk.>'], snapshot: false } },
  { jsonrpc: '2.0', id: 4, method: 'subscribe', params: { channels: [{ channel: '*.*.*.session.*', since: '1-1' }] } },
  { jsonrpc: '2.0', id: 5, method: 'unsubscribe', params: { channels: ['>'] } },
  { jsonrpc: '2.0', id: 6, method: 'get_sessions', params: { channel: 'deribit.main.desk', limit: 10, after: 'a' } },
  {
    jsonrpc: '2.0',
    id: 7,
    method: 'get_events',
    params: { channel: '>', since: '0-0', limit: 2, from: '2026-11-23T08:00:00Z' },
  },
  { jsonrpc: '2.0', id: 8, method: 'get_sources' },
  {
    jsonrpc: '2.0',
    id: 9,
    method: 'command',
    params: { source: 'deribit.main', session: 'desk', command: 'read', params: { n: 1 }, requestId: 'r' },
  },
];

/** Looks at everything that a peer was sent; resolves with how many messages were answered. */
function answersIn(sent: readonly string[]): number {
  let answers = 0;
  for (const text of sent) {
    const message = JSON.parse(text) as Readonly<Record<string, unknown>>;
    if (message.jsonrpc !== '2.0') throw new Error(`no JSON-RPC: ${text}`);
    if (typeof message.method === 'string') continue;
    answers++;
    if (!('id' in message)) throw new Error(`an answer without an id: ${text}`);
    if ('result' in message === 'error' in message) throw new Error(`neither a result nor an error: ${text}`);
    const { error } = message as { readonly error?: { readonly code: number; readonly message: string } };
    if (error === undefined) continue;
    if (!CODES.has(error.code)) throw new Error(`an error that is not documented: ${text.slice(0, 300)}`);
    if (error.message.length > 512)
      throw new Error(`an error of ${error.message.length} characters: ${text.slice(0, 300)}`);
  }
  return answers;
}

describe.each([
  ['without auth', { mode: 'none', commands: ['*.*:*', '*.*:act'] } satisfies AuthOptions, {}],
  ['with keys', KEYS, {}],
  ['with a narrow key', KEYS, { authorization: 'Bearer desk' }],
] as const)('%s', (_name, auth, headers) => {
  let stage: Stage;
  beforeAll(async () => {
    stage = await startEdge(auth);
  });
  afterAll(async () => {
    stage.edge.close();
    await stage.hub.stop({ orders: 'leave' });
  });

  /** As it must be whenever nobody is connected. */
  const baseline = async (timers: number): Promise<void> => {
    const { edge, clock, faults } = stage;
    await settle(2);
    expect(edge.counts()).toEqual({ connections: 0, groups: 0 });
    expect(clock.timers).toBe(timers);
    expect(faults).toEqual([]);
    mustNotBePolluted();
  };

  test('each message is answered once, with a documented code, or ends the connection with one', async () => {
    const { edge, clock } = stage;
    const timers = clock.timers;
    await fc.assert(
      fc.asyncProperty(fc.array(hostileText(VALID), { minLength: 8, maxLength: 8, size: 'max' }), async (texts) => {
        const peer = await join(edge, headers);
        for (const text of texts) peer.handlers.message(text, Buffer.byteLength(text));
        await settle(6);
        const answers = answersIn(peer.sent);
        const code = peer.closed();
        if (code === undefined) expect(answers).toBe(texts.length);
        else expect(CLOSES).toContain(code);
        peer.leave();
        await settle(1);
        // The request rate of the next connection is its own; time is not.
        await clock.advance(1);
      }),
      runsOf('protocol frames', 8 * 3),
    );
    await baseline(timers);
  });

  test('a conversation in which time passes, events come and messages are broken ends as it should', async () => {
    const { edge, clock, venue } = stage;
    const timers = clock.timers;
    const step = fc.oneof(
      { weight: 8, arbitrary: hostileText(VALID).map((text) => ({ text })) },
      { weight: 4, arbitrary: fc.constantFrom(...VALID).map((value) => ({ text: JSON.stringify(value) })) },
      { weight: 1, arbitrary: fc.constantFrom(0, 10, 1_000, 11_000).map((ms) => ({ ms })) },
      { weight: 1, arbitrary: fc.nat({ max: 3 }).map((events) => ({ events })) },
      { weight: 1, arbitrary: fc.constant({ drained: true }) },
    );
    await fc.assert(
      fc.asyncProperty(
        fc.array(step, { minLength: 16, maxLength: 16, size: 'max' }),
        fc.boolean(),
        async (steps, isBinaryLast) => {
          const good = await join(edge, { authorization: 'Bearer all' });
          good.handlers.message(JSON.stringify(VALID[3]), 1);
          const peer = await join(edge, headers);
          for (const one of steps) {
            if ('text' in one) peer.handlers.message(one.text, one.text.length);
            else if ('ms' in one) await clock.advance(one.ms);
            else if ('events' in one) venue.update('desk', one.events);
            else peer.handlers.drained();
          }
          if (isBinaryLast) peer.handlers.message(undefined, 4);
          await settle(6);
          answersIn(peer.sent);
          const code = peer.closed();
          if (isBinaryLast) expect(code).toBeDefined();
          if (code !== undefined) expect(CLOSES).toContain(code);
          // Whatever one did, the other is served.
          good.handlers.message('{"jsonrpc":"2.0","id":"last","method":"ping","params":7}', 1);
          await settle(2);
          expect(good.sent.at(-1)).toBe('{"jsonrpc":"2.0","id":"last","result":7}');
          expect(good.closed()).toBeUndefined();
          peer.leave();
          good.leave();
        },
      ),
      runsOf('protocol sequences', 16 * 3),
    );
    await baseline(timers);
  });
});
