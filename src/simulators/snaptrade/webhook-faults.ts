import { z } from 'zod';
import { jsonObject } from '../../model/json.js';
import { type Fault, faultWith, forMs, milliseconds } from '../faults.js';
import { FORGERIES } from './outbox.js';
import { WEBHOOK_SCHEMAS, WEBHOOK_TYPES } from './payloads.js';
import type { Platform } from './platform.js';
import { connectionNamed, target, userNamed } from './targets.js';

/** Twice what the vendor's docs let pass. */
const DEFAULT_AGE_MS = 600_000;
const MAX_KEPT = 100;

/** What can go wrong with webhooks. */
export function webhookFaults(platform: Platform): { readonly [name: string]: Fault } {
  const { outbox } = platform;
  return {
    webhook: faultWith(
      "A webhook of any type is sent, though nothing has happened; about the customer's oldest connection, where none is named.",
      z.strictObject({
        ...target,
        type: z.enum(WEBHOOK_TYPES),
        more: jsonObject.optional(),
        details: jsonObject.optional(),
      }),
      (params) => {
        const { type, more, details } = params;
        if (params.connection !== undefined) {
          const connection = connectionNamed(platform, params, () => undefined);
          return outbox.tell({ type, user: connection.user, connection, more, details });
        }
        const user = userNamed(platform, params.user);
        outbox.tell({ type, user, connection: platform.connections.of(user)[0], more, details });
      },
    ),
    duplicate_webhook: {
      summary: 'The last webhook is sent once more, byte for byte; where there was none, the next one comes twice.',
      run: () => outbox.duplicate(),
    },
    late_webhook: faultWith(
      'The next webhook says that it happened `ageMs` ago; its signature is right.',
      z.strictObject({ ageMs: milliseconds.default(DEFAULT_AGE_MS) }),
      (params) => outbox.backdateNext(params.ageMs),
    ),
    bad_webhook: faultWith(
      'The next webhook has a signature of another key, none, a body that was changed, or half of one.',
      z.strictObject({ how: z.enum(FORGERIES).default('signature') }),
      (params) => outbox.forgeNext(params.how),
    ),
    reordered_webhooks: faultWith(
      'The next webhooks are kept until there are `count` of them, and are sent last first.',
      z.strictObject({ count: z.number().int().min(2).max(MAX_KEPT).default(2) }),
      (params) => outbox.reorderNext(params.count),
    ),
    webhooks_off: faultWith(
      'Webhooks are lost; for ever, unless `forMs` says how long (0 ends it).',
      z.strictObject({ forMs }),
      (params) => outbox.off.on(params.forMs),
    ),
    fresh_repeats: faultWith(
      'A repeated webhook says that it happened just now; for ever, unless `forMs` says how long (0 ends it).',
      z.strictObject({ forMs }),
      (params) => outbox.freshRepeats.on(params.forMs),
    ),
    webhook_schema: faultWith(
      'Webhooks are those of an API key or those of an OAuth application.',
      z.strictObject({ schema: z.enum(WEBHOOK_SCHEMAS) }),
      (params) => {
        outbox.schema = params.schema;
      },
    ),
    webhook_url: faultWith(
      'Webhooks go to this URL from now on; nowhere, where there is none.',
      z.strictObject({ url: z.url({ protocol: /^https?$/ }).optional() }),
      (params) => {
        outbox.url = params.url;
      },
    ),
  };
}
