import { type ChildProcess, spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import type { z } from 'zod';
import { ipcAnswer } from './ipc.js';
import { CORES } from './machine.js';

/** A process of the bench: a server or a load generator. */
export interface BenchProcess {
  readonly pid: number;
  /** What it said first. */
  readonly said: unknown;
  ask<T>(schema: z.ZodType<T>, body: object): Promise<T>;
  /** Ends it by closing its channel, so that it can write what it measured of itself; resolves when it is gone. */
  end(): Promise<void>;
}

export interface ProcessOptions {
  /** A compiled file beside this one. */
  readonly entry: string;
  readonly argument?: object;
  readonly core: 'server' | 'load' | 'any';
  readonly nodeOptions?: readonly string[];
}

const START_MS = 60_000;
const END_MS = 5_000;
const running = new Set<ChildProcess>();
// However the bench ends, nothing that it started outlives it.
process.on('exit', () => {
  for (const child of running) child.kill('SIGKILL');
});

/** Resolves when it has said its first message. */
export async function startProcess({ entry, argument, core, nodeOptions = [] }: ProcessOptions): Promise<BenchProcess> {
  const file = fileURLToPath(new URL(entry, import.meta.url));
  const command = [process.execPath, ...nodeOptions, file, JSON.stringify(argument ?? {})];
  const pinned = CORES === undefined || core === 'any' ? command : ['taskset', '-c', CORES[core], ...command];
  const [program = '', ...rest] = pinned;
  const child = spawn(program, rest, { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] });
  running.add(child);
  const exited = new Promise<number | null>((resolve) => {
    child.once('exit', (code) => {
      running.delete(child);
      resolve(code);
    });
  });
  const waiting = new Map<
    number,
    { readonly resolve: (body: unknown) => void; readonly reject: (error: Error) => void }
  >();
  const gone = (): Error => new Error(`${entry} ended by itself`);
  void exited.then(() => {
    for (const { reject } of waiting.values()) reject(gone());
    waiting.clear();
  });
  let next = 0;

  const said = await new Promise<unknown>((resolve, reject) => {
    const late = setTimeout(() => reject(new Error(`${entry} is not ready within ${START_MS} ms`)), START_MS);
    child.once('message', (message) => {
      clearTimeout(late);
      resolve(message);
    });
    void exited.then(() => {
      clearTimeout(late);
      reject(gone());
    });
  });
  child.on('message', (message) => {
    const { id, body, error } = ipcAnswer.parse(message);
    const one = waiting.get(id);
    waiting.delete(id);
    if (error === undefined) one?.resolve(body);
    else one?.reject(new Error(error));
  });

  return {
    pid: child.pid ?? 0,
    said,
    async ask(schema, body) {
      const id = ++next;
      const answer = new Promise<unknown>((resolve, reject) => {
        waiting.set(id, { resolve, reject });
        child.send({ id, body }, (error) => {
          if (error !== null) reject(error);
        });
      });
      return schema.parse(await answer);
    },
    async end() {
      if (child.connected) child.disconnect();
      const late = setTimeout(() => child.kill('SIGKILL'), END_MS);
      await exited;
      clearTimeout(late);
    },
  };
}
