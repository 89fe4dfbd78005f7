import { SessionRelayError } from '../../errors.js';
import type { VenueName } from '../../model/event.js';
import type { Scenario } from '../simulator.js';
import { deribitDay } from './day-deribit.js';
import { ibkrDay } from './day-ibkr.js';
import { snaptradeDay } from './day-snaptrade.js';
import { tradernetDay } from './day-tradernet.js';

/** Scenarios by name, then by venue: one name is played by all simulators together. */
const scenarios: { readonly [name: string]: { readonly [V in VenueName]?: Scenario } } = {
  /** A day of incidents, in minutes instead of hours; what the demo plays. */
  day: { deribit: deribitDay, tradernet: tradernetDay, ibkr: ibkrDay, snaptrade: snaptradeDay },
  /** Nothing happens by itself. */
  quiet: {},
};

/** The part of one venue in a scenario; `undefined` where it has none. Throws `invalid_params` for an unknown name. */
export function scenarioOf(name: string, venue: VenueName): Scenario | undefined {
  const found = Object.hasOwn(scenarios, name) ? scenarios[name] : undefined;
  if (found === undefined) {
    throw new SessionRelayError('invalid_params', `there is no scenario ${name}: ${Object.keys(scenarios).join(', ')}`);
  }
  return found[venue];
}
