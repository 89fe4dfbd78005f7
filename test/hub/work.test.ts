import { expect, test } from 'vitest';
import { createLedger, type Ledger } from '../../src/hub/ledger.js';
import type { Fact } from '../../src/model/event.js';
import { type SessionState, type State, UNKNOWN_SAFETY } from '../../src/model/session.js';
import { silentLog } from '../../src/net/log.js';
import { fact, fakeVenue, linkUp, opened } from '../support/fake-venue.js';
import { VirtualClock } from '../support/virtual-clock.js';

/** 10,000 sessions at one source: what one of them says must not cost a look at the others. */
const BYSTANDERS = 10_000;
const PARENT = 'tradernet.desk.login';

interface Crowd {
  readonly ledger: Ledger;
  /** Takes facts in and returns how often a session that they do not name was looked at. */
  looks(...facts: readonly Fact[]): number;
}

function crowd(more: Partial<SessionState> = {}): Crowd {
  let looked = 0;
  const states = Array.from({ length: BYSTANDERS }, (_, index): State => {
    const key = `tradernet.desk.s${index}`;
    const state: SessionState = {
      key,
      venue: 'tradernet',
      source: 'desk',
      session: `s${index}`,
      kind: 'security',
      role: 'watch',
      status: 'active',
      stale: false,
      safety: UNKNOWN_SAFETY,
      attributes: {},
      cursor: '1-1',
      ...more,
    };
    return new Proxy(state, {
      get(target, name, receiver) {
        looked++;
        return Reflect.get(target, name, receiver);
      },
    });
  });
  const venue = fakeVenue();
  const describe = (source: string) => venue.sources().find((one) => one.source === source);
  const ledger = createLedger({
    journal: { hasKey: () => false },
    clock: new VirtualClock(),
    log: silentLog,
    epoch: 2,
    states,
    due: () => undefined,
  });
  return {
    ledger,
    looks(...facts) {
      looked = 0;
      ledger.take(facts, describe);
      return looked;
    },
  };
}

test.each<[string, readonly Fact[]]>([
  ['opens', [opened('fresh', { kind: 'security', parent: PARENT })]],
  ['is lost', [opened('fresh'), fact('fresh', 'session.lost', { reason: 'x' })]],
  ['is closed', [opened('fresh'), fact('fresh', 'session.closed', { by: 'venue' })]],
  ['pulses', [opened('fresh'), fact('fresh', 'heartbeat.pulse', {})]],
  ['is dropped', [opened('fresh'), fact('fresh', 'session.removed', {})]],
])('a session that %s costs no look at any other', (_, facts) => {
  expect(crowd().looks(...facts)).toBe(0);
});

test('the end of each of 10,000 children costs no look at its siblings', () => {
  const { looks } = crowd({ parent: PARENT });
  const others = looks(opened('login'), fact('s1', 'session.expired', { expiresAt: '2026-11-23T08:00:00.000Z' }));
  // The one that ends is read, and no more: far below one look a sibling.
  expect(others).toBeLessThan(100);
});

test('what a source says of itself alone costs no look at its sessions', () => {
  const { looks } = crowd();
  expect(
    looks(
      fact('-', 'link.retrying', { carrier: 'ws', generation: 1, attempt: 1, delayMs: 1 }),
      fact('-', 'access.logged', { action: 'success' }),
      fact('-', 'source.fault', { what: 'unknown_frame' }),
      fact('-', 'command.accepted', { command: 'read', by: 'me', requestId: 'r' }),
    ),
  ).toBe(0);
});

test('what concerns every session is owed to each, and paid a bounded number at a time', () => {
  const { ledger, looks } = crowd();
  expect(looks(linkUp())).toBeGreaterThan(0);
  let rounds = 0;
  for (; ledger.hasDue(); rounds++) ledger.deriveDue(500);
  expect(rounds).toBe(BYSTANDERS / 500);
});
