import { Snaptrade as Snaptrade9 } from 'snaptrade-sdk-9';
import { Snaptrade as Snaptrade11, SnaptradeAuth } from 'snaptrade-sdk-11';
import { afterEach, describe, expect, test } from 'vitest';
import type { SnaptradeSimulator } from '../../src/simulators/snaptrade.js';
import { until } from '../support/virtual-clock.js';
import { CLIENT_ID, CONSUMER_KEY, harness, stateOf, userOf } from './snaptrade-client.js';

/** The vendor's own SDKs: of the time when the base was `/api/v1`, and of the time since. */
const { start, closeAll } = harness();
afterEach(closeAll);

const credentials = { clientId: CLIENT_ID, consumerKey: CONSUMER_KEY };

/** What the tests use of either SDK. */
function connections(version: 9 | 11, simulator: SnaptradeSimulator, consumerKey = CONSUMER_KEY) {
  const { origin } = new URL(simulator.url);
  if (version === 9) return new Snaptrade9({ ...credentials, consumerKey, basePath: `${origin}/api/v1` }).connections;
  const auth = SnaptradeAuth.commercialApiKey({ ...credentials, consumerKey });
  return new Snaptrade11({ auth, basePath: origin }).connections;
}

describe.each([9, 11] as const)('SDK %d', (version) => {
  async function live() {
    const simulator = await start({ era: version === 9 ? 'old' : 'both' });
    const { userId, userSecret } = userOf(simulator);
    return { simulator, api: connections(version, simulator), user: { userId, userSecret } };
  }

  test('lists, reads, refreshes and disables connections', async () => {
    const { api, user } = await live();
    const { data } = await api.listBrokerageAuthorizations(user);
    expect(data).toHaveLength(2);
    const authorizationId = data[0]?.id ?? '';
    expect((await api.detailBrokerageAuthorization({ ...user, authorizationId })).data).toEqual(data[0]);
    expect((await api.refreshBrokerageAuthorization({ ...user, authorizationId })).status).toBe(200);
    expect((await api.disableBrokerageAuthorization({ ...user, authorizationId })).status).toBe(200);
    expect((await api.detailBrokerageAuthorization({ ...user, authorizationId })).data).toMatchObject({
      disabled: true,
      disabled_date: expect.stringMatching(/^\d{4}-\d\d-\d\d \d\d:/),
    });
  });

  test('removes a connection', async () => {
    const { simulator, api, user } = await live();
    const { data } = await api.listBrokerageAuthorizations(user);
    const answered = await api.removeBrokerageAuthorization({ ...user, authorizationId: data[0]?.id ?? '' });
    expect(answered.status).toBe(204);
    expect(stateOf(simulator).connections.total).toBe(3);
  });

  test('reads session events, of customers with a comma between them', async () => {
    const { simulator, api } = await live();
    simulator.fault('session_event', { user: 'customer-1' });
    simulator.fault('session_event', { user: 'customer-2' });
    const all = await api.sessionEvents({ partnerClientId: CLIENT_ID });
    expect(all.data).toHaveLength(2);
    const userId = [userOf(simulator, 1).userId, userOf(simulator, 2).userId].join(',');
    expect((await api.sessionEvents({ partnerClientId: CLIENT_ID, userId })).data).toHaveLength(2);
  });

  test('is refused with another key, and told why', async () => {
    const { simulator, user } = await live();
    const refused = connections(version, simulator, 'ANOTHER-KEY').listBrokerageAuthorizations(user);
    await expect(refused).rejects.toMatchObject({ status: 401, responseBody: { default_code: '1076' } });
  });
});

test('SDK 11 deletes a connection by the new endpoint', async () => {
  const simulator = await start({ era: 'new' });
  const { userId, userSecret } = userOf(simulator);
  const auth = SnaptradeAuth.commercialApiKey(credentials);
  const api = new Snaptrade11({ auth, basePath: simulator.url }).connections;
  const { data } = await api.listBrokerageAuthorizations({ userId, userSecret });
  const connectionId = data[0]?.id ?? '';
  const answered = await api.deleteConnection({ userId, userSecret, connectionId });
  expect(answered.data).toMatchObject({ connection_id: connectionId });
  await until(() => stateOf(simulator).connections.total === 3, 'the removal');
});

test('SDK 11 with /api/v1 in its base signs another path than it requests, and is refused', async () => {
  const simulator = await start();
  const { userId, userSecret } = userOf(simulator);
  const auth = SnaptradeAuth.commercialApiKey(credentials);
  const api = new Snaptrade11({ auth, basePath: `${simulator.url}/api/v1` }).connections;
  await expect(api.listBrokerageAuthorizations({ userId, userSecret })).rejects.toMatchObject({ status: 401 });
});

test('SDK 11 with a personal key names no customer', async () => {
  const simulator = await start({ personal: true });
  const auth = SnaptradeAuth.personalApiKey(credentials);
  const api = new Snaptrade11({ auth, basePath: simulator.url }).connections;
  expect((await api.listBrokerageAuthorizations()).data).toHaveLength(4);
});
