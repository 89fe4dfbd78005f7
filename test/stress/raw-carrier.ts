import { createHash, randomBytes } from 'node:crypto';
import { connect, type OnReadOpts, type Socket } from 'node:net';
import { type Carrier, type CarrierEnd, type CarrierHandlers, type Dial, PATH } from './carrier.js';
import { clientFrame, createFrameReader, type FrameReader } from './frame-reader.js';

/** How greedily a subscriber reads. */
export type Appetite =
  | { readonly how: 'all' }
  /** The operating system is asked for one byte at a time, in bursts with a pause between. */
  | { readonly how: 'byte'; readonly burst: number; readonly everyMs: number };

/** RFC 6455 §1.3. */
const ACCEPT_SALT = '258EAFA5-E914-47DA-95CA-C5AB0DC85B11';
const MAX_HEAD_BYTES = 16 * 1024;
/** A peer that does not end its side of TCP is left after this. */
const LINGER_MS = 2_000;
const HEAD_END = '\r\n\r\n';

/** A WebSocket client on a bare socket: its own handshake, its own framing. */
export function openRaw(dial: Dial, handlers: CarrierHandlers, appetite: Appetite = { how: 'all' }): Carrier {
  const key = randomBytes(16).toString('base64');
  const mask = randomBytes(4);
  let reader: FrameReader | undefined;
  let head = Buffer.alloc(0);
  let end: CarrierEnd | undefined;
  let told = false;
  let paused = false;
  let lingering: NodeJS.Timeout | undefined;

  const tell = (): void => {
    if (told) return;
    told = true;
    clearTimeout(lingering);
    const unsaid: CarrierEnd =
      reader === undefined ? { how: 'refused', status: 0 } : { how: 'closed', code: 1006, reason: '' };
    handlers.closed(end ?? unsaid);
  };
  const finish = (how: CarrierEnd): void => {
    end ??= how;
    socket.end();
    lingering ??= setTimeout(() => socket.destroy(), LINGER_MS);
  };
  const write = (opcode: 'text' | 'close' | 'pong', payload: Buffer): void => {
    if (socket.writable) socket.write(clientFrame(opcode, payload, mask));
  };

  const handshake = (bytes: Buffer): Buffer | undefined => {
    head = Buffer.concat([head, bytes]);
    const at = head.indexOf(HEAD_END);
    if (at < 0) {
      if (head.length > MAX_HEAD_BYTES) finish({ how: 'fault', what: 'a head without an end' });
      return undefined;
    }
    const text = head.subarray(0, at).toString('latin1');
    const status = Number(/^HTTP\/1\.1 (\d{3})/.exec(text)?.[1] ?? 0);
    if (status !== 101) {
      finish({ how: 'refused', status });
      return undefined;
    }
    const accept = /^sec-websocket-accept:\s*(\S+)\s*$/im.exec(text)?.[1];
    if (accept !== createHash('sha1').update(`${key}${ACCEPT_SALT}`).digest('base64')) {
      finish({ how: 'fault', what: 'the wrong Sec-WebSocket-Accept' });
      return undefined;
    }
    reader = createFrameReader({
      text: (received) => handlers.message(received),
      ping: (payload) => write('pong', payload),
      close(code, reason) {
        const status = Buffer.alloc(2);
        status.writeUInt16BE(code === 1005 ? 1000 : code);
        write('close', status);
        finish({ how: 'closed', code, reason });
      },
      fault: (what) => finish({ how: 'fault', what }),
    });
    handlers.opened();
    return head.subarray(at + HEAD_END.length);
  };
  const take = (bytes: Buffer): void => {
    const rest = reader === undefined ? handshake(bytes) : bytes;
    if (rest !== undefined && rest.length > 0) reader?.push(rest);
  };

  /** libuv reads into this one byte: each system call brings one. */
  const bite: OnReadOpts | undefined =
    appetite.how === 'all'
      ? undefined
      : {
          buffer: Buffer.alloc(1),
          callback(_size, byte) {
            take(Buffer.from(byte));
            // The head of the handshake is read at once: only what the relay sends is taken slowly.
            if (reader === undefined || ++bitten % appetite.burst !== 0) return !paused;
            resting = setTimeout(() => {
              if (!paused) socket.resume();
            }, appetite.everyMs);
            return false;
          },
        };
  let bitten = 0;
  let resting: NodeJS.Timeout | undefined;

  const socket: Socket = connect({
    host: '127.0.0.1',
    port: dial.port,
    noDelay: true,
    ...(dial.localAddress === undefined ? {} : { localAddress: dial.localAddress }),
    ...(bite === undefined ? {} : { onread: bite }),
  });
  socket.on('connect', () => {
    const lines = [
      `GET ${PATH} HTTP/1.1`,
      `Host: 127.0.0.1:${dial.port}`,
      'Connection: Upgrade',
      'Upgrade: websocket',
      'Sec-WebSocket-Version: 13',
      `Sec-WebSocket-Key: ${key}`,
      ...(dial.token === undefined ? [] : [`Authorization: Bearer ${dial.token}`]),
    ];
    socket.write(`${lines.join('\r\n')}${HEAD_END}`);
  });
  if (bite === undefined) socket.on('data', take);
  socket.on('error', () => undefined); // followed by close
  socket.on('close', () => {
    clearTimeout(resting);
    tell();
  });

  return {
    send: (text) => write('text', Buffer.from(text, 'utf8')),
    pause() {
      paused = true;
      socket.pause();
    },
    resume() {
      paused = false;
      socket.resume();
    },
    close() {
      if (reader === undefined) {
        socket.destroy();
        return;
      }
      const status = Buffer.alloc(2);
      status.writeUInt16BE(1000);
      write('close', status);
      finish({ how: 'closed', code: 1000, reason: 'left' });
    },
    reset() {
      end ??= { how: 'closed', code: 1006, reason: 'reset' };
      // Node would wait until a socket is connected before it resets it: for minutes, where nobody answers.
      if (socket.connecting) socket.destroy();
      else socket.resetAndDestroy();
    },
  };
}
