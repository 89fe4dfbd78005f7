/** The middle one; of an even number of values the mean of the two in the middle. */
export function medianOf(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length >>> 1;
  const upper = sorted[middle] ?? Number.NaN;
  return sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] ?? Number.NaN) + upper) / 2;
}

/** Three significant digits, thousands apart: 1,234,000 · 12.3 · 0.0123. */
export function shortNumber(value: number): string {
  if (!Number.isFinite(value)) return '–';
  const rounded = Number(value.toPrecision(3));
  return rounded.toLocaleString('en-US', { maximumSignificantDigits: 3 });
}

/** `median (least–most)`. */
export function spread(values: readonly number[]): string {
  if (values.length === 0) return 'void';
  const median = shortNumber(medianOf(values));
  if (values.length === 1) return median;
  return `${median} (${shortNumber(Math.min(...values))}–${shortNumber(Math.max(...values))})`;
}
