import childProcess from 'node:child_process';
import { syncBuiltinESMExports } from 'node:module';
// The one class alone, so that test files without streams do not load all of them.
import { Subject } from 'rxjs/internal/Subject';
import { afterAll } from 'vitest';
import { onIssued } from '../../src/simulators/issued.js';
import { createSweep } from './secrets.js';

/**
 * Runs before each test file: looks for every known credential in whatever the file makes the product write, and fails
 * the file where one is found. Files may share a worker and what it has loaded: what is wrapped is wrapped once, and
 * shows everything to the sweep of the file that runs.
 */
const sweep = createSweep();
const isFirst = globalThis.__secretSweep === undefined;
globalThis.__secretSweep = sweep;
const endIssued = onIssued((credential) => sweep.add(credential));
const look = (where: string, what: unknown): void => globalThis.__secretSweep?.look(where, what);
/** Longer than any secret. */
const OVERLAP = 4_096;

if (isFirst) {
  // Facts on their way to the hub, with what is to be remembered beside them, and turns of events on their way out.
  const { next } = Subject.prototype;
  const looked = new WeakSet<object>();
  Subject.prototype.next = function (this: Subject<unknown>, value: unknown): void {
    // What goes through several subjects is looked at in the first.
    if (typeof value === 'object' && value !== null && !looked.has(value)) {
      looked.add(value);
      look('an event, or what is remembered with it', value);
    }
    next.call(this, value);
  };

  for (const stream of [process.stdout, process.stderr]) {
    const write = stream.write.bind(stream);
    stream.write = ((chunk: string | Uint8Array, ...rest: readonly never[]): boolean => {
      if (typeof chunk === 'string') look('the output of the process', chunk);
      return write(chunk, ...rest);
    }) as typeof stream.write;
  }

  const { spawn } = childProcess;
  childProcess.spawn = ((...args: Parameters<typeof spawn>) => {
    const child = spawn(...args);
    for (const [name, stream] of [
      ['stdout', child.stdout],
      ['stderr', child.stderr],
    ] as const) {
      let rest = '';
      stream?.on('data', (chunk: Buffer | string) => {
        const text = rest + String(chunk);
        look(`the ${name} of a child process`, text);
        // A secret may be cut in two.
        rest = text.slice(-OVERLAP);
      });
    }
    return child;
  }) as typeof spawn;
  syncBuiltinESMExports();
}

afterAll(() => {
  endIssued();
  const leaks = sweep.take();
  if (leaks.length === 0) return;
  const lines = leaks.map(({ where, excerpt }) => `in ${where}: ${excerpt}`);
  throw new Error(`a secret has leaked (test/support/secrets.ts):\n${[...new Set(lines)].join('\n')}`);
});
