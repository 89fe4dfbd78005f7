/**
 * Counts of durations in classes that are at most 1/64 of their value wide (as an HDR histogram has): a million samples
 * cost no memory, and a percentile is right to 1.6 %.
 */
export interface Histogram {
  record(ms: number): void;
  readonly count: number;
  /** ms; the upper edge of the class that the quantile lies in. `NaN` where nothing was recorded. */
  quantile(share: number): number;
  readonly mostMs: number;
}

const SUB_BITS = 6;
const SUB = 1 << SUB_BITS;
/** Classes count in sixteenths of a µs, up to about two minutes. */
const UNITS_PER_MS = 16_000;
const CLASSES = SUB * 26;

export function createHistogram(): Histogram {
  const classes = new Uint32Array(CLASSES);
  let count = 0;
  let mostMs = 0;
  return {
    record(ms) {
      const index = Math.min(CLASSES - 1, classOf(ms * UNITS_PER_MS));
      classes[index] = (classes[index] ?? 0) + 1;
      count++;
      if (ms > mostMs) mostMs = ms;
    },
    get count() {
      return count;
    },
    get mostMs() {
      return mostMs;
    },
    quantile(share) {
      if (count === 0) return Number.NaN;
      let left = Math.ceil(share * count);
      for (let index = 0; index < CLASSES; index++) {
        left -= classes[index] ?? 0;
        if (left <= 0) return Math.min(mostMs, upperEdge(index) / UNITS_PER_MS);
      }
      return mostMs;
    },
  };
}

/** Below 2 × SUB each whole unit is a class; above, each power of two has SUB classes. */
function classOf(units: number): number {
  const whole = Math.max(0, Math.floor(units));
  if (whole < SUB * 2) return whole;
  const shift = 31 - Math.clz32(Math.min(whole, 0x7fff_ffff)) - SUB_BITS;
  return shift * SUB + (Math.min(whole, 0x7fff_ffff) >>> shift);
}

function upperEdge(index: number): number {
  if (index < SUB * 2) return index + 1;
  const shift = (index >>> SUB_BITS) - 1;
  return (index - shift * SUB + 1) * 2 ** shift;
}
