import { createHash } from 'node:crypto';
import { afterEach, describe, expect, test } from 'vitest';
import { startDeribitSimulator } from '../../src/simulators/index.js';
import { TRANSPORTS } from '../support/relay.js';
import { secret } from '../support/secrets.js';
import { endServeProcesses, startServe } from '../support/serve-process.js';
import { connectSubscriber, type Subscriber } from '../support/subscriber.js';

/** `session-relay serve --workers 2` as a process: signals reach the subscribers of every thread. */
const opened: { close(): unknown }[] = [];
afterEach(async () => {
  await endServeProcesses();
  for (const one of opened.splice(0).reverse()) await one.close();
});

const tokenOf = (name: string): string => secret(`token-of-${name}-for-worker-processes`);
async function subscriber(url: string, name: string): Promise<Subscriber> {
  const one = await connectSubscriber(url, { headers: { authorization: `Bearer ${tokenOf(name)}` } });
  opened.push({ close: () => one.socket.terminate() });
  await one.request('subscribe', { channels: ['>'] });
  return one;
}

async function configOf(...names: readonly string[]): Promise<object> {
  const simulator = await startDeribitSimulator();
  opened.push(simulator);
  const keys = names.map((name) => {
    const sha256 = createHash('sha256').update(tokenOf(name)).digest('hex');
    return { name, sha256, channels: ['>'], fields: 'full' };
  });
  return { auth: { mode: 'keys', keys }, drain: { timeout: '2s' }, sources: [simulator.source] };
}

describe.runIf(TRANSPORTS.includes('uws'))('serve --workers 2', () => {
  test('SIGHUP takes a key away from the subscribers of both, SIGTERM drains both and exits with 0', async () => {
    const config = await configOf('stays', 'goes');
    const relay = await startServe(config, { args: ['--workers', '2'] });
    const stays = [await subscriber(relay.url, 'stays'), await subscriber(relay.url, 'stays')];
    const goes = [await subscriber(relay.url, 'goes'), await subscriber(relay.url, 'goes')];
    const next = await configOf('stays');
    const line = await relay.reload({
      ...next,
      sources: (config as { readonly sources: unknown }).sources,
      workers: 3,
    });
    expect(line).toMatchObject({ auth: 'replaced', subscribers: { kept: 2, changed: 0, closed: 2, pending: 0 } });
    for (const one of goes) expect(await one.closed).toMatchObject({ code: 4401 });
    expect(relay.log().some(({ msg }) => msg.startsWith('changed but needs a restart'))).toBe(false);
    relay.child.kill('SIGTERM');
    for (const one of stays) {
      await one.next('draining');
      expect(await one.closed).toMatchObject({ code: 1001 });
      expect(one.losses).toEqual([]);
    }
    expect(await relay.exited).toBe(0);
  }, 60_000);

  test('a second signal ends it at once, in order', async () => {
    const relay = await startServe(
      { ...(await configOf('stays')), drain: { timeout: '20s' } },
      { args: ['--workers', '2'] },
    );
    await subscriber(relay.url, 'stays');
    relay.child.kill('SIGTERM');
    await new Promise((resolve) => setTimeout(resolve, 200));
    relay.child.kill('SIGTERM');
    expect(await relay.exited).toBe(143);
  }, 60_000);
});
