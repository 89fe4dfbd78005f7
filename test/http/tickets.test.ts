import { describe, expect, test } from 'vitest';
import { createTickets, MAX_TICKETS, MAX_TICKETS_PER_IDENTITY, REDEEM_WITHIN_MS } from '../../src/http/tickets.js';
import type { Grant } from '../../src/model/grant.js';
import { VirtualClock } from '../support/virtual-clock.js';

const grantOf = (identity: string): Grant => ({ identity, channels: ['>'], commands: [], fields: 'full' });

describe('tickets', () => {
  test('never serve two streams at once: the one that resumes ends the one before it, which then releases nothing', () => {
    const tickets = createTickets(new VirtualClock());
    const { ticket } = tickets.issue(grantOf('desk'));
    const ended: string[] = [];
    const first = tickets.redeem(ticket, { resumes: false });
    first.endWith(() => ended.push('first'));
    const second = tickets.redeem(ticket, { resumes: true });
    expect(ended).toEqual(['first']);
    second.endWith(() => ended.push('second'));
    first.release();
    tickets.redeem(ticket, { resumes: true });
    expect(ended).toEqual(['first', 'second']);
  });

  test('a stream that is still being opened when another takes over ends the moment it is open', () => {
    const tickets = createTickets(new VirtualClock());
    const { ticket } = tickets.issue(grantOf('desk'));
    const slow = tickets.redeem(ticket, { resumes: false });
    tickets.redeem(ticket, { resumes: true });
    let ended = false;
    slow.endWith(() => {
      ended = true;
    });
    expect(ended).toBe(true);
  });

  test('of one identity there are 1,000, so that nobody uses up what all have; they come back as tickets end', async () => {
    const clock = new VirtualClock();
    const tickets = createTickets(clock);
    for (let n = 0; n < MAX_TICKETS_PER_IDENTITY; n++) tickets.issue(grantOf('greedy'));
    expect(() => tickets.issue(grantOf('greedy'))).toThrow(expect.objectContaining({ code: 'rate_limited' }));
    tickets.issue(grantOf('modest'));
    await clock.advance(REDEEM_WITHIN_MS + 1);
    tickets.issue(grantOf('greedy'));
  });

  test('in all there are 10,000', async () => {
    const clock = new VirtualClock();
    const tickets = createTickets(clock);
    for (let n = 0; n < MAX_TICKETS; n++) tickets.issue(grantOf(`identity ${n % 20}`));
    expect(() => tickets.issue(grantOf('one more'))).toThrow(expect.objectContaining({ code: 'rate_limited' }));
    await clock.advance(REDEEM_WITHIN_MS + 1);
    tickets.issue(grantOf('one more'));
  });
});
