import { type Samples, sparkPath } from './round-trips.js';

const WIDTH = 64;
const HEIGHT = 20;

/** A small plot of round trips; what it shows is said beside it. */
export function Sparkline({ samples }: { readonly samples: Samples }) {
  if (samples.ms.length < 2) return null;
  return (
    <svg
      class="spark"
      viewBox={`0 0 ${WIDTH} ${HEIGHT}`}
      preserveAspectRatio="none"
      aria-hidden="true"
      focusable="false"
    >
      <path d={sparkPath(samples.ms.slice(-60), WIDTH, HEIGHT)} />
    </svg>
  );
}
