import { createServer } from 'node:net';
import { describe, expect, test } from 'vitest';
import { createMemoryJournal } from '../../src/hub/journal/memory.js';
import { startRelay } from '../../src/relay.js';
import { TRANSPORTS } from '../support/relay.js';
import { createScriptedVenue } from '../support/scripted-venue.js';

/** A port that is free now. */
async function freePort(): Promise<number> {
  const probe = createServer();
  await new Promise<void>((resolve) => probe.listen(0, '127.0.0.1', resolve));
  const address = probe.address();
  await new Promise<void>((resolve) => probe.close(() => resolve()));
  return typeof address === 'object' && address !== null ? address.port : 0;
}

describe.each(TRANSPORTS)('while it starts, over %s', (transport) => {
  test('it lives, is not ready, and serves nothing yet; a signal ends the start, the port is free, no venue was connected', async () => {
    const port = await freePort();
    const venue = createScriptedVenue();
    let starts = 0;
    venue.start = () => void starts++;
    const journal = { ...createMemoryJournal(), open: () => new Promise<never>(() => {}) };
    const stop = new AbortController();
    const starting = startRelay({ venues: [venue], transport, listen: { port }, journal, signal: stop.signal });
    const outcome = starting.then(
      () => 'started',
      (thrown: unknown) => thrown,
    );
    const url = `http://127.0.0.1:${port}`;
    const ask = async (path: string) => {
      const answer = await fetch(`${url}${path}`);
      return [answer.status, answer.headers.get('retry-after')];
    };
    let live: Response | undefined;
    while (live === undefined) live = await fetch(`${url}/livez`).catch(() => undefined);
    expect(live.status).toBe(200);
    expect(await ask('/readyz')).toEqual([503, null]);
    expect(await ask('/v1/sessions')).toEqual([503, '1']);
    stop.abort('SIGTERM');
    expect(await outcome).toMatchObject({ code: 'closed' });
    expect(starts).toBe(0);
    await expect(fetch(`${url}/livez`)).rejects.toThrow();
  });
});
