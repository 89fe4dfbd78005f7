/** How one source's peer is verified. Without any of these: against the system's roots. */
export interface TlsOptions {
  /** A CA certificate: PEM, or the path of a file with it. */
  readonly ca?: string;
  /** SHA-256 of the peer's certificate, hex with colons; replaces the chain's verification, and demands TLS. */
  readonly fingerprint?: string;
  /** No verification at all, of this source alone; the log says so. */
  readonly insecure?: boolean;
}
