import fc from 'fast-check';
import { expect, test } from 'vitest';
import { SNAPSHOT_STATES, STATES_FRAME_BYTES } from '../../src/edge/limits.js';
import { cutFrames, type Wanted } from '../../src/edge/states-frames.js';
import { compareCursors } from '../../src/model/cursor.js';
import { cursorOf } from './states-world.js';

const session = fc.record({
  /** How far behind the one before it its first event lies. */
  gap: fc.integer({ min: 1, max: 9 }),
  /** Bytes of its state; none where it has none. */
  bytes: fc.option(fc.integer({ min: 20, max: 30_000 }), { nil: undefined }),
  removed: fc.boolean(),
});

test('frames hold every session once, in order, are chained, bounded, and each cursor is before what is not sent yet', () => {
  fc.assert(
    fc.property(fc.array(session, { maxLength: 300 }), fc.nat(5), (sessions, pulsed) => {
      let at = 10;
      const states = new Map<string, { readonly text: string; readonly bytes: number }>();
      const wanted: Wanted[] = [];
      for (let index = 0; index < pulsed; index++) {
        states.set(`p${index}`, { text: `{"key":"p${index}"}`, bytes: 20_000 });
        wanted.push({ key: `p${index}`, removed: false });
      }
      for (const [index, { gap, bytes, removed }] of sessions.entries()) {
        const key = `s${index}`;
        at += gap;
        wanted.push({ key, first: cursorOf(at), removed });
        if (bytes !== undefined) states.set(key, { text: `{"key":"${key}"}`, bytes });
      }
      const end = cursorOf(at + 3);
      const frames = cutFrames('>', { previous: cursorOf(10), end }, wanted, { cursor: end, states }).map(
        ({ cursor, text, bytes }) => {
          expect(bytes).toBe(Buffer.byteLength(text));
          const { params } = JSON.parse(text) as {
            readonly params: {
              readonly previous: string;
              readonly cursor: string;
              readonly states: readonly { readonly key: string }[];
              readonly removed?: readonly string[];
            };
          };
          expect(params.cursor).toBe(cursor);
          return params;
        },
      );
      expect(frames[0]?.previous).toBe(cursorOf(10));
      expect(frames.at(-1)?.cursor).toBe(end);
      const sent = new Set<string>();
      for (const [index, { previous, cursor, states: shown, removed = [] }] of frames.entries()) {
        if (index > 0) expect(previous).toBe(frames[index - 1]?.cursor);
        const keys = [...shown.map(({ key }) => key), ...removed];
        for (const key of keys) {
          expect(sent.has(key)).toBe(false);
          sent.add(key);
        }
        expect(keys.length).toBeLessThanOrEqual(SNAPSHOT_STATES);
        const bytes = shown.reduce((sum, { key }) => sum + (states.get(key)?.bytes ?? 0), 0);
        if (shown.length > 1) expect(bytes).toBeLessThanOrEqual(STATES_FRAME_BYTES);
        for (const one of wanted) {
          const isTold = states.has(one.key) || one.removed;
          if (one.first !== undefined && isTold && !sent.has(one.key))
            expect(compareCursors(one.first, cursor)).toBeGreaterThan(0);
        }
        // Where an event moved it, a frame that is lost shows.
        if (keys.some((key) => key.startsWith('s'))) expect(compareCursors(cursor, previous)).toBeGreaterThan(0);
      }
      const told = wanted.filter(({ key, removed }) => states.has(key) || removed);
      expect(frames.flatMap(({ states: shown }) => shown.map(({ key }) => key))).toEqual(
        told.filter(({ key }) => states.has(key)).map(({ key }) => key),
      );
      expect(frames.flatMap(({ removed = [] }) => removed)).toEqual(
        told.filter(({ key }) => !states.has(key)).map(({ key }) => key),
      );
    }),
  );
});

test('at most 200 sessions are in one frame, however small', () => {
  const wanted = Array.from({ length: 401 }, (_, index) => ({
    key: `s${index}`,
    first: cursorOf(index + 1),
    removed: false,
  }));
  const states = new Map(wanted.map(({ key }) => [key, { text: `{"key":"${key}"}`, bytes: 10 }]));
  const end = cursorOf(900);
  const frames = cutFrames('>', { previous: cursorOf(0), end }, wanted, { cursor: end, states });
  expect(frames.map(({ cursor }) => cursor)).toEqual([cursorOf(200), cursorOf(400), end]);
});
