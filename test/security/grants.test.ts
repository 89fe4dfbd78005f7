import { createHash } from 'node:crypto';
import fc from 'fast-check';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import type { Authenticator, AuthOptions } from '../../src/edge/auth.js';
import { VenueError } from '../../src/errors.js';
import { EVENT_TYPES } from '../../src/model/event.js';
import type { Grant } from '../../src/model/grant.js';
import { join, type Stage, startEdge } from '../fuzz/edge.js';
import { closeTestRelays, startTestRelay, TRANSPORTS } from '../support/relay.js';
import { settle } from '../support/virtual-clock.js';

/** A grant shows what it names, and nothing else, by whatever pattern, method, route or encoding it is asked for. */
afterEach(closeTestRelays);

const SESSIONS = ['desk', 'desk2', 'bot', 'a%2Eb', '-'];
/** Every address that there could be: those of the sessions that there are, and of one that there is not. */
const UNIVERSE = [...SESSIONS, 'other'].flatMap((session) =>
  EVENT_TYPES.map((type) => `deribit.main.${session}.${type}`),
);

/** Token by token, as PROTOCOL.md §1 says it; on purpose not the relay's own. */
function covers(pattern: string, address: string): boolean {
  const [wanted, tokens] = [pattern.split('.'), address.split('.')];
  for (let at = 0; at < tokens.length; at++) {
    if (wanted[at] === '>') return at === wanted.length - 1;
    if (wanted[at] !== '*' && wanted[at] !== tokens[at]) return false;
  }
  return wanted.length === tokens.length;
}

const pattern = fc.constantFrom(
  '>',
  'deribit.>',
  '*.main.>',
  '*.*.*.>',
  'deribit.main.>',
  'deribit.main.desk.>',
  'deribit.main.desk2.>',
  'deribit.main.bot.>',
  'deribit.main.a%2Eb.>',
  'deribit.main.-.>',
  'deribit.main.*.session.*',
  'deribit.main.desk.session.>',
  'deribit.main.desk.*.*',
  'deribit.main.desk.*.updated',
  'deribit.main.desk.session.updated',
  '*.*.*.*.*',
  '*.*.desk.>',
  '*.*.*.safety.>',
  'deribit.main.other.>',
  'tradernet.>',
);
/** What is no pattern, or is one only to a careless reader. */
const odd = fc.constantFrom(
  '*',
  '**',
  '>.>',
  '>.*',
  'deribit.main.desk.>.>',
  'deribit.main.desk',
  'deribit.main.desk.>.session.updated',
  'deribit.main.desk.*',
  'deribit.main.a.b.>',
  'deribit.main.a%2eb.>',
  'deribit.main.%64esk.>',
  'deribit.main.desk%00.>',
  'DERIBIT.main.desk.>',
  'deribit.main.desk .>',
  'deribit.main..>',
  '.>',
  'deribit.main.desk.session.updated.x',
  '__proto__.constructor.x.>',
);

describe('pattern escalation', () => {
  let stage: Stage;
  const grants = new Map<string, Grant>();
  const authenticator: Authenticator = {
    mode: 'keys',
    loopbackOnly: false,
    anonymous: undefined,
    authenticate: (token) => {
      const grant = grants.get(token);
      return grant === undefined ? Promise.reject(new Error('no grant')) : Promise.resolve(grant);
    },
  };
  beforeAll(async () => {
    stage = await startEdge(authenticator);
    stage.venue.open('desk', 'desk2', 'bot', 'a.b');
    for (const session of ['desk', 'desk2', 'bot', 'a.b']) stage.venue.update(session, 2);
    await settle();
  });
  afterAll(async () => {
    stage.edge.close();
    await stage.hub.stop({ orders: 'leave' });
  });

  test('whatever is asked for by whatever method, nothing is shown that the grant does not contain', async () => {
    const { edge, venue, clock } = stage;
    const counts = { events: 0, states: 0, refused: 0 };
    await fc.assert(
      fc.asyncProperty(
        fc.array(pattern, { maxLength: 3 }),
        fc.array(fc.oneof({ weight: 3, arbitrary: pattern }, { weight: 1, arbitrary: odd }), {
          minLength: 1,
          maxLength: 4,
        }),
        fc.constantFrom('events', 'states'),
        async (channels, asked, mode) => {
          grants.set('mine', { identity: 'narrow', channels, commands: [], fields: 'full' });
          const mayHear = (address: string): boolean => channels.some((one) => covers(one, address));
          const maySee = (key: string): boolean =>
            channels.some((one) => EVENT_TYPES.every((type) => covers(one, `${key}.${type}`)));
          const peer = await join(edge, { authorization: 'Bearer mine' });
          let id = 0;
          const ask = (method: string, params: object): void =>
            peer.handlers.message(JSON.stringify({ jsonrpc: '2.0', id: ++id, method, params }), 1);
          for (const one of asked) {
            ask('subscribe', { channels: [one], pulses: true });
            ask('subscribe', { channels: [{ channel: one, since: '1-0' }], snapshot: true, mode });
            ask('get_sessions', { channel: one });
            ask('get_events', { channel: one, since: '0-0' });
          }
          ask('get_sessions', {});
          ask('get_sessions', { after: 'deribit.main.' });
          ask('get_events', { since: '0-0' });
          ask('get_sources', {});
          await settle(4);
          for (const session of ['desk', 'desk2', 'bot', 'a.b']) {
            venue.update(session);
            venue.pulse(session);
          }
          await clock.advance(15_000);
          for (const text of peer.sent) {
            const message = JSON.parse(text) as { readonly id?: number; readonly error?: unknown };
            if (message.error !== undefined) counts.refused++;
            visit(message, (found) => {
              if (typeof found.subject === 'string' && typeof found.type === 'string') {
                counts.events++;
                if (!mayHear(`${found.subject}.${found.type}`)) throw new Error(`heard ${text.slice(0, 300)}`);
              } else if (typeof found.key === 'string' && typeof found.kind === 'string') {
                counts.states++;
                if (!maySee(found.key)) throw new Error(`saw ${text.slice(0, 300)}`);
              }
            });
          }
          // What was taken for a subscription is contained, also as far as nothing has happened yet.
          for (const text of peer.sent) {
            const { result } = JSON.parse(text) as {
              readonly result?: { readonly channels?: readonly { readonly channel?: string }[] };
            };
            for (const { channel } of result?.channels ?? []) {
              const reached = UNIVERSE.filter((address) => covers(channel ?? '', address));
              expect(reached.filter((address) => !mayHear(address))).toEqual([]);
            }
          }
          peer.leave();
        },
      ),
      { numRuns: 250, seed: 20_261_124 },
    );
    // Otherwise nothing was tried.
    expect(Math.min(counts.events, counts.states, counts.refused)).toBeGreaterThan(500);
  });
});

function visit(value: unknown, found: (object: Readonly<Record<string, unknown>>) => void): void {
  if (typeof value !== 'object' || value === null) return;
  if (!Array.isArray(value)) found(value as Readonly<Record<string, unknown>>);
  for (const inner of Object.values(value)) visit(inner, found);
}

const sha256 = (token: string): string => createHash('sha256').update(token).digest('hex');
const KEYS: AuthOptions = {
  mode: 'keys',
  keys: [
    {
      name: 'desk',
      sha256: sha256('desk'),
      channels: ['deribit.main.desk.>'],
      commands: ['*.*:*', 'deribit.other:act'],
      fields: 'redacted',
    },
    { name: 'types', sha256: sha256('types'), channels: ['*.*.*.session.*'], commands: [], fields: 'redacted' },
  ],
};
const as = (token: string) => ({ headers: { authorization: `Bearer ${token}` } });

describe.each(TRANSPORTS)('a narrow grant over %s', (transport) => {
  test.each([
    'deribit.main.bot',
    'deribit.main.%62ot',
    'deribit.main.%2562ot',
    'deribit%2Emain%2Ebot',
    'deribit.main.*',
    '*.*.*',
    '>',
    'deribit.main.bot.>',
    'deribit.main.desk/../deribit.main.bot',
    'deribit.main.desk%2F..%2Fderibit.main.bot',
    'deribit.main.desk%00',
    'DERIBIT.MAIN.BOT',
    'deribit.main.bot%20',
    'deribit.main.-',
  ])('the session %s is no way to another’s state over HTTP', async (key) => {
    const { url, venue, settled } = await startTestRelay(transport, { auth: KEYS });
    venue.open('bot', 'desk');
    await settled();
    for (const token of ['desk', 'types']) {
      const answer = await fetch(`${url}/v1/sessions/${key}`, as(token));
      expect([400, 404]).toContain(answer.status);
      expect(await answer.text()).not.toMatch(/attributes|bot@example/);
    }
  });

  test('pages of sessions, events and sources over HTTP hold nothing of another’s session', async () => {
    const { url, venue, settled } = await startTestRelay(transport, { auth: KEYS });
    venue.open('bot', 'desk');
    venue.update('bot', 3);
    await settled();
    const queries = [
      '',
      '?channel=>',
      '?channel=deribit.main.bot',
      '?channel=*.*.*',
      '?channel=deribit.>',
      '?after=deribit.main.a',
      '?channel=deribit.main.desk.>',
      '?channel=*.*.*.session.*&channel=deribit.main.desk.>',
      '?channel=deribit.main.bot.>',
      '?since=0-0',
    ];
    for (const path of ['/v1/sessions', '/v1/events'])
      for (const query of queries) {
        const text = await (await fetch(`${url}${path}${query}`, as('desk'))).text();
        expect(text.replace(/"detail":"[^"]*"|"channel":"[^"]*"/g, '')).not.toContain('main.bot');
      }
    // A grant of types hears of all sessions, and sees none.
    expect(await (await fetch(`${url}/v1/sessions`, as('types'))).json()).toMatchObject({ sessions: [] });
  });

  test.each([
    ['deribit.main', 'act'],
    ['deribit.main', 'Act'],
    ['deribit.main', 'act '],
    ['deribit.main', ' act'],
    ['deribit.main', 'act\u0000'],
    ['deribit.main ', 'act'],
    ['DERIBIT.main', 'act'],
    ['deribit.*', 'act'],
    ['*.*', 'act'],
    ['deribit.main.x', 'act'],
    ['deribit.main:act', 'act'],
    ['deribit.other', 'act'],
    ['deribit.main', '*'],
    ['deribit.main', '__proto__'],
    ['constructor', 'constructor'],
  ])('`*` as command covers none that acts: %j %j calls nothing', async (source, command) => {
    const { connect, url, venue, settled } = await startTestRelay(transport, { auth: KEYS });
    venue.open('desk');
    await settled();
    const subscriber = await connect(as('desk'));
    const thrown: unknown = await subscriber.request('command', { source, command }).catch((error: unknown) => error);
    expect([4403, 4404]).toContain((thrown as { readonly code?: number }).code);
    const answer = await fetch(`${url}/v1/commands`, {
      method: 'POST',
      headers: { ...as('desk').headers, 'content-type': 'application/json' },
      body: JSON.stringify({ source, command }),
    });
    expect([403, 404]).toContain(answer.status);
    expect(venue.calls).toEqual([]);
  });

  test('a redacted grant sees nothing personal: not in events, states, pages, command results, errors or samples', async () => {
    const { connect, url, venue, settled } = await startTestRelay(transport, {
      auth: {
        mode: 'keys',
        keys: [
          { name: 'r', sha256: sha256('r'), channels: ['>'], commands: ['*.*:*'], fields: 'redacted' },
          { name: 'f', sha256: sha256('f'), channels: ['>'], commands: ['*.*:*'], fields: 'full' },
        ],
      },
    });
    const PERSONAL = ['person@example.test', '192.0.2.77', '2001:db8:77::1', 'DU7777777', '+49 170 7777777'];
    const [mail, v4, v6, account, phone] = PERSONAL as [string, string, string, string, string];
    const data = {
      login: mail,
      nested: { accounts: [account], list: [{ ip: v6, phone }] },
      note: `asked by ${mail} from ${v4} and ${v6}`,
      scope: `trade:read ip:${v4} ip:${v6}`,
    };
    venue.answer = ({ command }) =>
      command === 'read' ? Promise.resolve(data) : Promise.reject(new VenueError(7, 'x'));
    const seen: Record<string, string> = {};
    for (const token of ['r', 'f']) {
      const subscriber = await connect(as(token));
      await subscriber.request('subscribe', { channels: ['>'] });
      venue.tell(
        {
          source: 'main',
          session: 'desk',
          type: 'session.opened',
          data: { kind: 'api', role: 'watch', attributes: data, scope: data.scope },
        },
        {
          source: 'main',
          session: 'desk',
          type: 'access.logged',
          data: { action: `login of ${mail}`, ip: v6 },
          key: `a-${token}`,
        },
        {
          source: 'main',
          session: 'desk',
          type: 'session.updated',
          data: { changed: { ...data, n: token } },
          key: `u-${token}`,
        },
        {
          source: 'main',
          session: 'desk',
          type: 'session.attention',
          data: { action: 'login', instructions: data.note },
        },
        { source: 'main', session: '-', type: 'source.fault', data: { what: 'bad_frame', sample: data.note } },
      );
      await settled();
      await subscriber.request('subscribe', { channels: ['deribit.main.>'] });
      await subscriber.request('get_sessions');
      await subscriber.request('get_sources');
      await subscriber.request('get_events', { since: '0-0' });
      await subscriber.request('command', { source: 'deribit.main', command: 'read' });
      venue.answer = () =>
        Promise.reject(new VenueError(7, data.note, { data: { user_id: account, detail: data.note } }));
      await subscriber
        .request('command', { source: 'deribit.main', command: 'read', params: { n: 1 } })
        .catch(() => undefined);
      venue.answer = () => Promise.resolve(data);
      const pages = await Promise.all(
        ['/v1/sessions', '/v1/sessions/deribit.main.desk', '/v1/events?since=0-0'].map(async (path) =>
          (await fetch(url + path, as(token))).text(),
        ),
      );
      seen[token] = JSON.stringify(subscriber.messages) + pages.join('');
      await subscriber.close();
    }
    for (const one of PERSONAL) expect([one, seen.r?.includes(one), seen.f?.includes(one)]).toEqual([one, false, true]);
  });
});
