import { afterEach, describe, expect, test } from 'vitest';
import type { WebhookRequest } from '../../src/venues/venue.js';
import { createFailingJournal } from '../support/failing-journal.js';
import { closeTestRelays, startTestRelay, TRANSPORTS } from '../support/relay.js';

afterEach(closeTestRelays);

describe.each(TRANSPORTS)('webhooks over %s', (transport) => {
  const post = (url: string, body: string | Uint8Array<ArrayBuffer>, headers: Record<string, string> = {}) =>
    fetch(url, { method: 'POST', body, headers });

  test('reach the venue byte for byte, whoever sends them, and are answered once what they say is journaled', async () => {
    const { relay, url, venue } = await startTestRelay(transport, { auth: { mode: 'keys', keys: [] } });
    const seen: WebhookRequest[] = [];
    let headAtReply = '';
    venue.hook = async (request, tell) => {
      seen.push(request);
      const done = await new Promise<boolean>((committed) =>
        tell({ facts: [{ source: 'main', session: '-', type: 'venue.normal', data: {} }], committed }),
      );
      headAtReply = relay.hub.head();
      return { status: done ? 200 : 503 };
    };
    const body = new Uint8Array([0x7b, 0x22, 0xc3, 0xa9, 0x22, 0x3a, 0x20, 0x31, 0x7d, 0x0a]);
    const reply = await post(`${url}/v1/hooks/deribit/main`, body, { signature: 'abc', origin: 'https://venue.test' });
    expect(reply.status).toBe(200);
    expect(seen[0]?.body).toEqual(body);
    expect(seen[0]?.headers.signature).toBe('abc');
    const { events } = await relay.hub.read('0-0', 10);
    expect(events.at(-1)).toMatchObject({ type: 'venue.normal', id: headAtReply });
  });

  test('that are refused say why, and no more', async () => {
    const { url, venue } = await startTestRelay(transport);
    venue.hook = () => Promise.resolve({ status: 401, detail: 'the signature is wrong' });
    const reply = await post(`${url}/v1/hooks/deribit/main`, '{}');
    expect(reply.status).toBe(401);
    expect(reply.headers.get('content-type')).toBe('application/problem+json');
    expect(await reply.json()).toMatchObject({ status: 401, detail: 'the signature is wrong' });
  });

  test('for nobody are 404, by another method 405', async () => {
    const { url } = await startTestRelay(transport);
    expect((await post(`${url}/v1/hooks/deribit/other`, '{}')).status).toBe(404);
    expect((await post(`${url}/v1/hooks/nobody/main`, '{}')).status).toBe(404);
    expect((await fetch(`${url}/v1/hooks/deribit/main`)).status).toBe(405);
  });

  test('are refused with 503 while the journal does not commit, so that the venue sends them again', async () => {
    const journal = createFailingJournal();
    const { url, venue, clock, settled } = await startTestRelay(transport, { journal });
    venue.open('bot');
    await settled();
    journal.broken = true;
    venue.update('bot');
    await settled();
    expect((await post(`${url}/v1/hooks/deribit/main`, '{}')).status).toBe(503);
    journal.broken = false;
    await clock.advance(10_000);
    expect((await post(`${url}/v1/hooks/deribit/main`, '{}')).status).toBe(200);
  });
});
