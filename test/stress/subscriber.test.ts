import { afterEach, describe, expect, test } from 'vitest';
import { closeTestRelays, startTestRelay, TRANSPORTS } from '../support/relay.js';
import { until } from '../support/virtual-clock.js';
import { startBadLine } from './bad-line.js';
import type { Carrier, CarrierHandlers, Dial } from './carrier.js';
import { difference } from './compare.js';
import { CursorList } from './cursors.js';
import { createDraw } from './draw.js';
import { openRaw } from './raw-carrier.js';
import { type Subscriber, type SubscriberOptions, startSubscriber } from './subscriber.js';
import { openWs } from './ws-carrier.js';

afterEach(closeTestRelays);

const running: Subscriber[] = [];
afterEach(async () => {
  await Promise.all(running.splice(0).map((one) => one.stop()));
});

function subscribe(port: number, options: Partial<SubscriberOptions> = {}): Subscriber {
  const one = startSubscriber({
    name: 'subscriber',
    channels: ['deribit.main.>'],
    open: openRaw,
    dial: () => ({ port }),
    start: 'snapshot',
    draw: createDraw(1),
    backMs: [0, 5],
    ...options,
  });
  running.push(one);
  return one;
}

/** A relay's mouth with a word put in or left out: what the harness must see. */
function mangled(change: (text: string, count: number) => readonly string[]) {
  return (dial: Dial, handlers: CarrierHandlers): Carrier => {
    let count = 0;
    return openRaw(dial, {
      ...handlers,
      message(text) {
        const isEvent = text.includes('"method":"subscription"');
        for (const one of isEvent ? change(text, ++count) : [text]) handlers.message(one);
      },
    });
  };
}

describe.each(TRANSPORTS)('a subscriber of a stress run over %s', (transport) => {
  test.each([
    ['raw', openRaw],
    ['ws', openWs],
  ])(
    '%s that breaks off and resumes has the journal as it is, and folds to what the relay holds',
    async (_name, open) => {
      const { relay, venue, settled } = await startTestRelay(transport);
      const port = Number(new URL(relay.url).port);
      venue.open('bot');
      await settled();
      const one = subscribe(port, { open, folds: true });
      await until(() => one.isLive, 'it is live');
      for (let round = 0; round < 3; round++) {
        venue.update('bot', 50);
        one.leave(round % 2 === 0 ? 'reset' : 'close');
        venue.update('bot', 50);
        await until(() => one.connects === round + 2 && one.isLive, 'it is back');
      }
      const journal = new CursorList();
      const page = await relay.hub.read('0-0', 10_000);
      for (const { id } of page.events) journal.add(id);
      const trail = one.trails.get('deribit.main.>');
      await until(() => trail?.cursors.at(trail.cursors.length - 1) === journal.at(journal.length - 1), 'all came');
      expect(one.problems).toEqual([]);
      expect(trail === undefined ? 'no trail' : difference(trail, journal)).toBeUndefined();
      expect(trail?.stretches).toHaveLength(1);
      expect(one.states?.shown().get('deribit.main.bot')).toContain('"n":300');
    },
  );

  test.each<[string, (text: string, count: number) => readonly string[], string]>([
    ['leaves one out', (text, count) => (count === 3 ? [] : [text]), 'previous of'],
    ['says one twice', (text, count) => (count === 3 ? [text, text] : [text]), 'previous of'],
    ['says what nobody asked for', (text) => [text.replace('deribit.main.>', 'deribit.other.>')], 'never asked for'],
    ['says what nobody can read', () => ['{"jsonrpc":"2.0","method":'], 'cannot be read'],
  ])('sees a relay that %s', async (_what, change, problem) => {
    const { relay, venue, settled } = await startTestRelay(transport);
    venue.open('bot');
    await settled();
    const one = subscribe(Number(new URL(relay.url).port), { open: mangled(change) });
    await until(() => one.isLive, 'it is live');
    venue.update('bot', 5);
    await until(() => one.problems.length > 0, 'it is seen');
    expect(one.problems[0]).toContain(problem);
  });

  test('sees a close that this run does not bring, and passes over one that it may', async () => {
    const { relay } = await startTestRelay(transport);
    const port = Number(new URL(relay.url).port);
    const line = await startBadLine({ to: port, draw: createDraw(1) });
    const strict = subscribe(line.port);
    const lenient = subscribe(line.port, { mayClose: [1001] });
    await until(() => strict.isLive && lenient.isLive, 'both are live');
    await relay.close({ orders: 'leave' });
    await until(() => strict.seen.has('close 1001') && lenient.seen.has('close 1001'), 'both are closed');
    expect(strict.problems[0]).toContain('closed with 1001');
    expect(lenient.problems).toEqual([]);
    await Promise.all([strict.stop(), lenient.stop()]);
    await line.close();
  });
});
