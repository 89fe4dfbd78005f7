/**
 * One lane of a stress run: plays its scenarios one after another and tells `main.ts`. Lanes are processes of their
 * own, so that thousands of subscribers in one do not hold up the simulators of another.
 */
import { Broken } from './broken.js';
import { createDraw } from './draw.js';
import { type LaneMessage, laneOptions } from './lane-message.js';
import { row } from './report.js';
import type { Scenario } from './scenario.js';
import { scenarios } from './scenarios/index.js';
import { createStage, type Stage } from './stage.js';

const { seed, short, transports, names, folder } = laneOptions.parse(JSON.parse(process.argv[2] ?? ''));
const draw = createDraw(seed);
let stage: Stage | undefined;

// However this ends, no process of its own is left behind.
process.on('exit', () => stage?.abandon());
for (const end of ['disconnect', 'SIGTERM', 'SIGINT'] as const) process.once(end, () => process.exit(1));
process.on('uncaughtException', (error) => {
  process.stderr.write(`stress: seed ${seed}: ${error.stack ?? String(error)}\n`);
  process.exit(1);
});

for (const [index, scenario] of scenarios.entries()) {
  if (!names.includes(scenario.name)) continue;
  await tell({ said: 'begins', name: scenario.name });
  await play(scenario, index);
}
process.exit(0);

async function play(scenario: Scenario, index: number): Promise<void> {
  const { name } = scenario;
  // Both transports take their turn: which one has which scenario depends on the seed.
  const transport = transports[(index + seed) % transports.length] ?? 'ws';
  const own = createStage({ seed, draw: draw.fork(name), transport, short, folder });
  stage = own;
  const began = performance.now();
  const seconds = (): number => (performance.now() - began) / 1_000;
  const bound = scenario.boundSeconds[short ? 1 : 0];
  let late: NodeJS.Timeout | undefined;
  try {
    const outcome = await Promise.race([
      scenario.run(own),
      new Promise<never>((_resolve, reject) => {
        late = setTimeout(
          () => reject(new Broken(`it is done within ${bound} s; waiting for: ${own.waitingFor()}`)),
          bound * 1_000,
        );
      }),
    ]);
    await tell({ said: 'row', row: row({ name, transport, seconds: seconds(), outcome }) });
  } catch (thrown) {
    const why = thrown instanceof Broken ? thrown.message : thrown instanceof Error ? thrown.stack : String(thrown);
    const broken = `BROKEN ${name} over ${transport}, seed ${seed}: ${why}`;
    await tell({ said: 'row', row: row({ name, transport, seconds: seconds() }), broken });
  } finally {
    clearTimeout(late);
    await own.close();
    stage = undefined;
  }
}

/** Resolves when it is on its way: what is said last must not be lost with the process. */
function tell(message: LaneMessage): Promise<void> {
  return new Promise((resolve) => process.send?.(message, () => resolve()));
}
