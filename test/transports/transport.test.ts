import { connect } from 'node:net';
import { afterEach, describe, expect, test } from 'vitest';
import { WebSocket } from 'ws';
import type { UpgradeDecision, UpgradeRequest, Wire, WireHandlers } from '../../src/edge/wire.js';
import type { Listening, ListenOptions, Transport, TransportHandlers } from '../../src/transports/transport.js';
import { createUwsTransport } from '../../src/transports/uws.js';
import { createWsTransport } from '../../src/transports/ws.js';
import { exchange } from '../support/raw-http.js';
import { settle, until } from '../support/virtual-clock.js';

/** What the edge and the routes rely on, of both transports, with nothing of them behind it. */
const transports: readonly Transport[] = [
  createWsTransport(),
  ...(await createUwsTransport().then(
    (uws) => [uws],
    () => [],
  )),
];
const OPTIONS: ListenOptions = {
  host: '127.0.0.1',
  port: 0,
  path: '/v1/ws',
  maxPayloadBytes: 1_000,
  maxBufferedBytes: 64 * 1024,
  handshakeTimeoutMs: 500,
  maxBodyBytes: 1_000,
  trustProxy: false,
};
const open = new Set<Listening>();
const clients = new Set<WebSocket>();

afterEach(async () => {
  for (const client of clients) client.terminate();
  clients.clear();
  for (const listening of open) await listening.close();
  open.clear();
});

interface Opened {
  readonly wire: Wire;
  readonly log: string[];
  readonly client: WebSocket;
}

/** Listens with handlers that note what they are told. */
async function serve(
  transport: Transport,
  given: Partial<TransportHandlers> & { readonly onOpen?: (wire: Wire) => void } = {},
  options: Partial<ListenOptions> = {},
) {
  const wires: { readonly wire: Wire; readonly log: string[] }[] = [];
  const requests: UpgradeRequest[] = [];
  let abandoned = 0;
  const accept = (): UpgradeDecision => ({
    accept: true,
    abandoned: () => {
      abandoned++;
    },
    open(wire): WireHandlers {
      const log: string[] = [];
      wires.push({ wire, log });
      given.onOpen?.(wire);
      return {
        message: (text, bytes) => void log.push(`message ${text ?? 'binary'} ${bytes}`),
        drained: () => void log.push('drained'),
        closed: (code, reason) => void log.push(`closed ${code} ${reason}`),
      };
    },
  });
  const listening = await transport.listen(
    { ...OPTIONS, ...options },
    {
      upgrade: (request) => {
        requests.push(request);
        return given.upgrade?.(request) ?? accept();
      },
      fetch: given.fetch ?? (() => Promise.resolve(new Response('hello'))),
    },
  );
  open.add(listening);
  const dial = (): WebSocket => {
    const client = new WebSocket(`ws://127.0.0.1:${listening.port}/v1/ws?a=1`, { perMessageDeflate: false });
    clients.add(client);
    client.on('error', () => {});
    return client;
  };
  return {
    listening,
    requests,
    wires,
    dial,
    accept,
    abandoned: () => abandoned,
    async connected(): Promise<Opened> {
      const client = dial();
      const count = wires.length;
      const found = await until(() => wires[count], 'the wire opens');
      await until(() => client.readyState === client.OPEN || client.readyState === client.CLOSED, 'the client opens');
      return { ...found, client };
    },
  };
}

const closeOf = (client: WebSocket): Promise<readonly [number, string]> =>
  new Promise((resolve) => client.once('close', (code, reason) => resolve([code, String(reason)])));

describe.each(transports.map((transport) => [transport.kind, transport] as const))(
  'the transport %s',
  (_kind, transport) => {
    test('an address that is taken rejects with port_in_use: the port is never shared', async () => {
      const { listening } = await serve(transport);
      for (const other of transports) {
        await expect(serve(other, {}, { port: listening.port })).rejects.toMatchObject({
          code: 'port_in_use',
          message: expect.stringContaining(String(listening.port)),
        });
      }
    });

    test('an address that is not of this machine rejects with what the system says', async () => {
      await expect(serve(transport, {}, { host: '192.0.2.1' })).rejects.toMatchObject({ code: 'EADDRNOTAVAIL' });
    });

    test('the port is free again once close has resolved', async () => {
      const { listening } = await serve(transport);
      await listening.close();
      await listening.close();
      const again = await serve(transport, {}, { port: listening.port });
      expect(again.listening.port).toBe(listening.port);
    });

    test('the request of an upgrade is told whole: URL with query, headers in lower case, the peer', async () => {
      const { requests, connected } = await serve(transport);
      await connected();
      expect(requests[0]).toMatchObject({
        url: '/v1/ws?a=1',
        remoteAddress: '127.0.0.1',
        headers: { upgrade: 'websocket', host: expect.stringMatching(/^127\.0\.0\.1:/) },
      });
    });

    test('messages come with their size, binary ones without text', async () => {
      const { connected } = await serve(transport);
      const { client, log } = await connected();
      client.send('häh');
      client.send(Buffer.from([1, 2]));
      client.send('');
      await until(() => log.length === 3, 'three messages');
      expect(log).toEqual(['message häh 4', 'message binary 2', 'message  0']);
    });

    test('bytes are sent as text, and frames of one cork arrive in order', async () => {
      const { connected } = await serve(transport);
      const { client, wire } = await connected();
      const got: unknown[] = [];
      client.on('message', (data, isBinary) => got.push([String(data), isBinary]));
      wire.cork(() => {
        for (let n = 0; n < 5_000; n++) wire.send(n % 2 === 0 ? `${n}` : Buffer.from(`${n}`));
      });
      await until(() => got.length === 5_000, 'all frames');
      expect(got).toEqual(Array.from({ length: 5_000 }, (_, n) => [`${n}`, false]));
    });

    test('an error thrown within a cork reaches whoever corked', async () => {
      const { connected } = await serve(transport);
      const { client, wire } = await connected();
      expect(() =>
        wire.cork(() => {
          throw new Error('within');
        }),
      ).toThrow('within');
      const got: string[] = [];
      client.on('message', (data) => got.push(String(data)));
      wire.send('after');
      await until(() => got.length === 1, 'the wire still works');
    });

    test('a wire refuses above maxBufferedBytes, says what is buffered, tells when it drained, and nothing accepted is lost', async () => {
      const { connected } = await serve(transport);
      const { client, wire, log } = await connected();
      const got: string[] = [];
      client.on('message', (data) => got.push(String(data).slice(0, 8)));
      client.pause();
      let accepted = 0;
      let outcome = 'sent';
      while (outcome !== 'refused' && accepted < 20_000) {
        outcome = wire.send(`${String(accepted).padStart(8, '0')}${'x'.repeat(2_000)}`);
        if (outcome !== 'refused') accepted++;
        if (accepted % 50 === 0) await settle(1);
      }
      expect(outcome).toBe('refused');
      expect(wire.buffered()).toBeGreaterThan(OPTIONS.maxBufferedBytes);
      expect(wire.buffered()).toBeLessThan(OPTIONS.maxBufferedBytes + 4_096);
      client.resume();
      await until(() => got.length === accepted, 'all that was accepted');
      expect(got).toEqual(Array.from({ length: accepted }, (_, n) => String(n).padStart(8, '0')));
      await until(() => log.includes('drained') && wire.buffered() === 0, 'it drained');
      expect(wire.send('again')).toBe('sent');
    });

    test('a close frame arrives behind what is queued, with its code and reason', async () => {
      const { connected } = await serve(transport);
      const { client, wire } = await connected();
      let got = 0;
      client.on('message', () => got++);
      client.pause();
      let accepted = 0;
      while (wire.buffered() < 32_000) {
        wire.send('x'.repeat(2_000));
        accepted++;
        if (accepted % 50 === 0) await settle(1);
      }
      wire.close(4408, 'too slow');
      wire.close(4500, 'again');
      expect([wire.isOpen, wire.send('late')]).toEqual([false, 'closed']);
      const closed = closeOf(client);
      client.resume();
      expect(await closed).toEqual([4408, 'too slow']);
      expect(got).toBe(accepted);
    });

    test('a wire may be used after it closed, and closed is told exactly once', async () => {
      const { connected } = await serve(transport);
      for (const end of ['peer', 'terminate', 'close', 'lost'] as const) {
        const { client, wire, log } = await connected();
        if (end === 'peer') client.close(4321, 'bye');
        if (end === 'terminate') wire.terminate();
        if (end === 'close') wire.close(4000, 'done');
        if (end === 'lost') client.terminate();
        await until(() => log.some((line) => line.startsWith('closed')), 'closed is told');
        expect([wire.send('x'), wire.buffered(), wire.isOpen]).toEqual(['closed', 0, false]);
        wire.cork(() => void wire.send('x'));
        wire.close(1000, '');
        wire.terminate();
        await settle();
        const codes = { peer: '4321 bye', terminate: '1006 ', close: '4000', lost: '1006' };
        expect(log).toHaveLength(1);
        expect(log[0]).toContain(`closed ${codes[end]}`);
      }
    });

    test('a wire that is closed while it opens still tells closed, after open has returned', async () => {
      const { dial, wires } = await serve(transport, { onOpen: (wire) => wire.close(4500, 'no') });
      expect(await closeOf(dial())).toEqual([4500, 'no']);
      await until(() => wires[0]?.log.length === 1, 'closed is told');
      expect(wires[0]?.log[0]).toMatch(/^closed 4500/);
    });

    test('a close reason that is too long is cut between characters', async () => {
      const { connected } = await serve(transport);
      const { client, wire } = await connected();
      const closed = closeOf(client);
      wire.close(4000, 'ä'.repeat(100));
      expect(await closed).toEqual([4000, 'ä'.repeat(61)]);
    });

    test('a message over maxPayloadBytes closes with 1009', async () => {
      const { connected } = await serve(transport);
      const { client } = await connected();
      const closed = closeOf(client);
      client.send('x'.repeat(1_001));
      expect((await closed)[0]).toBe(1009);
    });

    test('a decision that takes its time is waited for; a peer that leaves meanwhile is abandoned', async () => {
      const asked: ((decision: UpgradeDecision) => void)[] = [];
      const served = await serve(transport, { upgrade: () => new Promise((resolve) => asked.push(resolve)) });
      const patient = served.dial();
      (await until(() => asked[0], 'the upgrade is asked for'))(served.accept());
      await until(() => patient.readyState === patient.OPEN, 'it opens');
      const hasty = served.dial();
      const decide = await until(() => asked[1], 'the upgrade is asked for');
      hasty.terminate();
      await settle(20);
      decide(served.accept());
      await until(() => served.abandoned() === 1, 'it is abandoned');
      expect(served.wires).toHaveLength(1);
    });

    test('a decision that fails is 500, and the next one is served', async () => {
      let fail = true;
      const served = await serve(transport, {
        upgrade: () => (fail ? Promise.reject(new Error('a fault')) : served.accept()),
      });
      const refused = await new Promise<number | undefined>((resolve) =>
        served.dial().once('unexpected-response', (_request, response) => resolve(response.statusCode)),
      );
      expect(refused).toBe(500);
      fail = false;
      await served.connected();
    });

    test('a body that streams arrives whole, is pulled only as fast as it is read, and ends with its peer', async () => {
      const chunk = new Uint8Array(64 * 1024).fill(120);
      let pulled = 0;
      let cancelled = false;
      const endless = (): Response =>
        new Response(
          new ReadableStream(
            {
              pull(controller) {
                pulled++;
                controller.enqueue(chunk);
              },
              cancel() {
                cancelled = true;
              },
            },
            { highWaterMark: 0 },
          ),
        );
      const finite = (): Response =>
        new Response(
          new ReadableStream({
            start(controller) {
              for (let n = 0; n < 40; n++) controller.enqueue(chunk);
              controller.close();
            },
          }),
        );
      const { listening } = await serve(transport, {
        fetch: (request) => Promise.resolve(request.url.endsWith('/finite') ? finite() : endless()),
      });
      const whole = await fetch(`${listening.url}/finite`);
      expect((await whole.arrayBuffer()).byteLength).toBe(40 * chunk.length);

      const socket = connect(listening.port, '127.0.0.1');
      socket.pause();
      socket.write('GET /endless HTTP/1.1\r\nHost: x\r\n\r\n');
      let still = 0;
      let before = -1;
      await until(() => {
        still = pulled === before && pulled > 0 ? still + 1 : 0;
        before = pulled;
        return still > 200;
      }, 'it stops pulling');
      // No more than what the kernel takes between two sockets of one machine.
      expect(pulled * chunk.length).toBeLessThan(64 * 1024 * 1024);
      socket.destroy();
      await until(() => cancelled, 'the body is cancelled');
    });

    test('a body that fails midway ends the connection: nobody takes the half for the whole', async () => {
      const { listening } = await serve(transport, {
        fetch: () => {
          let sent = false;
          return Promise.resolve(
            new Response(
              new ReadableStream({
                pull(controller) {
                  if (sent) controller.error(new Error('a fault'));
                  else controller.enqueue(new TextEncoder().encode('half'));
                  sent = true;
                },
              }),
            ),
          );
        },
      });
      await expect(fetch(listening.url).then((answer) => answer.text())).rejects.toThrow();
    });

    test('a handler learns that its peer went away', async () => {
      let gone = false;
      let asked = false;
      const { listening } = await serve(transport, {
        fetch: (_request, { signal }) => {
          asked = true;
          return new Promise((resolve) => {
            signal.addEventListener('abort', () => {
              gone = true;
              resolve(new Response('nobody'));
            });
          });
        },
      });
      const socket = connect(listening.port, '127.0.0.1', () => socket.write('GET / HTTP/1.1\r\nHost: x\r\n\r\n'));
      await until(() => asked, 'it is asked');
      socket.destroy();
      await until(() => gone, 'it is told');
    });

    test('a handler that fails is 500, a body that is too large 413, one that does not come 408', async () => {
      const { listening } = await serve(transport, {
        fetch: async (request) =>
          request.method === 'POST' ? new Response(await request.text()) : Promise.reject(new Error('x')),
      });
      expect((await fetch(listening.url)).status).toBe(500);
      expect(await (await fetch(listening.url, { method: 'POST', body: 'abc' })).text()).toBe('abc');
      expect((await fetch(listening.url, { method: 'POST', body: 'x'.repeat(1_001) })).status).toBe(413);
      const slow = await exchange(listening.url, 'POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nabc');
      expect(slow).toContain('408 ');
    });

    test('headers of 12 KiB are read', async () => {
      const { listening } = await serve(transport, {
        fetch: (request) => Promise.resolve(new Response(String(request.headers.get('authorization')?.length))),
      });
      const answer = await fetch(listening.url, { headers: { authorization: 'x'.repeat(12_000) } });
      expect(await answer.text()).toBe('12000');
    });

    test('stopAccepting refuses new connections and requests and leaves open sockets alone', async () => {
      const { listening, connected } = await serve(transport);
      const { client, wire } = await connected();
      const got: string[] = [];
      client.on('message', (data) => got.push(String(data)));
      listening.stopAccepting();
      listening.stopAccepting();
      await expect(fetch(listening.url)).rejects.toThrow();
      wire.send('still here');
      await until(() => got.length === 1, 'the open socket is served');
      const closed = closeOf(client);
      wire.close(1001, 'bye');
      await listening.close();
      expect(await closed).toEqual([1001, 'bye']);
    });

    test('close ends what is still open', async () => {
      const { listening, connected } = await serve(transport);
      const { client, log } = await connected();
      const closed = closeOf(client);
      await listening.close();
      expect((await closed)[0]).toBe(1006);
      await until(() => log.length === 1, 'closed is told');
      await expect(fetch(listening.url)).rejects.toThrow();
    });
  },
);

test.each([
  ['sends nothing', ''],
  ['never ends its headers', 'GET / HTTP/1.1\r\nHost: x\r\n'],
])('a connection that %s is ended after handshakeTimeoutMs (uWebSockets.js: 10 s, its own)', async (_what, bytes) => {
  const { listening } = await serve(createWsTransport());
  const began = performance.now();
  expect(await exchange(listening.url, bytes)).not.toContain('200');
  expect(performance.now() - began).toBeGreaterThan(400);
});
