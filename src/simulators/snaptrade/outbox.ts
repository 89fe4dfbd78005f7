import type { Json } from '../../model/json.js';
import type { Clock, Random } from '../../net/clock.js';
import type { HttpClient } from '../../net/http.js';
import { createSwitch, type Switch } from '../timers.js';
import { drawUuid } from './ids.js';
import { PARTNER } from './partner.js';
import { payloadOf, type Told, type WebhookSchema } from './payloads.js';
import { dumps } from './python-json.js';
import { webhookSignature } from './signing.js';

/** What is wrong with a webhook that did not come from the vendor. */
export const FORGERIES = ['signature', 'missing', 'tampered', 'unreadable'] as const;
export type Forgery = (typeof FORGERIES)[number];

/**
 * The webhooks: each is signed, sent one after the other, and sent again where it was not taken. The body is what Python
 * writes by itself, with spaces and in its own order; the signature is over the canonical form of the same payload.
 */
export interface Outbox {
  tell(told: Omit<Told, 'at'>): void;
  /** Where webhooks go from now on; undefined: nowhere. */
  url: string | undefined;
  schema: WebhookSchema;
  /** Nothing is sent, and what would have been is never sent. */
  readonly off: Switch;
  /** A repeat has a new `eventTimestamp`; what the vendor does is unknown, and as usual it keeps the first. */
  readonly freshRepeats: Switch;
  /** The next webhook says that it happened so long ago. */
  backdateNext(byMs: number): void;
  /** The next webhook is not what the vendor would send. It is never repeated. */
  forgeNext(how: Forgery): void;
  /** Sends the last webhook once more, byte for byte; where there was none, the next one twice. */
  duplicate(): void;
  /** Keeps so many, and sends them last first. */
  reorderNext(count: number): void;
  state(): Json;
  close(): Promise<void>;
}

interface Delivery {
  readonly told: Told;
  readonly webhookId: string;
  readonly body: string;
  readonly signature: string | undefined;
  readonly repeats: boolean;
  attempt: number;
}

/** Vendor's docs, webhooks: any other status is repeated, three times, the first time after 30 minutes. */
const TAKEN_STATUSES: ReadonlySet<number> = new Set([200, 201, 202, 204]);
const MAX_REPEATS = 3;
const FIRST_REPEAT_MS = 30 * 60_000;
/** How long the vendor waits for an answer is unknown. */
const TIMEOUT_MS = 10_000;
/** What is waiting beyond this is lost. */
const MAX_WAITING = 20_000;

export function createOutbox(options: {
  readonly clock: Clock;
  readonly random: Random;
  readonly http: HttpClient;
  readonly url: string | undefined;
}): Outbox {
  const { clock, random, http } = options;
  const counts = { sent: 0, taken: 0, refused: 0, failed: 0, repeated: 0, givenUp: 0, lost: 0 };
  const byType = new Map<string, number>();
  const statuses = new Map<string, number>();
  const queue: Delivery[] = [];
  const kept: Delivery[] = [];
  const off = createSwitch(clock);
  const freshRepeats = createSwitch(clock);
  let keep = 0;
  let backdateMs = 0;
  let forgery: Forgery | undefined;
  let twice = false;
  let last: Delivery | undefined;
  let sending = false;
  let closed = false;

  const written = (told: Told, webhookId: string): Pick<Delivery, 'body' | 'signature'> => {
    const payload = payloadOf(told, { webhookId, misspelledId: drawUuid(random) }, outbox.schema);
    return { body: dumps(payload), signature: webhookSignature(PARTNER.consumerKey, payload) };
  };

  const make = (told: Told): Delivery => {
    const webhookId = drawUuid(random);
    const genuine = written(told, webhookId);
    const how = forgery;
    forgery = undefined;
    return {
      told,
      webhookId,
      ...(how === undefined ? genuine : forged(genuine, how)),
      repeats: how === undefined,
      attempt: 0,
    };
  };

  const send = async (delivery: Delivery, url: string): Promise<void> => {
    counts.sent += 1;
    byType.set(delivery.told.type, (byType.get(delivery.told.type) ?? 0) + 1);
    const { body, signature } = delivery;
    const status = await http
      .request({
        method: 'POST',
        url,
        headers: {
          'content-type': 'application/json',
          ...(signature === undefined ? {} : { signature }),
        },
        body,
        timeoutMs: TIMEOUT_MS,
      })
      .then(
        (reply) => reply.status,
        () => undefined,
      );
    if (closed) return;
    statuses.set(String(status ?? 'none'), (statuses.get(String(status ?? 'none')) ?? 0) + 1);
    if (status !== undefined && TAKEN_STATUSES.has(status)) {
      counts.taken += 1;
      return;
    }
    if (status === undefined) counts.failed += 1;
    else counts.refused += 1;
    if (!delivery.repeats) return;
    if (delivery.attempt >= MAX_REPEATS) {
      counts.givenUp += 1;
      return;
    }
    clock.setTimer(() => repeat(delivery), FIRST_REPEAT_MS * 2 ** delivery.attempt);
  };

  const repeat = (delivery: Delivery): void => {
    counts.repeated += 1;
    const { told, webhookId } = delivery;
    const again = freshRepeats.isOn ? written({ ...told, at: clock.now() }, webhookId) : {};
    put({ ...delivery, ...again, attempt: delivery.attempt + 1 });
  };

  const put = (delivery: Delivery): void => {
    if (off.isOn || outbox.url === undefined || queue.length >= MAX_WAITING) {
      counts.lost += 1;
      return;
    }
    last = delivery;
    queue.push(delivery);
    if (!sending) void drain();
  };

  const drain = async (): Promise<void> => {
    sending = true;
    for (let next = queue.shift(); next !== undefined && !closed; next = queue.shift()) {
      if (outbox.url === undefined) counts.lost += 1;
      else await send(next, outbox.url);
    }
    sending = false;
  };

  const outbox: Outbox = {
    url: options.url,
    schema: 'api_key',
    off,
    freshRepeats,
    tell(told) {
      const delivery = make({ ...told, at: clock.now() - backdateMs });
      backdateMs = 0;
      if (keep > 0) {
        kept.push(delivery);
        if (kept.length < keep) return;
        keep = 0;
        for (const late of kept.splice(0).reverse()) put(late);
        return;
      }
      put(delivery);
      if (!twice) return;
      twice = false;
      put({ ...delivery });
    },
    backdateNext(byMs) {
      backdateMs = byMs;
    },
    forgeNext(how) {
      forgery = how;
    },
    duplicate() {
      if (last === undefined) twice = true;
      else put({ ...last, attempt: 0 });
    },
    reorderNext(count) {
      keep = count;
    },
    state: () => ({
      to: outbox.url !== undefined,
      schema: outbox.schema,
      ...counts,
      waiting: queue.length,
      kept: kept.length,
      byType: Object.fromEntries(byType),
      statuses: Object.fromEntries(statuses),
    }),
    close() {
      closed = true;
      queue.length = 0;
      return http.close();
    },
  };
  return outbox;
}

const OTHER_KEY = 'NOT-THE-CONSUMER-KEY';

function forged(
  { body, signature }: Pick<Delivery, 'body' | 'signature'>,
  how: Forgery,
): Pick<Delivery, 'body' | 'signature'> {
  switch (how) {
    case 'signature':
      return { body, signature: webhookSignature(OTHER_KEY, { body }) };
    case 'missing':
      return { body, signature: undefined };
    case 'tampered':
      return { body: body.replace(/"eventType": "[A-Z_]+"/, '"eventType": "CONNECTION_DELETED"'), signature };
    case 'unreadable':
      return { body: body.slice(0, body.length / 2), signature };
  }
}
