import type { OpenCarrier } from './carrier.js';
import type { Draw } from './draw.js';
import { FOUNTAIN_SOURCE } from './fountain.js';
import { openRaw } from './raw-carrier.js';
import { openWs } from './ws-carrier.js';

/** Who subscribes how, drawn: half frame for themselves, half use `ws`. */
export function drawnCarrier(draw: Draw): OpenCarrier {
  return draw.chance(0.5) ? (dial, handlers) => openRaw(dial, handlers) : openWs;
}

/** Channels of each width: everything, a source, a session, types of one session, one exact address. */
export function drawnChannels(draw: Draw, sessions: number): readonly string[] {
  const session = `deribit.${FOUNTAIN_SOURCE}.s${draw.between(0, sessions - 1)}`;
  return draw.oneOf<readonly string[]>([
    ['>'],
    [`deribit.${FOUNTAIN_SOURCE}.>`],
    [`${session}.>`],
    [`${session}.>`, `${session}.session.updated`],
    [`${session}.session.*`],
    [`*.*.s${draw.between(0, sessions - 1)}.>`, '*.*.*.link.*'],
    [`${session}.session.updated`],
  ]);
}
