import type { Fields } from './redact.js';
import { contains, everythingOf } from './subject.js';

export { REDACTED, redactEvent, redactJson, redactPulse, redactState, withoutCredentials } from './redact.js';
export { sampleOf } from './sample.js';

/** What a subscriber may see and do (PROTOCOL.md §4, Grants). */
export interface Grant {
  readonly identity: string;
  /** Patterns; a subscription must be contained in one of them. */
  readonly channels: readonly string[];
  /** `<venue>.<source>:<command>`, each part may be `*`; as command that means the reading ones alone. */
  readonly commands: readonly string[];
  /** `redacted`: personal data appears as `[redacted]`. */
  readonly fields: Fields;
  /** Wall-clock ms since the epoch. */
  readonly expiresAtMs?: number;
}

/** Whether a subscription to `pattern` is contained in one of the grant's channels. */
export function allowsChannel(grant: Grant, pattern: string): boolean {
  return grant.channels.some((outer) => contains(outer, pattern));
}

/** Whether the grant shows a session's state: it must contain all that the session says. */
export function showsSession(grant: Grant, key: string): boolean {
  return allowsChannel(grant, everythingOf(key));
}

/** Whether the grant allows a command of `<venue>.<source>`; one that acts must be named. */
export function allowsCommand(grant: Grant, source: string, command: string, acts: boolean): boolean {
  const [venue = '', id = ''] = source.split('.');
  return grant.commands.some((rule) => {
    // A source's token may hold colons, a command's name never does: the last one ends the source.
    const [, ruleVenue, ruleId, ruleCommand] = /^([^.]+)\.([^.]+):([^:]+)$/.exec(rule) ?? [];
    if (ruleVenue !== '*' && ruleVenue !== venue) return false;
    if (ruleId !== '*' && ruleId !== id) return false;
    return ruleCommand === '*' ? !acts : ruleCommand === command;
  });
}
