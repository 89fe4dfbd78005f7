import { z } from 'zod';
import type { Bus } from '../bus/bus.js';
import type { Edge } from '../edge/edge.js';
import type { Place } from '../edge/places.js';
import { cursor, forbiddenChannel, pattern } from '../edge/queries.js';
import { parseParams } from '../edge/request.js';
import { allowsChannel, type Grant } from '../model/grant.js';
import type { Clock } from '../net/clock.js';
import type { Log } from '../net/log.js';
import { createEventStream } from './sse.js';
import type { TicketDesk } from './tickets.js';

/** Patterns of one event stream. */
const MAX_STREAM_CHANNELS = 256;
const streamParams = z.strictObject({
  channels: z.array(pattern).min(1, 'name at least one channel').max(MAX_STREAM_CHANNELS),
  since: cursor.optional(),
  ticket: z.string().max(128).optional(),
});
/** `Last-Event-ID` is named as the header in what is said of it. */
const resumeParams = z.strictObject({ 'last-event-id': cursor });

export interface StreamRouteOptions {
  readonly bus: Bus;
  readonly edge: Edge;
  readonly tickets: TicketDesk;
  readonly clock: Clock;
  readonly log: Log;
  /** Rejects with `unauthenticated`. */
  readonly grantOf: (headers: Readonly<Record<string, string>>) => Promise<Grant>;
  /** What the credentials behind a ticket's grant are worth now. Rejects with `unauthenticated`. */
  readonly renewed: (grant: Grant) => Promise<Grant>;
}

/** `GET /v1/stream`, with credentials, or with a ticket in their place: an EventSource can send none. */
export function createStreamRoute(
  options: StreamRouteOptions,
): (request: Request, url: URL, remoteAddress: string) => Promise<Response> {
  const { bus, edge, tickets, clock, log, grantOf, renewed } = options;
  return async (request, url, remoteAddress) => {
    const asked = parseParams(streamParams, {
      channels: url.searchParams.getAll('channel'),
      ...Object.fromEntries([...url.searchParams].filter(([name]) => name !== 'channel')),
    });
    const lastEventId = request.headers.get('last-event-id') ?? '';
    const since =
      lastEventId === '' ? asked.since : parseParams(resumeParams, { 'last-event-id': lastEventId })['last-event-id'];
    const redeemed =
      asked.ticket === undefined ? undefined : await tickets.redeem(asked.ticket, { resumes: lastEventId !== '' });
    let isOpen = false;
    try {
      const grant =
        redeemed === undefined ? await grantOf(Object.fromEntries(request.headers)) : await renewed(redeemed.grant);
      const channels = [...new Set(asked.channels)];
      for (const channel of channels) if (!allowsChannel(grant, channel)) throw forbiddenChannel(channel);
      let place: Pick<Place, 'give'> | undefined;
      let isEnded = false;
      const events = await createEventStream({
        bus,
        journal: edge.journal,
        position: edge.position,
        channels,
        grant,
        since,
        clock,
        stallMs: edge.limits.stallMs,
        log,
        ended() {
          isEnded = true;
          place?.give();
          redeemed?.release();
        },
      });
      try {
        place = await edge.takePlace({ remoteAddress, grant }, events);
        if (isEnded) place.give();
      } catch (thrown) {
        events.end();
        throw thrown;
      }
      isOpen = true;
      redeemed?.endWith(() => events.end());
      const headers = { 'content-type': 'text/event-stream', 'cache-control': 'no-store', 'x-accel-buffering': 'no' };
      return new Response(events.body, { status: 200, headers });
    } finally {
      if (!isOpen) redeemed?.release();
    }
  };
}
