import type { Peer } from '../bus/peer.js';
import type { LiveAuthenticator } from '../edge/live-auth.js';
import type { TicketDesk } from '../http/tickets.js';
import type { MainMethods } from './messages.js';

/** Tickets that the main thread keeps: one of any thread is good at each. */
export interface RemoteTickets extends TicketDesk {
  /** Another stream takes over from this one. */
  end(use: number): void;
}

export function remoteTickets(
  main: Pick<Peer<MainMethods>, 'call' | 'post'>,
  authenticator: LiveAuthenticator,
): RemoteTickets {
  let lastUse = 0;
  /** How each stream that uses a ticket is ended; `undefined` while it is being opened. */
  const uses = new Map<number, (() => void) | undefined>();
  const ended = new Set<number>();
  return {
    issue: (grant) => main.call('issueTicket', { grant, credentials: authenticator.credentialsOf(grant) }),
    async redeem(ticket, { resumes }) {
      const use = ++lastUse;
      uses.set(use, undefined);
      const release = (): void => {
        if (!uses.delete(use)) return;
        ended.delete(use);
        main.post('releaseTicket', use);
      };
      try {
        const { grant, credentials } = await main.call('redeemTicket', { use, ticket, resumes });
        authenticator.recall(grant, credentials);
        return {
          grant,
          endWith(end) {
            if (ended.has(use)) end();
            else if (uses.has(use)) uses.set(use, end);
          },
          release,
        };
      } catch (thrown) {
        release();
        throw thrown;
      }
    },
    end(use) {
      if (!uses.has(use)) return;
      ended.add(use);
      uses.get(use)?.();
    },
  };
}
