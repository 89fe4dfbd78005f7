import { setTimeout as sleep } from 'node:timers/promises';
import { z } from 'zod';
import { messageOf } from '../errors.js';
import { addressOf, hasSnapshot, matches } from '../model/subject.js';
import { createRetry } from '../net/retry.js';
import { systemClock } from '../net/timer.js';
import { type Continuity, createContinuity } from './continuity.js';
import { connectRelay, type Notification, RelayRefusal, type RelaySocket, UpgradeRefused } from './socket-client.js';

/**
 * Follows channels of a relay across reconnects and restarts, proving by `previous` that nothing is missing
 * (PROTOCOL.md §4, Continuity): what is missing all the same is said, never passed over.
 */
export interface FollowOptions {
  readonly origin: string;
  readonly token?: string | undefined;
  readonly signal: AbortSignal;
  readonly channels: readonly string[];
  readonly since?: string;
  /** Ask for the present states first. */
  readonly snapshot: boolean;
}

/**
 * What the states that were told are worth. `behind`: a replay runs, they are not up to date yet; `blind`: the relay
 * itself cannot follow; `unreachable`: there is no connection. Only `live` states may be believed (PROTOCOL.md §3).
 */
export type View = 'live' | 'behind' | 'blind' | 'unreachable';

export interface FollowHandlers {
  /** One event as the relay sent it, once, also where several channels carry it; types that we do not know too. */
  event(event: RelayedEvent): void;
  /** One state of a snapshot, as the relay sent it. */
  state(state: unknown): void;
  /** Something that a person watching should read: gaps, reconnects, blindness. */
  note(text: string): void;
  /** The view has changed; it begins `unreachable`. */
  view?(view: View): void;
}

/** What every event has, of whatever version. */
const envelope = z.looseObject({
  id: z.string(),
  subject: z.string(),
  type: z.string(),
  time: z.string(),
  data: z.record(z.string(), z.unknown()),
});
export type RelayedEvent = z.infer<typeof envelope>;
/** The very object that came: every field, in its order. */
const relayedEvent = z.custom<RelayedEvent>((value) => envelope.safeParse(value).success);

const NEW_TOKEN = 'the relay wants a token, or the one given is not good any more: --token or SESSION_RELAY_TOKEN';
/** Endings after which trying again cannot help (PROTOCOL.md §4, Close codes). */
const FINAL_CODES: Readonly<Record<number, string>> = {
  1003: 'the relay refused our frames',
  1007: 'the relay refused our frames',
  1009: 'the relay refused our frames',
  4400: 'the relay refused our frames',
  4401: NEW_TOKEN,
  4403: 'the token does not allow this',
};
const FINAL_STATUSES: ReadonlySet<number> = new Set([401, 403, 404]);
/** Refusals that pass: too many requests, a part that is out of reach, a fault. Every other one is final. */
const PASSING_REFUSALS: ReadonlySet<number> = new Set([4429, 4503, 4504, -32_603]);
/** A connection that loses frames so often is worse than a new one. */
const MAX_RESUBSCRIBES = 5;

const subscribed = z.object({
  channels: z.array(z.object({ channel: z.string(), cursor: z.string(), recovered: z.boolean() })),
});
const notices = {
  subscription: z.object({ channel: z.string(), previous: z.string(), data: relayedEvent }),
  snapshot: z.object({ channel: z.string(), states: z.array(z.unknown()), last: z.boolean(), cursor: z.string() }),
  caught_up: z.object({ channel: z.string(), cursor: z.string() }),
  gap: z.object({ channel: z.string(), from: z.string(), to: z.string() }),
  lag: z.object({ since: z.record(z.string(), z.string()) }),
  unsubscribed: z.object({ channel: z.string(), reason: z.string() }),
  heartbeat: z.object({ cursor: z.string(), last: z.record(z.string(), z.string()) }),
  blind: z.object({ source: z.string().optional() }),
  sighted: z.object({ source: z.string().optional() }),
  draining: z.object({ retryAfterMs: z.number().nonnegative() }),
} as const;

/** Why one connection ended, and what follows from it. */
interface Ending {
  readonly text: string;
  readonly final: boolean;
  readonly retryAfterMs?: number;
}

/** Resolves when `signal` is aborted (`undefined`), or with why following cannot go on. */
export async function follow(options: FollowOptions, handlers: FollowHandlers): Promise<string | undefined> {
  const { signal } = options;
  const retry = createRetry({ clock: systemClock, random: Math.random });
  const continuity = createContinuity(options.channels, { since: options.since, snapshot: options.snapshot });
  let everConnected = false;
  while (!signal.aborted) {
    const ending = await once(options, handlers, continuity, () => {
      everConnected = true;
      retry.healthy();
    });
    if (signal.aborted) break;
    if (ending.final || !everConnected) return ending.text;
    handlers.view?.('unreachable');
    continuity.disconnected();
    retry.ended();
    const { delayMs } = retry.next(ending.retryAfterMs);
    handlers.note(`${ending.text}; trying again in ${Math.ceil(delayMs / 1000)} s`);
    await sleep(delayMs, undefined, { signal }).catch(() => undefined);
  }
  return undefined;
}

/** One connection, from its handshake to its end. */
async function once(
  options: FollowOptions,
  handlers: FollowHandlers,
  continuity: Continuity,
  healthy: () => void,
): Promise<Ending> {
  const { channels, snapshot } = options;
  let relay: RelaySocket | undefined;
  let resubscribes = 0;
  let retryAt: number | undefined;
  let over: Ending | undefined;
  /** Channels that are not up to date yet, and those of them whose `caught_up` is still to come. */
  const behind = new Set<string>();
  const resumed = new Set<string>();
  let blind = false;
  const look = (): void => handlers.view?.(blind ? 'blind' : behind.size > 0 ? 'behind' : 'live');

  const caughtUp = (channel: string): void => {
    behind.delete(channel);
    resumed.delete(channel);
    look();
  };
  const end = (ending: Ending): void => {
    over ??= ending;
    relay?.close();
  };
  const subscribe = async (...asked: readonly string[]): Promise<void> => {
    const terms = asked.map((channel) => {
      continuity.asking(channel);
      const since = continuity.since(channel);
      if (since !== undefined || (snapshot && hasSnapshot(channel))) behind.add(channel);
      return since === undefined ? channel : { channel, since };
    });
    await relay?.request('subscribe', { channels: terms, snapshot }, (reply) => {
      const parsed = subscribed.safeParse(reply);
      if (!parsed.success) return end({ text: 'the relay answered a subscription in a way unknown here', final: true });
      for (const one of parsed.data.channels) {
        if (one.recovered && continuity.since(one.channel) !== undefined) resumed.add(one.channel);
        continuity.subscribed(one.channel, one);
      }
      look();
    });
  };
  const resubscribe = (channel: string): void => {
    resubscribes++;
    if (resubscribes > MAX_RESUBSCRIBES) {
      end({ text: 'frames are missing again and again', final: false });
      return;
    }
    handlers.note(`frames of ${channel} are missing: subscribing again from the last good one`);
    subscribe(channel).catch((thrown: unknown) => end(endingOf(thrown)));
  };

  const take = (channel: string, previous: string, event: RelayedEvent): void => {
    switch (continuity.frame(channel, previous, event.id)) {
      case 'missing':
        resubscribe(channel);
        return;
      case 'next':
        // Overlapping channels carry it more than once: the first that matches tells it.
        if (channels.find((one) => matches(one, addressOf(event))) === channel) handlers.event(event);
        return;
      case 'old':
    }
  };

  const notified = ({ method, params }: Notification): void => {
    const read = <T>(schema: z.ZodType<T>, use: (value: T) => void): void => {
      const parsed = schema.safeParse(params);
      if (parsed.success) use(parsed.data);
    };
    switch (method) {
      case 'subscription':
        return read(notices.subscription, ({ channel, previous, data }) => take(channel, previous, data));
      case 'snapshot':
        return read(notices.snapshot, ({ channel, states, last, cursor }) => {
          for (const state of states) handlers.state(state);
          if (!last) return;
          continuity.snapshotEnded(channel, cursor);
          // Behind the snapshot of a resumed channel comes its replay, whose end is said.
          if (!resumed.has(channel)) caughtUp(channel);
        });
      case 'caught_up':
        return read(notices.caught_up, ({ channel, cursor }) => {
          continuity.caughtUp(channel, cursor);
          caughtUp(channel);
        });
      case 'gap':
        return read(notices.gap, ({ channel, from, to }) => {
          // What follows is a snapshot, whose end is the end of it, or `caught_up`.
          resumed.delete(channel);
          handlers.note(`gap: ${channel}: events after ${from} up to ${to} are lost, the relay no longer holds them`);
        });
      case 'lag':
        return read(notices.lag, ({ since }) => {
          continuity.lagging(since);
          for (const channel of Object.keys(since)) {
            behind.add(channel);
            resumed.add(channel);
          }
          look();
          handlers.note('too slow for the relay: it replays what was left behind');
        });
      case 'heartbeat':
        return read(notices.heartbeat, ({ cursor, last }) => {
          for (const channel of continuity.heartbeat(cursor, last)) resubscribe(channel);
        });
      case 'unsubscribed':
        return read(notices.unsubscribed, ({ channel, reason }) =>
          end({ text: `the relay ended ${channel}: ${reason}`, final: true }),
        );
      case 'blind':
        return read(notices.blind, ({ source }) => {
          blind ||= source === undefined;
          look();
          handlers.note(`blind: the relay cannot see ${source ?? 'its sessions'}: take every level for unknown`);
        });
      case 'sighted':
        return read(notices.sighted, ({ source }) => {
          if (source === undefined) blind = false;
          look();
          handlers.note(`the relay sees ${source ?? 'its sessions'} again`);
        });
      case 'draining':
        return read(notices.draining, ({ retryAfterMs }) => {
          retryAt = performance.now() + retryAfterMs;
        });
    }
  };

  try {
    relay = await connectRelay({ origin: options.origin, token: options.token, signal: options.signal, notified });
  } catch (thrown) {
    return endingOf(thrown);
  }
  try {
    await subscribe(...channels);
    healthy();
  } catch (thrown) {
    end(endingOf(thrown));
  }
  const { code, reason } = await relay.ended;
  if (over?.final === true) return over;
  const final = FINAL_CODES[code];
  if (final !== undefined) return { text: `${final}${reason === '' ? '' : ` (${reason})`}`, final: true };
  const text = over?.text ?? `the connection ended with ${code}${reason === '' ? '' : `: ${reason}`}`;
  return { text, final: false, ...(retryAt === undefined ? {} : { retryAfterMs: retryAt - performance.now() }) };
}

function endingOf(thrown: unknown): Ending {
  const text = messageOf(thrown);
  if (thrown instanceof UpgradeRefused) {
    const { status, retryAfterMs } = thrown;
    return {
      text: status === 401 ? `${text}: ${NEW_TOKEN}` : text,
      final: FINAL_STATUSES.has(status),
      ...(retryAfterMs === undefined ? {} : { retryAfterMs }),
    };
  }
  if (!(thrown instanceof RelayRefusal)) return { text, final: false };
  const { rpcCode } = thrown;
  if (rpcCode === 4401) return { text: NEW_TOKEN, final: true };
  return { text: `the relay refused: ${text} (${rpcCode})`, final: !PASSING_REFUSALS.has(rpcCode) };
}
