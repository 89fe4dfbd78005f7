import type { Clock, Timer } from '../../net/clock.js';
import type { Holder, Username } from './username.js';

/** What the gateway knows of its brokerage session. */
export interface BrokerageFacts {
  readonly authenticated: boolean;
  /** The account information is loaded too. */
  readonly established: boolean;
  readonly competing: boolean;
  readonly connected: boolean;
  /** Empty where nothing failed. */
  readonly fail: string;
}

/** A live probe had this in `auth/status` after an init without `compete` while another login was active; an init without a body has it too. */
export const FORCE_COMPETE = 'Force compete capability must be used together with compete flag';
export const NO_BRIDGE = 'no bridge';

/** Assumed: how long an evicted session is `competing` before `authenticated` turns false; a live probe saw the order alone. */
const EVICTION_MS = 2_000;

export type Phase =
  /** Nobody is logged in at the gateway. */
  | 'closed'
  /** Connected to the broker, and not authenticated (ibeam issue 26). */
  | 'idle'
  /** Authenticated, and account information still comes. */
  | 'loading'
  | 'ready'
  /** Another login has taken it, and this one still works. */
  | 'evicting'
  | 'evicted'
  /** An init without `compete` was refused, because another login is active. */
  | 'refused'
  /** The broker restarts its side. */
  | 'resetting';

const FACTS: { readonly [P in Phase]: BrokerageFacts } = {
  closed: { authenticated: false, established: false, competing: false, connected: false, fail: '' },
  idle: { authenticated: false, established: false, competing: false, connected: true, fail: '' },
  loading: { authenticated: true, established: false, competing: false, connected: true, fail: '' },
  ready: { authenticated: true, established: true, competing: false, connected: true, fail: '' },
  evicting: { authenticated: true, established: true, competing: true, connected: true, fail: '' },
  evicted: { authenticated: false, established: false, competing: true, connected: true, fail: '' },
  // The probe's `competing` is false here: only `fail` says why.
  refused: { authenticated: false, established: false, competing: false, connected: true, fail: FORCE_COMPETE },
  resetting: { authenticated: false, established: false, competing: false, connected: false, fail: NO_BRIDGE },
};

/** The brokerage session of one gateway: the inner of the two tiers. */
export interface Brokerage {
  readonly phase: Phase;
  readonly facts: BrokerageFacts;
  /** A person has just logged in: open at once, where nobody else has it and it is wanted. */
  begin(open: boolean): void;
  /** Answers whether it was opened, or was open: not, where another login has it and `compete` is false. */
  open(compete: boolean): boolean;
  /** Nobody asked for anything for too long. */
  timeOut(): void;
  /** The broker's own restart, for so long; needs to be opened afterwards. */
  reset(forMs: number): void;
  /** The login at the gateway is gone. */
  close(): void;
  /** The gateway itself is gone. */
  leave(): void;
}

export function createBrokerage({
  clock,
  username,
  establishMs,
  changed,
}: {
  readonly clock: Clock;
  readonly username: Username;
  /** How long `loading` takes now. */
  readonly establishMs: () => number;
  readonly changed: () => void;
}): Brokerage {
  let phase: Phase = 'closed';
  let next: Timer | undefined;

  const enter = (entered: Phase, then?: Phase, afterMs = 0): void => {
    next?.cancel();
    phase = entered;
    if (then !== undefined) next = clock.setTimer(() => enter(then), afterMs);
    changed();
  };
  const holder: Holder = {
    evicted() {
      if (phase === 'ready' || phase === 'loading') enter('evicting', 'evicted', EVICTION_MS);
    },
    freed() {
      if (phase === 'evicting' || phase === 'evicted' || phase === 'refused') enter('idle');
    },
  };
  username.join(holder);
  const isOpen = (): boolean => phase === 'ready' || phase === 'loading';

  return {
    get phase() {
      return phase;
    },
    get facts() {
      return FACTS[phase];
    },
    begin(open) {
      if (!open || username.holder !== undefined) return enter('idle');
      username.take(holder);
      enter('ready');
    },
    open(compete) {
      if (isOpen()) return true;
      if (username.holder !== undefined && username.holder !== holder && !compete) {
        enter('refused');
        return false;
      }
      username.take(holder);
      const ms = establishMs();
      if (ms === 0) enter('ready');
      else enter('loading', 'ready', ms);
      return true;
    },
    timeOut() {
      if (!isOpen()) return;
      username.release(holder);
      enter('idle');
    },
    reset(forMs) {
      if (phase === 'closed') return;
      username.release(holder);
      enter('resetting', 'idle', forMs);
    },
    close() {
      username.release(holder);
      enter('closed');
    },
    leave() {
      next?.cancel();
      username.leave(holder);
    },
  };
}
