// What `session-relay/client` costs a page: the built client as a browser gets it, bundled, minified and gzipped,
// without rxjs. Fails above the budget, and where anything but rxjs would be loaded beside it.
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';
import { build } from 'esbuild';

const BUDGET_BYTES = 15_000;
/** What a page has to bring along. */
const EXTERNAL = 'rxjs';

const entry = process.argv[2] ?? fileURLToPath(new URL('../dist/client/index.js', import.meta.url));
const { outputFiles, metafile } = await build({
  entryPoints: [entry],
  bundle: true,
  minify: true,
  write: false,
  metafile: true,
  format: 'esm',
  platform: 'browser',
  target: 'es2022',
  // Every package stays outside: what is imported at all is looked at below.
  packages: 'external',
  external: ['node:*'],
});

const [output] = Object.values(metafile.outputs);
const others = [...new Set(output.imports.map(({ path }) => path))].filter((path) => path !== EXTERNAL);
const [{ contents }] = outputFiles;
const size = gzipSync(contents, { level: 9 }).length;
console.log(`session-relay/client: ${size} bytes minified and gzipped without rxjs (at most ${BUDGET_BYTES})`);
const problems = [
  ...(size > BUDGET_BYTES ? [`it is ${size - BUDGET_BYTES} bytes too large`] : []),
  ...others.map((path) => `it loads ${path}, and may load nothing but ${EXTERNAL}`),
];
for (const problem of problems) console.error(`session-relay/client: ${problem}`);
process.exitCode = problems.length === 0 ? 0 : 1;
