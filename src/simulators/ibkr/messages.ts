import type { JsonObject } from '../../model/json.js';
import { ACCOUNT } from './account.js';
import { type BrokerageFacts, NO_BRIDGE } from './brokerage.js';
import type { Gateway } from './gateway.js';

/** A field that no page of the vendor's knows. */
const UNKNOWN_FIELDS: JsonObject = { mood: 'odd', marks: { of: ['a', 'later', 'version'] } };
const DRIFTED: BrokerageFacts = {
  authenticated: false,
  established: false,
  competing: false,
  connected: false,
  fail: NO_BRIDGE,
};

/** What `auth/status` believes: under a bridge drift something else than the brokerage session itself. */
export function believedFacts({ brokerage, conditions }: Gateway): BrokerageFacts {
  return conditions.drift.isOn && brokerage.phase !== 'closed' ? DRIFTED : brokerage.facts;
}

/**
 * `brokerageSessionStatus` of the specification, with the fields in the order of the recorded answers. After a logout
 * it is recorded without most of them and with a MAC of null; the generation of 2.9 has neither `established` nor a server.
 */
export function authStatus(gateway: Gateway, facts: BrokerageFacts, { withFail }: { withFail: boolean }): JsonObject {
  const { brokerage, generation, identity } = gateway;
  const { authenticated, established, competing, connected, fail } = facts;
  const old = generation === '2.9';
  const flags = { authenticated, ...(old ? {} : { established }), competing, connected };
  if (brokerage.phase === 'closed') return withFaults(gateway, { ...flags, MAC: null });
  const { mac: MAC, serverName, serverVersion, hardwareInfo } = identity;
  return withFaults(gateway, {
    ...flags,
    message: '',
    MAC,
    // Without a bridge there is no server to tell of (recorded).
    ...(old || !connected ? {} : { serverInfo: { serverName, serverVersion }, hardware_info: hardwareInfo }),
    ...(withFail ? { fail } : {}),
  });
}

/** Recorded answer; its `authStatus` has no `fail`, and does not know of a bridge drift. */
export function tickle(gateway: Gateway, session: string): JsonObject {
  const { brokerage, generation, sso } = gateway;
  const authStatusNow = authStatus(gateway, brokerage.facts, { withFail: false });
  return withFaults(gateway, {
    session,
    ssoExpires: sso.expiresMs(),
    collission: false,
    userId: ACCOUNT.userId,
    ...(generation === '2.9' ? {} : { hmds: { error: NO_BRIDGE } }),
    iserver: { ...(generation === '2.9' ? { tickle: true } : {}), authStatus: authStatusNow },
  });
}

/** Recorded answer, with made-up values; `LOGIN_TYPE` is 1 for live and 2 for paper. */
export function validation(gateway: Gateway): JsonObject {
  const { clock, paper, sso } = gateway;
  return withFaults(gateway, {
    USER_ID: ACCOUNT.userId,
    USER_NAME: ACCOUNT.username,
    RESULT: true,
    AUTH_TIME: sso.authTime,
    SF_ENABLED: false,
    IS_FREE_TRIAL: false,
    CREDENTIAL: ACCOUNT.username,
    IP: ACCOUNT.ip,
    EXPIRES: sso.expiresMs(),
    QUALIFIED_FOR_MOBILE_AUTH: null,
    LANDING_APP: 'UNIVERSAL',
    IS_MASTER: false,
    lastAccessed: clock.now(),
    LOGIN_TYPE: paper ? 2 : 1,
    ...(paper ? { PAPER_USER_NAME: ACCOUNT.username } : {}),
    features: { env: 'PROD', wlms: true, realtime: true, bond: true, optionChains: true, calendar: true, newMf: true },
    region: 'NJ',
  });
}

/** The first frame of an authenticated socket (recorded). */
export function systemFrame({ paper }: Gateway): string {
  return JSON.stringify({ topic: 'system', success: ACCOUNT.username, isFT: false, isPaper: paper });
}

/** Recorded: the whole gateway beats at the same instants. */
export function heartbeatFrame(atMs: number): string {
  return JSON.stringify({ topic: 'system', hb: atMs });
}

/** Recorded, with fewer features. */
export function accountFrame({ identity, paper }: Gateway): string {
  const { accountId } = ACCOUNT;
  const { serverName, serverVersion, tradingSession } = identity;
  return JSON.stringify({
    topic: 'act',
    args: {
      accounts: [accountId],
      acctProps: { [accountId]: { hasChildAccounts: false, supportsCashQty: true, supportsFractions: true } },
      aliases: { [accountId]: accountId },
      allowFeatures: { showGFIS: true, allowFXConv: true, allowedAssetTypes: 'STK,OPT,FUT,CASH,BOND,CRYPTO' },
      chartPeriods: { STK: ['*'], FUT: ['*'], CASH: ['*'] },
      groups: [],
      profiles: [],
      selectedAccount: accountId,
      serverInfo: { serverName, serverVersion },
      sessionId: tradingSession,
      isFT: false,
      isPaper: paper,
    },
  });
}

/** The whole status, as in the greeting (recorded). */
export function statusFrame(gateway: Gateway): string {
  const { brokerage, generation, identity } = gateway;
  const { connected, authenticated, established, competing, fail } = brokerage.facts;
  const { serverName, serverVersion } = identity;
  return partialStatusFrame(gateway, {
    connected,
    authenticated,
    ...(generation === '2.9' ? {} : { established }),
    competing,
    message: '',
    fail,
    serverName,
    serverVersion,
    username: ACCOUNT.username,
  });
}

/** What changed, and nothing else (IBKR docs, WebSocket topic `sts`). */
export function partialStatusFrame(gateway: Gateway, args: JsonObject): string {
  return JSON.stringify({ topic: 'sts', args: withFaults(gateway, args) });
}

/** What `missing_fields` takes away, and `unknown_value` adds. */
function withFaults({ conditions }: Gateway, body: JsonObject): JsonObject {
  const { missing, missingFields, unknownFields } = conditions;
  const kept = missing.isOn
    ? Object.fromEntries(Object.entries(body).filter(([name]) => !missingFields.has(name)))
    : body;
  return unknownFields.isOn ? { ...kept, ...UNKNOWN_FIELDS } : kept;
}
