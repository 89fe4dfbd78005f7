import type { EventType, SessionEvent } from '../model/event.js';

/**
 * The event types that a channel may deliver, read off the text of its pattern: `*.*.*.protection.*` gives
 * `protection.armed | protection.disarmed | …`. A text that is no literal gives every type; one that is no pattern
 * gives none.
 */
export type EventTypeOn<C extends string> = string extends C ? EventType : C extends C ? TypeOf<Tokens<C>> : never;

/** The events that a channel may deliver. */
export type EventOn<C extends string> = SessionEvent<EventTypeOn<C>>;

type Tokens<C extends string> = C extends `${infer Token}.${infer Rest}` ? [Token, ...Tokens<Rest>] : [C];

type TypeOf<T extends readonly string[]> = T extends
  | ['>']
  | [string, '>']
  | [string, string, '>']
  | [string, string, string, '>']
  ? EventType
  : T extends [string, string, string, infer Family extends string, infer Kind extends string]
    ? Extract<EventType, `${Any<Family>}.${Any<Kind>}`>
    : never;

type Any<Token extends string> = Token extends '*' | '>' ? string : Token;
