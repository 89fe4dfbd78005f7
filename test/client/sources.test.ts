import { afterEach, expect, test } from 'vitest';
import type { SourceCommands } from '../../src/client/index.js';
import { closeStages, stage } from './stage.js';

afterEach(closeStages);

const source = (command: string): SourceCommands => ({
  venue: 'deribit',
  source: 'main',
  commands: [{ command, params: { type: 'object' }, acts: true }],
});

test('sources are asked for on subscribing, after each reconnect and each new token, and not for nobody', async () => {
  let answer: unknown = { sources: [source('logout')] };
  const on = await stage({
    token: () => 's3cret',
    prepare(relay) {
      relay.token = 's3cret';
      relay.answers.set('get_sources', () => ({ result: answer }));
    },
  });
  expect(on.relay.asked('get_sources')).toEqual([]);
  const told: (readonly SourceCommands[])[] = [];
  let completed = false;
  const listening = on.client.sources$().subscribe({
    next: (sources) => told.push(sources),
    complete() {
      completed = true;
    },
  });
  await on.settle();
  expect(told).toEqual([[source('logout')]]);

  answer = { sources: [source('reconnect')] };
  on.relay.hangUp(1006);
  await on.advance(60_000);
  expect(told.at(-1)).toEqual([source('reconnect')]);

  const before = told.length;
  answer = { sources: [] };
  on.relay.announce('token_expiring', { inMs: 60_000 });
  await on.advance(60_000);
  expect(told.slice(before)).toEqual([[]]);

  listening.unsubscribe();
  const asked = on.relay.asked('get_sources').length;
  on.relay.hangUp(1006);
  await on.advance(60_000);
  expect(on.relay.asked('get_sources')).toHaveLength(asked);

  on.client.sources$().subscribe({
    complete() {
      completed = true;
    },
  });
  await on.client.close();
  expect(completed).toBe(true);
});

test('an answer that cannot be used is a fault, and no end', async () => {
  const answers: unknown[] = [{ sources: [{ venue: 'deribit' }] }, { sources: [source('logout')] }];
  const on = await stage({
    prepare: (relay) => relay.answers.set('get_sources', () => ({ result: answers.shift() })),
  });
  const told: (readonly SourceCommands[])[] = [];
  on.client.sources$().subscribe((sources) => told.push(sources));
  await on.settle();
  expect(told).toEqual([]);
  expect(on.notices).toMatchObject([{ kind: 'fault' }]);
  // Whoever subscribes asks, and all that listen hear the answer.
  on.client.sources$().subscribe();
  await on.settle();
  expect(told).toEqual([[source('logout')]]);
});
