/**
 * Who is there, counted against `maxConnections`, `maxConnectionsPerAddress` and `maxConnectionsPerIdentity`: by an edge
 * for itself, or for all edges of a relay by one of them all. An answer that is there at once is no promise.
 */
export interface Places {
  /** Takes one of an address, and of an identity where it is known already; or says what is full, and has taken nothing. */
  take(address: string, who?: Who): Now<Place | Full>;
}

export interface Who {
  readonly identity: string;
  /** Whether it must not have more than its limit: counted it is in any case. */
  readonly limited: boolean;
}

export interface Place {
  /** Counts it as this identity's from now on; `false` where that one has too many, and then nothing has changed. */
  identify(who: Who): Now<boolean>;
  /** Idempotent. */
  give(): void;
}

/** What there is no place of. */
export type Full = 'relay' | 'address' | 'identity';
/** At once, or later. Rejects where nobody can say: then nothing was taken. */
export type Now<T> = T | Promise<T>;

/** 0: no limit, but of `maxConnections`. They may change. */
export interface PlaceLimits {
  readonly maxConnections: number;
  readonly maxConnectionsPerAddress: number;
  readonly maxConnectionsPerIdentity: number;
}

/** The same, with answers at once. */
export interface CountedPlaces extends Places {
  take(address: string, who?: Who): CountedPlace | Full;
}

export interface CountedPlace extends Place {
  identify(who: Who): boolean;
}

export function countPlaces(limits: PlaceLimits): CountedPlaces {
  const perAddress = new Map<string, number>();
  const perIdentity = new Map<string, number>();
  let taken = 0;
  const isFull = (counts: ReadonlyMap<string, number>, key: string, most: number): boolean =>
    most > 0 && (counts.get(key) ?? 0) >= most;
  const isIdentityFull = ({ identity, limited }: Who): boolean =>
    limited && isFull(perIdentity, identity, limits.maxConnectionsPerIdentity);

  return {
    take(address, who) {
      if (taken >= limits.maxConnections) return 'relay';
      if (isFull(perAddress, address, limits.maxConnectionsPerAddress)) return 'address';
      if (who !== undefined && isIdentityFull(who)) return 'identity';
      taken++;
      change(perAddress, address, 1);
      let identity = who?.identity;
      if (identity !== undefined) change(perIdentity, identity, 1);
      let given = false;
      return {
        identify(next) {
          if (given || identity === next.identity) return true;
          if (isIdentityFull(next)) return false;
          if (identity !== undefined) change(perIdentity, identity, -1);
          identity = next.identity;
          change(perIdentity, identity, 1);
          return true;
        },
        give() {
          if (given) return;
          given = true;
          taken--;
          change(perAddress, address, -1);
          if (identity !== undefined) change(perIdentity, identity, -1);
        },
      };
    },
  };
}

function change(counts: Map<string, number>, key: string, by: number): void {
  const next = (counts.get(key) ?? 0) + by;
  if (next <= 0) counts.delete(key);
  else counts.set(key, next);
}
