#!/usr/bin/env node
import { constants } from 'node:os';
import { createInterface } from 'node:readline/promises';
import { run } from './run.js';

/** After the second signal nothing may hold the process for longer than this. */
const LAST_RESORT_MS = 1_000;
/** After the command's end nothing that is left over (a kept-alive connection) holds the process for longer. */
const LEFTOVER_MS = 1_000;
/** One Ctrl-C under npm arrives twice, by the terminal and by npm: within this it is one. */
const SAME_KEYSTROKE_MS = 100;

const stop = new AbortController();
const hurry = new AbortController();

let interruptedAt = Number.NEGATIVE_INFINITY;

/** The first signal ends the command as it should end, the second one now; a third does not wait at all. */
function signalled(name: 'SIGINT' | 'SIGTERM'): void {
  const now = performance.now();
  if (name === 'SIGINT' && now - interruptedAt < SAME_KEYSTROKE_MS) return;
  if (name === 'SIGINT') interruptedAt = now;
  const code = 128 + constants.signals[name];
  if (!stop.signal.aborted) stop.abort(name);
  else if (!hurry.signal.aborted) {
    hurry.abort(name);
    setTimeout(() => process.exit(code), LAST_RESORT_MS);
  } else process.exit(code);
}

for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, signalled);

// A reader that went away (`tail | head`) is the end of the command, not a fault; a server drains.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code !== 'EPIPE') process.stderr.write(`session-relay: stdout cannot be written: ${error.message}\n`);
  stop.abort('stdout');
});
// Nobody reads the log: that alone must not end a relay that protects orders.
process.stderr.on('error', () => {});

/** Ctrl-C and the end of the input are an empty answer. */
function ask(question: string): Promise<string> {
  const terminal = createInterface({ input: process.stdin, output: process.stderr });
  return new Promise((resolve) => {
    terminal.once('SIGINT', () => terminal.close());
    terminal.once('close', () => resolve(''));
    terminal.question(question).then(
      (answer) => {
        resolve(answer);
        terminal.close();
      },
      () => resolve(''),
    );
  });
}

const code = await run(process.argv.slice(2), {
  env: process.env,
  stdout: process.stdout,
  stderr: process.stderr,
  ...(process.stdin.isTTY && process.stderr.isTTY ? { ask } : {}),
  signal: stop.signal,
  hurry: hurry.signal,
  onHangup: (task) => void process.on('SIGHUP', task),
});
process.exitCode = code;
if (hurry.signal.aborted) process.exit(code);
setTimeout(() => process.exit(code), LEFTOVER_MS).unref();
