/** Servers that behave as the venues do: for tests, the demo, and users' own tests. */
import { startDeribitSimulator } from './deribit.js';
import { createUsername, startIbkrSimulator } from './ibkr.js';
import type { Simulator, SimulatorOptions } from './simulator.js';
import { startSnaptradeSimulator } from './snaptrade.js';
import { startTradernetSimulator } from './tradernet.js';

export type { IbkrSimulator, IbkrSimulatorOptions } from './ibkr.js';
export type { FaultSpec, Scenario, Simulator, SimulatorOptions } from './simulator.js';
export type { SnaptradeSimulator, SnaptradeSimulatorOptions } from './snaptrade.js';
export type { TradernetSimulator, TradernetSimulatorOptions } from './tradernet.js';
export { createUsername, startDeribitSimulator, startIbkrSimulator, startSnaptradeSimulator, startTradernetSimulator };

/** Each simulator by its venue's name. */
export const simulators: {
  readonly [venue: string]: (options?: SimulatorOptions) => Promise<Simulator>;
} = {
  deribit: startDeribitSimulator,
  tradernet: startTradernetSimulator,
  ibkr: startIbkrSimulator,
  snaptrade: startSnaptradeSimulator,
};
