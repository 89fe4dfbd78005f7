import { stripVTControlCharacters, styleText } from 'node:util';
import type { SafetyLevel } from '../model/event.js';
import type { CommandContext } from './args.js';

export type Colour = 'red' | 'yellow' | 'green' | 'magenta' | 'gray' | 'cyan' | 'bold';
export type Paint = (text: string, colour: Colour) => string;

/** Controls (C0 but tab, C1), line and paragraph separators, and what turns the direction of text. */
const UNPRINTABLE = /(?!\t)[\p{Cc}\p{Zl}\p{Zp}\u202a-\u202e\u2066-\u2069]/gu;

/** Text from outside, so that it can neither move the cursor nor begin a line of its own. */
export function printable(text: string): string {
  return stripVTControlCharacters(text).replaceAll(
    UNPRINTABLE,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}

/** Colours on a terminal, plain text in a pipe or under NO_COLOR; {@link printable} in both. */
export function painter({ stdout, env }: Pick<CommandContext, 'stdout' | 'env'>): Paint {
  const plain = stdout.isTTY !== true || (env.NO_COLOR ?? '') !== '';
  return (text, colour) => {
    const clean = printable(text);
    return plain ? clean : styleText(colour, clean, { validateStream: false });
  };
}

const LEVEL_COLOURS: Readonly<Record<SafetyLevel, Colour>> = {
  safe: 'green',
  at_risk: 'yellow',
  unsafe: 'red',
  unknown: 'magenta',
};

/** As PROTOCOL.md §3 orders the levels. */
export const LEVELS_WORST_FIRST: readonly SafetyLevel[] = ['unsafe', 'unknown', 'at_risk', 'safe'];

/** The colour of a level; the level's name is always printed too. */
export function levelColour(level: SafetyLevel): Colour {
  return LEVEL_COLOURS[level];
}
