import { WebSocket } from 'ws';
import { type Carrier, type CarrierEnd, type CarrierHandlers, type Dial, PATH } from './carrier.js';

/** A peer that does not answer the closing handshake is left after this; `ws` itself would wait 30 s. */
const LINGER_MS = 2_000;

/** The `ws` package's client, as most Node subscribers use it. */
export function openWs(dial: Dial, handlers: CarrierHandlers): Carrier {
  let refused: CarrierEnd | undefined;
  let isOpen = false;
  let told = false;
  const socket = new WebSocket(`ws://127.0.0.1:${dial.port}${PATH}`, {
    perMessageDeflate: false,
    headers: dial.token === undefined ? {} : { authorization: `Bearer ${dial.token}` },
    ...(dial.localAddress === undefined ? {} : { localAddress: dial.localAddress }),
  });
  const tell = (end: CarrierEnd): void => {
    if (told) return;
    told = true;
    handlers.closed(end);
  };
  socket.on('open', () => {
    isOpen = true;
    handlers.opened();
  });
  socket.on('message', (data, isBinary) => {
    if (isBinary) tell({ how: 'fault', what: 'a binary message' });
    else handlers.message(String(data));
  });
  socket.on('unexpected-response', (request, response) => {
    refused = { how: 'refused', status: response.statusCode ?? 0 };
    response.resume();
    request.destroy();
    tell(refused);
  });
  socket.on('error', () => undefined); // followed by close
  socket.on('close', (code, reason) => {
    if (isOpen) tell({ how: 'closed', code, reason: String(reason) });
    else tell(refused ?? { how: 'refused', status: 0 });
  });
  return {
    send(text) {
      if (socket.readyState === WebSocket.OPEN) socket.send(text);
    },
    pause: () => socket.pause(),
    resume: () => socket.resume(),
    close() {
      socket.close(1000);
      const lingering = setTimeout(() => socket.terminate(), LINGER_MS);
      socket.once('close', () => clearTimeout(lingering));
    },
    reset: () => socket.terminate(),
  };
}
