import { afterEach, describe, expect, test } from 'vitest';
import { isMaintenance } from '../../../src/venues/ibkr/maintenance.js';
import { ibkrConfig, type MaintenanceWindow } from '../../../src/venues/ibkr/options.js';
import { VirtualClock } from '../../support/virtual-clock.js';
import { NO_BRIDGE, ROUND_MS, startLive, type World } from './source.js';

let world: World | undefined;
afterEach(async () => {
  await world?.venue.stop({ orders: 'leave' });
  world = undefined;
});

const NIGHTLY: MaintenanceWindow = { zone: 'America/New_York', days: ['mon', 'tue'], from: '00:50', to: '01:30' };
const OVERNIGHT: MaintenanceWindow = { zone: 'UTC', days: ['sat'], from: '22:00', to: '02:00' };

describe('a window', () => {
  test.each([
    ['before it', '2026-11-23T05:49:59Z', false],
    ['at its beginning, in winter time', '2026-11-23T05:50:00Z', true],
    ['at its end', '2026-11-23T06:30:00Z', false],
    ['on a day that has none', '2026-11-25T06:00:00Z', false],
    ['at the same local time in summer', '2026-07-20T05:00:00Z', true],
    ['at the same time of UTC in summer', '2026-07-20T06:00:00Z', false],
  ])('%s', (_name, at, open) => {
    expect(isMaintenance([NIGHTLY], Date.parse(at))).toBe(open);
  });

  test.each([
    ['in its evening', '2026-11-21T22:30:00Z', true],
    ['after midnight', '2026-11-22T01:59:00Z', true],
    ['after its end', '2026-11-22T02:00:00Z', false],
    ['in the night before', '2026-11-21T01:00:00Z', false],
  ])('that passes midnight, %s', (_name, at, open) => {
    expect(isMaintenance([OVERNIGHT], Date.parse(at))).toBe(open);
  });

  test('the defaults are the weekday reset and Saturday evening of New York', () => {
    const { maintenance } = ibkrConfig.parse({ id: 'gw' });
    expect(isMaintenance(maintenance, Date.parse('2026-11-24T06:00:00Z'))).toBe(true);
    expect(isMaintenance(maintenance, Date.parse('2026-11-22T01:00:00Z'))).toBe(true);
    expect(isMaintenance(maintenance, Date.parse('2026-11-24T15:00:00Z'))).toBe(false);
  });
});

const ALWAYS: MaintenanceWindow = {
  zone: 'UTC',
  days: ['sun', 'mon', 'tue', 'wed', 'thu', 'fri', 'sat'],
  from: '00:00',
  to: '24:00',
};

describe('in a window', () => {
  test('a lost bridge is tagged, and init waits five times as long', async () => {
    world = await startLive({ maintenance: [ALWAYS] }, { clock: new VirtualClock() });
    world.gateway.status = { json: NO_BRIDGE };
    const at: number[] = [];
    world.gateway.init = () => {
      at.push(world?.clock.monotonic() ?? 0);
      return { text: 'Service Unavailable', status: 503 };
    };
    await world.clock.advance(3_600_000);
    const lost = world.facts.find(({ type }) => type === 'session.lost');
    expect(lost?.data).toEqual({ reason: 'no_bridge', code: 'maintenance_suspected' });
    const gaps = at.slice(1).map((time, index) => time - (at[index] ?? 0));
    expect(gaps.length).toBeGreaterThan(1);
    expect(Math.min(...gaps)).toBeGreaterThanOrEqual(300_000);
  });

  test('a gateway that is gone is tagged, and tried again after a minute at least', async () => {
    world = await startLive({ maintenance: [ALWAYS] });
    world.http.answer = () => 'unreachable';
    await world.clock.advance(ROUND_MS + 600_000);
    const down = world.facts.find(({ type }) => type === 'link.down');
    expect(down?.data.reason).toMatch(/^maintenance_suspected: /);
    const delays = world.facts.flatMap((fact) => (fact.type === 'link.retrying' ? [fact.data.delayMs] : []));
    expect(delays.length).toBeGreaterThan(1);
    expect(Math.min(...delays)).toBeGreaterThanOrEqual(60_000);
  });
});
