import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { eventData, type Fact } from '../../../src/model/event.js';
import type { Json } from '../../../src/model/json.js';
import {
  begin,
  goStale,
  learn,
  learnInit,
  learnNoBridge,
  learnNothing,
  learnSso,
  learnSsoRefused,
  learnStatus,
  logIn,
  logOut,
  loseSight,
  mapFrame,
} from '../../../src/venues/ibkr/mapper.js';
import { readFrame, readSso, readStatus, readTickle } from '../../../src/venues/ibkr/messages.js';
import type { Mapped, Told } from '../../../src/venues/ibkr/settle.js';
import {
  BROKERAGE_TOKEN,
  emptyState,
  forgotten,
  type MapperState,
  memoryOf,
  recall,
  SSO_TOKEN,
} from '../../../src/venues/ibkr/state.js';
import { ALL_FALSE, FORCE_COMPETE, lineOf, NO_BRIDGE, NOT_PASSED, READY, validAnswer } from './source.js';

const ABOUT = { source: 'gw', role: 'trading', loginUrl: 'https://localhost:5000/' } as const;
const TOLD: Told = { generation: 1, maintenance: false };

function status(body: unknown) {
  return readStatus(body) ?? {};
}

function run(changes: readonly ((state: MapperState) => Mapped)[], from = emptyState(ABOUT)) {
  let state = from;
  const facts: Fact[] = [];
  for (const change of changes) {
    const [next, more] = change(state);
    state = next;
    facts.push(...more);
  }
  return { state, lines: facts.map(lineOf), facts };
}

const tickled = (state: MapperState): Mapped => learn(state, { tickle: 'ok', unreachable: false }, TOLD);
const says =
  (body: unknown) =>
  (state: MapperState): Mapped =>
    learnStatus(state, status(body), TOLD);
const LIVE = run([tickled, says(READY)]).state;

describe('what is told once', () => {
  test('the same status again is nothing new', () => {
    expect(run([says(READY), tickled, says(READY)], LIVE).lines).toEqual([]);
  });

  test('each status of the brokerage session, in turn', () => {
    const { lines } = run(
      [
        says({ ...READY, competing: true }),
        says({ ...READY, authenticated: false, competing: false }),
        says({ ...READY, established: false }),
        says(READY),
      ],
      LIVE,
    );
    expect(lines).toEqual([
      'brokerage session.contested',
      'brokerage session.lost no_bridge',
      'brokerage session.opening',
      'brokerage session.restored',
    ]);
  });

  test('another server is an update of a session that works', () => {
    const { facts } = run([says({ ...READY, serverInfo: { serverName: 'other', serverVersion: '1' } })], LIVE);
    expect(facts).toMatchObject([
      { type: 'session.updated', data: { changed: { serverName: 'other', serverVersion: '1' } } },
    ]);
  });

  test('an older gateway whose serverInfo is missing changes nothing', () => {
    const { serverInfo: _, ...bare } = READY;
    expect(run([says(bare)], LIVE).lines).toEqual([]);
  });
});

describe('what is told again', () => {
  test('after the gateway was out of sight: the login first, then the brokerage session when its status is read', () => {
    const dark = loseSight(LIVE);
    expect(run([tickled], dark).lines).toEqual(['sso session.restored']);
    expect(run([tickled, says(READY)], dark).lines).toEqual(['sso session.restored', 'brokerage session.restored']);
    expect(run([tickled, says(NO_BRIDGE)], dark).lines).toEqual([
      'sso session.restored',
      'brokerage session.lost no_bridge',
    ]);
  });

  test('after a missing login nothing that was known of the brokerage session before it is believed', () => {
    const out = run([(state) => learn(state, { tickle: 'redirected' }, TOLD)], LIVE);
    expect(out.lines).toEqual(['sso session.attention login']);
    expect(run([tickled], out.state).lines).toEqual(['sso session.restored']);
  });

  test('after silence by penalty', () => {
    const stale = run([(state) => goStale(state, [SSO_TOKEN, BROKERAGE_TOKEN], 'throttled', TOLD)], LIVE);
    expect(stale.lines).toEqual(['sso session.stale throttled', 'brokerage session.stale throttled']);
    expect(run([tickled], stale.state).lines).toEqual(['sso session.restored']);
  });

  test('after a restart, from what was remembered', () => {
    const memory = new Map<string, Json>(Object.entries(memoryOf(LIVE, emptyState(ABOUT)) ?? {}));
    const again = recall(ABOUT, memory);
    expect(run([begin, tickled, says(READY)], again).lines).toEqual([
      'sso session.restored',
      'brokerage session.restored',
    ]);
  });

  test('a memory that cannot be read is none', () => {
    const again = recall(
      ABOUT,
      new Map<string, Json>([
        ['sso', 7],
        ['brokerage', null],
        ['policy', 'x'],
      ]),
    );
    expect(again).toEqual(emptyState(ABOUT));
  });
});

describe('a session that the relay keeps no more', () => {
  test('is opened when it works again, with its role, and told of as before until then', () => {
    const { state: lost } = run([says(NO_BRIDGE)], LIVE);
    expect(run([says(READY)], lost).lines).toEqual(['brokerage session.restored']);
    const dropped = forgotten(lost, BROKERAGE_TOKEN);
    expect(memoryOf(dropped, lost)).toMatchObject({ brokerage: { status: 'lost', opened: false } });
    expect(run([says(NO_BRIDGE)], dropped).lines).toEqual([]);
    const { facts, state } = run([says(READY)], dropped);
    expect(facts).toMatchObject([{ type: 'session.opened', data: { role: 'trading', parent: 'ibkr.gw.sso' } }]);
    expect(run([says(NO_BRIDGE), says(READY)], state).lines.at(-1)).toBe('brokerage session.restored');
    expect(forgotten(dropped, BROKERAGE_TOKEN)).toBe(dropped);
  });
});

describe('maintenance', () => {
  const suspected: Told = { generation: 1, maintenance: true };

  test('tags what is told while an outage is expected, and leaves the reason that safety goes by', () => {
    const [, facts] = learnStatus(LIVE, status(NO_BRIDGE), suspected);
    expect(facts).toMatchObject([
      { type: 'session.lost', data: { reason: 'no_bridge', code: 'maintenance_suspected' } },
    ]);
    const [, opening] = learnStatus(LIVE, status({ ...READY, established: false }), suspected);
    expect(opening).toMatchObject([{ type: 'session.opening', data: { reason: 'maintenance_suspected' } }]);
  });
});

describe('a contest', () => {
  test('that init has found is not ended by a status that does not repeat it', () => {
    const { lines, state } = run(
      [
        (before) => learnInit(before, status(NOT_PASSED), TOLD),
        says({ ...READY, authenticated: false, established: false }),
        says({ ...READY, authenticated: false, established: false, fail: FORCE_COMPETE }),
      ],
      LIVE,
    );
    expect(lines).toEqual(['brokerage session.contested']);
    expect(run([says(READY)], state).lines).toEqual(['brokerage session.restored']);
  });

  test('is not ended by an init that is passed, but by the status after it', () => {
    const contested = run([(before) => learnInit(before, status(NOT_PASSED), TOLD)], LIVE).state;
    const passed = run([(before) => learnInit(before, status({ ...READY, passed: true }), TOLD)], contested);
    expect(passed.lines).toEqual([]);
    expect(run([says(READY)], passed.state).lines).toEqual(['brokerage session.restored']);
  });
});

describe('the environment', () => {
  test('is what validate says; the greeting of the socket fills in', () => {
    const paper = readFrame('{"topic":"system","success":"x","isPaper":true}');
    const { state } = run([(before) => mapFrame(before, paper, TOLD), tickled]);
    expect(state.sso.environment).toBe('paper');
    const answer = validAnswer({ LOGIN_TYPE: 1 });
    const live = readSso('json' in Object(answer) ? (answer as { json: unknown }).json : undefined) ?? {};
    expect(run([(before) => learnSso(before, live, TOLD)], state).state.sso.environment).toBe('live');
  });
});

describe('whatever a venue says', () => {
  const word = fc.constantFrom('true', 'false', '', 'no bridge', FORCE_COMPETE, 'x');
  const anything = fc.oneof(fc.boolean(), word, fc.constant(null), fc.integer(), fc.jsonValue());
  const body = fc.oneof(
    fc.constantFrom<unknown>(READY, NO_BRIDGE, ALL_FALSE, NOT_PASSED),
    fc.record(
      {
        authenticated: anything,
        connected: anything,
        established: anything,
        competing: anything,
        passed: anything,
        fail: anything,
        serverInfo: anything,
        RESULT: anything,
        LOGIN_TYPE: anything,
        AUTH_TIME: anything,
        session: anything,
      },
      { requiredKeys: [] },
    ),
    fc.jsonValue(),
  );
  const frame = fc
    .oneof(
      fc.record({
        topic: fc.constantFrom('system', 'sts', 'act', 'tic', 'ntf', 'blt', 'ech+hb', 'other'),
        args: body,
        hb: anything,
        success: anything,
        alive: anything,
        lastAccessed: anything,
      }),
      fc.jsonValue(),
    )
    .map((value) => JSON.stringify(value));
  const step: fc.Arbitrary<(state: MapperState) => Mapped> = fc.oneof(
    body.map((said) => (state: MapperState) => learnStatus(state, status(said), TOLD)),
    body.map((said) => (state: MapperState) => learnInit(state, status(said), TOLD)),
    body.map((said) => (state: MapperState) => learnSso(state, readSso(said) ?? {}, TOLD)),
    body.map((said) => (state: MapperState) => {
      const { status: of } = readTickle(said) ?? { status: {} };
      return learn(state, { tickle: 'ok', unreachable: false }, { ...TOLD, maintenance: of.connected === true });
    }),
    frame.map((text) => (state: MapperState) => mapFrame(state, readFrame(text), TOLD)),
    fc.string().map((text) => (state: MapperState) => mapFrame(state, readFrame(text), TOLD)),
    fc.constantFrom<(state: MapperState) => Mapped>(
      begin,
      (state) => learn(state, { tickle: 'refused' }, TOLD),
      (state) => learn(state, { tickle: 'redirected' }, TOLD),
      (state) => learnSsoRefused(state, TOLD),
      (state) => learnNoBridge(state, TOLD),
      (state) => learnNothing(state, TOLD),
      (state) => [loseSight(state), []],
      (state) => goStale(state, [SSO_TOKEN, BROKERAGE_TOKEN], 'throttled', TOLD),
      (state) => logOut(state, TOLD),
      (state) => [logIn(state), []],
    ),
  );

  test('the mapper never throws, and every fact has the shape of its type', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 30 }), (steps) => {
        const { facts, state } = run(steps);
        for (const { type, data } of facts) expect(eventData[type].safeParse(data).success).toBe(true);
        expect(recall(ABOUT, new Map(Object.entries(memoryOf(state, emptyState(ABOUT)) ?? {}))).sso.status).toBe(
          state.sso.status,
        );
      }),
      { numRuns: 500 },
    );
  });

  test('the brokerage session is opened or restored only by a status that says all of it, in a login that works', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 30 }), (steps) => {
        let state = emptyState(ABOUT);
        for (const one of steps) {
          const [next, facts] = one(state);
          const works = facts.some(
            ({ session, type }) =>
              session === BROKERAGE_TOKEN && (type === 'session.opened' || type === 'session.restored'),
          );
          if (works) {
            const { authenticated, connected, competing, established } = next.evidence.status;
            expect([authenticated, connected, competing]).toEqual([true, true, false]);
            expect(established).not.toBe(false);
            expect(next.sso).toMatchObject({ status: 'active', seen: true });
          }
          state = next;
        }
      }),
      { numRuns: 500 },
    );
  });

  test('no credential of a tickle reaches a fact', () => {
    const secret = '0123456789abcdef0123456789abcdef';
    fc.assert(
      fc.property(fc.array(step, { maxLength: 10 }), (steps) => {
        const { facts } = run([
          ...steps,
          (state) => mapFrame(state, readFrame(`{"topic":"tic","id":"${secret}","alive":true}`), TOLD),
          (state) => mapFrame(state, readFrame(`{"session":"${secret}"}`), TOLD),
        ]);
        expect(JSON.stringify(facts)).not.toContain(secret);
      }),
      { numRuns: 100 },
    );
  });
});
