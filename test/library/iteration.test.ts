import { Subject } from 'rxjs';
import { expect, test } from 'vitest';
import { sessions } from '../../src/hub/sessions.js';
import type { SessionEvent } from '../../src/model/event.js';
import { iterate, MAX_ITERATOR_EVENTS } from '../../src/net/iterate.js';
import { fakeVenue, opened } from '../support/fake-venue.js';
import { settle, VirtualClock } from '../support/virtual-clock.js';

function event(index: number): SessionEvent {
  return {
    id: `1-${index}`,
    key: `key-${index}`,
    source: '/tradernet/desk',
    subject: 'tradernet.desk.login',
    type: 'session.restored',
    time: '2026-11-23T08:00:00.000Z',
    data: {},
  };
}

test('a loop over sessions gets every event from then on, in order, and ends when they are stopped', async () => {
  const venue = fakeVenue();
  const live = sessions([venue], { clock: new VirtualClock() });
  await settle();
  const seen: string[] = [];
  const loop = (async () => {
    for await (const { subject } of live) seen.push(subject);
  })();
  for (let index = 0; index < 5; index++) venue.say(opened(`s${index}`));
  await settle();
  await live.stop({ orders: 'leave' });
  await loop;
  expect(seen).toEqual([0, 1, 2, 3, 4].map((index) => `tradernet.desk.s${index}`));
});

test('what came while the consumer was busy is not lost', async () => {
  const events$ = new Subject<SessionEvent>();
  const iterator = iterate(events$);
  for (let index = 0; index < 1_000; index++) events$.next(event(index));
  events$.complete();
  for (let index = 0; index < 1_000; index++)
    expect(await iterator.next()).toEqual({ done: false, value: event(index) });
  expect(await iterator.next()).toEqual({ done: true, value: undefined });
});

test('a consumer that falls too far behind gets what is held, then an error, never a hole', async () => {
  const events$ = new Subject<SessionEvent>();
  const iterator = iterate(events$);
  for (let index = 0; index <= MAX_ITERATOR_EVENTS + 5; index++) events$.next(event(index));
  for (let index = 0; index < MAX_ITERATOR_EVENTS; index++)
    expect(await iterator.next()).toMatchObject({ value: { id: `1-${index}` } });
  await expect(iterator.next()).rejects.toMatchObject({
    code: 'rate_limited',
    message: expect.stringContaining(`1-${MAX_ITERATOR_EVENTS - 1}`),
  });
  expect(await iterator.next()).toEqual({ done: true, value: undefined });
  expect(events$.observed).toBe(false);
});

test('several waiting pulls are answered in turn, and none is forgotten at the end', async () => {
  const events$ = new Subject<SessionEvent>();
  const iterator = iterate(events$);
  const pulls = [iterator.next(), iterator.next(), iterator.next()];
  events$.next(event(1));
  events$.next(event(2));
  events$.complete();
  expect(await Promise.all(pulls)).toEqual([
    { done: false, value: event(1) },
    { done: false, value: event(2) },
    { done: true, value: undefined },
  ]);
});

test('leaving the loop unsubscribes, and another loop starts afresh', async () => {
  const events$ = new Subject<SessionEvent>();
  const first = iterate(events$);
  const waiting = first.next();
  expect(await first.return?.()).toEqual({ done: true, value: undefined });
  expect(await waiting).toEqual({ done: true, value: undefined });
  expect(events$.observed).toBe(false);
  events$.next(event(1));
  expect(await first.next()).toEqual({ done: true, value: undefined });
  const second = iterate(events$);
  events$.next(event(2));
  expect(await second.next()).toEqual({ done: false, value: event(2) });
});
