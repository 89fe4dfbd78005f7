// Builds dist/ from scratch: the relay, the client and the command with tsc, the page with Vite.
import { spawnSync } from 'node:child_process';
import { chmodSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { brotliCompressSync, gzipSync } from 'node:zlib';
import { build } from 'vite';

const root = fileURLToPath(new URL('..', import.meta.url));
const tsc = join(root, 'node_modules', 'typescript', 'bin', 'tsc');

rmSync(join(root, 'dist'), { recursive: true, force: true });
const { status, error } = spawnSync(process.execPath, [tsc, '-p', 'tsconfig.build.json'], {
  cwd: root,
  stdio: 'inherit',
});
if (error !== undefined) throw error;
// The compiler has said what is wrong.
if (status !== 0) process.exit(status ?? 1);
chmodSync(join(root, 'dist', 'cli', 'main.js'), 0o755);

const page = join(root, 'dist', 'dashboard');
await build({
  configFile: false,
  envDir: false,
  root: join(root, 'src', 'dashboard'),
  publicDir: false,
  // Wherever a proxy mounts the page, its assets are beside it.
  base: './',
  logLevel: 'warn',
  oxc: { jsx: { runtime: 'automatic', importSource: 'preact' } },
  // rxjs in the syntax of today's browsers, and not in that of 2011.
  resolve: { conditions: ['es2015', 'module', 'browser', 'production'] },
  build: {
    outDir: page,
    emptyOutDir: true,
    target: 'es2022',
    sourcemap: false,
    // Everything is a file of ours: the page's Content-Security-Policy allows no script and no style in its HTML.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    // What is bundled is under licences that want to be told of.
    license: { fileName: 'LICENSES.txt' },
    reportCompressedSize: false,
  },
});

// Compressed here and once, as well as it can be: the relay only picks what a browser takes.
const files = readdirSync(page, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
for (const { parentPath, name } of files) {
  const path = join(parentPath, name);
  const plain = readFileSync(path);
  writeFileSync(`${path}.br`, brotliCompressSync(plain));
  writeFileSync(`${path}.gz`, gzipSync(plain, { level: 9 }));
}
