import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { afterEach, describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import { z } from 'zod';
import { closeTestRelays, startTestRelay, TRANSPORTS } from '../support/relay.js';

/** `/metrics`, and that the README's table, the Grafana dashboard and the alert rules speak of metrics that there are. */
const read = (path: string): string => readFileSync(fileURLToPath(new URL(`../../${path}`, import.meta.url)), 'utf8');
const alerts = z.looseObject({
  groups: z.array(z.looseObject({ rules: z.array(z.looseObject({ alert: z.string(), expr: z.string() })) })),
});
const dashboard = z.looseObject({
  panels: z.array(z.looseObject({ targets: z.array(z.looseObject({ expr: z.string() })) })),
});
afterEach(closeTestRelays);

/** Each sample by its name with labels. */
async function scrape(
  url: string,
  headers: Readonly<Record<string, string>> = {},
): Promise<ReadonlyMap<string, number>> {
  const answer = await fetch(`${url}/metrics`, { headers });
  expect(answer.headers.get('content-type')).toMatch(/^text\/plain/);
  const lines = (await answer.text()).split('\n').filter((line) => line !== '' && !line.startsWith('#'));
  return new Map(
    lines.map((line) => [line.slice(0, line.lastIndexOf(' ')), Number(line.slice(line.lastIndexOf(' ') + 1))]),
  );
}

const familyOf = (sample: string): string => sample.replace(/\{.*/, '').replace(/_(bucket|sum|count)$/, '');
const namesIn = (text: string): readonly string[] =>
  [...new Set(text.match(/session_relay_[a-z_]+/g) ?? [])].map(familyOf);

describe.each(TRANSPORTS)('metrics over %s', (transport) => {
  test('count what happens, and name nothing that a venue or a subscriber makes up', async () => {
    const { url, venue, connect, settled, clock } = await startTestRelay(transport, {
      auth: { mode: 'none', commands: ['deribit.main:read'] },
    });
    venue.open('a', 'b');
    venue.tell({ source: 'main', session: 'b', type: 'session.lost', data: { reason: 'evicted' } });
    await settled();
    const one = await connect();
    await one.request('subscribe', { channels: [{ channel: '*.*.*.session.updated', since: '1-1' }] });
    await one.next('gap');
    venue.update('a', 10);
    venue.pulse('a');
    await one.until(() => one.events('*.*.*.session.updated').length === 10);
    await one.request('command', { source: 'deribit.main', command: 'read' });
    await clock.advance(1_000);
    const all = await scrape(url);
    const expected: Readonly<Record<string, number>> = {
      session_relay_connections: 1,
      session_relay_groups: 1,
      session_relay_blind: 0,
      session_relay_gaps_total: 1,
      'session_relay_resumes_total{outcome="lost"}': 1,
      session_relay_deliveries_total: 10,
      'session_relay_events_total{type="session.updated"}': 10,
      'session_relay_sessions{venue="deribit",kind="api",status="active"}': 1,
      'session_relay_sessions{venue="deribit",kind="api",status="lost"}': 1,
      'session_relay_safety{venue="deribit",kind="api",level="unsafe"}': 1,
      'session_relay_links{venue="deribit",carrier="ws",state="up"}': 1,
      'session_relay_commands_total{venue="deribit",outcome="succeeded"}': 1,
      'session_relay_upstream_round_trip_seconds_count{venue="deribit"}': 1,
      session_relay_journal_waiting_facts: 0,
    };
    for (const [name, value] of Object.entries(expected)) expect([name, all.get(name)]).toEqual([name, value]);
    expect(all.get('session_relay_ingest_to_send_seconds_count')).toBeGreaterThan(0);
    expect(all.get('session_relay_journal_bytes')).toBeGreaterThan(0);
    expect(
      [...all.keys()].filter(
        (name) => name.startsWith('session_relay_') && /deribit\.main|evicted|"a"|"b"|127\.0/.test(name),
      ),
    ).toEqual([]);
    await one.close();
    await settled();
    expect((await scrape(url)).get('session_relay_closes_total{code="1005"}')).toBe(1);
  });

  test('the table in README, the dashboard and the alert rules name what there is', async () => {
    const { url } = await startTestRelay(transport);
    const families = new Set(namesIn(await (await fetch(`${url}/metrics`)).text()));
    const readme = read('README.md');
    const table = [...readme.matchAll(/^\| `(session_relay_[a-z_]+)` /gm)].map(([, name]) => name ?? '');
    expect(table.toSorted()).toEqual([...families].toSorted());
    const rules = alerts
      .parse(parse(read('src/http/observability/prometheus-alerts.yaml')))
      .groups.flatMap(({ rules: some }) => some);
    expect(rules.map(({ alert }) => alert)).toEqual(
      expect.arrayContaining(['SessionUnsafe', 'SnapTradeConnectionsBroken', 'RelayBlind', 'JournalLagging']),
    );
    const { panels } = dashboard.parse(JSON.parse(read('src/http/observability/grafana-dashboard.json')));
    const used = [
      ...rules.map(({ expr }) => expr),
      ...panels.flatMap(({ targets }) => targets.map(({ expr }) => expr)),
    ];
    expect(used.length).toBeGreaterThan(25);
    for (const expr of used) expect([expr, namesIn(expr).filter((name) => !families.has(name))]).toEqual([expr, []]);
  });

  test('are told to peers on this machine, whatever the auth', async () => {
    const { url } = await startTestRelay(transport, {
      auth: {
        mode: 'keys',
        keys: [
          {
            name: 'a',
            sha256: createHash('sha256').update('t').digest('hex'),
            channels: ['>'],
            commands: [],
            fields: 'full',
          },
        ],
      },
    });
    expect((await fetch(`${url}/metrics`)).status).toBe(200);
    expect((await fetch(`${url}/metrics`, { headers: { origin: 'http://elsewhere.test' } })).status).toBe(403);
  });
});
