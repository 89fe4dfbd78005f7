import type { Random } from '../../src/net/clock.js';
import { seededRandom } from '../../src/net/timer.js';

/** Everything that a stress run draws comes from one seed, so that a failure can be played again. */
export interface Draw {
  readonly random: Random;
  /** A whole number, both ends included. */
  between(least: number, most: number): number;
  chance(probability: number): boolean;
  oneOf<T>(items: readonly [T, ...T[]]): T;
  shuffled<T>(items: readonly T[]): readonly T[];
  /**
   * A stream of its own for a part of the run: what one scenario or subscriber draws does not depend on how much
   * another drew, nor on which scenarios are left out.
   */
  fork(name: string): Draw;
}

export function createDraw(seed: number): Draw {
  const random = seededRandom(seed);
  const between = (least: number, most: number): number => least + Math.floor(random() * (most - least + 1));
  return {
    random,
    between,
    chance: (probability) => random() < probability,
    oneOf: (items) => items[between(0, items.length - 1)] ?? items[0],
    shuffled(items) {
      const left = [...items];
      for (let index = left.length - 1; index > 0; index--) {
        const other = between(0, index);
        const [a, b] = [left[index], left[other]];
        if (a !== undefined && b !== undefined) [left[index], left[other]] = [b, a];
      }
      return left;
    },
    fork: (name) => createDraw(mixed(seed, name)),
  };
}

/** FNV-1a over the seed and the name. */
function mixed(seed: number, name: string): number {
  let hash = 0x811c9dc5;
  for (const character of `${seed} ${name}`) {
    hash ^= character.codePointAt(0) ?? 0;
    hash = Math.imul(hash, 0x01000193) >>> 0;
  }
  return hash;
}
