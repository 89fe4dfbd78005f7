import type { VenueName } from '../model/event.js';
import type { Json } from '../model/json.js';
import type { Clock } from '../net/clock.js';

/** A server that behaves as a venue does, for tests, the demo, and users' own tests. Deterministic for a seed. */
export interface Simulator {
  readonly venue: VenueName;
  readonly url: string;
  /** A ready entry for `sources`, with working credentials and every URL that it needs. */
  readonly source: { readonly [key: string]: Json };
  readonly faults: readonly FaultSpec[];
  /** Triggers a fault while it runs, as `POST /_sim/faults` does. Throws `invalid_params` for an unknown one. */
  fault(name: string, params?: { readonly [name: string]: Json }): void;
  /** What `GET /_sim` answers: faults that can be triggered, connections, sessions, orders. */
  state(): Json;
  /** Where a venue that calls back sends its webhooks, once that is known; absent where it sends none. */
  sendWebhooksTo?(url: string | undefined): void;
  close(): Promise<void>;
}

export interface SimulatorOptions {
  /** Default 127.0.0.1. */
  readonly host?: string;
  /** Default 0: a free port. */
  readonly port?: number;
  /** Default 1. What the venue promises no order or value for is drawn from it. */
  readonly seed?: number;
  /** The name of a scenario in `scenarios/`; default: nothing happens by itself. */
  readonly scenario?: string;
  readonly clock?: Clock;
}

export interface FaultSpec {
  readonly name: string;
  /** One sentence: what the venue does then. */
  readonly summary: string;
}

/** A scripted sequence of faults; times count from the start of the simulator. */
export interface Scenario {
  readonly name: string;
  readonly summary: string;
  readonly steps: readonly {
    readonly atMs: number;
    readonly fault: string;
    readonly params?: { readonly [name: string]: Json };
  }[];
  /** Start again after this long; absent: play once. */
  readonly repeatMs?: number;
}
