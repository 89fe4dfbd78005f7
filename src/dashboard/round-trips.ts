/** Round trips of heartbeats that came while the page was open, by session key. */
export interface RoundTrips {
  add(key: string, atMs: number, rttMs: number): void;
  of(key: string): Samples;
  /** Sessions that are gone. */
  keep(keys: { has(key: string): boolean }): void;
}

/** Oldest first; both lists have one length. */
export interface Samples {
  readonly at: readonly number[];
  readonly ms: readonly number[];
}

/** Two hours and a half of a heartbeat of 60 s, half an hour of one of 10 s. */
const SAMPLES = 180;
const NONE: Samples = { at: [], ms: [] };

export function createRoundTrips(most = SAMPLES): RoundTrips {
  const held = new Map<string, { at: number[]; ms: number[] }>();
  return {
    add(key, atMs, rttMs) {
      const samples = held.get(key) ?? { at: [], ms: [] };
      held.set(key, samples);
      // A plot's times ascend.
      if (atMs <= (samples.at.at(-1) ?? Number.NEGATIVE_INFINITY)) return;
      samples.at.push(atMs);
      samples.ms.push(rttMs);
      if (samples.at.length > most) {
        samples.at.shift();
        samples.ms.shift();
      }
    },
    of: (key) => held.get(key) ?? NONE,
    keep(keys) {
      for (const key of held.keys()) if (!keys.has(key)) held.delete(key);
    },
  };
}

/** The line of a small plot in a box of `width` by `height`, as an SVG path; empty with fewer than two samples. */
export function sparkPath(values: readonly number[], width: number, height: number): string {
  if (values.length < 2) return '';
  const top = Math.max(...values, 1);
  const step = width / (values.length - 1);
  return values
    .map((value, index) => {
      const y = height - (Math.max(0, value) / top) * (height - 2) - 1;
      return `${index === 0 ? 'M' : 'L'}${(index * step).toFixed(1)} ${y.toFixed(1)}`;
    })
    .join('');
}

export interface Spread {
  readonly last: number;
  readonly median: number;
  readonly worst: number;
}

export function spread(values: readonly number[]): Spread | undefined {
  const last = values.at(-1);
  if (last === undefined) return undefined;
  const sorted = [...values].sort((a, b) => a - b);
  return { last, median: sorted[Math.floor((sorted.length - 1) / 2)] ?? last, worst: sorted.at(-1) ?? last };
}
