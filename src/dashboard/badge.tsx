import type { SafetyLevel } from '../client/index.js';
import { LevelIcon } from './icons.js';
import { LEVEL_WORDS } from './reasons.js';

/** A level by shape, word and colour. */
export function Badge({ level }: { readonly level: SafetyLevel }) {
  return (
    <span class="badge" data-level={level}>
      <LevelIcon level={level} />
      {LEVEL_WORDS[level]}
    </span>
  );
}
