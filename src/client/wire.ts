import type { SessionRelayError } from '../errors.js';
import type { Pulse, SessionEvent } from '../model/event.js';
import { hasSnapshot } from '../model/subject.js';
import type { Book } from './book.js';
import { type Chain, createChain } from './chain.js';
import type { Gap, View } from './status.js';

/** Whoever listens to a channel. None of its functions throws. */
export interface Listener {
  /** Single events, each; else the newest states do (states mode). */
  readonly events?: boolean;
  readonly states?: boolean;
  readonly pulses?: boolean;
  event?(event: SessionEvent): void;
  pulse?(pulse: Pulse): void;
  /** Events of this stretch will never come. */
  lost?(gap: Gap): void;
  /** The relay has answered: from here on the channel's chain of cursors is unbroken, or says that it broke. */
  begun?(): void;
  /** The states or the view may have changed. */
  changed?(): void;
  /** The relay does not serve it. Whoever stays is served once it does. */
  refused?(error: SessionRelayError): void;
}

/** One channel, as its listeners see it. */
export interface Channel {
  readonly name: string;
  readonly view: View;
  readonly book: Book | undefined;
  readonly refused: SessionRelayError | undefined;
  /** It is subscribed on the present connection, and the relay has answered. */
  readonly isBegun: boolean;
  /** `<venue>.<source>` of what the relay cannot see at the moment, beside what `view` says. */
  readonly blindSources: ReadonlySet<string>;
}

/** On what terms a channel is subscribed. */
export interface Terms {
  readonly states: boolean;
  readonly pulses: boolean;
  readonly snapshot: boolean;
}

/** One channel, as the client keeps it. */
export interface Wire extends Channel {
  view: View;
  book: Book | undefined;
  refused: SessionRelayError | undefined;
  readonly listeners: Set<Listener>;
  readonly chain: Chain;
  /** The terms of this connection's last `subscribe`, and which one it was. */
  asked: { readonly terms: Terms; readonly number: number } | undefined;
  /** When frames of it were missing. */
  losses: readonly number[];
}

export function createWire(name: string, blindSources: ReadonlySet<string>, view: View): Wire {
  const chain = createChain(hasSnapshot(name));
  return {
    name,
    view,
    book: undefined,
    refused: undefined,
    blindSources,
    listeners: new Set(),
    chain,
    get isBegun() {
      return chain.phase === 'replaying' || chain.phase === 'live';
    },
    asked: undefined,
    losses: [],
  };
}

/** Calls each that listens, also where one leaves meanwhile. */
export function tell({ listeners }: Wire, task: (listener: Listener) => void): void {
  for (const listener of [...listeners]) if (listeners.has(listener)) task(listener);
}
