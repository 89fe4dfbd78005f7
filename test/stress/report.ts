import type { Outcome } from './scenario.js';

/** One Markdown table: what was done, in figures, and what came of it. */
export const heading =
  '| scenario | what was done | transport | events | deliveries | losses announced | unannounced | s | |';
export const rule = '| --- | --- | --- | ---: | ---: | ---: | ---: | ---: | --- |';

export function row(played: {
  readonly name: string;
  readonly transport: string;
  readonly seconds: number;
  /** Absent: an invariant is broken. */
  readonly outcome?: Outcome;
}): string {
  const { name, transport, seconds, outcome } = played;
  const took = seconds.toFixed(1);
  if (outcome === undefined) return `| ${name} | – | ${transport} | – | – | – | – | ${took} | **broken** |`;
  const { done, events, deliveries, announced } = outcome;
  const figures = [events, deliveries, announced].map((value) => value.toLocaleString('en-US')).join(' | ');
  return `| ${name} | ${done} | ${transport} | ${figures} | 0 | ${took} | holds |`;
}
