import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { type Relay, startRelay } from '../../src/relay.js';
import { type Simulator, startDeribitSimulator } from '../../src/simulators/index.js';
import { deribit } from '../../src/venues/deribit/index.js';
import { packageFolder } from '../support/package-folder.js';
import { example } from '../support/readme.js';

/** `session-relay/client` as it is packed and as README shows it; `npm run build` comes first. */
const root = fileURLToPath(new URL('../../', import.meta.url));
let folder = '';
const children: ChildProcess[] = [];

beforeAll(() => {
  folder = packageFolder();
});
afterEach(() => {
  for (const child of children.splice(0)) child.kill('SIGKILL');
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** Runs a module beside the package; `line` waits for a line of its output that contains a text. */
function run(name: string, code: string, env: Readonly<Record<string, string>> = {}) {
  const file = join(folder, `${name}.mjs`);
  writeFileSync(file, code);
  const child = spawn(process.execPath, [file], {
    cwd: folder,
    env: { ...process.env, ...env },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  children.push(child);
  const exited = new Promise<number | null>((resolve) => child.once('exit', resolve));
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  return {
    child,
    exited,
    async line(containing: string): Promise<string> {
      for (;;) {
        const { done, value } = await lines.next();
        if (done === true) throw new Error(`${name} ended without a line that contains ${containing}`);
        if (value.includes(containing)) return value;
      }
    },
  };
}

describe('in a bundle', () => {
  const bundle = (conditions: readonly string[], platform: 'browser' | 'node') =>
    build({
      stdin: { contents: `export { connect } from 'session-relay/client';`, resolveDir: folder },
      bundle: true,
      write: false,
      metafile: true,
      format: 'esm',
      platform,
      conditions: [...conditions],
      external: ['rxjs', 'ws', 'zod'],
      preserveSymlinks: true,
    }).then(({ metafile }) =>
      Object.values(metafile.outputs).flatMap(({ imports }) => imports.map(({ path }) => path)),
    );

  test('a browser gets it without `ws`, zod or anything of Node', async () => {
    expect([...new Set(await bundle([], 'browser'))]).toEqual(['rxjs']);
  });

  test('Node gets it with `ws`', async () => {
    expect(new Set(await bundle([], 'node'))).toEqual(new Set(['rxjs', 'ws']));
  });
});

test('its types need no types of Node, and fit a browser’s WebSocket', () => {
  writeFileSync(
    join(folder, 'page.ts'),
    `import { connect, type SocketClass } from 'session-relay/client';
const socket: SocketClass = WebSocket;
const relay = connect('https://relay.test', { WebSocket: socket, token: async () => 't' });
relay.events$('*.*.*.protection.*').subscribe(({ type, data }) => {
  const known: 'protection.armed' | 'protection.disarmed' | 'protection.unknown' | 'protection.triggered' = type;
  document.title = known + data.mechanism;
});
relay.states$('>').subscribe(({ view, states }) => { document.title = view + states.size; });
`,
  );
  const options = {
    target: 'es2022',
    module: 'esnext',
    moduleResolution: 'bundler',
    customConditions: ['browser'],
    lib: ['es2022', 'dom', 'dom.iterable'],
    types: [],
    strict: true,
    exactOptionalPropertyTypes: true,
    noEmit: true,
  };
  writeFileSync(join(folder, 'tsconfig.json'), JSON.stringify({ compilerOptions: options, files: ['page.ts'] }));
  const { stdout, status } = spawnSync(
    process.execPath,
    [join(root, 'node_modules', 'typescript', 'bin', 'tsc'), '-p', join(folder, 'tsconfig.json')],
    { encoding: 'utf8' },
  );
  expect(stdout).toBe('');
  expect(status).toBe(0);
});

describe('README', () => {
  let simulator: Simulator;
  let relay: Relay;

  beforeAll(async () => {
    simulator = await startDeribitSimulator();
    const { credentials } = simulator.source as { readonly credentials: { clientId: string; clientSecret: string } };
    const venue = deribit({
      id: 'main',
      url: simulator.url,
      credentials,
      scope: 'session:relay',
      heartbeatSeconds: 10,
      safety: { role: 'watch' },
    });
    relay = await startRelay({ venues: [venue], listen: { port: 0 } });
  });
  afterAll(async () => {
    await relay.close({ orders: 'leave' });
    await simulator.close();
  });

  test('the ten lines of a page show the relay, its sessions and their levels', async () => {
    const page = `const shown = { relay: '', sessions: '', alarm: '' };
globalThis.location = { origin: process.env.RELAY_URL };
globalThis.addEventListener = () => undefined;
globalThis.document = { getElementById: (id) => ({ set textContent(text) { console.log(id, JSON.stringify(text)); } }) };
`;
    // Imports come first anyhow: what a page has is there before the first line runs.
    const { line } = run('page', `${page}${example('page')}`, { RELAY_URL: relay.url });
    await line('relay "open"');
    expect(await line('deribit.main.relay active safe')).toContain('sessions');
  });

  test('a bot on another machine quotes while it is safe, and pulls when the relay cannot be heard', async () => {
    const { line, child, exited } = run('watch', example('watch'), { RELAY_URL: relay.url });
    expect(await line('safety')).toBe('safety unknown relay_unreachable');
    await line('safety safe');
    await line('quoting');
    await relay.close({ orders: 'leave' });
    await line('safety unknown relay_unreachable');
    await line('pulling');
    child.kill('SIGTERM');
    expect(await exited).toBe(0);
  });
});
