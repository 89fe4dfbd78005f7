import { SessionRelayError } from '../errors.js';
import type { Grant } from '../model/grant.js';
import { CatchUp } from './catch-up.js';
import { type ChannelGroup, type Member, NO_PLACE } from './channels.js';
import type { Frame } from './frames.js';
import type { Outbound } from './outbound.js';
import type { Pump } from './pump.js';
import { type Recovery, resumeAfter } from './recovery.js';
import type { Replay } from './replay.js';
import type { EdgeStats } from './stats.js';
import type { Slot } from './wire.js';

/** What a subscription needs of its connection. */
export interface Outlet {
  readonly outbound: Outbound;
  readonly pump: Pump;
  readonly stats: EdgeStats;
  readonly slot: Slot | undefined;
  grant(): Grant;
  /** What is live cannot follow: every live channel of the connection is replayed from where it stands. */
  fallBehind(): void;
  /** Something failed that the subscriber cannot know of: the connection must end. */
  fail(thrown: unknown): void;
}

/** One channel of one connection: snapshot or replay first, then live, with `previous` chained throughout. */
export interface Subscription {
  readonly channel: string;
  readonly group: ChannelGroup;
  /** What the channel's `last` was when the subscriber was last told, by the reply or a heartbeat; its connection's own. */
  toldLast: string;
  /** Whether what it sends is what this grant shows; whether the grant contains the channel is not asked here. */
  fits(grant: Grant): boolean;
  /** Whether it is live: everything before the edge's position was sent. */
  isLive(): boolean;
  /** The last event that was sent, or what was said instead of it: what the subscriber may resume with. */
  sent(): string;
  /**
   * Up to where everything was sent, while the subscriber may take it for live and it is not; else `undefined`. No
   * cursor that it is told may lie beyond.
   */
  sentUpTo(): string | undefined;
  /**
   * Sends what comes first (snapshot, replay), then goes live. Call it in the turn in which the reply was sent; of one
   * that has ended meanwhile nothing comes.
   */
  start(): void;
  /** Where it is live, it is live no more: what was not sent is replayed. */
  fallBehind(): void;
  /** Ends it; nothing is sent after this returns. */
  end(): void;
}

export interface SubscriptionOptions {
  readonly channel: string;
  readonly recovery: Recovery;
  readonly pulses: boolean;
  readonly replay: Pick<Replay, 'channels' | 'tapes' | 'snapshots'>;
  readonly outlet: Outlet;
}

/** Makes a subscription and takes its place in the channel's group; nothing is sent before `start`. */
export function createSubscription(options: SubscriptionOptions): Subscription {
  return new ChannelSubscription(options);
}

/** Its own member of the group. A live one holds no more than the group and its connection: see {@link CatchUp}. */
class ChannelSubscription implements Subscription, Member {
  readonly group: ChannelGroup;
  toldLast: string;
  place = NO_PLACE;
  private readonly replay: SubscriptionOptions['replay'];
  private readonly outlet: Outlet;
  /** What comes before it is live; `undefined` while it is, and once it has ended. */
  private catchUp: CatchUp | undefined;
  private hasEnded = false;
  /** The last event that was sent, where a delivery ended before its end. */
  private stoppedAt: string | undefined;

  constructor({ channel, recovery, pulses, replay, outlet }: SubscriptionOptions) {
    this.group = replay.channels.acquire(channel, outlet.grant().fields, pulses);
    this.toldLast = this.group.last;
    this.replay = replay;
    this.outlet = outlet;
    this.catchUp = this.createCatchUp(recovery);
  }

  get channel(): string {
    return this.group.channel;
  }

  get slot(): Slot | undefined {
    return this.outlet.slot;
  }

  fits(grant: Grant): boolean {
    return grant.fields === this.group.fields;
  }

  isLive(): boolean {
    return this.catchUp === undefined && !this.hasEnded;
  }

  sent(): string {
    return this.catchUp?.sent() ?? this.group.sent;
  }

  sentUpTo(): string | undefined {
    return this.catchUp?.sentUpTo();
  }

  start(): void {
    this.catchUp?.start();
  }

  deliver(frames: readonly Frame[]): void {
    if (!this.isLive()) return;
    const went = this.outlet.outbound.push(frames);
    if (went === frames.length) return;
    this.stoppedAt = frames[went - 1]?.id ?? frames[0]?.previous;
    this.outlet.fallBehind();
  }

  queued(bytes: number): void {
    this.outlet.outbound.queued(bytes);
  }

  broken(): void {
    this.outlet.fail(new SessionRelayError('internal', 'a socket took part of what it was sent'));
  }

  pulse(frame: string): void {
    if (this.isLive()) this.outlet.outbound.spare(frame, 'pulse');
  }

  fallBehind(): void {
    if (!this.isLive()) return;
    const { channels } = this.replay;
    channels.leave(this.group, this);
    const sent = this.stoppedAt ?? this.group.sent;
    this.stoppedAt = undefined;
    const from = resumeAfter({
      sent,
      last: this.group.last,
      delivered: channels.delivered(),
      position: channels.position(),
    });
    this.catchUp = this.createCatchUp();
    this.catchUp.mend(sent, from);
  }

  end(): void {
    if (this.hasEnded) return;
    if (this.isLive()) this.replay.channels.leave(this.group, this);
    this.hasEnded = true;
    this.catchUp?.end();
    this.catchUp = undefined;
    this.replay.channels.release(this.group);
  }

  private createCatchUp(recovery?: Recovery): CatchUp {
    const { group, replay, outlet } = this;
    return new CatchUp({ group, replay, outlet, recovery, live: () => this.goLive() });
  }

  private goLive(): void {
    this.catchUp = undefined;
    this.replay.channels.join(this.group, this);
  }
}
