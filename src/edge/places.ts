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
  const counts = new Counts(limits);
  return {
    take(address, who) {
      if (counts.taken >= limits.maxConnections) return 'relay';
      if (isFull(counts.perAddress, address, limits.maxConnectionsPerAddress)) return 'address';
      if (who !== undefined && counts.isIdentityFull(who)) return 'identity';
      return new OwnPlace(counts, address, who?.identity);
    },
  };
}

class Counts {
  readonly perAddress = new Map<string, number>();
  readonly perIdentity = new Map<string, number>();
  taken = 0;
  private readonly limits: PlaceLimits;

  constructor(limits: PlaceLimits) {
    this.limits = limits;
  }

  isIdentityFull({ identity, limited }: Who): boolean {
    return limited && isFull(this.perIdentity, identity, this.limits.maxConnectionsPerIdentity);
  }
}

class OwnPlace implements CountedPlace {
  private readonly counts: Counts;
  private readonly address: string;
  private identity: string | undefined;
  private given = false;

  constructor(counts: Counts, address: string, identity: string | undefined) {
    this.counts = counts;
    this.address = address;
    this.identity = identity;
    counts.taken++;
    change(counts.perAddress, address, 1);
    if (identity !== undefined) change(counts.perIdentity, identity, 1);
  }

  identify(next: Who): boolean {
    if (this.given || this.identity === next.identity) return true;
    if (this.counts.isIdentityFull(next)) return false;
    if (this.identity !== undefined) change(this.counts.perIdentity, this.identity, -1);
    this.identity = next.identity;
    change(this.counts.perIdentity, next.identity, 1);
    return true;
  }

  give(): void {
    if (this.given) return;
    this.given = true;
    this.counts.taken--;
    change(this.counts.perAddress, this.address, -1);
    if (this.identity !== undefined) change(this.counts.perIdentity, this.identity, -1);
  }
}

/** 0: no limit. */
function isFull(counts: ReadonlyMap<string, number>, key: string, most: number): boolean {
  return most > 0 && (counts.get(key) ?? 0) >= most;
}

function change(counts: Map<string, number>, key: string, by: number): void {
  const next = (counts.get(key) ?? 0) + by;
  if (next <= 0) counts.delete(key);
  else counts.set(key, next);
}
