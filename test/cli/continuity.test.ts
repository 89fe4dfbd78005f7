import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { createContinuity } from '../../src/cli/continuity.js';

const CHANNEL = 'deribit.>';

describe('live', () => {
  test('each frame follows the one before, the first one the reply', () => {
    const continuity = createContinuity([CHANNEL], { snapshot: false });
    continuity.asking(CHANNEL);
    continuity.subscribed(CHANNEL, { cursor: '1-5', recovered: true });
    expect(continuity.frame(CHANNEL, '1-5', '1-7')).toBe('next');
    expect(continuity.frame(CHANNEL, '1-7', '1-8')).toBe('next');
    expect(continuity.since(CHANNEL)).toBe('1-8');
    expect(continuity.frame(CHANNEL, '1-9', '1-10')).toBe('missing');
    expect(continuity.since(CHANNEL)).toBe('1-8');
  });

  test('an outage before the first frame is resumed from the reply', () => {
    const continuity = createContinuity([CHANNEL], { snapshot: false });
    continuity.subscribed(CHANNEL, { cursor: '1-5', recovered: true });
    continuity.disconnected();
    expect(continuity.since(CHANNEL)).toBe('1-5');
  });

  test('frames of the terms before a subscribe do not count', () => {
    const continuity = createContinuity([CHANNEL], { snapshot: false });
    continuity.subscribed(CHANNEL, { cursor: '1-5', recovered: true });
    continuity.asking(CHANNEL);
    expect(continuity.frame(CHANNEL, '1-5', '1-6')).toBe('old');
    expect(continuity.since(CHANNEL)).toBe('1-5');
  });
});

describe('a heartbeat', () => {
  test('shows that the last frame was lost', () => {
    const continuity = createContinuity([CHANNEL, '>'], { snapshot: false });
    for (const channel of [CHANNEL, '>']) continuity.subscribed(channel, { cursor: '1-5', recovered: true });
    continuity.frame('>', '1-5', '1-9');
    expect(continuity.heartbeat('1-9', { [CHANNEL]: '1-8', '>': '1-9' })).toEqual([CHANNEL]);
    expect(continuity.since(CHANNEL)).toBe('1-5');
    expect(continuity.since('>')).toBe('1-9');
  });

  test('carries a quiet channel on, so that its cursor does not age out of the journal', () => {
    const continuity = createContinuity([CHANNEL], { snapshot: false });
    continuity.subscribed(CHANNEL, { cursor: '1-5', recovered: true });
    expect(continuity.heartbeat('1-900', {})).toEqual([]);
    expect(continuity.since(CHANNEL)).toBe('1-900');
    expect(continuity.frame(CHANNEL, '1-5', '1-901')).toBe('next');
  });

  test('carries nothing on while a replay runs', () => {
    const continuity = createContinuity([CHANNEL], { since: '1-1', snapshot: false });
    continuity.subscribed(CHANNEL, { cursor: '1-8', recovered: true });
    continuity.heartbeat('1-8', {});
    expect(continuity.since(CHANNEL)).toBe('1-1');
    expect(continuity.frame(CHANNEL, '1-1', '1-4')).toBe('next');
    continuity.caughtUp(CHANNEL, '1-8');
    continuity.heartbeat('1-20', {});
    expect(continuity.since(CHANNEL)).toBe('1-20');
    expect(continuity.frame(CHANNEL, '1-8', '1-21')).toBe('next');
  });

  test('carries nothing on behind a snapshot: what was published meanwhile is still on its way', () => {
    const continuity = createContinuity([CHANNEL], { snapshot: true });
    continuity.subscribed(CHANNEL, { cursor: '1-5', recovered: true });
    continuity.snapshotEnded(CHANNEL, '1-5');
    continuity.heartbeat('1-9', {});
    expect(continuity.since(CHANNEL)).toBe('1-5');
    expect(continuity.frame(CHANNEL, '1-5', '1-7')).toBe('next');
  });
});

describe('what cannot be recovered', () => {
  test('stays asked for until the gap was dealt with', () => {
    const continuity = createContinuity([CHANNEL], { since: '1-1', snapshot: false });
    continuity.subscribed(CHANNEL, { cursor: '2-8', recovered: false });
    continuity.disconnected();
    expect(continuity.since(CHANNEL)).toBe('1-1');
    continuity.subscribed(CHANNEL, { cursor: '2-9', recovered: false });
    continuity.snapshotEnded(CHANNEL, '2-9');
    expect(continuity.since(CHANNEL)).toBe('2-9');
    expect(continuity.frame(CHANNEL, '2-9', '2-10')).toBe('next');
  });

  test('comes again where the subscriber was too slow', () => {
    const continuity = createContinuity([CHANNEL], { snapshot: false });
    continuity.subscribed(CHANNEL, { cursor: '1-5', recovered: true });
    continuity.lagging({ [CHANNEL]: '1-5' });
    continuity.heartbeat('1-9', {});
    expect(continuity.since(CHANNEL)).toBe('1-5');
    expect(continuity.frame(CHANNEL, '1-5', '1-7')).toBe('next');
  });
});

test('whatever is lost on the way, no event is passed over without a word', () => {
  fc.assert(
    fc.property(fc.array(fc.boolean(), { minLength: 1, maxLength: 30 }), (arrives) => {
      const continuity = createContinuity([CHANNEL], { snapshot: false });
      continuity.subscribed(CHANNEL, { cursor: '1-0', recovered: true });
      const received: number[] = [];
      const lost = (): number => Number((continuity.since(CHANNEL) ?? '').split('-')[1]) + 1;
      const resume = (upTo: number): void => {
        const first = lost();
        continuity.asking(CHANNEL);
        continuity.subscribed(CHANNEL, { cursor: `1-${upTo}`, recovered: true });
        for (let n = first; n <= upTo; n++) {
          if (continuity.frame(CHANNEL, `1-${n - 1}`, `1-${n}`) === 'next') received.push(n);
        }
        continuity.caughtUp(CHANNEL, `1-${upTo}`);
      };
      for (const [index, arrived] of arrives.entries()) {
        const n = index + 1;
        if (!arrived) continue;
        const said = continuity.frame(CHANNEL, `1-${n - 1}`, `1-${n}`);
        if (said === 'next') received.push(n);
        else resume(n);
      }
      for (const channel of continuity.heartbeat(`1-${arrives.length}`, { [CHANNEL]: `1-${arrives.length}` })) {
        expect(channel).toBe(CHANNEL);
        resume(arrives.length);
      }
      expect(received).toEqual(arrives.map((_, index) => index + 1));
    }),
  );
});
