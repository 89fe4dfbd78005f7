import { ConfigError } from '../errors.js';

/** Why a server could not listen, by the code of Node's error, where it is the address that is wrong. */
const WHY: Readonly<Record<string, string>> = {
  EACCES: 'this process may not listen there: choose a port from 1024, or grant it',
  EADDRNOTAVAIL: 'this machine has no such address',
  EAFNOSUPPORT: 'this machine has no addresses of this kind',
  EINVAL: 'this is no address to listen on',
  ENOTFOUND: 'there is no such host',
  EAI_AGAIN: 'the host cannot be looked up now',
};

/** What was started, or a {@link ConfigError} that names the address where that is what is wrong with it. */
export async function listening<T>(
  address: { readonly host: string; readonly port: number },
  started: Promise<T>,
): Promise<T> {
  try {
    return await started;
  } catch (cause) {
    const code = cause instanceof Error && 'code' in cause && typeof cause.code === 'string' ? cause.code : '';
    const why = WHY[code];
    if (why === undefined) throw cause;
    throw new ConfigError([{ key: 'listen', message: `${address.host}, port ${address.port}: ${why} (${code})` }]);
  }
}
