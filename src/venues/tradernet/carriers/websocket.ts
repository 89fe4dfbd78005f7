import type { SocketEnd } from '../../../net/socket.js';
import { readText } from '../messages.js';
import type { CarrierEnd, OpenCarrier } from './carrier.js';

/** The raw WebSocket (Tradernet docs, WebSocket API): text frames that are arrays `[event, data?]`, both ways. */
export const openWebSocket: OpenCarrier = (connect, target, handlers) => {
  const { url, headers, tls } = target;
  const socket = connect(
    url,
    { headers, ...(tls === undefined ? {} : { tls }) },
    {
      opened: () => handlers.opened(),
      message: (text) => handlers.frame(readText(text)),
      pong: () => handlers.alive(),
      ended: (end) => handlers.ended(endOf(end)),
    },
  );
  return {
    askSessions: (word) => socket.send(JSON.stringify([word])),
    ask: () => socket.ping(),
    close: () => socket.close(1000),
    terminate: () => socket.terminate(),
  };
};

function endOf({ code, reason, clean, refused, error }: SocketEnd): CarrierEnd {
  const words = [reason, error].filter((one) => one !== undefined && one !== '');
  const retryAfter = refused?.headers['retry-after'];
  return {
    code,
    clean,
    reason: words.join(': '),
    initiator: clean || refused !== undefined ? 'venue' : 'network',
    ...(refused === undefined ? {} : { status: refused.status }),
    ...(retryAfter === undefined ? {} : { retryAfter }),
  };
}
