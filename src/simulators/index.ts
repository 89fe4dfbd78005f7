/** Servers that behave as the venues do: for tests, the demo, and users' own tests. */
import { startDeribitSimulator } from './deribit.js';
import type { Simulator, SimulatorOptions } from './simulator.js';
import { startTradernetSimulator } from './tradernet.js';

export type { FaultSpec, Scenario, Simulator, SimulatorOptions } from './simulator.js';
export type { TradernetSimulator, TradernetSimulatorOptions } from './tradernet.js';
export { startDeribitSimulator, startTradernetSimulator };

/** Each simulator by its venue's name. */
export const simulators: {
  readonly [venue: string]: (options?: SimulatorOptions) => Promise<Simulator>;
} = { deribit: startDeribitSimulator, tradernet: startTradernetSimulator };
