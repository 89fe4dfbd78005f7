import { z } from 'zod';
import type { Clock, Random } from '../../net/clock.js';
import type { Log } from '../../net/log.js';
import { createPoll } from '../../net/poll.js';
import type { FactBatch, VenueMemory } from '../venue.js';
import { type Answer, isAbsent } from './api.js';
import { type PortalEvent, readPortalEvents } from './messages.js';
import type { SnaptradeConfig } from './options.js';
import type { UserSource } from './source.js';

/**
 * Portal events of all users, polled: `/sessionEvents` has no cursor, so that each is told by its id, once, and looked
 * for again within a window that overlaps. The vendor took it out of its public description: where it is gone, that is
 * said once and the lists go on alone.
 */
export interface PortalWatch {
  start(memory: VenueMemory | undefined): void;
  stop(): void;
  /** Takes in what a command was answered with, of one user. */
  take(events: readonly PortalEvent[]): void;
}

/** Events are looked for again this long before the newest: the vendor promises neither order nor promptness. */
export const OVERLAP_MS = 600_000;
/** Refused for another reason than that it is gone: asked for again after this. */
const REFUSED_WAIT_MS = 900_000;
/** So long may the filter of users be; a longer one would not fit into a URL, and all of the partner's are read. */
const MAX_FILTER_CHARACTERS = 1_500;
const MEMORY_KEY = 'portal events';
/** Ids that are remembered, the newest: one that is told again has the name that it had, and the journal refuses it. */
export const MAX_TOLD_IDS = 10_000;

const remembered = z.object({ fromMs: z.number(), ids: z.array(z.tuple([z.string(), z.number()])) });

export function createPortalWatch(options: {
  readonly config: Pick<SnaptradeConfig, 'sessionEvents' | 'pollSeconds' | 'credentials' | 'id'>;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly sources: () => Iterable<UserSource>;
  readonly sourceOf: (userId: string | undefined) => UserSource | undefined;
  readonly send: (query: readonly (readonly [string, string])[]) => Promise<Answer>;
  /** The venue has it no more. */
  readonly absent: () => void;
  readonly unreadable: (what: string) => void;
}): PortalWatch {
  const { config, clock, log } = options;
  /** Older events are not told: they were, or happened before the relay looked. */
  let fromMs = 0;
  let told = new Map<string, number>();
  let notBefore = Number.NEGATIVE_INFINITY;

  const queryFor = (): readonly (readonly [string, string])[] => {
    const ids = [...options.sources()].flatMap(({ user }) => (user === undefined ? [] : [user.userId]));
    const filter = ids.join(',');
    const isFiltered = filter !== '' && filter.length <= MAX_FILTER_CHARACTERS && !ids.some((id) => id.includes(','));
    return [['PartnerClientId', config.credentials.clientId], ...(isFiltered ? [['userId', filter] as const] : [])];
  };

  const tell = (events: readonly PortalEvent[], memory?: FactBatch['memory']): void => {
    const bySource = new Map<UserSource, PortalEvent[]>();
    for (const event of events) {
      const source = options.sourceOf(event.userId);
      if (source === undefined) continue;
      const list = bySource.get(source) ?? [];
      list.push(event);
      bySource.set(source, list);
    }
    const batches = [...bySource];
    // What is remembered belongs to the last of them: told again after a crash, an event has the key that it had.
    for (const [index, [source, list]] of batches.entries()) {
      source.takePortal(list, index === batches.length - 1 ? memory : undefined);
    }
  };
  const take = (events: readonly PortalEvent[], isWhole: boolean): void => {
    const fresh = events.filter(({ id, createdMs }) => createdMs >= fromMs && !told.has(id));
    for (const { id, createdMs } of fresh) told.set(id, createdMs);
    const newest = events.at(-1)?.createdMs;
    if (isWhole && newest !== undefined) fromMs = Math.max(fromMs, Math.min(newest, clock.now()) - OVERLAP_MS);
    if (fresh.length === 0) return;
    told = new Map([...told].filter(([, at]) => at >= fromMs).slice(-MAX_TOLD_IDS));
    tell(fresh, { [MEMORY_KEY]: { fromMs, ids: [...told] } });
  };

  const poll = createPoll({
    clock,
    random: options.random,
    everyMs: config.pollSeconds * 1_000,
    async task() {
      if (clock.monotonic() < notBefore || [...options.sources()].length === 0) return;
      const answer = await options.send(queryFor());
      if (answer.kind === 'ok') {
        const read = readPortalEvents(answer.body);
        if (read === undefined) return options.unreadable('session events without a list');
        if (read.unread > 0) options.unreadable('session events without id, type, session or time');
        return take(read.events, true);
      }
      if (isAbsent(answer)) {
        poll.stop();
        log.info(`snaptrade.${config.id}: the venue has no session events: they are polled no more`);
        return options.absent();
      }
      if (answer.kind === 'refused') {
        notBefore = clock.monotonic() + REFUSED_WAIT_MS;
        log.warn(`snaptrade.${config.id}: session events are refused`, { code: answer.code, message: answer.message });
      }
    },
  });

  return {
    start(memory) {
      const known = remembered.safeParse(memory?.get(MEMORY_KEY));
      fromMs = known.success ? known.data.fromMs : clock.now() - OVERLAP_MS;
      if (known.success) told = new Map(known.data.ids);
      if (config.sessionEvents === 'off') return;
      poll.start();
      void poll.now();
    },
    stop: () => poll.stop(),
    take: (events) => take(events, false),
  };
}
