import { spawnSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';

/** The layout's import rules live in biome.json; these tests prove that `npm run check` would refuse a breach. */
const biome = fileURLToPath(new URL('../node_modules/@biomejs/biome/bin/biome', import.meta.url));
let folder = '';

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'layout-'));
  cpSync(fileURLToPath(new URL('../biome.json', import.meta.url)), join(folder, 'biome.json'));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

function refused(file: string, imported: string): boolean {
  const path = join(folder, file);
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, `import { a } from '${imported}';\nexport const b = a;\n`);
  const { stderr, status } = spawnSync(
    process.execPath,
    [biome, 'lint', '--only=style/noRestrictedImports', '--vcs-enabled=false', file],
    { cwd: folder, encoding: 'utf8' },
  );
  rmSync(path);
  return status !== 0 && stderr.includes('noRestrictedImports');
}

describe('the layout rules refuse an import', () => {
  test.each([
    ['src/venues/deribit/probe.ts', '../../hub/hub.js'],
    ['src/hub/probe.ts', '../edge/edge.js'],
    ['src/bus/probe.ts', '../edge/edge.js'],
    ['src/edge/probe.ts', '../transports/uws.js'],
    ['src/edge/probe.ts', '../hub/hub.js'],
    ['src/http/probe.ts', '../transports/uws.js'],
    ['src/model/probe.ts', '../net/clock.js'],
    ['src/net/probe.ts', '../model/event.js'],
    ['src/client/probe.ts', '../edge/edge.js'],
    ['src/index.ts', './simulators/index.js'],
    ['src/relay.ts', './simulators/index.js'],
    ['src/http/probe.ts', '../dashboard/main.js'],
    ['src/cli/probe.ts', '../dashboard/main.js'],
    ['src/client/probe.ts', '../dashboard/main.js'],
    ['src/relay.ts', './dashboard/main.js'],
    ['src/dashboard/probe.tsx', '../client/book.js'],
    ['src/dashboard/probe.tsx', '../model/event.js'],
    ['src/dashboard/probe.tsx', '../errors.js'],
    ['src/dashboard/parts/probe.tsx', '../../net/clock.js'],
    ['src/dashboard/probe.ts', 'node:fs'],
    ['src/dashboard/probe.ts', 'zod'],
    ['src/dashboard/probe.ts', '@scope/anything'],
    ['src/dashboard/probe.ts', 'preact-router'],
  ])('%s → %s', (file, imported) => {
    expect(refused(file, imported)).toBe(true);
  });
});

describe('the layout rules allow an import', () => {
  test.each([
    ['src/net/probe.ts', '../model/json.js'],
    ['src/venues/deribit/probe.ts', '../../net/clock.js'],
    ['src/hub/probe.ts', '../model/event.js'],
    ['src/cli/probe.ts', '../simulators/index.js'],
    ['src/dashboard/probe.tsx', '../client/index.js'],
    ['src/dashboard/parts/probe.tsx', '../../client/index.js'],
    ['src/dashboard/parts/probe.tsx', '../list.js'],
    ['src/dashboard/probe.tsx', './parts/list.js'],
    ['src/dashboard/probe.tsx', 'preact/hooks'],
    ['src/dashboard/probe.tsx', 'rxjs'],
    ['src/dashboard/probe.tsx', 'uplot/dist/uPlot.min.css'],
  ])('%s → %s', (file, imported) => {
    expect(refused(file, imported)).toBe(false);
  });
});
