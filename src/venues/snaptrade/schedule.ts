import type { Clock, Random, Timer } from '../../net/clock.js';

/**
 * Runs one task for each of many names, again and again, a few at a time, as fast as a limit allows. Whoever has waited
 * longest is next; what is asked for at once takes every second turn at most, so that nobody is starved.
 */
export interface Schedule {
  /** First run as soon as it is this one's turn. */
  add(name: string): void;
  remove(name: string): void;
  /** Runs it before its time; while it runs, once more after. */
  soon(name: string): void;
  stop(): void;
}

export interface ScheduleOptions {
  readonly clock: Clock;
  readonly random: Random;
  /** Takes one turn, or says how many ms there is none. */
  readonly take: () => number;
  /** Resolves with the ms until the next run, to which a jitter is added here. Never rejects. */
  readonly run: (name: string) => Promise<number>;
}

/** Runs at the same time. */
const MAX_RUNNING = 4;
/** The period is drawn from it × (1 ± this). */
const JITTER = 0.1;
/** Between two runs of one name that are asked for at once. */
const MIN_GAP_MS = 2_000;

interface Entry {
  dueMs: number;
  soonMs: number | undefined;
  startedMs: number;
  running: boolean;
}

interface Turn {
  readonly atMs: number;
  readonly name: string;
}

export function createSchedule(options: ScheduleOptions): Schedule {
  const { clock, random } = options;
  const entries = new Map<string, Entry>();
  const due = createHeap();
  const asked = createHeap();
  let timer: Timer | undefined;
  let running = 0;
  let stopped = false;
  let lastWasAsked = false;

  /** The first of a heap that still holds; what has been moved meanwhile is dropped. */
  const head = (heap: Heap, timeOf: (entry: Entry) => number | undefined): Turn | undefined => {
    for (;;) {
      const turn = heap.peek();
      const entry = turn === undefined ? undefined : entries.get(turn.name);
      if (turn === undefined || (entry !== undefined && !entry.running && timeOf(entry) === turn.atMs)) return turn;
      heap.pop();
    }
  };
  const next = (now: number): { readonly turn: Turn; readonly heap: Heap } | { readonly atMs: number } | undefined => {
    const regular = head(due, (entry) => entry.dueMs);
    const urgent = head(asked, (entry) => entry.soonMs);
    const isUrgentDue = urgent !== undefined && urgent.atMs <= now;
    const isRegularDue = regular !== undefined && regular.atMs <= now;
    if (isUrgentDue && !(isRegularDue && lastWasAsked)) return { turn: urgent, heap: asked };
    if (isRegularDue) return { turn: regular, heap: due };
    const times = [regular, urgent].flatMap((turn) => (turn === undefined ? [] : [turn.atMs]));
    return times.length === 0 ? undefined : { atMs: Math.min(...times) };
  };
  const wait = (ms: number): void => {
    timer?.cancel();
    timer = clock.setTimer(pump, ms);
  };

  const pump = (): void => {
    timer?.cancel();
    timer = undefined;
    while (!stopped && running < MAX_RUNNING) {
      const now = clock.monotonic();
      const found = next(now);
      if (found === undefined) return;
      if ('atMs' in found) return wait(found.atMs - now);
      const waitMs = options.take();
      if (waitMs > 0) return wait(waitMs);
      found.heap.pop();
      lastWasAsked = found.heap === asked;
      begin(found.turn.name, now);
    }
  };

  const begin = (name: string, now: number): void => {
    const entry = entries.get(name);
    if (entry === undefined) return;
    entry.running = true;
    entry.soonMs = undefined;
    entry.startedMs = now;
    running++;
    void options.run(name).then((delayMs) => {
      running--;
      entry.running = false;
      if (entries.get(name) === entry) {
        entry.dueMs = clock.monotonic() + delayMs * (1 + JITTER * (2 * random() - 1));
        due.push({ atMs: entry.dueMs, name });
        if (entry.soonMs !== undefined) asked.push({ atMs: entry.soonMs, name });
      }
      pump();
    });
  };

  return {
    add(name) {
      if (stopped || entries.has(name)) return;
      const now = clock.monotonic();
      entries.set(name, { dueMs: now, soonMs: undefined, startedMs: Number.NEGATIVE_INFINITY, running: false });
      due.push({ atMs: now, name });
      // One turn of the event loop gathers all that are added: they are spread by the limit.
      wait(0);
    },
    remove: (name) => void entries.delete(name),
    soon(name) {
      const entry = entries.get(name);
      if (stopped || entry === undefined || entry.soonMs !== undefined) return;
      entry.soonMs = Math.max(clock.monotonic(), entry.startedMs + MIN_GAP_MS);
      if (entry.running) return;
      asked.push({ atMs: entry.soonMs, name });
      if (running < MAX_RUNNING) wait(0);
    },
    stop() {
      stopped = true;
      timer?.cancel();
      entries.clear();
    },
  };
}

interface Heap {
  push(turn: Turn): void;
  peek(): Turn | undefined;
  pop(): Turn | undefined;
}

/** A binary heap: the earliest first, of equals the one that was pushed first. */
function createHeap(): Heap {
  const turns: (Turn & { readonly order: number })[] = [];
  let order = 0;
  const before = (a: number, b: number): boolean => {
    const left = turns[a];
    const right = turns[b];
    if (left === undefined || right === undefined) return false;
    return left.atMs < right.atMs || (left.atMs === right.atMs && left.order < right.order);
  };
  const swap = (a: number, b: number): void => {
    const left = turns[a];
    const right = turns[b];
    if (left === undefined || right === undefined) return;
    turns[a] = right;
    turns[b] = left;
  };
  return {
    push(turn) {
      turns.push({ ...turn, order: order++ });
      let at = turns.length - 1;
      while (at > 0) {
        const parent = (at - 1) >> 1;
        if (!before(at, parent)) break;
        swap(at, parent);
        at = parent;
      }
    },
    peek: () => turns[0],
    pop() {
      const first = turns[0];
      const last = turns.pop();
      if (first === undefined || last === undefined || turns.length === 0) return first;
      turns[0] = last;
      for (let at = 0; ; ) {
        const left = 2 * at + 1;
        const least = before(left + 1, left) ? left + 1 : left;
        if (!before(least, at)) break;
        swap(least, at);
        at = least;
      }
      return first;
    },
  };
}
