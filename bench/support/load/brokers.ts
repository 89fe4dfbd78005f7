import { connect, type Socket } from 'node:net';
import { createFrameSource, type FrameSource } from '../servers/frame-source.js';
import { type Dialect, NOTHING } from './dialect.js';
import type { Framing } from './framing.js';
import type { ClosableTrigger } from './trigger.js';

/** Subscribers and publishers of message brokers, as far as a bench needs them. */

const TOPIC = 't';
const CR = 0x0d;
const LF = 0x0a;
const NINE = 0x39;
const ZERO = 0x30;
const M = 0x4d;
const P = 0x50;
const SPACE = 0x20;
const LINE_END_BYTES = 2;

/** Lines; `MSG <subject> <sid> <bytes>` is followed by so many bytes and a line's end. */
const natsFraming: Framing = {
  sizeAt(bytes, at, end) {
    const lineEnd = lineEndAt(bytes, at, end);
    if (lineEnd < 0) return 0;
    const line = lineEnd + 1 - at;
    if (bytes[at] !== M) return line;
    let size = 0;
    for (let index = lineEnd - 1, unit = 1; ; index--) {
      const digit = bytes[index - 1] ?? SPACE;
      if (digit < ZERO || digit > NINE) break;
      size += (digit - ZERO) * unit;
      unit *= 10;
    }
    return line + size + LINE_END_BYTES;
  },
};

/** Where the line's `\n` is; -1 where it has not come. */
function lineEndAt(bytes: Buffer, from: number, end: number): number {
  for (let at = from + 1; at < end; at++) if (bytes[at] === LF && bytes[at - 1] === CR) return at;
  return -1;
}

/** The protocol of NATS clients over TCP. */
export function natsDialect(): Dialect {
  return {
    framing: natsFraming,
    hello: Buffer.from(`CONNECT {"verbose":false,"pedantic":false}\r\nSUB ${TOPIC} 1\r\nPING\r\n`),
    upgrades: false,
    isOpenSubscribed: false,
    tailBytes: LINE_END_BYTES,
    eventAt: (bytes, at, size) => (bytes[at] === M ? lineEndAt(bytes, at, at + size) + 1 : -1),
    other(bytes, at, size, send) {
      if (bytes[at] === 0x2d) return { what: 'fault', why: bytes.toString('latin1', at, at + size) };
      if (bytes[at] !== P) return NOTHING;
      // PONG answers what came with SUB; PING asks whether anybody is there.
      if (bytes[at + 1] === 0x4f) return { what: 'subscribed' };
      send(Buffer.from('PONG\r\n'));
      return NOTHING;
    },
  };
}

export async function natsTrigger(port: number, channel: string): Promise<ClosableTrigger> {
  const frames = createFrameSource(channel);
  const socket = await connected(port);
  socket.write('CONNECT {"verbose":false,"pedantic":false}\r\n');
  socket.on('data', (chunk: Buffer) => {
    if (chunk.includes('PING')) socket.write('PONG\r\n');
  });
  return burstTrigger(socket, frames, (frame) =>
    Buffer.concat([Buffer.from(`PUB ${TOPIC} ${frame.length}\r\n`), frame, Buffer.from('\r\n')]),
  );
}

const MQTT = { connect: 0x10, connack: 0x20, publish: 0x30, subscribe: 0x82, suback: 0x90 } as const;

/** MQTT 3.1.1 §2.2: a byte of type, the rest's length in groups of seven bits. */
const mqttFraming: Framing = {
  sizeAt(bytes, at, end) {
    let size = 0;
    for (let index = 1, unit = 1; index <= 4; index++, unit *= 128) {
      if (at + index >= end) return 0;
      const part = bytes[at + index] ?? 0;
      size += (part & 0x7f) * unit;
      if (part < 0x80) return 1 + index + size;
    }
    return 0;
  },
};

/** Quality of service 0: at most once, as all others here. */
export function mqttDialect(index: number): Dialect {
  return {
    framing: mqttFraming,
    hello: Buffer.concat([
      mqttConnect(`s${index}`),
      mqttPacket(MQTT.subscribe, [0, 1, 0, TOPIC.length, ...Buffer.from(TOPIC), 0]),
    ]),
    upgrades: false,
    isOpenSubscribed: false,
    tailBytes: 0,
    eventAt(bytes, at) {
      if (((bytes[at] ?? 0) & 0xf0) !== MQTT.publish) return -1;
      let head = at + 1;
      while ((bytes[head] ?? 0) >= 0x80) head++;
      return head + 1 + 2 + (((bytes[head + 1] ?? 0) << 8) | (bytes[head + 2] ?? 0));
    },
    other: (bytes, at) => (bytes[at] === MQTT.suback ? { what: 'subscribed' } : NOTHING),
  };
}

export async function mqttTrigger(port: number, channel: string): Promise<ClosableTrigger> {
  const socket = await connected(port);
  socket.write(mqttConnect('publisher'));
  await new Promise<void>((resolve) => socket.once('data', () => resolve()));
  socket.on('data', () => {});
  return burstTrigger(socket, createFrameSource(channel), (frame) =>
    mqttPacket(MQTT.publish, [0, TOPIC.length, ...Buffer.from(TOPIC)], frame),
  );
}

function mqttConnect(client: string): Buffer {
  // "MQTT", level 4, clean session, no keep-alive.
  return mqttPacket(MQTT.connect, [0, 4, ...Buffer.from('MQTT'), 4, 2, 0, 0, 0, client.length, ...Buffer.from(client)]);
}

function mqttPacket(type: number, head: readonly number[], payload: Uint8Array = new Uint8Array()): Buffer {
  const length: number[] = [];
  for (let left = head.length + payload.length; ; ) {
    const part = left % 128;
    left = Math.floor(left / 128);
    length.push(left > 0 ? part | 0x80 : part);
    if (left === 0) break;
  }
  return Buffer.concat([Buffer.from([type, ...length, ...head]), payload]);
}

/** nchan's publisher: one POST an event, behind each other on one connection. */
export async function httpTrigger(port: number, path: string, channel: string): Promise<ClosableTrigger> {
  const socket = await connected(port);
  socket.on('data', () => {});
  return burstTrigger(socket, createFrameSource(channel), (frame) =>
    Buffer.concat([
      Buffer.from(`POST ${path} HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-length: ${frame.length}\r\n\r\n`),
      frame,
    ]),
  );
}

function burstTrigger(socket: Socket, frames: FrameSource, wrap: (frame: Uint8Array) => Buffer): ClosableTrigger {
  return {
    fire(events) {
      socket.write(Buffer.concat(Array.from({ length: events }, () => wrap(frames.next()))));
    },
    close: () => socket.destroy(),
  };
}

function connected(port: number): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host: '127.0.0.1', port, noDelay: true });
    socket.once('connect', () => resolve(socket));
    socket.once('error', reject);
  });
}
