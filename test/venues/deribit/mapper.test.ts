import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { eventData, type Fact } from '../../../src/model/event.js';
import { type Json, jsonObject } from '../../../src/model/json.js';
import {
  type Frame,
  initialMapperState,
  type MapperState,
  mapFrame,
  platformMemory,
} from '../../../src/venues/deribit/mapper.js';
import { recall } from '../../../src/venues/deribit/memory.js';
import { channelFrame, lineOf } from './world.js';

/** Takes frames in one after the other; one line a fact. */
function run(
  frames: readonly Frame[],
  from = initialMapperState('main', 'bot'),
): readonly [MapperState, readonly string[]] {
  let state = from;
  const told: string[] = [];
  for (const frame of frames) {
    const [after, facts] = mapFrame(state, frame, 1);
    state = after;
    told.push(...facts.map(lineOf));
  }
  return [state, told];
}

const on = (channel: string, data: Json): Frame => ({
  kind: 'notification',
  method: 'subscription',
  params: { channel, data },
});
/** Recorded, 2025-12 and 2026-09: with and without `reasons`. */
const index = (price_index: string, locked: boolean, reasons?: string[]): Frame =>
  on('platform_state', { locked, price_index, ...(reasons === undefined ? {} : { reasons }) });
const status = (locked: Json, more: { [name: string]: Json } = {}, confirms = true): Frame => ({
  kind: 'status',
  result: { locked, ...more },
  confirms,
});
const locks = (result: Json, confirms = true): Frame => ({ kind: 'user_locks', result, confirms });

describe('platform_state', () => {
  test('says nothing when the burst at subscription finds every index as it was', () => {
    const burst = Array.from({ length: 151 }, (_, one) => index(`coin${one}_usdc`, false, []));
    expect(run(burst)[1]).toEqual([]);
  });

  test('tells an index that is locked once, and its end once', () => {
    const frames = [
      index('eth_usdc', true, ['price_deviation']),
      index('eth_usdc', true),
      index('btc_usd', false),
      index('eth_usdc', false),
      index('eth_usdc', false),
    ];
    expect(run(frames)[1]).toEqual(['- venue.degraded eth_usdc price_deviation', '- venue.normal eth_usdc']);
  });

  test('announces maintenance, which begins with 11051, told once however often it is said', () => {
    const error: Frame = { kind: 'error', code: 11051, message: 'system_maintenance' };
    const [, told] = run([
      on('platform_state', { maintenance: true }),
      on('platform_state', { maintenance: true }),
      error,
      error,
      { kind: 'ended' },
    ]);
    expect(told).toEqual(['- venue.maintenance true', '- venue.maintenance false']);
  });

  test('an announced maintenance begins with the end of the socket, as an inference', () => {
    const [state] = run([on('platform_state', { maintenance: true })]);
    const [, facts] = mapFrame(state, { kind: 'ended' }, 1);
    expect(facts).toMatchObject([{ type: 'venue.maintenance', data: { announced: false, certain: false } }]);
    expect(run([{ kind: 'ended' }])[1]).toEqual([]);
  });

  test('takes maintenance back, and leaves the parts that are still locked degraded', () => {
    const [, told] = run([
      index('btc_usd', true),
      on('platform_state', { maintenance: true }),
      on('platform_state', { maintenance: false }),
    ]);
    expect(told).toEqual([
      '- venue.degraded btc_usd',
      '- venue.maintenance true',
      '- venue.normal',
      '- venue.degraded btc_usd',
    ]);
  });

  test('that public methods are off is a part of its own', () => {
    const channel = 'platform_state.public_methods_state';
    const frames = [true, false, false, true].map((allow) =>
      on(channel, { allow_unauthenticated_public_requests: allow }),
    );
    expect(run(frames)[1]).toEqual(['- venue.degraded public_methods', '- venue.normal public_methods']);
  });
});

describe('public/status', () => {
  test.each([
    [false, {}],
    ['false', { locked_indices: [] }],
    [false, { locked_currencies: [] }],
  ])('confirms a normal venue in each shape of the docs: %j', (locked, more) => {
    expect(run([status(locked, more)])[1]).toEqual(['- venue.normal']);
  });

  test('confirms the parts that are locked, under either name', () => {
    expect(run([status('partial', { locked_indices: ['btc_usd'] })])[1]).toEqual([
      '- venue.normal',
      '- venue.degraded btc_usd',
    ]);
  });

  test.each([[['btc_usd', 7]], ['btc_usd'], [{}]])('with parts that cannot be read confirms nothing: %j', (names) => {
    for (const locked of [false, 'partial']) {
      expect(run([status(locked, { locked_indices: names })])[1]).toEqual(['- source.fault unknown_value']);
    }
    // What holds for everything needs no names.
    expect(run([status(true, { locked_indices: names })])[1]).toEqual(['- venue.locked']);
    expect(run([status(false, { locked_indices: null })])[1]).toEqual(['- venue.normal']);
  });

  test('never says normal of a venue that is locked, whatever was known of it', () => {
    const locked = status(true, { locked_currencies: ['BTC'] });
    expect(run([locked])[1]).toEqual(['- venue.locked', '- venue.degraded BTC']);
    const [before] = run([status('partial', { locked_indices: ['ETH'] }), on('platform_state', { maintenance: true })]);
    expect(run([{ kind: 'ended' }, { kind: 'opened' }, locked], before)[1]).toEqual([
      '- venue.maintenance false',
      '- venue.normal ETH',
      '- venue.locked',
      '- venue.degraded BTC',
    ]);
  });

  test('confirms after each connect, even where nothing changed', () => {
    const partial = status('partial', { locked_indices: ['btc_usd'] });
    const [state] = run([partial]);
    expect(run([partial], state)[1]).toEqual(['- venue.degraded btc_usd']);
    expect(run([status('partial', { locked_indices: ['eth_usd'] })], state)[1]).toEqual([
      '- venue.normal btc_usd',
      '- venue.degraded eth_usd',
    ]);
    expect(run([status('false'), status('false')], state)[1]).toEqual(['- venue.normal', '- venue.normal']);
  });

  test('asked again later tells changes alone', () => {
    const [state] = run([status('false')]);
    const whole = status('true', { locked_indices: ['btc_usd'] }, false);
    const [locked, told] = run([whole, whole], state);
    expect(told).toEqual(['- venue.locked', '- venue.degraded btc_usd']);
    expect(run([status('false', {}, false)], locked)[1]).toEqual(['- venue.normal']);
  });

  test('ends a maintenance that had begun: a venue that answers is back', () => {
    const [state] = run([status('false'), { kind: 'error', code: 11051, message: 'system_maintenance' }]);
    expect(run([status('partial', { locked_indices: ['btc_usd'] })], state)[1]).toEqual([
      '- venue.normal',
      '- venue.degraded btc_usd',
    ]);
  });

  test('does not take back a maintenance that is announced', () => {
    const [state] = run([status('false'), on('platform_state', { maintenance: true })]);
    expect(run([status('false')], state)[1]).toEqual(['- venue.maintenance true']);
  });

  test('a maintenance that is announced again on the next connection is still to come', () => {
    const announced = on('platform_state', { maintenance: true });
    const [state] = run([status('false'), announced, { kind: 'ended' }]);
    expect(run([{ kind: 'opened' }, announced, status('false')], state)[1]).toEqual([
      '- venue.normal',
      '- venue.maintenance true',
    ]);
    expect(run([{ kind: 'opened' }, status('false')], state)[1]).toEqual(['- venue.normal']);
  });
});

describe('after a restart', () => {
  const BOTH = ['BTC', 'ETH'].map((currency) => ({ currency, enabled: true, locked: true }));
  /** What a life leaves behind, as the journal gives it back, and what the next one says. */
  const nextLife = (frames: readonly Frame[], next: readonly Frame[]): readonly string[] => {
    let remembered: { readonly [key: string]: Json } = {};
    let state = initialMapperState('main', 'bot');
    for (const frame of frames) {
      const [after] = mapFrame(state, frame, 1);
      remembered = { ...remembered, ...platformMemory(after, state) };
      state = after;
    }
    const recalled = recall(new Map(Object.entries(jsonObject.parse(JSON.parse(JSON.stringify(remembered))))), 'bot');
    return run([{ kind: 'opened' }, ...next], initialMapperState('main', 'bot', recalled))[1];
  };

  test.each<[string, readonly Frame[], readonly Frame[], readonly string[]]>([
    ['normal, and normal', [status('false')], [status('false')], ['- venue.normal']],
    ['locked, and still', [status('true')], [status('true')], ['- venue.locked']],
    ['locked, and normal again', [status('true')], [status('false')], ['- venue.normal']],
    [
      'a part that is locked, and another one',
      [status('partial', { locked_indices: ['btc_usd'] })],
      [status('partial', { locked_indices: ['eth_usd'] })],
      ['- venue.normal btc_usd', '- venue.degraded eth_usd'],
    ],
    [
      'a part, as the burst at subscription and the status find it',
      [status('false'), index('btc_usd', true)],
      [index('btc_usd', true), index('eth_usd', false), status('partial', { locked_indices: ['btc_usd'] })],
      ['- venue.degraded btc_usd'],
    ],
    [
      'a maintenance that had begun, and is over',
      [status('false'), { kind: 'error', code: 11051, message: 'system_maintenance' }],
      [status('false')],
      ['- venue.normal'],
    ],
    [
      'a maintenance that was announced, and came and went',
      [status('false'), on('platform_state', { maintenance: true })],
      [status('false')],
      ['- venue.normal'],
    ],
    [
      'a maintenance that is still announced',
      [status('false'), on('platform_state', { maintenance: true })],
      [on('platform_state', { maintenance: true }), status('false')],
      ['- venue.maintenance true'],
    ],
    ['no lock of the account, and none', [locks([])], [locks([])], ['- account.unlocked all']],
    [
      'a lock of the account, and still',
      [locks(BOTH)],
      [locks(BOTH)],
      ['- account.locked BTC', '- account.locked ETH'],
    ],
    [
      'a lock of the account, and half of it',
      [locks(BOTH)],
      [locks(BOTH.slice(1))],
      ['- account.unlocked BTC', '- account.locked ETH'],
    ],
    ['a lock of the account, and none', [locks(BOTH)], [locks([])], ['- account.unlocked all']],
    [
      'a lock that the channel told',
      [locks([]), on('user.lock', { currency: 'ALL', locked: true })],
      [locks([{ currency: 'ALL', enabled: true, locked: true }])],
      ['- account.locked all'],
    ],
  ])('%s', (_, frames, next, told) => {
    expect(nextLife(frames, next)).toEqual(told);
  });

  test('what cannot be read is as if nothing had been remembered', () => {
    const memory = new Map<string, Json>([
      ['platform', { parts: 7 }],
      ['locks', 'all'],
    ]);
    expect(run([status('false')], initialMapperState('main', 'bot', recall(memory, 'bot')))[1]).toEqual([
      '- venue.normal',
    ]);
  });
});

describe('locks of the account', () => {
  test('are told as they change; ALL is all', () => {
    const lock = (currency: string, locked: boolean) => on('user.lock', { locked, currency });
    const frames = [lock('BTC', false), lock('BTC', true), lock('BTC', true), lock('ALL', true), lock('ALL', false)];
    expect(run(frames)[1]).toEqual(['- account.locked BTC', '- account.locked all', '- account.unlocked all']);
  });

  test('are confirmed after each connect, by either name of the flag', () => {
    /** Deribit docs, private/get_user_locks: the example has `locked`, the schema `enabled`. */
    const rows = [
      { message: 'locked in one currency', locked: true, currency: 'BTC' },
      { currency: 'ETH', enabled: true },
      { currency: 'SOL', enabled: false },
    ];
    const [state, first] = run([locks(rows)]);
    expect(first).toEqual(['- account.unlocked all', '- account.locked BTC', '- account.locked ETH']);
    expect(run([locks([{ currency: 'ETH', locked: true }])], state)[1]).toEqual([
      '- account.unlocked BTC',
      '- account.locked ETH',
    ]);
    expect(run([locks([])], state)[1]).toEqual(['- account.unlocked all']);
  });

  test('that are not understood confirm nothing: one row might be a lock', () => {
    const [state, told] = run([locks([{ currency: 'BTC' }])]);
    expect(told[0]).toMatch(/^- source.fault unknown_value/);
    expect(state.told.account).toBe(false);
  });
});

describe('the security log', () => {
  /** Deribit docs, user.access_log; the address is made up. */
  const entry = {
    id: 243343,
    ip: '192.0.2.9',
    timestamp: 1632488963633,
    country: 'China',
    city: 'Pekin',
    log: 'success',
  };

  test('is the fact that the venue numbered, at the venue’s time, without more of a person than is asked for', () => {
    const [, facts] = mapFrame(initialMapperState('main', 'bot'), on('user.access_log', entry), 4);
    expect(facts).toEqual([
      {
        source: 'main',
        session: 'bot',
        type: 'access.logged',
        key: '243343',
        generation: 4,
        data: { action: 'success', ip: '192.0.2.9', country: 'China', venueTime: '2021-09-24T13:09:23.633Z' },
      },
    ]);
  });

  test('is read under the name that the method gives it too, and with times that are none', () => {
    const { log: _, ...rest } = entry;
    const [, facts] = mapFrame(
      initialMapperState('main', 'bot'),
      on('user.access_log', { ...rest, result: 'disabled_api_key', timestamp: 9e300 }),
      1,
    );
    expect(facts).toMatchObject([{ type: 'access.logged', data: { action: 'disabled_api_key' } }]);
    expect(facts[0]?.data).not.toHaveProperty('venueTime');
  });
});

describe('what is not understood', () => {
  test('is told once a place, counted after, and told anew on the next connection', () => {
    const odd = on('platform_state', { price_index: 'btc_usd', locked: 'perhaps', mood: 'odd' });
    const tide = on('platform_state.tides', { high: true });
    const [state, told] = run([odd, odd, tide, tide, { kind: 'bad', text: '{"jsonrpc"' }]);
    expect(told).toHaveLength(3);
    expect(told.map((line) => line.split(' ').slice(0, 3).join(' '))).toEqual([
      '- source.fault unknown_value',
      '- source.fault unknown_frame',
      '- source.fault bad_frame',
    ]);
    expect(run([{ kind: 'opened' }, odd], state)[1]).toHaveLength(1);
  });

  test('never fills the state: places are bounded', () => {
    const frames = Array.from({ length: 500 }, (_, one) => on(`channel.${one}`, {}));
    const [state, told] = run(frames);
    expect(state.faults.size).toBe(64);
    expect(told).toHaveLength(64);
  });

  test('both heartbeat types are signs of life and no news, another is a fault', () => {
    const beat = (type: string): Frame => ({ kind: 'notification', method: 'heartbeat', params: { type } });
    expect(run([beat('heartbeat'), beat('test_request')])[1]).toEqual([]);
    expect(run([beat('murmur')])[1]).toHaveLength(1);
  });

  test('an id-less error is a fault, but those that say how the venue stands', () => {
    expect(run([{ kind: 'error', code: 11050, message: 'bad_request' }])[1]).toEqual(['- source.fault inconsistent']);
    expect(
      run([{ kind: 'error', code: 11056, message: 'unauthenticated_public_requests_temporarily_disabled' }])[1],
    ).toEqual(['- venue.degraded public_methods']);
  });
});

test('no JSON whatever makes it throw, and every fact is one of the vocabulary', () => {
  const json = fc.jsonValue() as fc.Arbitrary<Json>;
  const channel = fc.constantFrom(
    'platform_state',
    'platform_state.public_methods_state',
    'user.access_log',
    'user.lock',
    'user.orders.any.any.raw',
  );
  const shaped: fc.Arbitrary<Json> = fc.oneof(
    json,
    fc.record(
      {
        price_index: fc.oneof(fc.string(), json),
        locked: fc.oneof(fc.boolean(), fc.constantFrom('true', 'false', 'partial'), json),
        maintenance: fc.oneof(fc.boolean(), json),
        locked_indices: fc.oneof(fc.array(fc.string()), json),
        currency: fc.oneof(fc.constantFrom('ALL', 'BTC'), json),
        id: fc.oneof(fc.nat(), json),
        timestamp: fc.oneof(fc.double(), json),
        log: fc.oneof(fc.string(), json),
      },
      { requiredKeys: [] },
    ) as fc.Arbitrary<Json>,
  );
  const frame: fc.Arbitrary<Frame> = fc.oneof(
    fc.record({ kind: fc.constant('notification' as const), method: fc.string(), params: json }),
    fc.record({ kind: fc.constant('notification' as const), method: fc.constant('heartbeat'), params: json }),
    fc
      .tuple(channel, shaped)
      .map(
        ([name, data]): Frame => ({ kind: 'notification', method: 'subscription', params: { channel: name, data } }),
      ),
    fc.record({ kind: fc.constant('status' as const), result: shaped, confirms: fc.boolean() }),
    fc.record({
      kind: fc.constant('user_locks' as const),
      result: fc.oneof(fc.array(shaped), json),
      confirms: fc.boolean(),
    }),
    fc.record({
      kind: fc.constant('error' as const),
      code: fc.constantFrom(11050, 11051, 11056),
      message: fc.string(),
    }),
    fc.record({ kind: fc.constant('bad' as const), text: fc.string() }),
    fc.constantFrom<Frame>({ kind: 'opened' }, { kind: 'ended' }, { kind: 'oversized' }),
  );
  fc.assert(
    fc.property(fc.array(frame, { maxLength: 30 }), (frames) => {
      let state = initialMapperState('main', 'bot');
      for (const one of frames) {
        const before = JSON.stringify([...state.parts]);
        const kept = state;
        const [after, facts]: readonly [MapperState, readonly Fact[]] = mapFrame(state, one, 1);
        expect(JSON.stringify([...kept.parts])).toBe(before);
        for (const { type, data } of facts) expect(eventData[type].safeParse(data).success).toBe(true);
        state = after;
      }
    }),
  );
});

test('a frame of the wire is read as the feed hands it over', () => {
  /** Recorded. */
  const frame = channelFrame('platform_state', { locked: true, price_index: 'eth_usdc' });
  expect(frame).toEqual(
    JSON.parse(
      '{"jsonrpc":"2.0","method":"subscription","params":{"channel":"platform_state","data":{"locked":true,"price_index":"eth_usdc"}}}',
    ),
  );
});
