import type { Grant } from '../model/grant.js';
import { hasSnapshot } from '../model/subject.js';

/**
 * Which sessions of a channel a grant shows the states of (PROTOCOL.md §4: only those whose `<key>.>` it contains). A
 * channel that names no type is contained in a pattern that names none, so that all its sessions are shown; one that
 * names a type may show some of them, or none.
 */
export interface StatesView {
  /** Equal for grants that show the same sessions of the channel. */
  readonly id: string;
  /** Whether the state of a session that the channel covers is shown. */
  shows(key: string): boolean;
}

const KEY_TOKENS = 3;
type KeyPattern = readonly string[];

export function viewOf(grant: Grant, channel: string): StatesView {
  const scope = keysOf(channel);
  const shown = new Map<string, KeyPattern>();
  for (const outer of grant.channels) {
    const met = hasSnapshot(outer) ? meet(keysOf(outer), scope) : undefined;
    if (met !== undefined) shown.set(met.join('.'), met);
  }
  const all = [...shown.values()];
  const widest = all.filter((one) => !all.some((other) => other !== one && covers(other, one)));
  return {
    id: widest
      .map((one) => one.join('.'))
      .toSorted()
      .join(' '),
    shows(key) {
      const tokens = key.split('.');
      return widest.some((one) => covers(one, tokens));
    },
  };
}

/** The pattern under which a channel's sessions are told to be gone, whatever types it names itself. */
export function removalsOf(channel: string): string {
  return [...keysOf(channel), 'session', 'removed'].join('.');
}

/** The part of a pattern that is about session keys. */
function keysOf(pattern: string): KeyPattern {
  const tokens = pattern.split('.');
  if (tokens.at(-1) === '>') tokens.pop();
  return Array.from({ length: KEY_TOKENS }, (_, index) => tokens[index] ?? '*');
}

/** What is of both; `undefined` where nothing is. */
function meet(a: KeyPattern, b: KeyPattern): KeyPattern | undefined {
  const met = a.map((token, index) => {
    const other = b[index] ?? '*';
    return token === '*' ? other : other === '*' || other === token ? token : undefined;
  });
  return met.every((token) => token !== undefined) ? met : undefined;
}

function covers(wide: KeyPattern, narrow: KeyPattern): boolean {
  return wide.every((token, index) => token === '*' || token === narrow[index]);
}
