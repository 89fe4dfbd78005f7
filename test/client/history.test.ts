import fc from 'fast-check';
import { afterEach, describe, expect, test } from 'vitest';
import { settle } from '../support/virtual-clock.js';
import { closeStages, expectNothingLeft, ids, OPENED, type Stage, stage } from './stage.js';

afterEach(closeStages);

const CHANNEL = 'deribit.>';
const update = (on: Pick<Stage, 'relay'>, n: number) => on.relay.happen('session.updated', { changed: { n } });

test('what happened after the cursor comes first, then what is live, each once', async () => {
  const on = await stage({
    prepare(relay) {
      relay.happen('session.opened', OPENED);
      for (let n = 0; n < 5; n++) update({ relay }, n);
    },
  });
  const heard = on.events(CHANNEL, { since: '1-2' });
  await on.settle();
  expect(ids(heard.values)).toEqual(['1-3', '1-4', '1-5', '1-6']);
  update(on, 9);
  expect(ids(heard.values).at(-1)).toBe('1-7');
});

test('one that comes late to a live channel reads its own past, and the others notice nothing', async () => {
  const on = await stage();
  const safety = on.safety();
  const first = on.events('deribit.main.relay.>');
  await on.settle();
  for (let n = 0; n < 4; n++) update(on, n);
  const asked = on.relay.asked('subscribe').length;
  const said = safety.values.length;
  const late = on.events('deribit.main.relay.>', { since: '1-1' });
  update(on, 5);
  await on.settle();
  update(on, 6);
  expect(ids(late.values)).toEqual(['1-2', '1-3', '1-4', '1-5', '1-6']);
  expect(ids(first.values)).toEqual(['1-1', '1-2', '1-3', '1-4', '1-5', '1-6']);
  expect(on.relay.asked('subscribe')).toHaveLength(asked);
  expect(safety.values.length).toBe(said);
});

test('a past of many pages is read below the relay’s rate', async () => {
  const on = await stage({
    prepare(relay) {
      for (let n = 0; n < 3_500; n++) update({ relay }, n);
    },
  });
  const heard = on.events(CHANNEL, { since: '0-0' });
  await on.settle();
  expect(on.relay.asked('get_events')).toHaveLength(1);
  await on.advance(200);
  expect(on.relay.asked('get_events')).toHaveLength(4);
  expect(heard.values).toHaveLength(3_500);
});

test('more live events than are held while the past is read come as the past', async () => {
  const on = await stage({
    prepare(relay) {
      relay.pageSize = 10;
      for (let n = 0; n < 20; n++) update({ relay }, n);
    },
  });
  const heard = on.events(CHANNEL, { since: '0-0' });
  await on.settle();
  for (let n = 0; n < 1_500; n++) update(on, n);
  on.relay.pageSize = 1_000;
  await on.advance(500);
  update(on, 1);
  expect(ids(heard.values)).toEqual(on.relay.journal.map(({ id }) => id));
});

test('also where they came while the last page was on its way', async () => {
  const on = await stage({ prepare: (relay) => void update({ relay }, 1) });
  let asked = 0;
  on.relay.answers.set('get_events', ({ id }) => {
    asked = id;
    return undefined;
  });
  const heard = on.events(CHANNEL, { since: '0-0' });
  await on.settle();
  const result = { events: [...on.relay.journal], cursor: on.relay.head, complete: true };
  for (let n = 0; n < 1_500; n++) update(on, n);
  on.relay.answers.clear();
  on.relay.network.last.deliver(JSON.stringify({ jsonrpc: '2.0', id: asked, result }));
  await on.advance(500);
  expect(ids(heard.values)).toEqual(on.relay.journal.map(({ id }) => id));
});

test('what is lost of the past is announced', async () => {
  const on = await stage({
    prepare(relay) {
      for (let n = 0; n < 6; n++) update({ relay }, n);
      relay.truncate(4);
    },
  });
  const gaps: unknown[] = [];
  const heard = on.events(CHANNEL, { since: '1-1', onGap: (gap) => gaps.push(gap) });
  const strict = on.events(CHANNEL, { since: '1-1' });
  await on.settle();
  expect(gaps).toEqual([{ channel: CHANNEL, from: '1-1', to: '1-4', why: 'not_held' }]);
  expect(ids(heard.values)).toEqual(['1-5', '1-6']);
  expect(strict.error).toMatchObject({ code: 'events_lost' });
});

test('a cursor of an epoch that the relay does not know is a gap, also one that lies ahead', async () => {
  const on = await stage();
  const gaps: unknown[] = [];
  const heard = on.events(CHANNEL, { since: '9-9', onGap: (gap) => gaps.push(gap) });
  await on.settle();
  update(on, 1);
  expect(gaps).toHaveLength(1);
  expect(ids(heard.values)).toEqual(['1-1']);
});

test('a `since` that is no cursor is refused here', async () => {
  const on = await stage();
  expect(on.events(CHANNEL, { since: 'yesterday' }).error).toMatchObject({ code: 'invalid_params' });
});

describe('refusals and faults', () => {
  test('4429 is waited out', async () => {
    const on = await stage({ prepare: (relay) => void update({ relay }, 1) });
    on.relay.answers.set('get_events', () => ({
      error: { code: 4429, message: 'too many', data: { retryAfterMs: 300 } },
    }));
    const heard = on.events(CHANNEL, { since: '0-0' });
    await on.advance(299);
    on.relay.answers.clear();
    expect(heard.values).toHaveLength(0);
    await on.advance(1);
    expect(heard.values).toHaveLength(1);
  });

  test('a page that cannot be used ends the connection', async () => {
    const on = await stage({ prepare: (relay) => void update({ relay }, 1) });
    on.relay.answers.set('get_events', () => ({ result: { events: [{}] } }));
    const heard = on.events(CHANNEL, { since: '0-0' });
    await on.settle();
    expect(on.status).toMatchObject({ state: 'unreachable', faults: 1 });
    on.relay.answers.clear();
    await on.advance(2_000);
    expect(heard.values).toHaveLength(1);
  });
});

test('property: whenever it joins and whatever happens meanwhile, it is the journal from its cursor on', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.nat(12),
      fc.array(fc.constantFrom('event', 'event', 'wait', 'hangUp', 'lag', 'truncate', 'burst'), { maxLength: 15 }),
      fc.boolean(),
      async (from, acts, isShared) => {
        const on = await stage({
          settled: () => settle(2),
          prepare(relay) {
            relay.pageSize = 3;
            for (let n = 0; n < 12; n++) update({ relay }, n);
          },
        });
        if (isShared) on.events(CHANNEL, { onGap: () => undefined });
        await on.settle();
        const gaps: { readonly from: string; readonly to: string }[] = [];
        const heard = on.events(CHANNEL, { since: `1-${from}`, onGap: (gap) => gaps.push(gap) });
        for (const act of acts) {
          if (act === 'event') update(on, 1);
          else if (act === 'wait') await on.advance(45);
          else if (act === 'hangUp') on.relay.hangUp(1006);
          else if (act === 'lag') on.relay.lag();
          else if (act === 'truncate') on.relay.truncate(on.relay.journal.length - 1);
          else for (let n = 0; n < 8; n++) update(on, n);
          if (act !== 'burst') await settle(1);
        }
        await on.advance(120_000);
        const offsets = heard.values.map(({ id }) => Number(id.split('-')[1]));
        expect(offsets).toEqual([...offsets].sort((a, b) => a - b));
        expect(new Set(offsets).size).toBe(offsets.length);
        const isIn = (offset: number): boolean =>
          gaps.some((gap) => offset > Number(gap.from.split('-')[1]) && offset <= Number(gap.to.split('-')[1]));
        const told = new Set(offsets);
        const missing = on.relay.journal
          .map(({ id }) => Number(id.split('-')[1]))
          .filter((offset) => offset > from && !told.has(offset) && !isIn(offset));
        expect(missing).toEqual([]);
        await on.client.close();
      },
    ),
    { numRuns: 150 },
  );
}, 60_000);

test('leaving stops the reading', async () => {
  const on = await stage({
    prepare(relay) {
      for (let n = 0; n < 3_500; n++) update({ relay }, n);
    },
  });
  const heard = on.events(CHANNEL, { since: '0-0' });
  await on.settle();
  heard.stop();
  await on.advance(1_000);
  expect(on.relay.asked('get_events')).toHaveLength(1);
  expect(on.relay.subscribed).toEqual([]);
  await expectNothingLeft(on);
});
