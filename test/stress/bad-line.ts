import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import type { Draw } from './draw.js';
import { createPipe, type Pipe, type Toxics } from './pipe.js';

export type { Toxics } from './pipe.js';

/** A line between two peers that can be made bad: TCP, byte for byte, on loopback alone. */
export interface BadLine {
  readonly port: number;
  /** Connections that live now: neither side has ended. */
  readonly live: number;
  /** Connections since it began. */
  readonly accepted: number;
  /** How lines behave from now on, those that are open too. What is not named is as it was. */
  set(toxics: Partial<Toxics>): void;
  /** Ends or spoils every line that is open now; answers how many. */
  cut(how: Cut): number;
  /** Refuses newcomers by a reset, or takes them again. */
  refuse(on: boolean): void;
  /** Where newcomers are sent from now on. */
  reroute(port: number): void;
  /** Ends everything at once. Idempotent. */
  close(): Promise<void>;
}

/**
 * `reset`: RST both ways. `close`: FIN both ways, behind what is on its way. `half_open`: nothing passes any more in
 * either direction, FIN included, and TCP stays up: only who listens for signs of life can tell.
 */
export type Cut = 'reset' | 'close' | 'half_open';

interface Line {
  readonly near: Socket;
  readonly far: Socket;
  readonly pipes: readonly Pipe[];
}

const CLEAR: Toxics = { latencyMs: 0, jitterMs: 0, bytesPerSecond: 0, sliceBytes: 0, slowCloseMs: 0 };

export async function startBadLine(options: {
  readonly to: number;
  readonly draw: Draw;
  readonly toxics?: Partial<Toxics>;
}): Promise<BadLine> {
  const { draw } = options;
  const lines = new Set<Line>();
  let toxics: Toxics = { ...CLEAR, ...options.toxics };
  let target = options.to;
  let refusing = false;
  let accepted = 0;
  let closed: Promise<void> | undefined;

  const server = createServer({ allowHalfOpen: true, noDelay: true }, (near) => {
    near.on('error', () => undefined); // followed by close
    if (refusing) {
      near.resetAndDestroy();
      return;
    }
    accepted++;
    const far = connect({ host: '127.0.0.1', port: target, allowHalfOpen: true, noDelay: true });
    const how = (): Toxics => toxics;
    const line: Line = { near, far, pipes: [createPipe(near, far, how, draw), createPipe(far, near, how, draw)] };
    lines.add(line);
    const gone = (one: Socket, other: Socket, failed: boolean): void => {
      if (near.destroyed && far.destroyed) lines.delete(line);
      const pipe = line.pipes.find(({ from }) => from === one);
      if (pipe === undefined || pipe.isSwallowed) return;
      // An end by FIN has gone its way through the pipe; a reset is passed on as one.
      if (failed && !other.destroyed) other.resetAndDestroy();
    };
    far.on('error', () => undefined);
    near.on('close', (failed) => gone(near, far, failed));
    far.on('close', (failed) => gone(far, near, failed));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const isLive = ({ near, far }: Line): boolean =>
    !near.destroyed && !far.destroyed && !near.writableEnded && !far.writableEnded;

  return {
    port,
    get live() {
      return [...lines].filter((line) => isLive(line) && line.pipes.every(({ isSwallowed }) => !isSwallowed)).length;
    },
    get accepted() {
      return accepted;
    },
    set(next) {
      toxics = { ...toxics, ...next };
      for (const { pipes } of lines) for (const pipe of pipes) pipe.look();
    },
    cut(how) {
      let count = 0;
      for (const line of [...lines]) {
        if (!isLive(line) || line.pipes.some(({ isSwallowed }) => isSwallowed)) continue;
        count++;
        for (const pipe of line.pipes) {
          if (how === 'half_open') pipe.swallow();
          else if (how === 'close') pipe.end();
        }
        if (how !== 'reset') continue;
        line.near.resetAndDestroy();
        line.far.resetAndDestroy();
      }
      return count;
    },
    refuse(on) {
      refusing = on;
    },
    reroute(next) {
      target = next;
    },
    close() {
      closed ??= (async () => {
        const ended = once(server, 'close');
        server.close();
        for (const { near, far, pipes } of lines) {
          for (const pipe of pipes) pipe.swallow();
          near.destroy();
          far.destroy();
        }
        await ended;
      })();
      return closed;
    },
  };
}
