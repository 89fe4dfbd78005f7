import type { Stand } from './stand.js';

/** One file of the bench answers one question. */
export interface Question {
  readonly name: string;
  /** The question, in a sentence. */
  readonly asks: string;
  run(bench: Bench): Promise<Answer>;
}

export interface Bench {
  /** Tiny sizes, which prove that it runs and say nothing of speed. */
  readonly quick: boolean;
}

/** One table. */
export interface Answer {
  readonly head: readonly string[];
  readonly rows: readonly (readonly string[])[];
  /** What is to be known when reading it. */
  readonly notes?: readonly string[];
}

/** Runs with stands that are ended whatever happens. */
export async function withStands<T>(
  opening: readonly (() => Promise<Stand>)[],
  task: (stands: readonly Stand[]) => Promise<T>,
): Promise<T> {
  const stands: Stand[] = [];
  try {
    for (const open of opening) stands.push(await open());
    return await task(stands);
  } finally {
    await Promise.all(stands.map((stand) => stand.end()));
  }
}
