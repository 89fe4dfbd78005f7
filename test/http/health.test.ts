import { EMPTY } from 'rxjs';
import { describe, expect, test } from 'vitest';
import type { Bus, JournalLag, Sight } from '../../src/bus/bus.js';
import type { Edge } from '../../src/edge/edge.js';
import { DEFAULT_LIMITS } from '../../src/edge/limits.js';
import { createEdgeStats } from '../../src/edge/stats.js';
import { MAX_LATE_MS } from '../../src/http/event-loop.js';
import { type HealthOptions, livez, MAX_JOURNAL_LAG_MS, readyz, startingHealth } from '../../src/http/health.js';

interface Situation {
  readonly lag?: JournalLag;
  readonly sight?: Sight;
  readonly lateMs?: number;
  readonly draining?: boolean;
}

function health({ lag, sight, lateMs = 0, draining = false }: Situation): HealthOptions {
  const bus: Bus = {
    node: 'test',
    turns$: EMPTY,
    sight$: EMPTY,
    head: () => '1-0',
    lag: () => Promise.resolve(lag ?? { oldestMs: 0, waiting: 0, bytes: 0 }),
    states: () => Promise.reject(new Error('not asked')),
    events: () => Promise.reject(new Error('not asked')),
    holds: () => Promise.resolve(true),
    sources: () => Promise.resolve([]),
    command: () => Promise.reject(new Error('not asked')),
    webhook: () => Promise.reject(new Error('not asked')),
  };
  const edge: Edge = {
    limits: DEFAULT_LIMITS,
    limit() {},
    *grants() {},
    renew: () => ({ kept: 0, changed: 0, closed: 0, pending: 0 }),
    upgrade: () => Promise.reject(new Error('not asked')),
    drain: () => Promise.resolve(),
    close() {},
    isDraining: () => draining,
    sight: () => sight ?? { blind: false, cursor: '1-0' },
    replayed: () => ({ rendered: 0, reads: 0, bytes: 0 }),
    counts: () => ({ connections: 0, groups: 0 }),
    stats: createEdgeStats(),
    takePlace: () => Promise.resolve({ give() {} }),
    position: () => '1-0',
    journal: { get: () => undefined, read: () => Promise.reject(new Error('not asked')), extend() {}, reads: 0 },
    load: () => ({ lagging: 0, bufferedBytes: 0 }),
  };
  return { bus, edge, eventLoop: { lateMs: () => lateMs }, version: '0', transport: 'ws' };
}

async function ready(situation: Situation) {
  const answer = await readyz(health(situation), false);
  return [answer.status, await answer.json()];
}

describe('readyz', () => {
  test('tells how far event loop and journal are behind, also where both are well', async () => {
    expect(await ready({ lateMs: 12, lag: { oldestMs: 34, waiting: 5, bytes: 0 } })).toMatchObject([
      200,
      { status: 'ready', eventLoop: { lateMs: 12 }, journal: { lagMs: 34, waiting: 5 } },
    ]);
  });

  test('is red where the oldest fact waits longer than a second, whatever the hub says of itself', async () => {
    expect((await ready({ lag: { oldestMs: MAX_JOURNAL_LAG_MS, waiting: 1, bytes: 0 } }))[0]).toBe(200);
    expect(await ready({ lag: { oldestMs: MAX_JOURNAL_LAG_MS + 1, waiting: 9, bytes: 0 } })).toMatchObject([
      503,
      { status: 'not_ready', checks: { journal: 'behind by 1001 ms, 9 facts wait', blind: 'ok' } },
    ]);
  });

  test('is red where the event loop is late, where it drains, and where it is blind', async () => {
    const sight: Sight = { blind: true, since: 0, forMs: 1, why: 'disk full' };
    expect(await ready({ lateMs: MAX_LATE_MS + 1 })).toMatchObject([503, { checks: { eventLoop: 'late by 1001 ms' } }]);
    expect(await ready({ draining: true })).toMatchObject([503, { checks: { draining: 'draining' } }]);
    expect(await ready({ sight })).toMatchObject([503, { checks: { journal: 'disk full' } }]);
  });
});

describe('livez', () => {
  test('a relay that drains, or is blind for now, lives', () => {
    expect(livez(health({ draining: true })).status).toBe(200);
    expect(livez(health({ sight: { blind: true, since: 0, forMs: 60_000, why: 'disk full' } })).status).toBe(200);
  });

  test('one that nothing but a new start mends does not, so that it is restarted', async () => {
    const answer = livez(health({ sight: { blind: true, since: 0, forMs: 1, why: 'too much waited', lasting: true } }));
    expect([answer.status, await answer.json()]).toEqual([
      503,
      { status: 'lost', version: '0', why: 'too much waited' },
    ]);
  });
});

test('while it starts it lives, and is not ready', async () => {
  const at = (path: string) => startingHealth({ url: `http://relay${path}` }, '0');
  expect(at('/livez')?.status).toBe(200);
  expect([at('/readyz')?.status, await at('/readyz')?.json()]).toMatchObject([503, { status: 'not_ready' }]);
  expect(at('/v1/sessions')).toBeUndefined();
});
