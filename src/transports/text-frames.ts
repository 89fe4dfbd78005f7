/** RFC 6455 §5.2: the last part of a message, which is text; a server masks nothing. */
const FINAL_TEXT = 0x81;
const LENGTH_IN_16_BITS = 126;
const LENGTH_IN_64_BITS = 127;

/** Text messages as a server writes them to a socket, one behind the other. */
export function textFrames(messages: readonly (string | Uint8Array)[]): Buffer {
  return Buffer.concat(
    messages.flatMap((message) => {
      const payload = typeof message === 'string' ? Buffer.from(message) : message;
      return [headerOf(payload.length), payload];
    }),
  );
}

function headerOf(bytes: number): Buffer {
  if (bytes < LENGTH_IN_16_BITS) return Buffer.from([FINAL_TEXT, bytes]);
  if (bytes <= 0xffff) return Buffer.from([FINAL_TEXT, LENGTH_IN_16_BITS, bytes >> 8, bytes & 0xff]);
  const header = Buffer.alloc(10);
  header[0] = FINAL_TEXT;
  header[1] = LENGTH_IN_64_BITS;
  header.writeBigUInt64BE(BigInt(bytes), 2);
  return header;
}
