import { createServer } from 'node:net';
import { afterEach, expect, test } from 'vitest';
import { createMemoryJournal } from '../../src/hub/journal/memory.js';
import { startRelay } from '../../src/relay.js';
import { closeTestRelays, TRANSPORTS } from '../support/relay.js';
import { createScriptedVenue } from '../support/scripted-venue.js';

afterEach(closeTestRelays);

test.each(TRANSPORTS)('a port that is taken: no venue is ever connected over %s', async (transport) => {
  const holder = createServer();
  await new Promise<void>((resolve) => holder.listen(0, '127.0.0.1', resolve));
  const address = holder.address();
  const port = typeof address === 'object' && address !== null ? address.port : 0;
  const venue = createScriptedVenue();
  let started = false;
  venue.start = () => {
    started = true;
  };
  await expect(startRelay({ venues: [venue], transport, listen: { port } })).rejects.toMatchObject({
    code: 'port_in_use',
  });
  expect(started).toBe(false);
  await new Promise((resolve) => holder.close(resolve));
});

test.each(TRANSPORTS)('a journal that does not open: the port is free again over %s', async (transport) => {
  const journal = { ...createMemoryJournal(), open: () => Promise.reject(new Error('the disk is gone')) };
  let port = 0;
  const probe = createServer();
  await new Promise<void>((resolve) => probe.listen(0, '127.0.0.1', resolve));
  const address = probe.address();
  if (typeof address === 'object' && address !== null) port = address.port;
  await new Promise((resolve) => probe.close(resolve));
  await expect(startRelay({ venues: [], transport, journal, listen: { port } })).rejects.toThrow('the disk is gone');
  const relay = await startRelay({ venues: [], transport, listen: { port } });
  await relay.close({ orders: 'leave' });
});

test.each(TRANSPORTS)('a venue that cannot stop does not keep the port over %s', async (transport) => {
  const venue = createScriptedVenue();
  venue.stop = () => Promise.reject(new Error('stuck'));
  const relay = await startRelay({ venues: [venue], transport, listen: { port: 0 } });
  await relay.close({ orders: 'leave' }).catch(() => undefined);
  await expect(fetch(`${relay.url}/livez`)).rejects.toThrow();
});
