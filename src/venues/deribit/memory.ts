import { z } from 'zod';
import { protectionScope } from '../../model/event.js';
import type { VenueMemory } from '../venue.js';

/**
 * What a source finds again after a restart. Never a credential: of the session's `sid` and of the client id only a
 * digest is kept, enough to see that they are the same ones.
 */

const session = z.object({
  /** The session's token: a record of another scope's session is no record. */
  token: z.string(),
  /** It was open when this was written. */
  open: z.boolean(),
  /** A digest of its `sid`. */
  sid: z.string().exactOptional(),
});

const wishes = z.object({
  /** Set by a command; 0: off. */
  heartbeatSeconds: z.number().exactOptional(),
  protection: z
    .object({ connection: z.boolean().exactOptional(), account: z.boolean().exactOptional() })
    .exactOptional(),
});

const login = z.object({
  /** A digest of the client id that was last taken. */
  worked: z.string().exactOptional(),
  /** A `logout` command: no login of the relay's own until one is asked for. */
  loggedOut: z.boolean(),
});

/** What was told last of the venue's level. */
const platform = z.object({
  parts: z.array(z.string()),
  locked: z.boolean(),
  maintenance: z.enum(['none', 'announced', 'begun']),
});
/** And of the account's locks: currencies, or `all`. */
const locks = z.array(z.string());

export interface PlatformRecord {
  readonly platform?: z.output<typeof platform>;
  readonly locks?: z.output<typeof locks>;
}

export type SessionRecord = z.output<typeof session>;
export type LoginRecord = z.output<typeof login>;

/** What commands have set, as `attributes.wishes` shows it. */
export type Wishes = z.output<typeof wishes>;

export interface Recalled extends PlatformRecord {
  readonly session?: SessionRecord;
  readonly wishes: Wishes;
  readonly login: LoginRecord;
  /** Scopes that were armed on a connection whose end was not seen. */
  readonly armed: readonly z.output<typeof protectionScope>[];
  /** The venue's penalty, ms since the epoch, whose end was not told. */
  readonly throttledUntilMs?: number;
}

/** Reads the memory of an earlier life; what does not fit is as if it had never been. */
export function recall(memory: VenueMemory | undefined, token: string): Recalled {
  const known = session.safeParse(memory?.get('session')).data;
  const throttledUntilMs = z.number().safeParse(memory?.get('throttledUntilMs')).data;
  const level = platform.safeParse(memory?.get('platform')).data;
  const locked = locks.safeParse(memory?.get('locks')).data;
  const wished = wishes.safeParse(memory?.get('wishes')).data ?? {};
  return {
    ...(known?.token === token ? { session: known } : {}),
    wishes: wished,
    login: login.safeParse(memory?.get('login')).data ?? { loggedOut: false },
    ...(throttledUntilMs === undefined ? {} : { throttledUntilMs }),
    ...(level === undefined ? {} : { platform: level }),
    ...(locked === undefined ? {} : { locks: locked }),
    armed: z.array(protectionScope).safeParse(memory?.get('armed')).data ?? [],
  };
}
