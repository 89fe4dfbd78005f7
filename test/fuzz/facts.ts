import { type Fact, sessionEvent } from '../../src/model/event.js';
import { fold } from '../../src/model/fold.js';
import type { State } from '../../src/model/session.js';
import { state as stateSchema } from '../../src/model/state-schema.js';
import { sessionKey } from '../../src/model/subject.js';
import { eventOf } from '../support/events.js';

/** The longest sample of something that was not understood (PROTOCOL.md §2, `source.fault`). */
const MAX_SAMPLE = 256;
/** No text of an event is longer: a venue does not decide how much the journal holds. */
const MAX_TEXT = 4_096;

/** Takes in facts as a journal and a subscriber would, and throws where either could not. */
export interface FactCheck {
  take(facts: readonly Fact[]): void;
  /** How many facts came. */
  readonly count: number;
}

/** `secrets`: what no fact may hold. */
export function createFactCheck(venue: string, secrets: readonly string[] = []): FactCheck {
  const states = new Map<string, State | undefined>();
  let count = 0;
  return {
    get count() {
      return count;
    },
    take(facts) {
      for (const fact of facts) {
        count++;
        const subject = sessionKey(venue, fact.source, fact.session);
        const event = eventOf(fact.type, fact.data as never, { subject, offset: count });
        const text = JSON.stringify(event);
        const parsed = sessionEvent.safeParse(JSON.parse(text));
        if (!parsed.success) throw new Error(`no event: ${text.slice(0, 500)}: ${parsed.error.message.slice(0, 300)}`);
        for (const secret of secrets) if (text.includes(secret)) throw new Error(`a secret in ${text.slice(0, 500)}`);
        if (fact.type === 'source.fault' && (fact.data.sample ?? '').length > MAX_SAMPLE)
          throw new Error(`a sample of ${fact.data.sample?.length} characters`);
        mustBeShort(fact.data, fact.type);
        if (fact.type === 'heartbeat.pulse') continue;
        const after = fold(states.get(subject), event);
        if (after !== undefined && !stateSchema.safeParse(JSON.parse(JSON.stringify(after))).success)
          throw new Error(`no state: ${JSON.stringify(after).slice(0, 800)}`);
        states.set(subject, after);
      }
    },
  };
}

function mustBeShort(value: unknown, type: string): void {
  if (typeof value === 'string') {
    if (value.length > MAX_TEXT) throw new Error(`a text of ${value.length} characters in ${type}`);
    return;
  }
  if (typeof value !== 'object' || value === null) return;
  for (const [name, inner] of Object.entries(value)) {
    if (name.length > MAX_TEXT) throw new Error(`a name of ${name.length} characters in ${type}`);
    mustBeShort(inner, type);
  }
}

/** How much a mapper holds, in characters of JSON: maps and sets by their content. */
export function sizeOf(state: unknown): number {
  return JSON.stringify(state, (_name, value: unknown) =>
    value instanceof Map ? [...value] : value instanceof Set ? [...value] : value,
  ).length;
}
