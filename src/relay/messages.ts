import type { Begin, BusMethods, HubMethods } from '../bus/worker-messages.js';
import type { AuthOptions } from '../edge/auth.js';
import type { Renewed } from '../edge/edge.js';
import type { Limits, LiveLimits } from '../edge/limits.js';
import type { Credentials } from '../edge/live-auth.js';
import type { Full, Who } from '../edge/places.js';
import type { EdgeStats } from '../edge/stats.js';
import type { Threads } from '../http/health.js';
import type { IssuedTicket } from '../http/tickets.js';
import type { Grant } from '../model/grant.js';
import type { Log } from '../net/log.js';
import type { ListenOptions } from '../transports/transport.js';

/** What a worker is started with. Data, like everything that crosses. */
export interface WorkerStart {
  /** From 1. */
  readonly number: number;
  readonly auth: AuthOptions;
  readonly limits: Limits;
  readonly listen: ListenOptions;
  readonly publicMetrics: boolean;
  readonly dashboard: string;
  readonly requestsAtOnce: number;
}

/** What a worker asks the main thread, and tells it. */
export type MainMethods = HubMethods & {
  /** It has everything that it serves with, and wants to begin. */
  readonly join: (nothing: null) => void;
  /** It serves: connections may be handed to it. */
  readonly serving: (receiver: { readonly descriptor: number }) => void;
  readonly place: (taken: { readonly id: number; readonly address: string; readonly who?: Who }) => Full | null;
  readonly identify: (taken: { readonly id: number; readonly who: Who }) => boolean;
  readonly give: (id: number) => void;
  readonly issueTicket: (of: { readonly grant: Grant; readonly credentials: Credentials }) => IssuedTicket;
  readonly redeemTicket: (redeemed: { readonly use: number; readonly ticket: string; readonly resumes: boolean }) => {
    readonly grant: Grant;
    readonly credentials: Credentials;
  };
  readonly releaseTicket: (use: number) => void;
  readonly metrics: (nothing: null) => Promise<{ readonly contentType: string; readonly text: string }>;
  readonly threads: (nothing: null) => Promise<Threads>;
  readonly report: (report: WorkerReport) => void;
  readonly log: (line: LogLine) => void;
  /** It cannot go on, and waits to be told to leave. */
  readonly failed: (why: string) => void;
  /** Its last words. */
  readonly left: (report: WorkerReport) => void;
};

export interface LogLine {
  readonly level: keyof Log;
  readonly message: string;
  readonly fields?: Readonly<Record<string, unknown>>;
}

/** What the main thread asks a worker, and tells it. */
export type WorkerMethods = BusMethods & {
  readonly begin: (begin: Begin) => void;
  readonly report: (nothing: null) => WorkerReport;
  /** See `Changeable.prepare`; resolves with a name for what was prepared. */
  readonly prepare: (auth: AuthOptions) => Promise<number>;
  /** `prepared`: absent where it was not there when it was asked to prepare. */
  readonly use: (changes: {
    readonly limits: Partial<LiveLimits>;
    readonly auth?: AuthOptions;
    readonly prepared?: number;
  }) => Renewed | Promise<Renewed>;
  readonly endTicket: (use: number) => void;
  readonly drain: (options: { readonly timeoutMs: number }) => Promise<null>;
  /** Nothing is handed to it any more: it sends everybody away and ends. */
  readonly leave: (nothing: null) => void;
};

/** How a worker is, said twice a second and when it is asked. */
export interface WorkerReport {
  readonly stats: EdgeStats;
  readonly connections: number;
  readonly groups: number;
  readonly lagging: number;
  readonly bufferedBytes: number;
  readonly lateMs: number;
  /** Why it does not follow the hub. */
  readonly blind?: string;
}

export const REPORT_EVERY_MS = 500;

/** A clock that all threads of a process read alike, ms: `performance.now()` begins anew in each. */
export function sharedNow(): number {
  const [seconds, nanoseconds] = process.hrtime();
  return seconds * 1_000 + nanoseconds / 1e6;
}
