import { z } from 'zod';
import { type Environment, environment, type Role } from '../../model/event.js';
import { type Json, type JsonObject, json } from '../../model/json.js';
import { type Evidence, NO_EVIDENCE } from './decision.js';
import { said } from './messages.js';

/** The login at the gateway: what everything else lives in. */
export const SSO_TOKEN = 'sso';
/** The session with the brokerage system, one a username: `/iserver/*`. */
export const BROKERAGE_TOKEN = 'brokerage';

/** What the mapper knows of one source. Immutable. */
export interface MapperState {
  readonly about: About;
  readonly sso: SsoView;
  readonly brokerage: BrokerageView;
  readonly evidence: Evidence;
  /** Statuses in a row from which nothing could be concluded. */
  readonly undecided: number;
  /** Answers to `/tickle` in a row that said nothing of the login. */
  readonly unproved: number;
  /** A `logout` was asked for: no login of the relay's own until one is asked for again. */
  readonly loggedOut: boolean;
  /** Takings of the brokerage session from another login, for the cooldown. */
  readonly takings: Takings;
  /** When `/sso/validate` was asked last, wall-clock ms: its limit outlasts a restart. */
  readonly validatedAtMs?: number;
  /** `lastAccessed` of the last `tic`: the venue says each four times. */
  readonly lastTic?: number;
  /** Faults by kind, with how often they were seen: each is told once. */
  readonly faults: ReadonlyMap<string, number>;
}

/** What is configured, and never changes. */
export interface About {
  readonly source: string;
  /** Of the brokerage session; the outer one only has to work. */
  readonly role: Role;
  readonly environment?: Environment;
  /** Where a person logs in. */
  readonly loginUrl: string;
}

export type Attributes = { readonly [name: string]: Json };

export interface SsoView {
  readonly status: 'none' | 'connecting' | 'active' | 'attention' | 'closed';
  /** Said since the relay last lost sight of it. */
  readonly seen: boolean;
  /** Whether it was opened since it was last closed: what works again then is restored. */
  readonly opened: boolean;
  /** Live or paper, as the venue says. */
  readonly environment?: 'live' | 'paper';
  readonly attributes: Attributes;
  /** What the last `session.attention` said. */
  readonly asked?: string;
}

export interface BrokerageView {
  readonly status: 'none' | 'connecting' | 'active' | 'contested' | 'lost' | 'closed';
  readonly seen: boolean;
  /** As of the outer session. */
  readonly opened: boolean;
  readonly attributes: Attributes;
}

/** Wall-clock times in ms: they must count across a restart. */
export interface Takings {
  /** Takings in a row, none of which was kept for a day. */
  readonly count: number;
  readonly lastAtMs?: number;
  /** When the session was lost again after the last one. */
  readonly lostAtMs?: number;
}

export const NO_TAKINGS: Takings = { count: 0 };

export function emptyState(about: About): MapperState {
  return {
    about,
    sso: { status: 'none', seen: false, opened: false, attributes: {} },
    brokerage: { status: 'none', seen: false, opened: false, attributes: {} },
    evidence: NO_EVIDENCE,
    undecided: 0,
    unproved: 0,
    loggedOut: false,
    takings: NO_TAKINGS,
    faults: new Map(),
  };
}

/** Under which name the policy's own memory is kept. */
const MEMORY_POLICY = 'policy';

const attributes = z.record(z.string(), json);
const ssoMemory = z.object({
  status: z.enum(['none', 'connecting', 'active', 'attention', 'closed']),
  opened: z.boolean(),
  environment: environment.extract(['live', 'paper']).optional(),
  attributes,
});
const brokerageMemory = z.object({
  status: z.enum(['none', 'connecting', 'active', 'contested', 'lost', 'closed']),
  opened: z.boolean(),
  attributes,
});
const policyMemory = z.object({
  loggedOut: z.boolean(),
  count: z.number().int().nonnegative(),
  lastAtMs: z.number().optional(),
  lostAtMs: z.number().optional(),
  validatedAtMs: z.number().optional(),
});

const NO_POLICY: z.output<typeof policyMemory> = { loggedOut: false, count: 0 };

function policyOf({ loggedOut, takings, validatedAtMs }: MapperState): JsonObject {
  return { loggedOut, ...takings, ...said({ validatedAtMs }) };
}

/** What must be found again after a restart, where it differs from what `before` would have said. No credential is in it. */
export function memoryOf(state: MapperState, before: MapperState): { readonly [key: string]: Json } | undefined {
  const memory: { [key: string]: Json } = {};
  if (state.sso !== before.sso) {
    const { status, opened, environment: known, attributes: shown } = state.sso;
    memory[SSO_TOKEN] = { status, opened, attributes: shown, ...(known === undefined ? {} : { environment: known }) };
  }
  if (state.brokerage !== before.brokerage) {
    const { status, opened, attributes: shown } = state.brokerage;
    memory[BROKERAGE_TOKEN] = { status, opened, attributes: shown };
  }
  const policy = policyOf(state);
  if (JSON.stringify(policy) !== JSON.stringify(policyOf(before))) memory[MEMORY_POLICY] = policy;
  return Object.keys(memory).length === 0 ? undefined : memory;
}

/** The relay keeps a session no more that ended long ago: should it come back, it is opened anew. */
export function forgotten(state: MapperState, token: typeof SSO_TOKEN | typeof BROKERAGE_TOKEN): MapperState {
  return state[token].opened ? { ...state, [token]: { ...state[token], opened: false } } : state;
}

/** The state after a restart: everything is known from before, and nothing is confirmed. Unreadable memory is none. */
export function recall(about: About, memory: ReadonlyMap<string, Json> | undefined): MapperState {
  const empty = emptyState(about);
  const sso = ssoMemory.safeParse(memory?.get(SSO_TOKEN));
  const brokerage = brokerageMemory.safeParse(memory?.get(BROKERAGE_TOKEN));
  const policy = policyMemory.safeParse(memory?.get(MEMORY_POLICY));
  const { environment: known, ...rest } = sso.success ? sso.data : {};
  const { loggedOut, count, ...times } = policy.success ? policy.data : NO_POLICY;
  const { lastAtMs, lostAtMs, ...limits } = times;
  return {
    ...empty,
    ...said(limits),
    sso: { ...empty.sso, ...rest, ...said({ environment: known }) },
    brokerage: brokerage.success ? { ...empty.brokerage, ...brokerage.data } : empty.brokerage,
    loggedOut,
    takings: { count, ...said({ lastAtMs, lostAtMs }) },
  };
}
