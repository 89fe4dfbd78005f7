import fc from 'fast-check';
import { afterEach, describe, expect, test } from 'vitest';
import { SessionRelayError } from '../../src/errors.js';
import { type Json, parseJson } from '../../src/model/json.js';
import type { Venue } from '../../src/venues/venue.js';
import type { FakeAnswer } from '../support/fake-http.js';
import { settle } from '../support/virtual-clock.js';
import * as deribit from '../venues/deribit/world.js';
import * as ibkr from '../venues/ibkr/source.js';
import * as snaptrade from '../venues/snaptrade/world.js';
import * as tradernet from '../venues/tradernet/source.js';
import { runsOf } from './budget.js';
import { createFactCheck } from './facts.js';
import { hostileJson, hostileText, mustNotBePolluted } from './hostile.js';

/**
 * Whole feeds against a venue that answers wrongly, says what nobody asked for, and goes away in between: what they tell
 * is always something that a journal takes, what they answer to a command is a result or an error of the family, and
 * they stop with nothing left behind.
 */
const INPUTS_PER_RUN = 12;

type Did =
  | { readonly what: 'answer'; readonly text: string; readonly status: number }
  | { readonly what: 'frame'; readonly text: string }
  | { readonly what: 'pass'; readonly ms: number }
  | { readonly what: 'drop' }
  | { readonly what: 'command'; readonly index: number; readonly params: unknown };

/** What a run of hostile answers, frames and commands consists of. */
const didOf = (answers: readonly unknown[], frames: readonly unknown[]): fc.Arbitrary<readonly Did[]> =>
  fc.array(
    fc.oneof(
      {
        weight: 6,
        arbitrary: fc.record({
          what: fc.constant('answer' as const),
          text: hostileText(answers),
          status: fc.constantFrom(200, 200, 200, 200, 204, 302, 400, 401, 403, 404, 429, 500, 503, 999),
        }),
      },
      { weight: 6, arbitrary: fc.record({ what: fc.constant('frame' as const), text: hostileText(frames) }) },
      {
        weight: 2,
        arbitrary: fc.record({ what: fc.constant('pass' as const), ms: fc.constantFrom(1, 1_000, 20_000, 70_000) }),
      },
      { weight: 1, arbitrary: fc.record({ what: fc.constant('drop' as const) }) },
      {
        weight: 2,
        arbitrary: fc.record({
          what: fc.constant('command' as const),
          index: fc.nat({ max: 30 }),
          params: hostileJson([
            {},
            { scope: 'connection' },
            { interval: 10 },
            { orders: 'leave' },
            { connection: snaptrade.ID },
          ]),
        }),
      },
    ),
    { minLength: INPUTS_PER_RUN, maxLength: INPUTS_PER_RUN, size: 'max' },
  );

/** Gives a command as a hub does: parameters that do not fit never reach the venue. */
function command(venue: Venue, source: string, { index, params }: Extract<Did, { what: 'command' }>): void {
  const spec = venue.commands[index % venue.commands.length];
  const parsed = spec?.params.safeParse(params);
  if (spec === undefined || parsed?.success !== true) return;
  void venue
    .command({ source, command: spec.command, params: parsed.data, session: snaptrade.ID })
    .catch(mustBeOfTheFamily);
}

const strange: unknown[] = [];
function mustBeOfTheFamily(thrown: unknown): void {
  if (!(thrown instanceof SessionRelayError) || thrown.code === 'internal') strange.push(thrown);
}
afterEach(() => {
  const found = strange.splice(0);
  expect(found).toEqual([]);
});

/** Stops a venue, letting time pass where it waits; nothing may be left on the clock. */
async function stopped(
  venue: Venue,
  clock: { advance(ms: number): Promise<void>; readonly timers: number },
): Promise<void> {
  let isOver = false;
  const stopping = venue.stop({ orders: 'cancel' }).finally(() => {
    isOver = true;
  });
  for (let round = 0; round < 200 && !isOver; round++) await clock.advance(1_000);
  if (!isOver) throw new Error('the venue does not stop');
  await stopping;
  // What was asked and never answered ends by time.
  for (let round = 0; round < 20 && clock.timers > 0; round++) await clock.advance(60_000);
  if (clock.timers > 0) throw new Error(`${clock.timers} timers are left`);
}

describe('deribit', () => {
  const answers: readonly unknown[] = [
    { version: '1.2.26' },
    deribit.tokenOf({
      expiresIn: 900,
      scope: 'session:bot trade:read_write account:read_write mainaccount',
      sid: 'SID',
    }),
    ['platform_state', 'user.lock', 'user.access_log', 'platform_state.public_methods_state'],
    { locked: 'partial', locked_indices: ['btc_usd'] },
    [{ currency: 'BTC', locked: true }],
    { scope: 'connection', enabled: true },
    'ok',
  ];
  const frames: readonly unknown[] = [
    JSON.parse(deribit.TEST_REQUEST),
    deribit.channelFrame('platform_state', { maintenance: true }),
    deribit.channelFrame('user.lock', { currency: 'BTC', locked: true }),
    deribit.channelFrame('user.access_log', { id: 1, timestamp: 1, log: 'login', ip: '192.0.2.7', country: 'NL' }),
    { jsonrpc: '2.0', error: { code: 13_009, message: 'unauthorized' } },
    { jsonrpc: '2.0', id: 3, error: { code: 10_028, message: 'too_many_requests' } },
  ];

  test('a feed whose venue answers wrongly tells what can be journaled, and stops', async () => {
    await fc.assert(
      fc.asyncProperty(didOf(answers, frames), async (did) => {
        const world = await deribit.startSource({}, { open: false });
        const check = createFactCheck('deribit', [deribit.CREDENTIALS.clientSecret]);
        world.venue.facts$.subscribe(({ facts }) => check.take(facts));
        const wrong: Extract<Did, { what: 'answer' }>[] = [];
        const usual = world.network.onSend;
        world.network.onSend = (socket, text) => {
          const next = wrong.shift();
          if (next === undefined) return usual?.(socket, text);
          const { id } = JSON.parse(text) as { readonly id: number };
          const member = next.status < 300 ? 'result' : 'error';
          queueMicrotask(() => socket.receive(`{"jsonrpc":"2.0","id":${id},"${member}":${next.text}}`));
        };
        for (const one of did) if (one.what === 'answer') wrong.push(one);
        await world.open();
        for (const one of did) {
          if (one.what === 'frame' && world.network.last.isOpen) await world.receive(one.text);
          else if (one.what === 'pass') await world.clock.advance(one.ms);
          else if (one.what === 'command') command(world.venue, 'main', one);
          else if (one.what === 'drop') {
            await world.drop();
            await world.clock.advance(31_000);
            if (!world.network.last.ended && !world.network.last.isOpen) await world.open();
          }
          if (world.network.live > 1) throw new Error('two live sockets');
        }
        await stopped(world.venue, world.clock);
        expect(world.logged.join('\n')).not.toContain(deribit.CREDENTIALS.clientSecret);
        mustNotBePolluted();
      }),
      runsOf('deribit feed', INPUTS_PER_RUN),
    );
  });
});

const answerOf = ({ text, status }: Extract<Did, { what: 'answer' }>): FakeAnswer => ({ text, status });

describe('tradernet', () => {
  const answers: readonly unknown[] = [
    { SID: 'sid-of-login-1', userId: 42 },
    [tradernet.row(1), tradernet.row(2)],
    { SID: 'known', user_id: 42 },
    { errMsg: 'Unsupported query method', code: 2 },
    { error: 'two factor', code: 14, tfa: true },
    { sessions: [tradernet.row(3)] },
  ];
  const frames: readonly unknown[] = [
    tradernet.PROD,
    tradernet.DEMO,
    ['sessions', [tradernet.row(1)]],
    ['keepAlive'],
    ['error', 1],
  ];

  test('a feed whose venue answers wrongly tells what can be journaled, and stops', async () => {
    await fc.assert(
      fc.asyncProperty(didOf(answers, frames), fc.boolean(), async (did, live) => {
        const wrong = did.flatMap((one) => (one.what === 'answer' ? [one] : []));
        const answer = (): FakeAnswer | undefined => {
          const next = wrong.shift();
          return next === undefined ? undefined : answerOf(next);
        };
        const check = createFactCheck('tradernet', [tradernet.LOGIN.password, 'sid-of-login-']);
        const world = tradernet.startSource({}, { answer: live ? () => undefined : answer, start: false });
        world.venue.facts$.subscribe(({ facts }) => check.take(facts));
        world.venue.start();
        await settle();
        for (const one of did) {
          const socket = world.network.sockets.at(-1);
          if (one.what === 'frame' && socket !== undefined && !socket.ended) {
            if (!socket.isOpen) socket.open();
            socket.receive(one.text);
          } else if (one.what === 'pass') await world.clock.advance(one.ms);
          else if (one.what === 'command') command(world.venue, 'desk', one);
          else if (one.what === 'drop') {
            socket?.end({ code: 1006 });
            await world.clock.advance(31_000);
          }
          await settle(2);
          if (world.network.live > 1) throw new Error('two live sockets');
        }
        await stopped(world.venue, world.clock);
        mustNotBePolluted();
      }),
      runsOf('tradernet feed', INPUTS_PER_RUN),
    );
  });
});

describe('ibkr', () => {
  const answers: readonly unknown[] = [
    { session: ibkr.SESSION, ssoExpires: 1, collission: false, iserver: { authStatus: ibkr.READY } },
    ibkr.READY,
    ibkr.NO_BRIDGE,
    ibkr.NOT_PASSED,
    { USER_NAME: 'desk-user', RESULT: true, AUTH_TIME: 1_795_330_000_000, EXPIRES: 1, LOGIN_TYPE: 2 },
    { message: 'triggered' },
    { status: true },
    { error: 'no bridge' },
  ];
  const frames: readonly unknown[] = [
    { topic: 'system', success: 'desk-user', isPaper: true },
    { topic: 'system', hb: 1_795_330_000_000 },
    { topic: 'sts', args: { authenticated: false, competing: true } },
    { message: 'waiting for session' },
    { topic: 'tic', alive: true, lastAccessed: 1 },
  ];

  test('a feed whose venue answers wrongly tells what can be journaled, and stops', async () => {
    await fc.assert(
      fc.asyncProperty(didOf(answers, frames), async (did) => {
        const wrong = did.flatMap((one) => (one.what === 'answer' ? [one] : []));
        const check = createFactCheck('ibkr', [ibkr.SESSION]);
        let isWrong = false;
        const world = ibkr.startSource(
          { websocket: true },
          {
            start: false,
            answer() {
              const next = isWrong ? wrong.shift() : undefined;
              return next === undefined ? undefined : answerOf(next);
            },
          },
        );
        world.venue.facts$.subscribe(({ facts }) => check.take(facts));
        world.venue.start();
        await settle();
        isWrong = true;
        for (const one of did) {
          const socket = world.network.sockets.at(-1);
          if (one.what === 'frame' && socket !== undefined && !socket.ended) {
            if (!socket.isOpen) socket.open();
            socket.receive(one.text);
          } else if (one.what === 'pass' || one.what === 'answer')
            await world.clock.advance(one.what === 'pass' ? one.ms : 30_000);
          else if (one.what === 'command') command(world.venue, 'gw', one);
          else if (one.what === 'drop') socket?.end({ code: 1006 });
          await settle(2);
          if (world.network.live > 1) throw new Error('two live sockets');
        }
        await stopped(world.venue, world.clock);
        mustNotBePolluted();
      }),
      runsOf('ibkr feed', INPUTS_PER_RUN),
    );
  });
});

describe('snaptrade', () => {
  const answers: readonly unknown[] = [
    [snaptrade.row(), snaptrade.row(snaptrade.OTHER_ID, snaptrade.BROKEN)],
    snaptrade.row(),
    [],
    [
      {
        id: 7,
        session_event_type: 'X',
        session_id: 'abc',
        user_id: 'customer-1',
        created_date: '2026-11-23T08:00:00Z',
      },
    ],
    { detail: 'Invalid signature', code: '1076' },
    { redirectURI: 'https://app.snaptrade.com/x?token=y', sessionId: 'z' },
    { userId: 'customer-1', userSecret: 'fresh' },
  ];

  test('a feed whose venue answers wrongly tells what can be journaled, and stops', async () => {
    await fc.assert(
      fc.asyncProperty(didOf(answers, answers), async (did) => {
        const wrong = did.flatMap((one) => (one.what === 'answer' ? [one] : []));
        const check = createFactCheck('snaptrade', [snaptrade.KEY, snaptrade.USER.userSecret]);
        const world = snaptrade.startVenue({ sessionEvents: 'auto' }, [snaptrade.row()], {
          start: false,
          answer() {
            const next = wrong.shift();
            return next === undefined ? undefined : answerOf(next);
          },
        });
        world.venue.facts$.subscribe(({ facts }) => check.take(facts));
        world.venue.start();
        for (const one of did) {
          if (one.what === 'command') command(world.venue, 'partner', one);
          if (one.what === 'frame') {
            const payload = hookOf(world, one.text);
            if (payload !== undefined) {
              const { status } = await world.hook(payload);
              expect([200, 202, 400, 401, 503]).toContain(status);
            }
          }
          await world.clock.advance(one.what === 'pass' ? one.ms : 20_000);
        }
        await stopped(world.venue, world.clock);
        expect(world.logged.join('\n')).not.toContain(snaptrade.KEY);
        mustNotBePolluted();
      }),
      runsOf('snaptrade feed', INPUTS_PER_RUN),
    );
  });
});

function hookOf(world: snaptrade.World, text: string): Record<string, Json> | undefined {
  const value = parseJson(text);
  return value === undefined ? undefined : (snaptrade.hook(world, 'CONNECTION_BROKEN', { details: value }) as never);
}
