import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { createChannels, type Member } from '../../src/edge/channels.js';
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
