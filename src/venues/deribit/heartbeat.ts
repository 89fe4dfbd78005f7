import { VenueError } from '../../errors.js';
import type { EventData, EventType } from '../../model/event.js';
import type { Json } from '../../model/json.js';
import type { Clock } from '../../net/clock.js';
import { createLiveness, type Liveness } from '../../net/liveness.js';
import type { Connection } from './connection.js';
import { failureOf } from './failures.js';
import { METHOD, timeOf } from './messages.js';

/**
 * The venue's heartbeat, and the watch for silence. Both belong to a connection: every new one begins without a
 * heartbeat, so it is asked for again each time, before anything else.
 */
export interface Heartbeat {
  /** A connection opened: silence is watched from now on, and the heartbeat asked for. */
  attach(connection: Connection): void;
  detach(): void;
  /** A frame arrived, of any kind. */
  seen(): void;
  /** The venue wants to know whether anybody is there: answered at once, ahead of everything else. */
  answer(): void;
  /** The reply to public/test. */
  beat(roundTripMs: number, sentAtMs: number | undefined): void;
  /** Sets it anew, by a command; 0: off. Rejects as the venue's answer says, and then nothing has changed. */
  set(connection: Connection, seconds: number): Promise<Json>;
  /** What is asked for after each connect, in seconds; 0: none. */
  wish: number;
}

export interface HeartbeatOptions {
  readonly clock: Clock;
  readonly wish: number;
  readonly tell: <T extends EventType>(type: T, data: EventData<T>) => void;
  /** The venue refused the configured interval. */
  readonly refused: (seconds: number) => void;
  /** Silent, asked, and no answer: the socket is dead. */
  readonly dead: (silentMs: number) => void;
}

const AGAIN_MS = 5_000;
/** Signs of life that wait for their answers: a venue that asks for more has them all on the way already. */
export const MAX_UNANSWERED_TESTS = 16;

export function createHeartbeat(options: HeartbeatOptions): Heartbeat {
  const { clock, tell } = options;
  let liveness: Liveness | undefined;
  let attached: Connection | undefined;
  let wish = options.wish;

  let unanswered = 0;
  const sayTest = (): void => {
    if (attached === undefined || unanswered >= MAX_UNANSWERED_TESTS) return;
    unanswered++;
    const over = (): void => void unanswered--;
    attached.say(METHOD.test, {}).then(over, over); // what it says is seen among the frames
  };
  const send = (connection: Connection, seconds: number): Promise<Json> =>
    seconds === 0
      ? connection.say(METHOD.disableHeartbeat, {})
      : connection.say(METHOD.setHeartbeat, { interval: seconds });
  const took = (connection: Connection, seconds: number): void => {
    if (attached !== connection) return;
    liveness?.arm(seconds === 0 ? null : seconds * 1_000);
    if (seconds === 0) tell('heartbeat.disarmed', {});
    else tell('heartbeat.armed', { intervalMs: seconds * 1_000 });
  };

  /** Asks until it is answered: a connection without a heartbeat is dropped by the venue's edge after a minute. */
  const arm = async (connection: Connection): Promise<void> => {
    while (connection.isLive) {
      const seconds = wish;
      // A new connection has none: only what is wanted needs to be said.
      if (seconds === 0) return took(connection, 0);
      try {
        await send(connection, seconds);
        if (wish === seconds) return took(connection, seconds);
      } catch (thrown) {
        if (!connection.isLive) return;
        if (thrown instanceof VenueError && failureOf(thrown) === 'refused') {
          options.refused(seconds);
          return took(connection, 0);
        }
        await connection.pause(AGAIN_MS);
      }
    }
  };

  return {
    attach(connection) {
      attached = connection;
      liveness = createLiveness({
        clock,
        ask: sayTest,
        missed: (info) => tell('heartbeat.missed', info),
        resumed: (info) => tell('heartbeat.resumed', info),
        dead: ({ silentMs }) => options.dead(silentMs),
      });
      void arm(connection);
    },
    detach() {
      liveness?.stop();
      liveness = undefined;
      attached = undefined;
    },
    seen: () => liveness?.seen(),
    answer: sayTest,
    beat(roundTripMs, sentAtMs) {
      const venueTime = sentAtMs === undefined ? undefined : timeOf(sentAtMs);
      tell('heartbeat.pulse', {
        rttMs: Math.round(roundTripMs),
        ...(venueTime === undefined ? {} : { venueTime }),
      });
    },
    async set(connection, seconds) {
      const answer = await send(connection, seconds);
      wish = seconds;
      took(connection, seconds);
      return answer;
    },
    get wish() {
      return wish;
    },
    set wish(seconds) {
      wish = seconds;
    },
  };
}
