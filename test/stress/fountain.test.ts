import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { seededRandom } from '../../src/net/timer.js';
import type { FactBatch, VenueMemory } from '../../src/venues/venue.js';
import { createFountain, type Fountain } from './fountain.js';

/** Its own timers are Node's: they are driven here. */
beforeEach(() => {
  vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval', 'performance'] });
});
afterEach(() => {
  vi.useRealTimers();
});

function started(options: { readonly rate?: number; readonly memory?: VenueMemory } = {}): {
  readonly fountain: Fountain;
  readonly batches: FactBatch[];
} {
  const fountain = createFountain({
    sessions: 3,
    rate: options.rate ?? 100,
    padded: 1,
    padBytes: 4_000,
    random: seededRandom(1),
  });
  const batches: FactBatch[] = [];
  fountain.facts$.subscribe((batch) => batches.push(batch));
  fountain.start(options.memory);
  return { fountain, batches };
}

/** The numbers that a session said, in order, with those said twice. */
function numbersOf(batches: readonly FactBatch[], session: string): readonly unknown[] {
  return batches
    .flatMap(({ facts }) => facts)
    .filter((fact) => fact.session === session && fact.type === 'session.updated')
    .map(({ data }) => ('changed' in data ? data.changed.n : undefined));
}

describe('the fountain', () => {
  test('opens its sessions, and numbers what each says, without a hole', () => {
    const { batches } = started();
    expect(batches[0]?.facts.map(({ type }) => type)).toEqual([
      'link.up',
      'session.opened',
      'session.opened',
      'session.opened',
    ]);
    vi.advanceTimersByTime(2_000);
    for (const session of ['s0', 's1', 's2']) {
      const said = [...new Set(numbersOf(batches, session))];
      expect(said.length).toBeGreaterThan(40);
      expect(said).toEqual(said.map((_, index) => index + 1));
    }
  });

  test('tells some facts a second time, under the same key', () => {
    const { batches } = started();
    vi.advanceTimersByTime(2_000);
    const keys = batches.flatMap(({ facts }) => facts.flatMap(({ key }) => key ?? []));
    expect(keys.length).toBeGreaterThan(new Set(keys).size);
  });

  test('goes on with the next number after what its memory says, in the same batch as the facts', () => {
    const first = started();
    vi.advanceTimersByTime(1_000);
    const memory = new Map(Object.entries(first.batches.at(-1)?.memory ?? {}));
    const last = numbersOf(first.batches, 's1').at(-1);
    const second = started({ memory });
    expect(second.batches[0]?.facts.map(({ type }) => type)).toContain('session.restored');
    vi.advanceTimersByTime(1_000);
    expect(numbersOf(second.batches, 's1')[0]).toBe(Number(last) + 1);
  });

  test('says at rate 0 when everything that it told is committed', async () => {
    const { fountain, batches } = started();
    vi.advanceTimersByTime(500);
    let isQuiet = false;
    const quiet = fountain.setRate(0).then(() => {
      isQuiet = true;
    });
    const count = batches.length;
    vi.advanceTimersByTime(500);
    expect(batches).toHaveLength(count);
    for (const { committed } of batches.slice(1)) committed?.(true);
    await Promise.resolve();
    expect(isQuiet).toBe(false);
    batches[0]?.committed?.(true);
    await quiet;
  });
});
