import type { Random } from '../../net/clock.js';

const BASE = 16;

/** So many hexadecimal digits. */
export function drawHex(random: Random, digits: number): string {
  let text = '';
  while (text.length < digits) text += Math.floor(random() * BASE).toString(BASE);
  return text;
}
