import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Fact } from '../../src/model/event.js';
import { type Json, parseJson } from '../../src/model/json.js';
import { createJsonRpc } from '../../src/net/json-rpc.js';
import {
  type Frame as DeribitFrame,
  initialMapperState,
  mapFrame as mapDeribit,
} from '../../src/venues/deribit/mapper.js';
import { parseConfirmed, parseExtras, parseProtection, parseToken } from '../../src/venues/deribit/messages.js';
import * as ibkrMapper from '../../src/venues/ibkr/mapper.js';
import * as ibkr from '../../src/venues/ibkr/messages.js';
import { emptyState as emptyIbkr } from '../../src/venues/ibkr/state.js';
import { takeList } from '../../src/venues/snaptrade/mapper.js';
import { readApiError, readConnections, readPortalEvents } from '../../src/venues/snaptrade/messages.js';
import { fromPythonJson, printPythonJson, readPythonJson } from '../../src/venues/snaptrade/python-json.js';
import { portalFacts } from '../../src/venues/snaptrade/source-facts.js';
import { emptyState as emptySnaptrade } from '../../src/venues/snaptrade/state.js';
import { mapFrame as mapTradernet } from '../../src/venues/tradernet/mapper.js';
import { readEvent, readList, readSocketIoEvent, readText } from '../../src/venues/tradernet/messages.js';
import { emptyState as emptyTradernet } from '../../src/venues/tradernet/state.js';
import { VirtualClock } from '../support/virtual-clock.js';
import { channelFrame, HEARTBEAT, TEST_REQUEST } from '../venues/deribit/world.js';
import { NOT_PASSED, READY } from '../venues/ibkr/source.js';
import { brokerIn, row as connection, ID, OTHER_ID } from '../venues/snaptrade/world.js';
import { DEMO, PROD, row as securitySession } from '../venues/tradernet/source.js';
import { runsOf } from './budget.js';
import { createFactCheck, sizeOf } from './facts.js';
import { hostileJson, hostileText, hostileValue, mustNotBePolluted } from './hostile.js';

/** Whatever a venue says becomes facts or `source.fault`: never a throw, never a state that grows with it. */
const FRAMES_PER_RUN = 10;
const frames = <T>(one: fc.Arbitrary<T>): fc.Arbitrary<readonly T[]> =>
  fc.array(one, { minLength: FRAMES_PER_RUN, maxLength: FRAMES_PER_RUN, size: 'max' });
/** So many hostile frames must not leave more than this behind, in characters. */
const FLOOD = 10_000;
const MAX_STATE = 512 * 1024;

describe('deribit', () => {
  const notifications = [
    JSON.parse(HEARTBEAT),
    JSON.parse(TEST_REQUEST),
    { jsonrpc: '2.0', method: 'test_request' },
    channelFrame('platform_state', { price_index: 'btc_usd', locked: true, reasons: ['index_unavailable'] }),
    channelFrame('platform_state', { maintenance: true }),
    channelFrame('platform_state.public_methods_state', { allow_unauthenticated_public_requests: false }),
    channelFrame('user.lock', { currency: 'BTC', locked: true }),
    channelFrame('user.access_log', {
      id: 243_343,
      timestamp: 1_795_330_000_000,
      log: 'login',
      ip: '192.0.2.7',
      country: 'NL',
    }),
    { jsonrpc: '2.0', error: { code: 11_051, message: 'system_maintenance' } },
    { jsonrpc: '2.0', error: { code: 10_028, message: 'too_many_requests', data: { wait: 1 } } },
    { jsonrpc: '2.0', id: 1, result: 'ok', usIn: 1, usOut: 2, testnet: true },
  ];
  const results = [
    { locked: 'partial', locked_currencies: ['BTC'], locked_indices: ['btc_usd'] },
    { locked: true },
    [
      { currency: 'BTC', locked: true },
      { currency: 'ALL', enabled: false },
    ],
    { access_token: 'a', refresh_token: 'b', expires_in: 900, scope: 'session:bot trade:read', sid: 's' },
    { scope: 'connection', enabled: true },
    ['platform_state', 'user.lock'],
  ];
  const input = fc.oneof(
    { weight: 4, arbitrary: hostileText(notifications).map((text) => ({ text })) },
    {
      weight: 3,
      arbitrary: hostileText(results).map((text) => ({ text: `{"jsonrpc":"2.0","id":1,"result":${text}}` })),
    },
    {
      weight: 1,
      arbitrary: fc.constantFrom<DeribitFrame>({ kind: 'opened' }, { kind: 'ended' }, { kind: 'oversized' }),
    },
  );

  /** As the frame reader does: the border first, then the mapper. */
  const framesOf = (given: { readonly text: string } | DeribitFrame): readonly DeribitFrame[] => {
    if (!('text' in given) || 'kind' in given) return [given as DeribitFrame];
    let result: Json | undefined;
    const rpc = createJsonRpc({ clock: new VirtualClock(), send: () => {} });
    void rpc.call('any').then(
      (settled) => {
        result = settled;
      },
      () => undefined,
    );
    const incoming = rpc.accept(given.text);
    switch (incoming.kind) {
      case 'reply':
        parseExtras(incoming.extras);
        void result;
        return repliesOf(given.text);
      case 'notification':
        return [{ kind: 'notification', method: incoming.method, params: incoming.params }];
      case 'error':
        return [{ kind: 'error', ...incoming.error }];
      case 'bad':
        return [{ kind: 'bad', text: incoming.sample }];
      case 'late':
        return [];
    }
  };
  const repliesOf = (text: string): readonly DeribitFrame[] => {
    const { result = null } = JSON.parse(text) as { readonly result?: Json };
    parseToken(result);
    parseProtection(result, 'account');
    parseConfirmed(result);
    return [
      { kind: 'status', result, confirms: true },
      { kind: 'status', result, confirms: false },
      { kind: 'user_locks', result, confirms: false },
    ];
  };

  test('whatever comes in becomes facts that a journal and a subscriber can take', () => {
    fc.assert(
      fc.property(frames(input), (given) => {
        const check = createFactCheck('deribit');
        let state = initialMapperState('main', 'bot');
        for (const frame of given.flatMap(framesOf)) {
          const [after, facts] = mapDeribit(state, frame, 1);
          state = after;
          check.take(facts);
        }
        mustNotBePolluted();
      }),
      {
        ...runsOf('deribit frames', FRAMES_PER_RUN),
        examples: [
          [[{ text: `{"jsonrpc":"2.0","id":1,"result":{"locked":true,"locked_indices":["${'x'.repeat(100_000)}"]}}` }]],
          [[{ text: '{"method":"x","params":'.repeat(1_000) }]],
          [
            [
              {
                text: `{"method":"subscription","params":{"channel":"user.lock","data":${'['.repeat(1_000)}${']'.repeat(1_000)}}}`,
              },
            ],
          ],
        ],
      },
    );
  });

  test('ten thousand frames with names that a venue makes up leave no more behind than a few', () => {
    let state = initialMapperState('main', 'bot');
    let told = 0;
    const take = (frame: DeribitFrame): void => {
      const [after, facts] = mapDeribit(state, frame, 1);
      state = after;
      told += facts.length;
    };
    const say = (channel: string, data: Json): void =>
      take({ kind: 'notification', method: 'subscription', params: { channel, data } });
    for (let n = 0; n < FLOOD; n++) {
      say('platform_state', { price_index: `index_${n}`.padEnd(60, 'x'), locked: true });
      say('user.lock', { currency: `C${n}`, locked: true });
      say(`channel.${n}`, n);
      take({ kind: 'notification', method: `method_${n}`, params: n });
      take({ kind: 'error', code: n, message: 'x' });
      take({ kind: 'refused', channel: `channel.${n}` });
    }
    expect(sizeOf(state)).toBeLessThan(MAX_STATE);
    take({ kind: 'status', result: { locked: 'partial', locked_indices: manyNames() }, confirms: true });
    take({ kind: 'user_locks', result: manyNames().map((currency) => ({ currency, locked: true })), confirms: true });
    expect(sizeOf(state)).toBeLessThan(MAX_STATE);
    // Some of the first thousand names, and one fault for each kind of what came after them.
    expect(told).toBeLessThan(FLOOD / 2);
  });
});

describe('tradernet', () => {
  const list = [
    'sessions',
    [securitySession(1), securitySession(2, { expire: -1, safety_type_id: 99 })],
    'wstm=2026-11-23T08:00:00.000Z',
  ];
  const texts = [PROD, DEMO, list, ['keepAlive'], ['error', { code: 1 }], ['q', { c: 'AAPL' }], ['whatever']];
  const events: readonly unknown[] = [
    ['sup_iitr_notify_sessions_json', null, [{ response: { res: [securitySession(3)] } }]],
    ['sup_iitr_notify_sessions_json', 'no', null],
    ['userData', { mode: 'prod', isDemo: false }],
    ['sessions', [securitySession(4)]],
  ];
  const frame = fc.oneof(
    { weight: 4, arbitrary: hostileText(texts).map((text) => readText(text)) },
    {
      weight: 2,
      arbitrary: hostileJson(events).map((value) => {
        const [event, ...args] = Array.isArray(value) ? (value as readonly unknown[]) : [value];
        return readSocketIoEvent(String(typeof event === 'string' ? event : 'sup_iitr_notify_sessions_json'), args);
      }),
    },
    { weight: 1, arbitrary: hostileJson([[securitySession(5)], []]).map((value) => readList(value, true)) },
    { weight: 1, arbitrary: hostileValue.map((value) => readEvent('userData', value)) },
  );
  const about = { source: 'desk', role: 'trading' } as const;

  test('whatever comes in becomes facts that a journal and a subscriber can take', () => {
    fc.assert(
      fc.property(frames(frame), fc.boolean(), (given, proved) => {
        const check = createFactCheck('tradernet');
        let state = emptyTradernet(about);
        for (const one of given) {
          const [after, facts] = mapTradernet(state, {
            frame: one,
            generation: 1,
            atMs: Date.UTC(2026, 10, 23, 8),
            proved,
          });
          state = after;
          check.take(facts);
        }
        mustNotBePolluted();
      }),
      runsOf('tradernet frames', FRAMES_PER_RUN),
    );
  });

  test('ten thousand frames with names that a venue makes up leave no more behind than a few', () => {
    let state = emptyTradernet(about);
    const take = (value: unknown): void => {
      const frame = readText(JSON.stringify(value));
      [state] = mapTradernet(state, { frame, generation: 1, atMs: Date.UTC(2026, 10, 23, 8), proved: true });
    };
    for (let n = 0; n < FLOOD; n++) {
      take([`event_${n}`]);
      take(['sessions', [securitySession(n, { safety_type_id: n, start_datetime: `never ${n}`.padEnd(500, 'x') })]]);
      take(['userData', { mode: `mode_${n}` }]);
      take(['error', { n }]);
    }
    expect(sizeOf(state)).toBeLessThan(MAX_STATE);
  });
});

describe('ibkr', () => {
  const texts = [
    { topic: 'system', success: 'desk-user', isFT: false, isPaper: true },
    { topic: 'system', hb: 1_795_330_000_000 },
    { topic: 'sts', args: { authenticated: true, competing: false, connected: true, message: '', fail: '' } },
    { topic: 'tic', alive: true, id: 'abc', lastAccessed: 1_795_330_000_000 },
    { topic: 'ntf', args: { id: 1, text: 'x', title: 'y' } },
    { topic: 'blt', args: [{ id: 'a', message: 'b' }] },
    { message: 'waiting for session' },
    { topic: 'whatever' },
  ];
  const answers = [
    READY,
    NOT_PASSED,
    { session: 'a'.repeat(32), ssoExpires: 1, collission: false, iserver: { authStatus: READY } },
    { RESULT: true, USER_NAME: 'u', AUTH_TIME: 1_795_330_000_000, EXPIRES: 1, LOGIN_TYPE: 2, loginType: 1 },
    { status: true, confirmed: true },
    { error: 'no bridge' },
    { detail: 'Not Found', title: 'x' },
  ];
  const told = { generation: 1, maintenance: false };
  const about = { source: 'gw', role: 'trading', loginUrl: 'https://localhost:5000/' } as const;
  const input = fc.oneof(
    hostileText(texts).map((text) => ({ via: 'socket' as const, text })),
    hostileText(answers).map((text) => ({ via: 'http' as const, text })),
  );
  type State = ReturnType<typeof emptyIbkr>;
  const takeAnswer = (before: State, text: string): readonly [State, readonly Fact[]] => {
    const body = parseJson(text);
    ibkr.readRefusal(body, text);
    ibkr.readLogout(body);
    ibkr.readMessage(body);
    const status = ibkr.readStatus(body);
    const sso = ibkr.readSso(body);
    let [state, facts] = [before, [] as readonly Fact[]];
    const apply = (change: (now: State) => readonly [State, readonly Fact[]]): void => {
      const [after, more] = change(state);
      state = after;
      facts = [...facts, ...more];
    };
    if (ibkr.readTickle(body) !== undefined) apply((now) => ibkrMapper.learn(now, { tickle: 'ok' }, told));
    if (sso !== undefined) apply((now) => ibkrMapper.learnSso(now, sso, told));
    if (status !== undefined) apply((now) => ibkrMapper.learnStatus(now, status, told));
    if (status !== undefined) apply((now) => ibkrMapper.learnInit(now, status, told));
    return [state, facts];
  };

  test('whatever comes in becomes facts that a journal and a subscriber can take', () => {
    fc.assert(
      fc.property(frames(input), (given) => {
        const check = createFactCheck('ibkr', ['a'.repeat(32)]);
        let state = emptyIbkr(about);
        for (const { via, text } of given) {
          const [after, facts] =
            via === 'http' ? takeAnswer(state, text) : ibkrMapper.mapFrame(state, ibkr.readFrame(text), told);
          state = after;
          check.take(facts);
        }
        mustNotBePolluted();
      }),
      {
        ...runsOf('ibkr frames', FRAMES_PER_RUN),
        examples: [
          // A login type that is no primitive was made a number of.
          [[{ via: 'http', text: '{"RESULT":true,"LOGIN_TYPE":{"toString":null,"valueOf":null}}' }]],
          [[{ via: 'http', text: `{"RESULT":true,"USER_NAME":"${'x'.repeat(100_000)}"}` }]],
          // A page was searched for its tags from each of its brackets anew.
          [[{ via: 'http', text: '<'.repeat(1_000_000) }]],
        ],
      },
    );
  });

  test('ten thousand frames with names that a venue makes up leave no more behind than a few', () => {
    let state = emptyIbkr(about);
    const take = (value: unknown): void => {
      [state] = ibkrMapper.mapFrame(state, ibkr.readFrame(JSON.stringify(value)), told);
    };
    for (let n = 0; n < FLOOD; n++) {
      take({ topic: `topic_${n}` });
      take({ topic: 'sts', args: { authenticated: true, serverName: `server ${n}`.padEnd(1_000, 'x') } });
      take({ topic: 'tic', lastAccessed: n });
    }
    expect(sizeOf(state)).toBeLessThan(MAX_STATE);
  });
});

describe('snaptrade', () => {
  const lists: readonly unknown[] = [
    [
      connection(),
      connection(OTHER_ID, { type: 'read', disabled: true, disabled_date: '2026-11-23 03:01:00.250000-05:00' }),
    ],
    [connection(ID, brokerIn({ maintenance_mode: true, slug: 'SANDBOX' }))],
    [],
  ];
  const portal: readonly unknown[] = [
    [
      {
        id: 7,
        session_event_type: 'SELECT_BROKERAGE',
        session_id: 'e9b7a1c4',
        user_id: 'customer-1',
        created_date: '2026-11-23T07:00:00.000000Z',
        brokerage_authorization_id: ID,
        brokerage_status_code: 500,
      },
    ],
  ];
  const about = { source: 'partner', role: 'trading' } as const;

  test('whatever is listed becomes facts that a journal and a subscriber can take', async () => {
    await fc.assert(
      fc.asyncProperty(frames(hostileText([...lists, ...portal])), fc.boolean(), async (texts, complete) => {
        const check = createFactCheck('snaptrade');
        let state = emptySnaptrade(about);
        for (const text of texts) {
          const body = parseJson(text);
          readApiError(body);
          const list = await readConnections(body);
          if (list !== undefined) {
            const [after, facts] = takeList(state, { ...list, complete: complete && list.unread === 0 });
            state = after;
            check.take(facts);
          }
          const events = readPortalEvents(body);
          if (events !== undefined) check.take(portalFacts(state, events.events));
        }
        mustNotBePolluted();
      }),
      runsOf('snaptrade lists', FRAMES_PER_RUN),
    );
  });

  test('ten thousand lists with names that a venue makes up leave no more behind than the last one', async () => {
    let state = emptySnaptrade(about);
    for (let n = 0; n < FLOOD; n++) {
      const id = `${n}-${ID}`.slice(0, 60);
      const list = await readConnections([
        connection(id, { type: `type_${n}`, ...brokerIn({ slug: `broker_${n}`, is_degraded: true }) }),
        { id: '' },
      ]);
      if (list === undefined) throw new Error('a list');
      [state] = takeList(state, { ...list, unread: 0, complete: true });
    }
    expect(sizeOf(state)).toBeLessThan(MAX_STATE);
  });

  test('Python’s JSON is read as JSON is, whatever it says, and printed text is read as the same', () => {
    fc.assert(
      fc.property(hostileText([...lists, { a: 1.5, b: [1e21, -0, 0.00001], ü: '\u2028😀' }]), (text) => {
        const read = readPythonJson(text);
        let parsed: { readonly value: unknown } | undefined;
        try {
          parsed = { value: JSON.parse(text) };
        } catch {
          parsed = undefined;
        }
        if (read === undefined) return;
        if (parsed === undefined) throw new Error('read what is no JSON');
        const value = fromPythonJson(read);
        // Numbers that no double holds are `null` here and infinite there.
        expect(JSON.stringify(value)).toBe(JSON.stringify(parsed.value));
        const printed = printPythonJson(read);
        if (/Infinity|NaN/.test(printed)) return;
        const again = readPythonJson(printed);
        expect(again === undefined ? undefined : printPythonJson(again)).toBe(printed);
      }),
      runsOf('python json'),
    );
  });
});

function manyNames(): string[] {
  return Array.from({ length: FLOOD }, (_, n) => `name_${n}`);
}
