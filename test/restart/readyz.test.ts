import { afterEach, expect, test } from 'vitest';
import { createMemoryJournal } from '../../src/hub/journal/memory.js';
import { closeTestRelays, startTestRelay, TRANSPORTS } from '../support/relay.js';

afterEach(closeTestRelays);

test.each(TRANSPORTS)('a source whose link was up in the life before is not up, over %s', async (transport) => {
  const journal = createMemoryJournal();
  const first = await startTestRelay(transport, { journal });
  first.venue.open('relay');
  await first.settled();
  expect((await fetch(`${first.url}/readyz?sources=1`)).status).toBe(200);
  // The venue says nothing on its way out, as after a kill.
  await first.close();
  const second = await startTestRelay(transport, { journal });
  expect((await fetch(`${second.url}/readyz`)).status).toBe(200);
  const strict = await fetch(`${second.url}/readyz?sources=1`);
  expect(strict.status).toBe(503);
  expect(await strict.json()).toMatchObject({
    checks: { sources: 'down: deribit.main' },
    sources: [{ source: 'deribit.main', up: false, links: { ws: 'down' } }],
  });
  second.venue.open('relay');
  await second.settled();
  expect((await fetch(`${second.url}/readyz?sources=1`)).status).toBe(200);
});
