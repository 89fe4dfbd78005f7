/** `npm run stress -- [--seed N] [--only NAME]… [--short] [--transport uws|ws]` */
import { parseArgs } from 'node:util';
import { createUwsTransport } from '../../src/transports/uws.js';
import { Broken } from './broken.js';
import { createDraw, type Draw } from './draw.js';
import { heading, row, rule } from './report.js';
import type { Scenario } from './scenario.js';
import { scenarios } from './scenarios/index.js';
import { createStage, type Stage } from './stage.js';

const WHOLE_SECONDS = 300;
const SHORT_SECONDS = 45;
const MAX_SEED = 2 ** 31;

const { values } = parseArgs({
  options: {
    seed: { type: 'string' },
    only: { type: 'string', multiple: true },
    short: { type: 'boolean', default: false },
    transport: { type: 'string' },
  },
});
const seed = values.seed === undefined ? Math.floor(Math.random() * MAX_SEED) : Number(values.seed);
const { short } = values;
const wanted = chosen(values.only);
const transports = await transportsHere(values.transport);
let stage: Stage | undefined;
let running = 'nothing yet';

// However this ends, no process and no file of its own is left behind.
process.on('exit', () => stage?.abandon());
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => die(`ended by ${signal}`));
process.on('uncaughtException', (error) => die(error.stack ?? String(error)));
const seconds = short ? SHORT_SECONDS : WHOLE_SECONDS;
setTimeout(() => die(`not done within ${seconds} s`), seconds * 1_000).unref();

say(`seed ${seed}${short ? ', short form' : ''}: npm run stress -- --seed ${seed}${short ? ' --short' : ''}\n`);
for (const line of [heading, rule]) say(line);
const startedAt = performance.now();
const broken: string[] = [];
const draw = createDraw(seed);
for (const [index, scenario] of scenarios.entries()) if (wanted.includes(scenario)) await play(scenario, draw, index);
const took = Math.round((performance.now() - startedAt) / 1_000);
say(`\n${wanted.length - broken.length} of ${wanted.length} scenarios hold, seed ${seed}, ${took} s`);
for (const line of broken) say(line);
process.exit(broken.length === 0 ? 0 : 1);

async function play(scenario: Scenario, from: Draw, index: number): Promise<void> {
  const { name } = scenario;
  running = name;
  // Both transports take their turn: which one has which scenario depends on the seed.
  const transport = transports[(index + seed) % transports.length] ?? 'ws';
  const own = createStage({ seed, draw: from.fork(name), transport, short });
  stage = own;
  const began = performance.now();
  const bound = scenario.boundSeconds[short ? 1 : 0];
  let late: NodeJS.Timeout | undefined;
  try {
    const outcome = await Promise.race([
      scenario.run(own),
      new Promise<never>((_resolve, reject) => {
        late = setTimeout(() => reject(new Broken(`it is done within ${bound} s`)), bound * 1_000);
      }),
    ]);
    say(row({ name, transport, seconds: (performance.now() - began) / 1_000, outcome }));
  } catch (thrown) {
    const why = thrown instanceof Broken ? thrown.message : thrown instanceof Error ? thrown.stack : String(thrown);
    say(row({ name, transport, seconds: (performance.now() - began) / 1_000 }));
    broken.push(`BROKEN ${name} over ${transport}, seed ${seed}: ${why}`);
  } finally {
    clearTimeout(late);
    await own.close();
    stage = undefined;
  }
}

function say(line: string): void {
  process.stdout.write(`${line}\n`);
}

function die(why: string): never {
  process.stderr.write(`stress: ${why} (in ${running}, seed ${seed})\n`);
  process.exit(1);
}

function chosen(names: readonly string[] | undefined): readonly Scenario[] {
  if (names === undefined) return scenarios;
  return names.map((name) => {
    const found = scenarios.find((scenario) => scenario.name === name);
    if (found !== undefined) return found;
    process.stderr.write(`stress: no scenario ${name}: ${scenarios.map((one) => one.name).join(', ')}\n`);
    return process.exit(2);
  });
}

/** Both where both load; the one that was asked for. */
async function transportsHere(asked: string | undefined): Promise<readonly ('uws' | 'ws')[]> {
  if (asked === 'uws' || asked === 'ws') return [asked];
  try {
    await createUwsTransport();
    return ['uws', 'ws'];
  } catch {
    return ['ws'];
  }
}
