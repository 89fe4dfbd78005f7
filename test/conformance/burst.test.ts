import { afterEach, describe, expect, test } from 'vitest';
import { MAX_BATCH_FACTS } from '../../src/hub/intake.js';
import { closeTestRelays, startTestRelay, TRANSPORTS } from '../support/relay.js';
import { watchTransport } from '../support/watched-transport.js';

/** A source with very many sessions loses its link: everybody is told of each session, in order, within their buffers. */
const SESSIONS = 10_000;
afterEach(closeTestRelays);

describe.each(TRANSPORTS)('over %s', (transport) => {
  test('10,000 sessions that go stale at once reach every subscriber that reads, and one that does not is not lost', async () => {
    const watched = await watchTransport(transport);
    const { connect, venue, settled } = await startTestRelay(watched.transport);
    const names = Array.from({ length: SESSIONS }, (_, n) => `s${n}`);
    for (let from = 0; from < SESSIONS; from += MAX_BATCH_FACTS) {
      venue.open(...names.slice(from, from + MAX_BATCH_FACTS));
      await settled();
    }
    const readers = await Promise.all(Array.from({ length: 4 }, () => connect()));
    const stopped = await connect();
    const all = [...readers, stopped];
    for (const one of all) await one.request('subscribe', { channels: ['*.*.*.session.stale'] });
    const [judged] = readers;
    await judged?.request('subscribe', { channels: ['*.*.*.safety.changed'] });
    stopped.socket.pause();
    venue.tell(
      ...names.map((session) => ({
        source: 'main',
        session,
        type: 'session.stale' as const,
        data: { reason: 'link_down' as const },
      })),
    );
    for (const one of readers) await one.until(() => one.events('*.*.*.session.stale').length === SESSIONS);
    await judged?.until(() => judged.events('*.*.*.safety.changed').length >= SESSIONS);
    stopped.socket.resume();
    await stopped.until(() => stopped.events('*.*.*.session.stale').length === SESSIONS);
    const orders = all.map((one) => one.events('*.*.*.session.stale').map(({ id }) => id));
    for (const order of orders) expect(order).toEqual(orders[0]);
    for (const one of all) expect(await one.request('ping', 1)).toBe(1);
    expect(all.flatMap(({ losses }) => losses)).toEqual([]);
    expect(Math.max(...watched.highest)).toBeLessThanOrEqual(256 * 1024);
  }, 60_000);
});
