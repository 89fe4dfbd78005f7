// Runs the demo as a user would, sees its sessions over HTTP and its events over the socket, and ends it by SIGTERM.
import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

/** All of it; whatever waits for longer waits in vain. */
const PATIENCE_MS = 60_000;
const VENUES = ['deribit', 'tradernet'];
const main = fileURLToPath(new URL('../dist/cli/main.js', import.meta.url));
const children = new Set();

// However this ends, nothing that it started is left behind.
process.on('exit', () => {
  for (const child of children) child.kill('SIGKILL');
});
for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => fail(`ended by ${signal}`));
process.on('uncaughtException', (error) => fail(error.stack ?? String(error)));
const deadline = setTimeout(() => fail(`not done within ${PATIENCE_MS} ms`), PATIENCE_MS);

function fail(why) {
  console.error(`smoke run: ${why}`);
  process.exit(1);
}

function run(...args) {
  const child = spawn(process.execPath, [main, ...args], { stdio: ['ignore', 'pipe', 'inherit'] });
  children.add(child);
  const exited = new Promise((resolve) => {
    child.once('exit', (code, signal) => {
      children.delete(child);
      resolve(code ?? signal);
    });
  });
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const line = async () => {
    const { done, value } = await lines.next();
    return done ? fail(`${args[0]} ended without a word: ${await exited}`) : value;
  };
  return { child, exited, line };
}

const demo = run('demo', '--port', '0');
const { listening, transport } = JSON.parse(await demo.line());
console.log(`the demo listens at ${listening} (${transport})`);

const tail = run('tail', listening, '--json', '--since', '0-0');
const opened = new Set();
while (!VENUES.every((venue) => opened.has(venue))) {
  const { type, subject } = JSON.parse(await tail.line());
  if (type === 'session.opened') opened.add(subject.split('.')[0]);
}
console.log(`sessions opened at ${[...opened].join(', ')}`);
tail.child.kill('SIGTERM');
const tailed = await tail.exited;
if (tailed !== 0) fail(`tail ended with ${tailed}`);

const { sessions } = await (await fetch(`${listening}/v1/sessions`)).json();
if (!sessions.some((state) => state.status === 'active')) fail('no session is active');
for (const path of ['/livez', '/readyz']) {
  const { status } = await fetch(`${listening}${path}`);
  if (status !== 200) fail(`${path} answered ${status}`);
}
const page = await fetch(listening);
if (page.status !== 200 || !(await page.text()).includes('<script')) fail(`/ answered ${page.status}, and no page`);

demo.child.kill('SIGTERM');
const drained = await demo.exited;
if (drained !== 0) fail(`the demo ended with ${drained}`);
clearTimeout(deadline);
console.log('smoke run: passed');
process.exit(0);
