import { afterEach, describe, test } from 'vitest';
import { startIbkrSimulator } from '../../src/simulators/index.js';
import { type IbkrOptions, ibkr } from '../../src/venues/ibkr/index.js';
import { type FaultRow, play } from '../support/fault-row.js';
import { createStage, type Stage } from '../support/stage.js';

/** What each fault of the gateway becomes as events, in order: the feed, the hub and the simulator on one virtual clock. */
let stage: Stage | undefined;
afterEach(async () => {
  await stage?.close();
  stage = undefined;
});

async function start(): Promise<Stage> {
  stage = await createStage({
    simulate: startIbkrSimulator,
    venue: (source, ports) => ibkr(source as unknown as IbkrOptions, ports),
  });
  return stage;
}

const LIVE = [
  'sso session.opening',
  '- link.up http',
  'sso session.opened sso',
  'brokerage session.opened brokerage',
  '- link.up ws',
  'sso safety.changed safe',
  'brokerage safety.changed safe',
];
const RECONNECTED = ['- link.retrying ws #1', '- link.up ws'];
const retried = (carrier: string, ...attempts: readonly number[]): readonly string[] =>
  attempts.map((attempt) => `- link.retrying ${carrier} #${attempt}`);

const rows: readonly FaultRow[] = [
  {
    fault: 'silence',
    params: { forMs: 60_000 },
    says: 'the socket is replaced; the tickle is green, and nothing goes stale',
    ms: 120_000,
    events: ['- link.down ws 1006 relay', ...RECONNECTED],
  },
  {
    fault: 'half_open',
    says: 'the same as silence',
    ms: 120_000,
    events: ['- link.down ws 1006 relay', ...RECONNECTED],
  },
  {
    fault: 'drop',
    says: 'a link is not a session',
    ms: 60_000,
    events: ['- link.down ws 1006 network', ...RECONNECTED],
  },
  {
    fault: 'close',
    params: { code: 1001, reason: 'going away' },
    says: 'by the venue',
    ms: 60_000,
    events: ['- link.down ws 1001 venue', ...RECONNECTED],
  },
  { fault: 'garbage', says: 'told once, the stream goes on', ms: 30_000, events: ['- source.fault bad_frame'] },
  { fault: 'duplicate_frame', says: 'nothing is told twice', ms: 30_000, events: [] },
  {
    fault: 'competing',
    params: { forMs: 60_000 },
    says: 'another login takes the brokerage session, and is never fought for',
    ms: 200_000,
    events: [
      'brokerage session.contested',
      'brokerage safety.changed unsafe contested',
      'brokerage session.opening',
      'brokerage session.restored',
      'brokerage safety.changed unknown unconfirmed',
      'brokerage safety.changed safe',
    ],
  },
  {
    fault: 'bridge_drift',
    params: { forMs: 20_000 },
    says: 'the tickle is green and the status is not',
    ms: 120_000,
    events: [
      'brokerage session.lost no_bridge',
      'brokerage safety.changed at_risk lost',
      'brokerage session.restored',
      'brokerage safety.changed safe',
    ],
  },
  {
    fault: 'session_expiry',
    params: { forMs: 60_000 },
    says: 'only a person can log in',
    ms: 180_000,
    events: [
      'brokerage session.lost no_bridge',
      'brokerage safety.changed at_risk lost',
      'sso session.attention login',
      'sso safety.changed unsafe attention',
      '- link.down ws 1001 venue',
      'sso session.restored',
      'brokerage session.restored',
      '- link.up ws',
      'sso safety.changed safe',
      'brokerage safety.changed safe',
    ],
  },
  {
    fault: 'http_down',
    params: { forMs: 60_000 },
    says: 'the socket proves nothing: both are stale until a poll is answered',
    ms: 200_000,
    events: [
      '- link.down http 1006 network',
      'sso session.stale link_down',
      'sso safety.changed safe',
      'brokerage session.stale link_down',
      'brokerage safety.changed at_risk link_down',
      ...retried('http', 1, 2, 3, 4, 5),
      '- link.up http',
      'sso safety.changed unknown unconfirmed',
      'brokerage safety.changed unknown unconfirmed link_down',
      'sso session.restored',
      'brokerage session.restored',
      'sso safety.changed safe',
      'brokerage safety.changed safe',
    ],
  },
  {
    fault: 'too_many_requests',
    says: "ten minutes' silence",
    ms: 800_000,
    events: [
      '- source.throttled',
      'sso session.stale throttled',
      'sso safety.changed safe',
      'brokerage session.stale throttled',
      'brokerage safety.changed at_risk throttled',
      'sso safety.changed unknown throttled',
      'brokerage safety.changed unsafe throttled',
      '- source.unthrottled',
      'sso session.restored',
      'brokerage session.lost no_bridge',
      'brokerage session.opening',
      'brokerage session.restored',
      'brokerage safety.changed unknown unconfirmed',
      'sso safety.changed safe',
      'brokerage safety.changed safe',
    ],
  },
];

describe('a fault of IBKR', () => {
  test.each(rows)('$fault: $says', async (row) => {
    await play(await start(), row, { events: LIVE, afterMs: 15_000 });
  });
});
