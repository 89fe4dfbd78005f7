/**
 * The receiving half of a WebSocket client (RFC 6455 §5), fed with bytes as they come, one at a time if need be. A
 * framing of our own beside `ws`, so that two clients that share no code see the same stream.
 */
export interface FrameReader {
  push(bytes: Uint8Array): void;
}

export interface FrameHandlers {
  text(text: string): void;
  ping(payload: Buffer): void;
  close(code: number, reason: string): void;
  /** What the server must not send. Nothing is read after it. */
  fault(what: string): void;
}

const OPCODE = { continuation: 0, text: 1, binary: 2, close: 8, ping: 9, pong: 10 } as const;
const NO_STATUS = 1005;
const FIRST_CAPACITY = 4_096;

export function createFrameReader(handlers: FrameHandlers): FrameReader {
  let held = Buffer.allocUnsafe(FIRST_CAPACITY);
  let length = 0;
  /** So many bytes are needed before looking again is worth it. */
  let needed = 2;
  let fragments: Buffer[] | undefined;
  let over = false;

  const hold = (bytes: Uint8Array): void => {
    if (length + bytes.length > held.length) {
      const larger = Buffer.allocUnsafe(Math.max(held.length * 2, length + bytes.length));
      held.copy(larger, 0, 0, length);
      held = larger;
    }
    held.set(bytes, length);
    length += bytes.length;
  };
  const fail = (what: string): void => {
    over = true;
    handlers.fault(what);
  };
  const take = (opcode: number, isLast: boolean, payload: Buffer): void => {
    switch (opcode) {
      case OPCODE.text:
        if (fragments !== undefined) return fail('a message inside a message');
        if (isLast) handlers.text(payload.toString('utf8'));
        else fragments = [Buffer.from(payload)];
        return undefined;
      case OPCODE.continuation: {
        if (fragments === undefined) return fail('a continuation of nothing');
        fragments.push(Buffer.from(payload));
        if (!isLast) return undefined;
        const whole = Buffer.concat(fragments).toString('utf8');
        fragments = undefined;
        handlers.text(whole);
        return undefined;
      }
      case OPCODE.ping:
        return handlers.ping(Buffer.from(payload));
      case OPCODE.pong:
        return undefined;
      case OPCODE.close:
        over = true;
        return handlers.close(
          payload.length >= 2 ? payload.readUInt16BE(0) : NO_STATUS,
          payload.subarray(2).toString('utf8'),
        );
      default:
        return fail(`a frame of opcode ${opcode}`);
    }
  };
  /** One frame from `at` on; its length, or `undefined` where it is not whole. */
  const readOne = (at: number): number | undefined => {
    const left = length - at;
    const [head = 0, second = 0] = [held[at], held[at + 1]];
    let headBytes = 2;
    let size = second & 0x7f;
    if (size === 126) headBytes = 4;
    else if (size === 127) headBytes = 10;
    needed = headBytes;
    if (left < headBytes) return undefined;
    if (size === 126) size = held.readUInt16BE(at + 2);
    else if (size === 127) size = Number(held.readBigUInt64BE(at + 2));
    needed = headBytes + size;
    if (left < needed) return undefined;
    if ((head & 0x70) !== 0) fail('reserved bits are set, and no extension was agreed');
    else if ((second & 0x80) !== 0) fail('a masked frame from a server');
    else take(head & 0x0f, (head & 0x80) !== 0, held.subarray(at + headBytes, at + headBytes + size));
    return headBytes + size;
  };

  return {
    push(bytes) {
      if (over) return;
      hold(bytes);
      let at = 0;
      while (!over && length - at >= needed) {
        const read = readOne(at);
        if (read === undefined) break;
        at += read;
        needed = 2;
      }
      if (at === 0) return;
      held.copyWithin(0, at, length);
      length -= at;
    },
  };
}

/** A client's frame: masked, as RFC 6455 §5.3 asks. */
export function clientFrame(opcode: 'text' | 'close' | 'pong', payload: Buffer, mask: Buffer): Buffer {
  const size = payload.length;
  const headBytes = size < 126 ? 2 : size < 65_536 ? 4 : 10;
  const frame = Buffer.allocUnsafe(headBytes + 4 + size);
  frame[0] = 0x80 | OPCODE[opcode];
  if (headBytes === 2) frame[1] = 0x80 | size;
  else if (headBytes === 4) {
    frame[1] = 0x80 | 126;
    frame.writeUInt16BE(size, 2);
  } else {
    frame[1] = 0x80 | 127;
    frame.writeBigUInt64BE(BigInt(size), 2);
  }
  mask.copy(frame, headBytes, 0, 4);
  for (let index = 0; index < size; index++) {
    frame[headBytes + 4 + index] = (payload[index] ?? 0) ^ (mask[index % 4] ?? 0);
  }
  return frame;
}
