import type { Random } from '../net/clock.js';

/** Everything that the venue does not promise an order or a value for is drawn from the seed. */
const ALPHABET = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789';

/** So many letters and digits. */
export function drawText(random: Random, length: number): string {
  let text = '';
  while (text.length < length) text += ALPHABET[Math.floor(random() * ALPHABET.length)] ?? '';
  return text;
}

/** Uniform in [least, most). */
export function drawBetween(random: Random, least: number, most: number): number {
  return least + random() * (most - least);
}

/** The same entries in a drawn order (Fisher and Yates). */
export function shuffled<T>(random: Random, entries: Iterable<T>): T[] {
  const rest = [...entries];
  const drawn: T[] = [];
  while (rest.length > 0) drawn.push(...rest.splice(Math.floor(random() * rest.length), 1));
  return drawn;
}
