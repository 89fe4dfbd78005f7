/** `npm run stress -- [--seed N] [--only NAME]… [--short] [--transport uws|ws]` */
import { type ChildProcess, fork } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { createUwsTransport } from '../../src/transports/uws.js';
import { laneMessage } from './lane-message.js';
import { heading, rule } from './report.js';
import { LANES, type Lane, type Scenario } from './scenario.js';
import { scenarios } from './scenarios/index.js';

const WHOLE_SECONDS = 300;
const SHORT_SECONDS = 45;
const MAX_SEED = 2 ** 31;
const LANE = fileURLToPath(new URL('./lane.js', import.meta.url));

const { values } = parseArgs({
  options: {
    seed: { type: 'string' },
    only: { type: 'string', multiple: true },
    short: { type: 'boolean', default: false },
    transport: { type: 'string' },
  },
});
const seed = values.seed === undefined ? Math.floor(Math.random() * MAX_SEED) : Number(values.seed);
if (!Number.isSafeInteger(seed) || seed < 0) refuse(`--seed ${values.seed}: a seed is a whole number from 0`);
const { short } = values;
const wanted = chosen(values.only ?? []);
const transports = await transportsHere(values.transport);
const folder = mkdtempSync(join(tmpdir(), 'session-relay-stress-'));
const lanes = new Set<ChildProcess>();
const running = new Map<Lane, string>();
const broken: string[] = [];
let played = 0;

// However this ends, no process and no file is left behind: a lane that is gone takes its relays with it.
process.on('exit', () => {
  for (const lane of lanes) lane.kill('SIGKILL');
  rmSync(folder, { recursive: true, force: true });
});
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => die(`ended by ${signal}`));
process.on('uncaughtException', (error) => die(error.stack ?? String(error)));
const seconds = short ? SHORT_SECONDS : WHOLE_SECONDS;
setTimeout(() => die(`not done within ${seconds} s`), seconds * 1_000).unref();

say(`seed ${seed}: npm run stress -- --seed ${seed}${short ? ' --short' : ''}\n`);
for (const line of [heading, rule]) say(line);
const startedAt = performance.now();
await Promise.all(LANES.map(run));
const took = Math.round((performance.now() - startedAt) / 1_000);
say(`\n${played - broken.length} of ${wanted.length} scenarios hold, seed ${seed}, ${took} s`);
for (const line of broken) say(line);
process.exit(played === wanted.length && broken.length === 0 ? 0 : 1);

function run(lane: Lane): Promise<void> {
  const names = wanted.filter((scenario) => scenario.lane === lane).map(({ name }) => name);
  if (names.length === 0) return Promise.resolve();
  const child = fork(LANE, [JSON.stringify({ seed, short, transports, names, folder })]);
  lanes.add(child);
  child.on('message', (raw) => {
    const message = laneMessage.parse(raw);
    if (message.said === 'begins') {
      running.set(lane, message.name);
      return;
    }
    played++;
    say(message.row);
    if (message.broken !== undefined) broken.push(message.broken);
  });
  return new Promise((resolve) => {
    child.once('exit', (code, signal) => {
      lanes.delete(child);
      if (code !== 0) broken.push(`BROKEN ${running.get(lane)}, seed ${seed}: its lane ended with ${code ?? signal}`);
      resolve();
    });
  });
}

function say(line: string): void {
  process.stdout.write(`${line}\n`);
}

function die(why: string): never {
  for (const line of broken) say(line);
  process.stderr.write(`stress: ${why} (in ${[...running.values()].join(' and ')}, seed ${seed})\n`);
  process.exit(1);
}

function refuse(why: string): never {
  process.stderr.write(`stress: ${why}\n`);
  process.exit(2);
}

function chosen(names: readonly string[]): readonly Scenario[] {
  const unknown = names.find((name) => scenarios.every((scenario) => scenario.name !== name));
  if (unknown !== undefined) refuse(`--only ${unknown}: ${scenarios.map(({ name }) => name).join(', ')}`);
  return names.length === 0 ? scenarios : scenarios.filter(({ name }) => names.includes(name));
}

/** Both where both load; or the one that was asked for. */
async function transportsHere(asked: string | undefined): Promise<readonly ('uws' | 'ws')[]> {
  if (asked === 'uws' || asked === 'ws') return [asked];
  if (asked !== undefined) refuse(`--transport ${asked}: uws or ws`);
  return createUwsTransport().then(
    () => ['uws', 'ws'] as const,
    () => ['ws'] as const,
  );
}
