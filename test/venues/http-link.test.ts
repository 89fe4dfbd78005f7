import { describe, expect, test } from 'vitest';
import type { Fact } from '../../src/model/event.js';
import { createHttpLink, type HttpLinkOptions } from '../../src/venues/http-link.js';

const REASON = { reason: 'no answer', byVenue: false } as const;

function start(options: Partial<HttpLinkOptions> = {}) {
  const facts: Fact[] = [];
  const moves: string[] = [];
  const link = createHttpLink({
    source: 'main',
    url: 'https://venue.test/',
    failuresToDown: 3,
    tell: (told) => facts.push(...told),
    moved: (to) => moves.push(to),
    ...options,
  });
  const told = (): readonly string[] =>
    facts
      .splice(0)
      .map(({ type, data, generation }) =>
        type === 'link.down' && 'code' in data
          ? `${type}#${generation} ${data.code} ${'initiator' in data ? data.initiator : ''} ${data.reason}`
          : `${type}#${generation}`,
      );
  return { link, told, moves };
}

describe('the link of a venue that is asked over HTTP', () => {
  test('is up with the first answer, and told once', () => {
    const { link, told, moves } = start();
    link.answered();
    link.answered();
    expect(told()).toEqual(['link.up#1']);
    expect(moves).toEqual(['up']);
  });

  test('is down with so many failures in a row and no sooner; an answer between them counts', () => {
    const { link, told } = start();
    link.answered();
    told();
    for (const _ of [1, 2]) link.failed(REASON);
    link.answered();
    for (const _ of [1, 2]) link.failed(REASON);
    expect(told()).toEqual([]);
    link.failed({ ...REASON, byVenue: true });
    link.failed(REASON);
    expect(told()).toEqual(['link.down#1 1006 venue no answer']);
    expect(link.failures).toBe(4);
    link.answered();
    expect(told()).toEqual(['link.up#2']);
  });

  test('that never was up is down with the first failure, as one that never opened', () => {
    const { link, told, moves } = start({ tag: () => 'maintenance_suspected: ' });
    link.failed(REASON);
    link.failed(REASON);
    expect(told()).toEqual(['link.down#1 0 network maintenance_suspected: no answer']);
    expect(moves).toEqual(['down']);
  });

  test('a dial that fails is surer than an answer that does not come', () => {
    const { link, told } = start({ failedDialsToDown: 2 });
    link.answered();
    told();
    link.failed({ ...REASON, dialled: false });
    link.failed(REASON);
    expect(told()).toEqual([]);
    link.answered();
    for (const _ of [1, 2]) link.failed({ ...REASON, dialled: false });
    expect(told()).toEqual(['link.down#1 1006 network no answer']);
  });

  test('that the relay ends says so, and nothing after it', () => {
    const { link, told } = start();
    link.end('stopped');
    expect(told()).toEqual([]);
    const { link: other, told: saidOther } = start();
    other.answered();
    other.end('stopped');
    other.end('stopped');
    other.answered();
    other.failed(REASON);
    expect(saidOther()).toEqual(['link.up#1', 'link.down#1 1000 relay stopped']);
  });
});
