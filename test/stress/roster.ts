import type { OpenCarrier } from './carrier.js';
import type { Draw } from './draw.js';
import { FOUNTAIN_SOURCE } from './fountain.js';
import { openRaw } from './raw-carrier.js';
import { openWs } from './ws-carrier.js';

/** Who subscribes how, drawn: half frame for themselves, half use `ws`. */
export function drawnCarrier(draw: Draw): OpenCarrier {
  return draw.chance(0.5) ? (dial, handlers) => openRaw(dial, handlers) : openWs;
}

/**
 * Channels of each width: everything, a source, a session, types of one session, one exact address. `wide`: how likely
 * it hears every session; otherwise it hears one of `sessions`, first and last index.
 */
export function drawnChannels(
  draw: Draw,
  sessions: readonly [first: number, last: number],
  wide = 0.25,
): readonly string[] {
  if (draw.chance(wide)) return draw.oneOf<readonly string[]>([['>'], [`deribit.${FOUNTAIN_SOURCE}.>`]]);
  const session = `s${draw.between(...sessions)}`;
  const key = `deribit.${FOUNTAIN_SOURCE}.${session}`;
  return draw.oneOf<readonly string[]>([
    [`${key}.>`],
    [`${key}.>`, `${key}.session.updated`],
    [`${key}.session.*`],
    [`*.*.${session}.>`, '*.*.*.link.*'],
    [`${key}.session.updated`],
  ]);
}
