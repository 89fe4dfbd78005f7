import { z } from 'zod';

/** What a relay sends, as the harness tells it apart. */
export type WireMessage =
  | { readonly kind: 'event'; readonly channel: string; readonly previous: string; readonly id: string }
  | { readonly kind: 'pulse' }
  | {
      readonly kind: 'reply';
      readonly id: number;
      readonly result?: unknown;
      readonly error?: { readonly code: number; readonly message: string };
    }
  | { readonly kind: 'notice'; readonly method: string; readonly params: unknown };

/**
 * An event frame as this relay spells it, read without parsing the event: of a million frames most need no more than
 * this. Anchored at the beginning, so that nothing inside an event can look like it; any other spelling is parsed.
 */
const EVENT_HEAD =
  /^\{"jsonrpc":"2\.0","method":"subscription","params":\{"channel":"([^"\\]+)","previous":"(\d+-\d+)","data":\{"id":"(\d+-\d+)"/;

const spoken = z.looseObject({
  jsonrpc: z.literal('2.0'),
  id: z.union([z.number(), z.null()]).optional(),
  method: z.string().optional(),
  params: z.unknown().optional(),
  result: z.unknown().optional(),
  error: z.looseObject({ code: z.number(), message: z.string() }).optional(),
});
const eventParams = z.looseObject({
  channel: z.string(),
  previous: z.string(),
  data: z.looseObject({ id: z.string() }),
});
const pulseParams = z.looseObject({ channel: z.string(), pulse: z.literal(true) });

/** Throws where it is no message of the protocol. */
export function readMessage(text: string): WireMessage {
  const [, channel, previous, id] = EVENT_HEAD.exec(text) ?? [];
  if (channel !== undefined && previous !== undefined && id !== undefined)
    return { kind: 'event', channel, previous, id };
  const message = spoken.parse(JSON.parse(text));
  if (message.method === undefined) {
    const { result, error } = message;
    return { kind: 'reply', id: message.id ?? -1, result, ...(error === undefined ? {} : { error }) };
  }
  if (message.method !== 'subscription') return { kind: 'notice', method: message.method, params: message.params };
  if (pulseParams.safeParse(message.params).success) return { kind: 'pulse' };
  const { data, ...rest } = eventParams.parse(message.params);
  return { kind: 'event', channel: rest.channel, previous: rest.previous, id: data.id };
}
