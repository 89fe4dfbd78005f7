import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { createChannels, type Member, NO_PLACE } from '../../src/edge/channels.js';
import { createEdgeStats } from '../../src/edge/stats.js';
import { bytesOnWire, type FanOut, type FanOutResult, type Slot } from '../../src/edge/wire.js';
import type { Pulse, SessionEvent } from '../../src/model/event.js';
import { addressOf, matches } from '../../src/model/subject.js';

const CHANNELS = ['>', 'deribit.>', 'deribit.main.a.>', '*.*.*.session.updated', 'deribit.main.b.session.lost'];

function event(offset: number, session: string, type: 'session.updated' | 'session.lost'): SessionEvent {
  return {
    id: `7-${offset}`,
    key: `k${offset}`,
    source: '/deribit/main',
    subject: `deribit.main.${session}`,
    type,
    time: '2026-11-23T08:00:00.000Z',
    data: type === 'session.lost' ? { reason: 'x' } : { changed: { n: offset, login: 'someone' } },
  } as SessionEvent;
}

interface Params {
  readonly previous: string;
  readonly data: { readonly id: string };
}
const paramsOf = (frame: string): Params => (JSON.parse(frame) as { readonly params: Params }).params;

function listener(): Member & { readonly frames: string[]; readonly beats: string[] } {
  const frames: string[] = [];
  const beats: string[] = [];
  return {
    frames,
    beats,
    slot: undefined,
    place: NO_PLACE,
    queued() {},
    broken() {},
    deliver: (more) => void frames.push(...more.map(({ text }) => text)),
    pulse: (beat) => void beats.push(beat),
  };
}

const steps = fc.array(
  fc.oneof(
    fc.record({
      do: fc.constant('publish' as const),
      events: fc.array(
        fc.record({
          session: fc.constantFrom('a', 'b'),
          type: fc.constantFrom('session.updated' as const, 'session.lost' as const),
        }),
        { maxLength: 5 },
      ),
    }),
    fc.record({ do: fc.constant('join' as const), channel: fc.constantFrom(...CHANNELS), pulses: fc.boolean() }),
    fc.record({ do: fc.constant('leave' as const), which: fc.nat(20) }),
  ),
  { maxLength: 60 },
);

test('every member gets exactly the events that match while it is a member, in order, chained from what it was told', () => {
  fc.assert(
    fc.property(steps, (script) => {
      const channels = createChannels('7-0');
      const members: {
        readonly channel: string;
        readonly group: ReturnType<typeof channels.acquire>;
        readonly member: ReturnType<typeof listener>;
        readonly told: string;
        readonly expected: string[];
      }[] = [];
      const present = new Set<(typeof members)[number]>();
      let offset = 0;
      for (const step of script) {
        if (step.do === 'publish') {
          const events = step.events.map(({ session, type }) => event(++offset, session, type));
          for (const one of present)
            one.expected.push(...events.filter((e) => matches(one.channel, addressOf(e))).map(({ id }) => id));
          channels.publish({ events, pulses: [] });
        } else if (step.do === 'join') {
          const group = channels.acquire(step.channel, 'full', step.pulses);
          const one = { channel: step.channel, group, member: listener(), told: group.last, expected: [] };
          channels.join(group, one.member);
          members.push(one);
          present.add(one);
        } else {
          const one = members[step.which];
          if (one === undefined || !present.delete(one)) continue;
          channels.leave(one.group, one.member);
          channels.release(one.group);
        }
      }
      for (const { member, told, expected } of members) {
        const got = member.frames.map(paramsOf);
        expect(got.map(({ data }) => data.id)).toEqual(expected);
        expect(got.map(({ previous }) => previous)).toEqual([told, ...expected].slice(0, expected.length));
      }
      for (const one of present) channels.release(one.group);
      expect(channels.size).toBe(0);
    }),
  );
});

describe('groups', () => {
  test('a frame is rendered once for all members of a group: they are handed the very same strings', () => {
    const channels = createChannels('7-0');
    const [a, b] = [listener(), listener()];
    for (const member of [a, b]) channels.join(channels.acquire('>', 'full', false), member);
    channels.publish({ events: [event(1, 'a', 'session.updated')], pulses: [] });
    expect(channels.size).toBe(1);
    expect(a.frames[0]).toBe(b.frames[0]);
  });

  test('grants that show other fields make other groups, and the redacted one never sees what the other does', () => {
    const channels = createChannels('7-0');
    const [full, redacted] = [listener(), listener()];
    channels.join(channels.acquire('>', 'full', false), full);
    channels.join(channels.acquire('>', 'redacted', false), redacted);
    channels.publish({ events: [event(1, 'a', 'session.updated')], pulses: [] });
    expect(full.frames[0]).toContain('someone');
    expect(redacted.frames[0]).not.toContain('someone');
  });

  test('pulses reach only members that asked for them, and move no cursor', () => {
    const channels = createChannels('7-3');
    const [with_, without] = [listener(), listener()];
    channels.join(channels.acquire('>', 'full', true), with_);
    const quiet = channels.acquire('>', 'full', false);
    channels.join(quiet, without);
    const pulse: Pulse = {
      source: '/deribit/main',
      subject: 'deribit.main.a',
      type: 'heartbeat.pulse',
      time: '2026-11-23T08:00:00.000Z',
      data: {},
    };
    channels.publish({ events: [], pulses: [pulse] });
    expect([with_.beats.length, without.beats.length]).toEqual([1, 0]);
    expect([channels.position(), quiet.last]).toEqual(['7-3', '7-3']);
  });

  test('an event that comes twice is delivered once', () => {
    const channels = createChannels('7-0');
    const member = listener();
    channels.join(channels.acquire('>', 'full', false), member);
    for (let n = 0; n < 2; n++) channels.publish({ events: [event(1, 'a', 'session.lost')], pulses: [] });
    expect(member.frames).toHaveLength(1);
  });

  test('a member that leaves while a turn is delivered disturbs no other', () => {
    const channels = createChannels('7-0');
    const group = channels.acquire('>', 'full', false);
    const rest = Array.from({ length: 5 }, listener);
    const leaving: Member = { ...listener(), deliver: () => channels.leave(group, leaving) };
    channels.join(group, leaving);
    for (const member of rest) channels.join(group, member);
    channels.publish({ events: [event(1, 'a', 'session.lost')], pulses: [] });
    channels.publish({ events: [event(2, 'a', 'session.lost')], pulses: [] });
    expect(rest.map(({ frames }) => frames.length)).toEqual([2, 2, 2, 2, 2]);
  });

  test('what was read ahead of the stream is waited for', async () => {
    const channels = createChannels('7-0');
    const seen: string[] = [];
    const waits = [
      channels.reached('7-2').then(() => seen.push('two')),
      channels.reached('7-0').then(() => seen.push('none')),
      channels.reached('7-5').then(() => seen.push('five')),
    ];
    await waits[1];
    expect(seen).toEqual(['none']);
    channels.publish({ events: [event(1, 'a', 'session.lost'), event(2, 'a', 'session.lost')], pulses: [] });
    await waits[0];
    expect(seen).toEqual(['none', 'two']);
    channels.advance('7-9');
    await Promise.all(waits);
    expect([seen, channels.position()]).toEqual([['none', 'two', 'five'], '7-9']);
  });

  test('the position never goes back', () => {
    const channels = createChannels('7-4');
    channels.advance('7-2');
    channels.advance('6-9');
    expect(channels.position()).toBe('7-4');
  });
});

describe('what goes to many at once', () => {
  /** A transport that says of each slot what a test wants, and keeps what it was handed. */
  function createTransport(says: Partial<FanOutResult> = {}) {
    const calls: { readonly messages: readonly string[]; readonly slots: readonly number[] }[] = [];
    const forgotten: (readonly number[])[] = [];
    const fanOut: FanOut = {
      send(messages, slots) {
        calls.push({ messages: messages.map(String), slots: [...slots] });
        return { skipped: [], queued: [], failed: [], ...says };
      },
      forget: (slots) => void forgotten.push(slots),
    };
    return { fanOut, calls, forgotten };
  }
  function inSlot(slot: Slot | undefined) {
    const queued: number[] = [];
    const broken: true[] = [];
    return {
      ...listener(),
      slot,
      queued: (bytes: number) => void queued.push(bytes),
      broken: () => void broken.push(true),
      told: { queued, broken },
    };
  }
  const lost = (offset: number): SessionEvent => event(offset, 'a', 'session.lost');

  test('one call a group and turn; whoever is skipped gets the frames alone, and what became of the others is told', () => {
    const { fanOut, calls } = createTransport({ skipped: [1], queued: [2], failed: [3] });
    const stats = createEdgeStats();
    const channels = createChannels('7-0', { stats });
    const group = channels.acquire('>', 'full', false);
    const members = Array.from({ length: 5 }, (_, index) => inSlot({ fanOut, index: 10 + index }));
    for (const member of members) channels.join(group, member);
    channels.publish({ events: [lost(1), lost(2)], pulses: [] });
    expect(calls.map(({ slots }) => slots)).toEqual([[10, 11, 12, 13, 14]]);
    const messages = calls[0]?.messages ?? [];
    expect(messages.map((frame) => paramsOf(frame).previous)).toEqual(['7-0', '7-1']);
    expect(members.map(({ frames }) => frames.length)).toEqual([0, 2, 0, 0, 0]);
    const bytes = messages.reduce((sum, frame) => sum + bytesOnWire(Buffer.byteLength(frame)), 0);
    expect(members.map(({ told }) => [told.queued, told.broken.length])).toEqual([
      [[], 0],
      [[], 0],
      [[bytes], 0],
      [[], 1],
      [[], 0],
    ]);
    // The one that was sent to alone counts for itself.
    expect([stats.deliveries, stats.deliveredBytes]).toEqual([3 * 2, 3 * bytes]);
  });

  test('members without a slot, or with one of another transport, are sent to alone', () => {
    const [mine, other] = [createTransport(), createTransport()];
    const channels = createChannels('7-0');
    const group = channels.acquire('>', 'full', false);
    const slots = [{ fanOut: mine.fanOut, index: 4 }, undefined, { fanOut: other.fanOut, index: 4 }];
    for (const slot of slots) channels.join(group, inSlot(slot));
    channels.publish({ events: [lost(1)], pulses: [] });
    expect([mine.calls.map((call) => call.slots), other.calls]).toEqual([[[4, -1, -1]], []]);
  });

  test('slots move with their members when one leaves', () => {
    const { fanOut, calls } = createTransport();
    const channels = createChannels('7-0');
    const group = channels.acquire('>', 'full', false);
    const members = Array.from({ length: 4 }, (_, index) => inSlot({ fanOut, index }));
    for (const member of members) channels.join(group, member);
    for (const [offset, leaving] of [1, 3, 0].entries()) {
      const member = members[leaving];
      if (member !== undefined) channels.leave(group, member);
      channels.publish({ events: [lost(offset + 1)], pulses: [] });
    }
    expect(calls.map(({ slots }) => slots.toSorted())).toEqual([[0, 2, 3], [0, 2], [2]]);
  });

  test('the transport is told when a group is no more', () => {
    const { fanOut, forgotten } = createTransport();
    const channels = createChannels('7-0');
    const [group, same] = [channels.acquire('>', 'full', false), channels.acquire('>', 'full', false)];
    channels.join(group, inSlot({ fanOut, index: 0 }));
    channels.release(same);
    expect(forgotten).toEqual([]);
    channels.release(group);
    expect(forgotten).toHaveLength(1);
  });

  test('a turn of more bytes than a socket takes of live frames goes to each alone', () => {
    const { fanOut, calls } = createTransport();
    const channels = createChannels('7-0', { mostBytes: 500 });
    const member = inSlot({ fanOut, index: 0 });
    channels.join(channels.acquire('>', 'full', false), member);
    channels.publish({ events: [lost(1)], pulses: [] });
    channels.publish({ events: [lost(2), lost(3), lost(4)], pulses: [] });
    expect([calls.length, member.frames.length]).toEqual([1, 3]);
  });

  test('what was handed out last is known before anybody is told: a member that ends by it knows where it stands', () => {
    const { fanOut } = createTransport({ skipped: [0] });
    const channels = createChannels('7-0');
    const group = channels.acquire('>', 'full', false);
    const seen: string[] = [];
    channels.join(group, { ...inSlot({ fanOut, index: 0 }), deliver: () => void seen.push(group.sent, group.last) });
    channels.publish({ events: [lost(1)], pulses: [] });
    expect([seen, group.sent]).toEqual([['7-1', '7-1'], '7-1']);
  });
});
