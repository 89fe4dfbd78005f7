import { SessionRelayError } from '../../errors.js';
import type { Json } from '../../model/json.js';
import type { Clock } from '../../net/clock.js';
import { createJsonRpc, type Incoming } from '../../net/json-rpc.js';
import type { Outbound } from './outbound.js';

/** One opened socket, as what is asked over it sees it. One a generation: nothing of an older one can reach it. */
export interface Connection {
  readonly generation: number;
  readonly isLive: boolean;
  /** A request of the feed's own: waits for credits. Rejects like {@link JsonRpc.call}. */
  ask(method: string, params?: Json): Promise<Json>;
  /** A caller's request: refused with `rate_limited` where credits are spent, rather than sent late behind its back. */
  request(method: string, params?: Json): Promise<Json>;
  /** Beyond the budget: what keeps the connection alive, or ends it in order. */
  say(method: string, params?: Json): Promise<Json>;
  /** Waits, or until it ends; the answer says whether it is live still. */
  pause(ms: number): Promise<boolean>;
  /** Takes one inbound text. */
  accept(text: string): Incoming;
  /** The socket has ended. */
  end(why: string): void;
}

export function createConnection(options: {
  readonly clock: Clock;
  readonly outbound: Outbound;
  readonly generation: number;
  readonly send: (text: string) => void;
}): Connection {
  const { clock, outbound, generation, send } = options;
  const rpc = createJsonRpc({ clock, send });
  let isLive = true;
  const pauses = new Set<() => void>();

  const pause = (ms: number): Promise<boolean> =>
    new Promise((resolve) => {
      const over = (): void => {
        timer.cancel();
        pauses.delete(over);
        resolve(isLive);
      };
      const timer = clock.setTimer(over, isLive ? ms : 0);
      pauses.add(over);
    });

  return {
    generation,
    get isLive() {
      return isLive;
    },
    async ask(method, params) {
      for (let waitMs = outbound.take(method); waitMs > 0; waitMs = outbound.take(method)) {
        if (!(await pause(waitMs))) break;
      }
      return rpc.call(method, params);
    },
    async request(method, params) {
      const retryAfterMs = outbound.take(method);
      if (retryAfterMs > 0) {
        throw new SessionRelayError('rate_limited', `${method} was not sent: no credits for ${retryAfterMs} ms`, {
          data: { retryAfterMs },
        });
      }
      return rpc.call(method, params);
    },
    say: (method, params) => rpc.call(method, params, { urgent: true }),
    pause,
    accept: (text) => rpc.accept(text),
    end(why) {
      isLive = false;
      rpc.close(why);
      for (const over of pauses) over();
    },
  };
}
