import { createHash, randomBytes } from 'node:crypto';
import { SessionRelayError } from '../errors.js';
import type { Grant } from '../model/grant.js';
import type { Clock } from '../net/clock.js';

/**
 * Tickets (PROTOCOL.md §5): what a browser's EventSource shows in place of credentials, which it cannot send. One names
 * one grant. It is known by its digest, in memory alone: a ticket in a proxy's log is worth nothing 60 s after its last
 * stream has ended.
 */
export interface Tickets extends TicketDesk {
  issue(grant: Grant): IssuedTicket;
  /**
   * The grant of a ticket, for a stream: the first within 30 s; again only to resume, within 60 s of the last end. Never
   * beside another: a stream that it resumes and that has not ended, as far as the relay knows, ends now. Throws
   * `unauthenticated`.
   */
  redeem(ticket: string, how: { readonly resumes: boolean }): Redeemed;
}

/** Where tickets are kept: here, or in another thread of the relay, whose answers take a moment. */
export interface TicketDesk {
  issue(grant: Grant): IssuedTicket | Promise<IssuedTicket>;
  redeem(ticket: string, how: { readonly resumes: boolean }): Redeemed | Promise<Redeemed>;
}

export interface IssuedTicket {
  readonly ticket: string;
  readonly redeemWithinMs: number;
}

export interface Redeemed {
  readonly grant: Grant;
  /** How to end the stream once another takes over from it; at once where one has. */
  readonly endWith: (end: () => void) => void;
  /** The stream has ended. */
  readonly release: () => void;
}

export const REDEEM_WITHIN_MS = 30_000;
export const RECONNECT_WITHIN_MS = 60_000;
/** Tickets at once, of everybody and of one identity; beyond it none is issued. */
export const MAX_TICKETS = 10_000;
export const MAX_TICKETS_PER_IDENTITY = 1_000;
const TICKET_BYTES = 32;

interface Ticket {
  readonly grant: Grant;
  /** On the monotonic clock; `undefined` while a stream uses it. */
  goodUntil: number | undefined;
  redeemed: boolean;
  /** Which use of it: a stream that was taken over has nothing to release. */
  use: number;
  end: (() => void) | undefined;
}

export function createTickets(clock: Clock, random: (bytes: number) => Buffer = randomBytes): Tickets {
  const tickets = new Map<string, Ticket>();
  const digest = (ticket: string): string => createHash('sha256').update(ticket).digest('base64url');
  const isOver = ({ grant, goodUntil }: Ticket): boolean =>
    (goodUntil !== undefined && clock.monotonic() > goodUntil) ||
    (grant.expiresAtMs !== undefined && clock.now() >= grant.expiresAtMs);
  const counts = new Map<string, number>();
  const countOf = ({ identity }: Grant): number => counts.get(identity) ?? 0;
  const forget = (name: string): void => {
    const ticket = tickets.get(name);
    if (ticket === undefined) return;
    tickets.delete(name);
    const left = countOf(ticket.grant) - 1;
    if (left > 0) counts.set(ticket.grant.identity, left);
    else counts.delete(ticket.grant.identity);
  };
  const isFull = (grant: Grant): boolean => tickets.size >= MAX_TICKETS || countOf(grant) >= MAX_TICKETS_PER_IDENTITY;
  const sweep = (): void => {
    for (const [name, ticket] of tickets) if (isOver(ticket)) forget(name);
  };

  return {
    issue(grant) {
      if (isFull(grant)) sweep();
      if (isFull(grant))
        throw new SessionRelayError('rate_limited', 'too many tickets are open', {
          data: { retryAfterMs: REDEEM_WITHIN_MS },
        });
      counts.set(grant.identity, countOf(grant) + 1);
      const ticket = random(TICKET_BYTES).toString('base64url');
      tickets.set(digest(ticket), {
        grant,
        goodUntil: clock.monotonic() + REDEEM_WITHIN_MS,
        redeemed: false,
        use: 0,
        end: undefined,
      });
      return { ticket, redeemWithinMs: REDEEM_WITHIN_MS };
    },
    redeem(text, { resumes }) {
      const name = digest(text);
      const ticket = tickets.get(name);
      if (ticket === undefined || isOver(ticket)) {
        forget(name);
        throw new SessionRelayError('unauthenticated', 'the ticket is not good, or not any more: ask for a new one');
      }
      if (ticket.redeemed && !resumes)
        throw new SessionRelayError('unauthenticated', 'the ticket was redeemed: it is good for resuming only');
      ticket.redeemed = true;
      ticket.goodUntil = undefined;
      const use = ++ticket.use;
      ticket.end?.();
      ticket.end = undefined;
      return {
        grant: ticket.grant,
        endWith(end) {
          if (ticket.use === use) ticket.end = end;
          else end();
        },
        release() {
          if (ticket.use !== use) return;
          ticket.goodUntil = clock.monotonic() + RECONNECT_WITHIN_MS;
          ticket.end = undefined;
        },
      };
    },
  };
}
