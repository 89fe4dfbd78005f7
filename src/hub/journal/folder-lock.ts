import { once } from 'node:events';
import { stat, unlink } from 'node:fs/promises';
import { connect, createServer, type Server } from 'node:net';
import { join } from 'node:path';
import { SessionRelayError } from '../../errors.js';

/** Whoever holds a folder says its process id within this; then it goes without saying. */
const ANSWER_MS = 500;
/** The holder may end, or another may come first, while one asks. */
const MAX_TRIES = 5;
const SOCKET_FILE = 'lock.sock';
const PID = /^\d{1,10}$/;

export interface FolderLock {
  /** Idempotent. */
  release(): Promise<void>;
}

/**
 * Takes a folder for this process until it is released or the process is gone, by whatever end: what is taken is a
 * socket to listen on, which the kernel frees with its process, so that no kill leaves a lock behind.
 *
 * Linux: an abstract socket, named by the folder's device and inode. It excludes within one network namespace: two
 * containers that share a volume are not kept apart. Windows: a named pipe. Elsewhere: a socket file in the folder,
 * taken over when nobody listens on it; two processes that find it so at the same moment may both take it. Where a
 * lock does not keep two apart, the journal's own fence does.
 *
 * @throws SessionRelayError `journal_failed`, with the folder and the holder's process id.
 */
export async function lockFolder(folder: string, platform: NodeJS.Platform = process.platform): Promise<FolderLock> {
  const address = await addressFor(folder, platform);
  for (let tries = 1; ; tries++) {
    const server = await listen(address);
    if (server !== undefined) {
      return {
        release: () => new Promise((resolve) => server.close(() => resolve())),
      };
    }
    const holder = await holderOf(address);
    if (holder !== undefined || tries >= MAX_TRIES) throw held(folder, holder);
    // Nobody listens: an abstract socket is free by now, a file is what a killed process left.
    if (platform !== 'linux' && platform !== 'win32') await unlink(address).catch(() => undefined);
  }
}

async function addressFor(folder: string, platform: NodeJS.Platform): Promise<string> {
  const { dev, ino } = await stat(folder, { bigint: true });
  const name = `session-relay-journal-${dev}-${ino}`;
  if (platform === 'linux') return `\0${name}`;
  return platform === 'win32' ? `\\\\.\\pipe\\${name}` : join(folder, SOCKET_FILE);
}

/** `undefined` where the address is taken. */
async function listen(path: string): Promise<Server | undefined> {
  const server = createServer((socket) => {
    socket.on('error', () => undefined);
    socket.end(String(process.pid), () => socket.destroy());
  });
  server.listen({ path, exclusive: true });
  try {
    await once(server, 'listening');
  } catch (thrown) {
    if (thrown instanceof Error && 'code' in thrown && thrown.code === 'EADDRINUSE') return undefined;
    throw thrown;
  }
  // It keeps others out as long as the process lives, and does not keep the process alive.
  server.unref();
  return server;
}

/** The holder's process id, `''` where it does not say; `undefined` where nobody listens. */
function holderOf(path: string): Promise<string | undefined> {
  return new Promise((resolve) => {
    let said = '';
    const socket = connect({ path, timeout: ANSWER_MS });
    socket.on('data', (bytes) => {
      said += String(bytes);
    });
    socket.on('timeout', () => socket.destroy());
    socket.on('error', (error: NodeJS.ErrnoException) =>
      resolve(error.code === 'ECONNREFUSED' || error.code === 'ENOENT' ? undefined : ''),
    );
    socket.on('close', () => resolve(said));
  });
}

function held(folder: string, holder = ''): SessionRelayError {
  const who = PID.test(holder) ? `process ${holder}` : 'another process';
  const whose = holder === String(process.pid) ? 'this process itself' : who;
  return new SessionRelayError(
    'journal_failed',
    `the journal in ${folder} is held by ${whose}: end that relay, or give this one a folder of its own`,
  );
}
