import type { SafetyLevel } from '../client/index.js';

/** A shape of its own for each level, so that colour is never the only sign. */
const SHAPES: { readonly [L in SafetyLevel]: string } = {
  // Octagon with a cross.
  unsafe: 'M5.2 1h5.6L15 5.2v5.6L10.8 15H5.2L1 10.8V5.2ZM5 5l6 6M11 5l-6 6',
  // Diamond with a question mark.
  unknown: 'M8 .8 15.2 8 8 15.2.8 8ZM6 6.6a2 2 0 1 1 2.7 1.9c-.5.2-.7.5-.7 1M8 11.4v.4',
  // Triangle with an exclamation mark.
  at_risk: 'M8 1.4 15.4 14.6H.6ZM8 6v4M8 12v.4',
  // Disc with a tick.
  safe: 'M8 1a7 7 0 1 1 0 14A7 7 0 0 1 8 1ZM4.8 8.2l2.2 2.3 4.2-4.6',
};

export function LevelIcon({ level }: { readonly level: SafetyLevel }) {
  return (
    <svg class="icon" data-level={level} viewBox="0 0 16 16" aria-hidden="true" focusable="false">
      <path d={SHAPES[level]} />
    </svg>
  );
}
