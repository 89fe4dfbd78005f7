import { messageOf } from '../errors.js';
import type { Log } from '../net/log.js';
import type { Transport } from './transport.js';
import { createUwsTransport } from './uws.js';
import { createWsTransport } from './ws.js';

/**
 * uWebSockets.js where its binary loads, `ws` where it does not (another libc, a newer Node). A preference is kept or
 * rejected: whoever asks for `uws` gets it, or `not_available`.
 */
export async function chooseTransport(log: Log, preference?: 'uws' | 'ws'): Promise<Transport> {
  if (preference === 'ws') return createWsTransport();
  try {
    return await createUwsTransport();
  } catch (thrown) {
    if (preference === 'uws') throw thrown;
    log.warn('uWebSockets.js does not load here: the ws transport serves instead', { why: messageOf(thrown) });
    return createWsTransport();
  }
}
