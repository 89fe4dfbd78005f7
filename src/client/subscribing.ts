import { SessionRelayError } from '../errors.js';
import type { Clock, Timer } from '../net/clock.js';
import type { LostStretch } from './chain.js';
import { errorOf, retryAfterOf } from './endings.js';
import { cursor } from './event-shape.js';
import type { Reply, RpcError } from './frames.js';
import type { Line } from './line.js';
import { boolean, list, shape, string } from './shape.js';
import type { ClientNotice } from './status.js';
import { type Terms, tell, type Wire } from './wire.js';

/**
 * Brings the relay's subscriptions into line with what is listened to: a few requests for many channels, once a turn.
 * One subscription a channel a connection; to ask again replaces it (PROTOCOL.md §4, `subscribe`).
 */
export interface Subscribing {
  /** Something is wanted, or is not wanted any more. */
  schedule(): void;
  online(line: Line, maxChannels: number): void;
  offline(): void;
}

export interface SubscribingOptions {
  readonly wires: Map<string, Wire>;
  readonly clock: Clock;
  readonly report: (notice: ClientNotice) => void;
  readonly changed: () => void;
  /** The channel's view may have changed. */
  readonly touch: (wire: Wire) => void;
  readonly lost: (wire: Wire, stretch: LostStretch) => void;
}

/** One request names no more than this, so that the longest channels stay well below the relay's `maxPayloadBytes`. */
const REQUEST_CHANNELS = 32;
const ASK_AGAIN_MS = 1_000;

const isSubscribed = shape({ channels: list(shape({ channel: string, cursor, recovered: boolean })) });

export function createSubscribing(options: SubscribingOptions): Subscribing {
  const { wires, clock, report, changed, touch, lost: tellLost } = options;
  let line: Line | undefined;
  let maxChannels = Number.POSITIVE_INFINITY;
  let flushing = false;
  let later: Timer | undefined;
  let requests = 0;

  const schedule = (): void => {
    // The relay said to wait: all that is asked for waits.
    if (flushing || later !== undefined) return;
    flushing = true;
    queueMicrotask(() => {
      flushing = false;
      flush();
    });
  };
  const askLater = (afterMs: number): void => {
    later ??= clock.setTimer(() => {
      later = undefined;
      schedule();
    }, afterMs);
  };

  const wanted = (wire: Wire): Terms => {
    const all = [...wire.listeners];
    return {
      states: !all.some(({ events }) => events),
      pulses: all.some(({ pulses }) => pulses === true),
      snapshot: wire.book?.complete === false,
    };
  };
  /**
   * Whether what was asked for on this connection does not give what is wanted now. Whoever waits for an answer has
   * first to know where it begins: events between two beginnings would be lost.
   */
  const isShort = ({ asked, chain: { phase } }: Wire, { states, pulses, snapshot }: Terms): boolean => {
    if (asked === undefined) return true;
    const { terms } = asked;
    return (
      phase !== 'asked' && ((terms.states && !states) || (!terms.pulses && pulses) || (!terms.snapshot && snapshot))
    );
  };

  const flush = (): void => {
    const unused = [...wires.values()].filter(({ listeners }) => listeners.size === 0);
    if (unused.length > 0) {
      for (const { name } of unused) wires.delete(name);
      // There is room again.
      for (const wire of wires.values()) if (wire.refused?.code === 'rate_limited') wire.refused = undefined;
      changed();
    }
    if (line === undefined) return;
    const ended = unused.filter(({ asked }) => asked !== undefined).map(({ name }) => name);
    for (const channels of portions(ended)) line.ask('unsubscribe', { channels }, () => undefined);
    const groups = new Map<string, { readonly terms: Terms; readonly wires: Wire[] }>();
    let room = maxChannels - [...wires.values()].filter(({ asked }) => asked !== undefined).length;
    for (const wire of [...wires.values()]) {
      const terms = wanted(wire);
      if (wire.refused !== undefined || !isShort(wire, terms)) continue;
      if (wire.asked === undefined && --room < 0) {
        refuse(
          wire,
          new SessionRelayError('rate_limited', `the relay serves at most ${maxChannels} channels a connection`),
        );
        continue;
      }
      const id = JSON.stringify(terms);
      const group = groups.get(id) ?? { terms, wires: [] };
      groups.set(id, group);
      group.wires.push(wire);
    }
    for (const { terms, wires: some } of groups.values())
      for (const portion of portions(some)) subscribe(portion, terms);
  };

  const subscribe = (some: readonly Wire[], terms: Terms): void => {
    const number = ++requests;
    const channels = some.map((wire) => {
      const { name, chain } = wire;
      const { since } = chain;
      chain.asked({ since, snapshot: terms.snapshot });
      wire.asked = { terms, number };
      if (terms.snapshot) wire.book?.expectSnapshot();
      touch(wire);
      return since === undefined ? name : { channel: name, since };
    });
    const { snapshot, states, pulses } = terms;
    const params = { channels, snapshot, ...(pulses ? { pulses } : {}), ...(states ? { mode: 'states' } : {}) };
    line?.ask('subscribe', params, (reply) => {
      // What was asked for again since, or is not wanted any more, waits for its own reply.
      subscribed(
        some.filter((wire) => wire.asked?.number === number && wires.get(wire.name) === wire),
        reply,
      );
    });
  };

  const subscribed = (some: readonly Wire[], reply: Reply): void => {
    if (!reply.ok) return notSubscribed(some, reply.error);
    const answers = isSubscribed(reply.result) ? reply.result.channels : [];
    for (const wire of some) {
      const answer = answers.find(({ channel }) => channel === wire.name);
      if (answer === undefined) {
        const what = 'a subscribe reply that cannot be used';
        report({ kind: 'fault', what });
        line?.drop(what);
        return undefined;
      }
      const lost = wire.chain.answered(answer);
      if (lost !== undefined) tellLost(wire, lost);
      touch(wire);
      tell(wire, (listener) => listener.begun?.());
    }
    return schedule();
  };

  const notSubscribed = (some: readonly Wire[], error: RpcError): void => {
    const { channel } = error.data;
    // All or nothing: the others are asked for again without the one that is not allowed.
    const named = some.filter(({ name }) => name === channel);
    const final = error.code === 4403 || error.code === -32_602;
    for (const wire of some) {
      wire.asked = undefined;
      wire.chain.ended();
      if (final && (named.length === 0 || named.includes(wire))) refuse(wire, errorOf(error));
    }
    if (final) schedule();
    else askLater(retryAfterOf(error, ASK_AGAIN_MS));
  };

  const refuse = (wire: Wire, error: SessionRelayError): void => {
    wire.refused = error;
    report({ kind: 'refused', channel: wire.name, error });
    touch(wire);
    tell(wire, (listener) => listener.refused?.(error));
  };

  return {
    schedule,
    online(next, most) {
      line = next;
      maxChannels = most;
      flush();
    },
    offline() {
      line = undefined;
      later?.cancel();
      later = undefined;
    },
  };
}

function portions<T>(all: readonly T[]): readonly (readonly T[])[] {
  const parts: T[][] = [];
  for (let from = 0; from < all.length; from += REQUEST_CHANNELS) parts.push(all.slice(from, from + REQUEST_CHANNELS));
  return parts;
}
