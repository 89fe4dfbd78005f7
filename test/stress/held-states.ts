import { z } from 'zod';
import { type SessionEvent, sessionEvent } from '../../src/model/event.js';
import { fold } from '../../src/model/fold.js';
import type { State } from '../../src/model/session.js';

/** What a subscriber of a channel knows of its sessions: a snapshot, and every event since folded into it. */
export interface HeldStates {
  chunk(states: readonly unknown[], last: boolean): void;
  event(data: unknown): void;
  /** By key, as the relay writes them, without what pulses move. */
  shown(): ReadonlyMap<string, string>;
}

const frame = z.object({ params: z.object({ data: z.unknown() }) });

export function createHeldStates(): HeldStates {
  let states = new Map<string, State>();
  let arriving = new Map<string, State>();
  return {
    chunk(chunk, last) {
      for (const state of chunk) {
        const read = asState(state);
        arriving.set(read.key, read);
      }
      if (!last) return;
      states = arriving;
      arriving = new Map();
    },
    event(data) {
      const event: SessionEvent = sessionEvent.parse(data);
      const next = fold(states.get(event.subject), event);
      if (next === undefined) states.delete(event.subject);
      else states.set(event.subject, next);
    },
    shown: () => new Map([...states].map(([key, state]) => [key, shownState(state)])),
  };
}

/** The event of a frame that was read no further than its cursor. */
export function eventOfFrame(text: string): unknown {
  return frame.parse(JSON.parse(text)).params.data;
}

const keyed = z.looseObject({ key: z.string(), cursor: z.string(), kind: z.string() });

/** A state as the relay sent it: the fold takes it as it is, as a client's would. */
export function asState(value: unknown): State {
  return keyed.parse(value) as unknown as State;
}

/** Promise 4 excepts what a pulse moves: `lastSeenAt`, `heartbeat.lastAt` and `heartbeat.rttMs`. */
export function shownState(state: State): string {
  const plain: Record<string, unknown> = { ...state };
  delete plain.lastSeenAt;
  if ('heartbeat' in state && state.heartbeat !== undefined) {
    const { lastAt: _lastAt, rttMs: _rttMs, ...heartbeat } = state.heartbeat;
    plain.heartbeat = heartbeat;
  }
  return JSON.stringify(sorted(plain));
}

function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sorted);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    Object.entries(value)
      .filter(([, one]) => one !== undefined)
      .toSorted(([a], [b]) => (a < b ? -1 : 1))
      .map(([name, one]) => [name, sorted(one)]),
  );
}
