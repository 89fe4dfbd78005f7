import { afterEach, describe, expect, test } from 'vitest';
import { closeTestRelays, startTestRelay, TRANSPORTS } from '../support/relay.js';
import { until } from '../support/virtual-clock.js';

/** PROTOCOL.md §4 and §6.5: a slow subscriber is closed with 4408, never silently skipped, and delays nobody. */
const UPDATES = '*.*.*.session.updated';
/** More than the kernel's own buffers between two sockets of one machine take, so that the relay's own fill up. */
const FLOOD = 24_000;
afterEach(closeTestRelays);

describe.each(TRANSPORTS)('slow subscribers over %s', (transport) => {
  test('over maxBufferedBytes the close is 4408, what was delivered has no hole, and the others go on', async () => {
    const { connect, relay, venue, settled } = await startTestRelay(transport);
    venue.open('bot');
    await settled();
    const good = await connect();
    const slow = await connect();
    for (const one of [good, slow]) await one.request('subscribe', { channels: [UPDATES] });
    slow.socket.pause();
    for (let sent = 0; sent < FLOOD; sent += 200) {
      venue.update('bot', 200);
      await good.until(() => good.events(UPDATES).length === sent + 200);
    }
    slow.socket.resume();
    expect(await slow.closed).toMatchObject({ code: 4408 });
    const got = slow.events(UPDATES);
    expect(got.length).toBeLessThan(FLOOD);
    expect(got.map(({ id }) => id)).toEqual(
      good
        .events(UPDATES)
        .slice(0, got.length)
        .map(({ id }) => id),
    );
    expect([...good.losses, ...slow.losses]).toEqual([]);

    const resumed = await connect();
    await resumed.request('subscribe', { channels: [{ channel: UPDATES, since: slow.cursor(UPDATES) }] });
    await resumed.next('caught_up');
    expect(resumed.events(UPDATES)).toHaveLength(FLOOD - got.length);
    expect(resumed.losses).toEqual([]);
    await relay.close({ orders: 'leave' });
  }, 60_000);

  test('one that reads nothing for 30 s while something waits for it is closed with 4408', async () => {
    const { connect, venue, clock, settled } = await startTestRelay(transport, {
      limits: { maxBufferedBytes: 64 * 1024 * 1024 },
    });
    venue.open('bot');
    await settled();
    const stalled = await connect();
    const good = await connect();
    for (const one of [good, stalled]) await one.request('subscribe', { channels: [UPDATES] });
    stalled.socket.pause();
    for (let sent = 0; sent < FLOOD; sent += 500) {
      venue.update('bot', 500);
      await good.until(() => good.events(UPDATES).length === sent + 500);
    }
    await clock.advance(29_000);
    expect(await good.request('ping', 1)).toBe(1);
    await clock.advance(1_000);
    stalled.socket.resume();
    expect(await stalled.closed).toMatchObject({ code: 4408 });
    expect(stalled.events(UPDATES)).toHaveLength(FLOOD);
    expect([...good.losses, ...stalled.losses]).toEqual([]);
  }, 60_000);

  test('a long replay goes at the pace of a subscriber that reads in fits: nothing is lost and it is not closed', async () => {
    const { connect, venue, settled } = await startTestRelay(transport);
    venue.open('bot');
    await settled();
    const { cursor } = await (await connect()).next('welcome');
    for (let sent = 0; sent < FLOOD; sent += 2_000) {
      venue.update('bot', 2_000);
      await settled();
    }
    await settled();
    const slow = await connect();
    await slow.request('subscribe', { channels: [UPDATES], since: cursor });
    while (slow.messages.every(({ method }) => method !== 'caught_up')) {
      slow.socket.pause();
      await settled();
      slow.socket.resume();
      const before = slow.messages.length;
      await until(() => slow.messages.length > before, 'the replay goes on');
    }
    expect(slow.events(UPDATES)).toHaveLength(FLOOD);
    expect(slow.losses).toEqual([]);
  }, 60_000);
});
