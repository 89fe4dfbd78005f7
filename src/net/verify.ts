import { readFileSync } from 'node:fs';
import { isIP } from 'node:net';
import { type ConnectionOptions, connect, TLSSocket } from 'node:tls';
import { messageOf, SessionRelayError } from '../errors.js';
import type { TlsOptions } from './tls.js';

/** The verification options of one TLS connection; nothing here touches the process as a whole. */
export interface TlsConnection {
  readonly ca?: string;
  readonly rejectUnauthorized?: boolean;
}

/**
 * A CA (PEM, or a path to one), or no chain verification (`insecure`, or because a pinned fingerprint replaces it);
 * without any of these, the system's roots. Throws `config_invalid` where the CA's file cannot be read.
 */
export function tlsConnection(tls: TlsOptions | undefined): TlsConnection {
  if (tls === undefined) return {};
  if (tls.insecure === true || tls.fingerprint !== undefined) return { rejectUnauthorized: false };
  if (tls.ca === undefined) return {};
  return { ca: tls.ca.includes('-----BEGIN') ? tls.ca : readPem(tls.ca) };
}

function readPem(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (cause) {
    throw new SessionRelayError('config_invalid', `the CA certificate cannot be read: ${messageOf(cause)}`, { cause });
  }
}

/** Why a connected peer is not the pinned one; `undefined` where it is, or where nothing is pinned. */
export function fingerprintProblem(tls: TlsOptions | undefined, socket: object): Error | undefined {
  if (tls?.fingerprint === undefined) return undefined;
  if (!(socket instanceof TLSSocket)) return new Error('a fingerprint is pinned, and the connection is not TLS');
  const found: string | undefined = socket.getPeerCertificate().fingerprint256;
  if (found !== undefined && digits(found) === digits(tls.fingerprint)) return undefined;
  return new Error(`the peer's certificate has the fingerprint ${found ?? '(none)'}, not the pinned one`);
}

function digits(fingerprint: string): string {
  return fingerprint.replaceAll(':', '').toUpperCase();
}

/** Opens a TLS connection whose peer is checked against the pinned fingerprint before anything is sent. */
export function connectPinned(tls: TlsOptions) {
  return (options: ConnectionOptions, done: (error: Error | null, socket?: TLSSocket) => void): undefined => {
    // `path` is the request's here, and a Unix socket's to `connect`; a name is sent only where it is one.
    const { host = '', path: _, ...rest } = options;
    const servername = options.servername ?? (isIP(host) === 0 ? host : '');
    const socket = connect({ ...rest, host, servername, rejectUnauthorized: false });
    const fail = (error: Error): void => done(error);
    socket.once('error', fail);
    socket.once('secureConnect', () => {
      socket.off('error', fail);
      const problem = fingerprintProblem(tls, socket);
      if (problem === undefined) return done(null, socket);
      socket.on('error', () => {});
      socket.destroy();
      done(problem);
    });
  };
}
