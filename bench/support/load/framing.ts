/**
 * How a protocol cuts its stream of bytes into frames. Nothing here copies, allocates or decodes text: a load generator
 * that costs more than the server measures itself.
 */
export interface Framing {
  /** The whole length of the frame that begins at `at`, or 0 where its head is not whole before `end`. */
  sizeAt(bytes: Buffer, at: number, end: number): number;
}

/** Frames of a WebSocket server (RFC 6455 §5.2): never masked. */
export const webSocketFraming: Framing = {
  sizeAt(bytes, at, end) {
    const left = end - at;
    if (left < 2) return 0;
    const short = (bytes[at + 1] ?? 0) & 0x7f;
    if (short < 126) return 2 + short;
    if (short === 126) return left < 4 ? 0 : 4 + (((bytes[at + 2] ?? 0) << 8) | (bytes[at + 3] ?? 0));
    // No server here sends 4 GiB: the upper half is zero.
    return left < 10 ? 0 : 10 + bytes.readUInt32BE(at + 6);
  },
};

/** Where the payload of a WebSocket frame begins. */
export function payloadStart(bytes: Buffer, at: number): number {
  const short = (bytes[at + 1] ?? 0) & 0x7f;
  if (short < 126) return at + 2;
  return at + (short === 126 ? 4 : 10);
}

export const OPCODE = { text: 1, close: 8, ping: 9, pong: 10 } as const;

/**
 * A client's frame, masked with zeros: RFC 6455 asks for a mask that nobody can foresee, because of proxies; on loopback
 * there is none.
 */
export function clientFrame(payload: Uint8Array, opcode: number = OPCODE.text): Buffer {
  return Buffer.concat([headOf(payload.length, opcode, 0x80), Buffer.alloc(4), payload]);
}

export function serverFrame(payload: Uint8Array, opcode: number = OPCODE.text): Buffer {
  return Buffer.concat([headOf(payload.length, opcode, 0), payload]);
}

function headOf(size: number, opcode: number, mask: number): Buffer {
  if (size < 126) return Buffer.from([0x80 | opcode, mask | size]);
  if (size > 0xffff) throw new RangeError('no frame here is that large');
  return Buffer.from([0x80 | opcode, mask | 126, size >>> 8, size & 0xff]);
}

/** Cuts what comes in chunks, of which only a frame that spans two is copied. */
export interface Cutter {
  /** Bytes `from` to `to` of the chunk; the chunk may be used again afterwards. */
  feed(chunk: Buffer, from: number, to: number): void;
  /** Nothing waits for its rest. */
  readonly isWhole: boolean;
}

const FIRST_HELD_BYTES = 1_024;

/** `take` gets each whole frame in the buffer where it lies, which is only good within the call. */
export function createCutter(framing: Framing, take: (bytes: Buffer, at: number, size: number) => void): Cutter {
  let held: Buffer | undefined;
  let length = 0;

  const hold = (chunk: Buffer, from: number, to: number): void => {
    const needed = length + to - from;
    if (held === undefined || held.length < needed) {
      const larger = Buffer.allocUnsafe(Math.max(needed, (held?.length ?? FIRST_HELD_BYTES / 2) * 2));
      held?.copy(larger, 0, 0, length);
      held = larger;
    }
    chunk.copy(held, length, from, to);
    length = needed;
  };
  /** Adds to the frame that waits; where the chunk's rest begins. */
  const complete = (chunk: Buffer, from: number, to: number): number => {
    let at = from;
    while (at < to) {
      const size = held === undefined ? 0 : framing.sizeAt(held, 0, length);
      const missing = size === 0 ? 1 : size - length;
      const part = Math.min(missing, to - at);
      hold(chunk, at, at + part);
      at += part;
      const whole = held;
      if (whole === undefined || framing.sizeAt(whole, 0, length) !== length) continue;
      const taken = length;
      length = 0;
      take(whole, 0, taken);
      return at;
    }
    return at;
  };

  return {
    get isWhole() {
      return length === 0;
    },
    feed(chunk, from, to) {
      let at = length > 0 ? complete(chunk, from, to) : from;
      while (at < to) {
        const size = framing.sizeAt(chunk, at, to);
        if (size === 0 || at + size > to) {
          hold(chunk, at, to);
          return;
        }
        take(chunk, at, size);
        at += size;
      }
    },
  };
}
