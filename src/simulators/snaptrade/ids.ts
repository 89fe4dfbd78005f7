import type { Random } from '../../net/clock.js';

/** So many hexadecimal digits. */
export function drawHex(random: Random, length: number): string {
  let text = '';
  while (text.length < length) text += Math.floor(random() * 16).toString(16);
  return text;
}

/** A UUID of version 4. */
export function drawUuid(random: Random): string {
  const hex = drawHex(random, 32);
  const variant = (8 + Math.floor(random() * 4)).toString(16);
  return [hex.slice(0, 8), hex.slice(8, 12), `4${hex.slice(13, 16)}`, variant + hex.slice(17, 20), hex.slice(20)].join(
    '-',
  );
}

export function isUuid(text: string): boolean {
  return /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i.test(text);
}
