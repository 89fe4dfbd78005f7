import type { Json } from '../../model/json.js';
import type { Gateway } from './gateway.js';

/** What the simulator tells of itself: never a session id. */
export function stateOf(gateway: Gateway): Json {
  const { brokerage, conditions, other, pacing, sockets, sso, traffic } = gateway;
  return {
    sso: sso.session === undefined ? { valid: false, absence: sso.absence } : { valid: true },
    brokerage: { phase: brokerage.phase, heldByOther: other.holds },
    connections: [...sockets.values()].map(({ id, authenticated, halfOpen }) => ({ id, authenticated, halfOpen })),
    conditions: {
      slow: conditions.slow.isOn,
      maintenance: conditions.maintenance.isOn,
      httpDown: conditions.httpDown.isOn,
      socketsDown: conditions.socketsDown.isOn,
      bridgeDrift: conditions.drift.isOn,
      missingFields: conditions.missing.isOn,
      reauthenticateGone: conditions.reauthenticateGone.isOn,
      refusedInits: conditions.refusedInits,
      failedTickles: conditions.failedTickles,
      penalised: pacing.isPenalised,
    },
    ...traffic.state(),
  };
}
