import type { ChildProcess } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import type { Simulator } from '../../src/simulators/index.js';
import { type BadLine, startBadLine, type Toxics } from './bad-line.js';
import { Broken } from './broken.js';
import type { Draw } from './draw.js';
import type { EntryInput } from './entry-options.js';
import { type RelayProcess, spawnRelay } from './relay-process.js';
import { type Subscriber, type SubscriberOptions, startSubscriber } from './subscriber.js';

/** What a scenario stands on: everything that it starts here is ended here, however the scenario ends. */
export interface Stage {
  readonly seed: number;
  readonly draw: Draw;
  readonly transport: 'uws' | 'ws';
  /** The first in a whole run, the second in a short one. */
  size(whole: number, short: number): number;
  /** A directory of its own, removed in the end. */
  folder(): string;
  /** `startRelay` in a process of its own. */
  relay(options: Omit<EntryInput, 'transport' | 'seed'>): Promise<RelayProcess>;
  /** The same, killed so long after it was spawned, ready or not; resolves when it is gone. */
  stillborn(options: Omit<EntryInput, 'transport' | 'seed'>, afterMs: number): Promise<void>;
  /** The command line in a process of its own: `serve --config …` */
  command(args: readonly string[]): Promise<RelayProcess>;
  simulator<T extends Simulator>(starting: Promise<T>): Promise<T>;
  badLine(to: number, toxics?: Partial<Toxics>): Promise<BadLine>;
  subscriber(options: Omit<SubscriberOptions, 'draw'>): Subscriber;
  readonly subscribers: readonly Subscriber[];
  /** Looked at every few ms; a {@link Broken} that says what was waited for where it does not come. */
  until(condition: () => boolean | Promise<boolean>, what: string | (() => string), boundMs?: number): Promise<void>;
  pause(ms: number): Promise<void>;
  /** What is waited for, or was last: where a scenario stands that takes too long. */
  waitingFor(): string;
  /** Ends what was started, last first; never rejects. */
  close(): Promise<void>;
  /** Ends child processes and removes directories now, without waiting: for a run that is being ended itself. */
  abandon(): void;
}

const LOOK_EVERY_MS = 15;
/** A socket that does not close by then is closed by the end of its relay. */
const LEAVE_MS = 5_000;
const PATIENCE_MS = 30_000;
const ENTRY = fileURLToPath(new URL('./relay-entry.js', import.meta.url));
const CLI_ENTRY = fileURLToPath(new URL('./cli-entry.js', import.meta.url));

export function createStage(options: {
  readonly seed: number;
  readonly draw: Draw;
  readonly transport: 'uws' | 'ws';
  readonly short: boolean;
  /** Where its directories are made. */
  readonly folder: string;
}): Stage {
  const { seed, draw, transport, short } = options;
  const folders: string[] = [];
  const children = new Set<ChildProcess>();
  const undo: (() => Promise<unknown>)[] = [];
  const subscribers: Subscriber[] = [];
  let ended = false;
  let waitingFor = (): string => 'nothing yet';

  const spawned = (child: ChildProcess): void => {
    children.add(child);
    child.once('exit', () => children.delete(child));
  };
  const run = async (args: readonly string[]): Promise<RelayProcess> => {
    if (ended) throw new Error('the scenario has ended');
    const relay = await spawnRelay({ args, spawned });
    undo.push(() => relay.kill());
    return relay;
  };
  const abandon = (): void => {
    ended = true;
    for (const child of children) child.kill('SIGKILL');
    for (const folder of folders) rmSync(folder, { recursive: true, force: true });
  };
  const newFolder = (): string => {
    const folder = mkdtempSync(join(options.folder, 'stage-'));
    folders.push(folder);
    return folder;
  };

  const entryArgs = (given: Omit<EntryInput, 'transport' | 'seed'>): readonly string[] => {
    const file = join(newFolder(), 'relay.json');
    writeFileSync(file, JSON.stringify({ ...given, transport, seed }));
    return [ENTRY, file];
  };

  return {
    seed,
    draw,
    transport,
    size: (whole, short_) => (short ? short_ : whole),
    folder: newFolder,
    relay: (given) => run(entryArgs(given)),
    async stillborn(given, afterMs) {
      let killing: NodeJS.Timeout | undefined;
      const starting = spawnRelay({
        args: entryArgs(given),
        spawned(child) {
          spawned(child);
          killing = setTimeout(() => child.kill('SIGKILL'), afterMs);
        },
      });
      // Ready before it is killed, or never: both are looked for.
      await starting.then(({ exited }) => exited).catch(() => undefined);
      clearTimeout(killing);
    },
    command: (args) => run([CLI_ENTRY, ...args]),
    async simulator(starting) {
      const simulator = await starting;
      undo.push(() => simulator.close());
      return simulator;
    },
    async badLine(to, toxics = {}) {
      const proxy = await startBadLine({ to, draw: draw.fork(`line ${undo.length}`), toxics });
      undo.push(() => proxy.close());
      return proxy;
    },
    subscriber(given) {
      const subscriber = startSubscriber({ ...given, draw: draw.fork(given.name) });
      subscribers.push(subscriber);
      return subscriber;
    },
    subscribers,
    async until(condition, what, boundMs = PATIENCE_MS) {
      const end = performance.now() + boundMs;
      waitingFor = typeof what === 'string' ? () => what : what;
      while (!(await condition())) {
        if (ended) throw new Error('the scenario has ended');
        if (performance.now() > end) throw new Broken(`within ${boundMs} ms: ${waitingFor()}`);
        await sleep(LOOK_EVERY_MS);
      }
    },
    pause: (ms) => sleep(ms),
    waitingFor: () => waitingFor(),
    async close() {
      ended = true;
      const left = Promise.all(subscribers.map((subscriber) => subscriber.stop()));
      await Promise.race([left, sleep(LEAVE_MS)]);
      for (const end of undo.reverse()) await end().catch(() => undefined);
      abandon();
    },
    abandon,
  };
}
