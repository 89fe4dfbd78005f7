import { afterEach, expect, test } from 'vitest';
import type { Fact } from '../../src/model/event.js';
import { startWorld, stopWorld, type World } from './world.js';

const MOST_HOPS = 20;
let world: World | undefined;

afterEach(async () => {
  if (world !== undefined) await stopWorld(world);
});

const update = (n: number): Fact => ({
  source: 'desk',
  session: 'login',
  type: 'access.logged',
  key: `answer-${n}`,
  data: { action: 'success' },
});

test('a fact that answers a commit, however many microtasks later, is committed without another to push it', async () => {
  world = await startWorld();
  const { venue, events } = world;
  for (let hops = 0; hops < MOST_HOPS; hops++) {
    await new Promise<void>((resolve) => {
      venue.tell({ facts: [update(2 * hops)], committed: () => resolve() });
    });
    for (let hop = 0; hop < hops; hop++) await undefined;
    venue.tell({ facts: [update(2 * hops + 1)] });
    // Far more turns than a commit to memory takes; nothing else arrives meanwhile, and no time passes.
    for (let turn = 0; turn < 5; turn++) await new Promise<void>((resolve) => setImmediate(resolve));
    expect(events.at(-1)?.key, `${hops} microtasks after the commit`).toContain(`answer-${2 * hops + 1}`);
  }
});
