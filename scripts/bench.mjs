// `npm run bench`: compiles the relay and the bench beside each other, then becomes the bench.
import { spawnSync } from 'node:child_process';
import { rmSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
const tsc = join(root, 'node_modules', 'typescript', 'bin', 'tsc');

rmSync(join(root, '.bench'), { recursive: true, force: true });
const { status, error } = spawnSync(process.execPath, [tsc, '-p', 'tsconfig.bench.json'], {
  cwd: root,
  stdio: 'inherit',
});
if (error !== undefined) throw error;
if (status !== 0) process.exit(status ?? 1);
// A thread's entry is looked for in the built package.
symlinkSync('src', join(root, '.bench', 'dist'), 'dir');
await import('../.bench/bench/main.js');
