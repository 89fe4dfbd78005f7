import {
  type EventData,
  type EventType,
  type Role,
  type SessionEvent,
  SOURCE_TOKEN,
  timestampOf,
  type VenueName,
} from '../../src/model/event.js';
import { fold, isSessionState } from '../../src/model/fold.js';
import {
  assess,
  defaultSafetyPolicy,
  type Evidence,
  emptyEvidence,
  observe,
  type SafetyPolicy,
  type Verdict,
} from '../../src/model/safety.js';
import type { SessionState, SourceState, State } from '../../src/model/session.js';
import { eventOf } from './events.js';

const SESSIONS = {
  deribit: { key: 'deribit.main.relay', kind: 'api' },
  tradernet: { key: 'tradernet.desk.login', kind: 'login' },
  ibkr: { key: 'ibkr.gateway.brokerage', kind: 'brokerage' },
  snaptrade: { key: 'snaptrade.partner.a1', kind: 'connection' },
} as const;

/** One session and its source, whose events, time and verdict a test decides: what a hub does, without the hub. */
export interface SafetyStage {
  /** The session says something. */
  say<T extends EventType>(type: T, data: EventData<T>): void;
  /** Its source does. */
  saySource<T extends EventType>(type: T, data: EventData<T>): void;
  /** The session's cancel-on-disconnect is read back. */
  read(status: 'armed' | 'disarmed' | 'unknown', scope?: 'connection' | 'account', venueTime?: string): void;
  wait(ms: number): void;
  /** Moves the wall clock to a time of the day, `HH:MM`; the monotonic one stays. */
  setWall(time: string): void;
  verdict(): Verdict;
  readonly state: SessionState | undefined;
  readonly evidence: Evidence;
  readonly role: Role;
  readonly now: string;
}

export interface StageOptions {
  readonly venue?: VenueName;
  readonly role?: Role;
  readonly policy?: Partial<SafetyPolicy>;
}

export function safetyStage({ venue = 'deribit', role = 'trading', policy = {} }: StageOptions = {}): SafetyStage {
  const { key } = SESSIONS[venue];
  const sourceKey = `${key.split('.').slice(0, 2).join('.')}.${SOURCE_TOKEN}`;
  let nowMs = 1_000;
  let wallMs = Date.UTC(2026, 10, 23, 12);
  let offset = 0;
  let evidence = emptyEvidence();
  const states = new Map<string, State>();

  const happen = (subject: string, type: EventType, data: SessionEvent['data']): void => {
    const event = eventOf(type, data as never, { subject, offset: ++offset, atMs: wallMs });
    const after = fold(states.get(subject), event);
    if (after === undefined) states.delete(subject);
    else states.set(subject, after);
    evidence = observe(evidence, event, nowMs);
  };
  const stage: SafetyStage = {
    say: (type, data) => happen(key, type, data),
    saySource: (type, data) => happen(sourceKey, type, data),
    read(status, scope = 'connection', venueTime) {
      const data = { mechanism: 'cancel_on_disconnect', scope, readAt: timestampOf(wallMs) } as const;
      happen(key, `protection.${status}`, venueTime === undefined ? data : { ...data, venueTime });
    },
    wait(ms) {
      nowMs += ms;
      wallMs += ms;
    },
    setWall(time) {
      wallMs = Date.parse(`2026-11-23T${time}:00.000Z`);
    },
    verdict() {
      const state = stage.state;
      if (state === undefined) throw new Error('the session has no state to judge');
      const source = states.get(sourceKey) as SourceState | undefined;
      return assess({ state, source, evidence, policy: { ...defaultSafetyPolicy(venue), ...policy }, nowMs, wallMs });
    },
    get state() {
      const state = states.get(key);
      return state !== undefined && isSessionState(state) ? state : undefined;
    },
    get evidence() {
      return evidence;
    },
    role,
    get now() {
      return timestampOf(wallMs);
    },
  };
  return stage;
}

/** A stage on which everything that any role needs has been confirmed. */
export function healthyStage(options: StageOptions = {}): SafetyStage {
  const { venue = 'deribit' } = options;
  const stage = safetyStage(options);
  stage.saySource('link.up', {
    carrier: venue === 'snaptrade' ? 'http' : 'ws',
    generation: 1,
    url: 'wss://venue.example',
  });
  stage.say('session.opening', {});
  stage.say('session.opened', { kind: SESSIONS[venue].kind, role: stage.role });
  if (venue === 'deribit') confirmDeribit(stage);
  return stage;
}

/** What a Deribit feed says after every connect, beside the session itself. */
export function confirmDeribit(stage: SafetyStage): void {
  stage.say('heartbeat.armed', { intervalMs: 10_000 });
  stage.read('armed');
  stage.saySource('venue.normal', {});
  stage.saySource('account.unlocked', { what: 'all' });
}

export const LINK_DOWN: EventData<'link.down'> = {
  carrier: 'ws',
  generation: 1,
  code: 1006,
  reason: '',
  clean: false,
  initiator: 'network',
};
