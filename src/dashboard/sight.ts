import type { ClientStatus, View } from '../client/index.js';

/** Whether what is shown may be believed, and since when not. Times are this machine's. */
export interface Sight {
  /** The worst view of the channels that it came by. */
  readonly view: View;
  /** It was live at least once. */
  readonly wasLive: boolean;
  /** `undefined` while what is shown may be believed. */
  readonly doubtSinceMs: number | undefined;
  /** When the relay was heard last. */
  readonly heardAtMs: number | undefined;
  /** Nothing may be believed, whatever the channels said last. */
  readonly isDeaf: boolean;
  readonly status: ClientStatus | undefined;
  stands(status: ClientStatus): void;
  /** How a channel stands; `undefined`: it is not listened to any more. */
  channel(name: string, view: View | undefined): void;
  heard(): void;
  /**
   * To be called about once a second. Where that did not happen for a while, this machine slept, and so did whatever
   * would have noticed the relay's silence: until the relay is heard again nothing may be believed.
   */
  tick(): void;
}

export interface SightOptions {
  readonly now: () => number;
  /** The view has turned. `before`: it was live at least once. */
  readonly turned: (view: View, before: { readonly view: View; readonly wasLive: boolean }) => void;
}

/** Ticks that are so late were slept through. */
const SLEPT_MS = 10_000;
/** 2.5 heartbeats of 15 s, the relay's default. */
const SILENT_MS = 37_500;

const RANK: { readonly [V in View]: number } = { live: 0, replaying: 1, blind: 2, unreachable: 3 };

export function createSight({ now, turned }: SightOptions): Sight {
  const views = new Map<string, View>();
  let status: ClientStatus | undefined;
  let view: View = 'unreachable';
  let wasLive = false;
  let doubtSinceMs: number | undefined = now();
  let heardAtMs: number | undefined;
  let tickedAtMs = now();
  let hasSlept = false;

  const isDeaf = (): boolean => hasSlept || status === undefined || status.state === 'closed' || views.size === 0;
  const look = (): void => {
    const worst = [...views.values()].reduce<View>((most, one) => (RANK[one] > RANK[most] ? one : most), 'live');
    const next: View = isDeaf() ? 'unreachable' : worst;
    if (next === view) return;
    const before = { view, wasLive };
    if (next === 'live') {
      wasLive = true;
      doubtSinceMs = undefined;
    } else if (view === 'live') doubtSinceMs = now();
    view = next;
    turned(next, before);
  };
  const lastBeat = (): number | undefined =>
    status !== undefined && 'heartbeatAtMs' in status ? status.heartbeatAtMs : undefined;
  const heard = (): void => {
    heardAtMs = now();
    if (!hasSlept) return;
    hasSlept = false;
    look();
  };

  return {
    get view() {
      return view;
    },
    get wasLive() {
      return wasLive;
    },
    get doubtSinceMs() {
      return doubtSinceMs;
    },
    get heardAtMs() {
      return heardAtMs;
    },
    get isDeaf() {
      return isDeaf();
    },
    get status() {
      return status;
    },
    stands(next) {
      const before = lastBeat();
      status = next;
      if (lastBeat() !== undefined && lastBeat() !== before) heard();
      look();
    },
    channel(name, next) {
      if (next === undefined) views.delete(name);
      else views.set(name, next);
      look();
    },
    heard,
    tick() {
      const at = now();
      const isLate = at - tickedAtMs > SLEPT_MS;
      tickedAtMs = at;
      if (!isLate || heardAtMs === undefined || at - heardAtMs < SILENT_MS) return;
      hasSlept = true;
      look();
    },
  };
}
