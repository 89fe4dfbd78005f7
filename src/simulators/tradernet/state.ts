import type { Json } from '../../model/json.js';
import type { Broker } from './broker.js';

/** What the simulator tells of itself: never a SID, a key or a password. */
export function stateOf(broker: Broker): Json {
  const { peers, logins, sessions, conditions, traffic } = broker;
  return {
    connections: [...peers.values()].map(({ id, carrier, mode, subscribed, halfOpen }) => ({
      id,
      carrier,
      mode,
      subscribed,
      halfOpen,
    })),
    logins: logins.count,
    sessions: sessions.all.map((session) => ({
      id: session.id,
      safetyTypeId: session.safetyTypeId,
      startedAt: new Date(session.startedAt).toISOString(),
      expiresAt: new Date(session.expiresAt).toISOString(),
      withheld: sessions.isWithheld(session),
    })),
    conditions: {
      sessionsCommand: conditions.sessionsWord,
      slow: conditions.slow.isOn,
      badCredentials: conditions.badCredentials.isOn,
      twoFactor: conditions.twoFactor.isOn,
      throttled: conditions.throttled.isOn,
      maintenance: conditions.maintenance.isOn,
      httpDown: conditions.httpDown.isOn,
      plainFrames: conditions.plainFrames.isOn,
      expireAs: conditions.expireAs,
      refusedUpgrades: conditions.refusedUpgrades,
    },
    ...traffic.state(),
  };
}
