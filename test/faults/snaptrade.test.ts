import { afterEach, describe, expect, test } from 'vitest';
import { startSnaptradeSimulator } from '../../src/simulators/index.js';
import { type SnaptradeOptions, snaptrade } from '../../src/venues/snaptrade/index.js';
import { type FaultRow, play } from '../support/fault-row.js';
import { createStage, type Stage } from '../support/stage.js';

/** What each fault of the venue becomes as events, in order, found by polls alone: no webhook is sent here. */
let stage: Stage | undefined;
afterEach(async () => {
  await stage?.close();
  stage = undefined;
});

/** Two customers with two connections each; their ids become `a1`, `a2`, `b1`, `b2`, a later one `new`. */
async function start(): Promise<Stage & { lines(): readonly string[] }> {
  const made = await createStage({
    simulate: startSnaptradeSimulator,
    venue: (source, ports) => snaptrade(source as unknown as SnaptradeOptions, ports),
  });
  stage = made;
  const names = new Map<string, string>();
  return {
    ...made,
    lines: () =>
      made.take().map((line) =>
        line.replace(/^[0-9a-f]{8}-[0-9a-f-]{27}/, (id) => {
          const name = names.get(id) ?? ['a1', 'a2', 'b1', 'b2', 'new'][names.size] ?? id;
          names.set(id, name);
          return name;
        }),
      ),
  };
}

const LIVE = [
  '- link.up http',
  'a1 session.opened connection',
  'a2 session.opened connection',
  '- link.up http',
  'b1 session.opened connection',
  'b2 session.opened connection',
  'a1 safety.changed safe',
  'a2 safety.changed safe',
  'b1 safety.changed safe',
  'b2 safety.changed safe',
];

const rows: readonly FaultRow[] = [
  {
    fault: 'http_down',
    params: { forMs: 60_000 },
    says: 'every connection is out of sight; a read-only one only watches',
    ms: 200_000,
    events: [
      '- link.down http 1006 network',
      'a1 session.stale link_down',
      'a1 safety.changed at_risk link_down',
      'a2 session.stale link_down',
      'a2 safety.changed at_risk link_down',
      '- link.down http 1006 network',
      'b1 session.stale link_down',
      'b1 safety.changed at_risk link_down',
      'b2 session.stale link_down',
      'b2 safety.changed safe',
      '- link.up http',
      'a1 safety.changed unknown unconfirmed link_down',
      'a2 safety.changed unknown unconfirmed link_down',
      'a1 session.restored',
      'a2 session.restored',
      'a1 safety.changed safe',
      'a2 safety.changed safe',
      '- link.up http',
      'b1 safety.changed unknown unconfirmed link_down',
      'b2 safety.changed unknown unconfirmed',
      'b1 session.restored',
      'b2 session.restored',
      'b1 safety.changed safe',
      'b2 safety.changed safe',
    ],
  },
  {
    fault: 'garbage',
    says: 'told once to each customer, the stream goes on',
    ms: 60_000,
    events: ['- source.fault bad_frame'],
  },
  {
    fault: 'break_connection',
    params: { webhook: false },
    says: 'lost, and only the customer can mend it',
    ms: 30_000,
    events: [
      'a1 session.lost connection_broken',
      'a1 safety.changed unsafe lost',
      'a1 session.attention relink',
      'a1 safety.changed unsafe attention',
    ],
  },
  {
    fault: 'add_connection',
    params: { webhook: false },
    says: 'one more',
    ms: 30_000,
    events: ['new session.opened connection', 'new safety.changed safe'],
  },
  {
    fault: 'delete_connection',
    params: { webhook: false },
    says: 'it left the list',
    ms: 30_000,
    events: ['b2 session.closed by:unknown', 'b2 safety.changed unknown closed'],
  },
  {
    fault: 'brokerage_maintenance',
    says: 'one broker is a part of the venue, told to each customer',
    ms: 60_000,
    events: [
      '- venue.degraded EXAMPLE-DIRECT',
      'a1 safety.changed safe',
      'a2 safety.changed safe',
      '- venue.degraded EXAMPLE-DIRECT',
      'b1 safety.changed safe',
      'b2 safety.changed safe',
    ],
  },
  {
    fault: 'session_events_gone',
    says: 'the capability is off, said once to each customer',
    ms: 120_000,
    events: ['- source.fault channel_refused', '- source.fault channel_refused'],
  },
];

describe('a fault of SnapTrade', () => {
  test.each(rows)('$fault: $says', async (row) => {
    await play(await start(), row, { events: LIVE, afterMs: 15_000 });
  });

  test('no fault makes a credential leave the feed', async () => {
    const { logged, events, advance, fault, simulator } = await start();
    await advance(15_000);
    for (const { fault: name, params } of rows) {
      await fault(name, params);
      await advance(60_000);
    }
    const { credentials, users } = simulator.source as {
      readonly credentials: { readonly consumerKey: string };
      readonly users: readonly { readonly userSecret: string }[];
    };
    const said = `${JSON.stringify(events)}\n${logged.join('\n')}`;
    for (const secret of [credentials.consumerKey, ...users.map(({ userSecret }) => userSecret)])
      expect(said).not.toContain(secret);
  });
});
