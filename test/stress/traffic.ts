import type { Json } from '../../src/model/json.js';
import type { Draw } from './draw.js';
import type { LinedVenue } from './venues.js';

/** Things that happen at simulated venues, as fast as they can be told apart. */
export interface Traffic {
  /** So many things happened. */
  told(): number;
  /** Nothing more happens. */
  stop(): void;
}

const EVERY_MS = 10;
const INDICES = ['btc_usd', 'eth_usd', 'sol_usd'] as const;
type Happening = readonly [fault: string, params: { readonly [name: string]: Json }];

/** By venue: what may happen at any time and leaves its sessions as they are. */
const HAPPENINGS: { readonly [venue: string]: (draw: Draw) => Happening } = {
  deribit: (draw) =>
    draw.oneOf<Happening>([
      ['access_log', { log: `drawn ${draw.between(0, 1_000_000)}` }],
      ['access_log', { log: 'success', ip: `192.0.2.${draw.between(1, 254)}` }],
      ['lock_index', { index: draw.oneOf(INDICES) }],
      ['unlock_index', { index: draw.oneOf(INDICES) }],
    ]),
  tradernet: (draw) =>
    draw.oneOf<Happening>([
      ['extend_session', { bySeconds: draw.between(60, 600) }],
      ['plain_frames', { forMs: draw.between(0, 100) }],
      ['duplicate_frame', {}],
    ]),
};

export function startTraffic(venues: readonly LinedVenue[], draw: Draw): Traffic {
  let told = 0;
  const timer = setInterval(() => {
    for (const { venue, simulator } of venues) {
      const drawn = HAPPENINGS[venue];
      if (drawn === undefined) continue;
      const [fault, params] = drawn(draw);
      simulator.fault(fault, params);
      told++;
    }
  }, EVERY_MS);
  return {
    told: () => told,
    stop: () => clearInterval(timer),
  };
}
