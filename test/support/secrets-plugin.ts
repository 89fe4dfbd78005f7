/**
 * Shows every log line, every error of the family and every HTTP body that the product makes to the sweep for secrets
 * (`secrets-setup.ts`), in whatever test it makes them and whether or not the test looks: the calls are wrapped as the
 * source is loaded. Each kind must be found where it is looked for, so that none is left out without a word.
 */
const LOOK = 'globalThis.__secretSweep?.look';

interface Seam {
  readonly file: RegExp;
  readonly wrap: (code: string) => string;
}

const SEAMS: readonly Seam[] = [
  {
    file: /\/src\/errors\.ts$/,
    wrap: (code) =>
      code.replace('    this.data = options.data;\n', `    this.data = options.data; ${LOOK}('an error', this);\n`),
  },
  {
    file: /\/src\/http\/json\.ts$/,
    wrap: (code) =>
      code.replace('  return new Response(body,', `  ${LOOK}('an HTTP body', body); return new Response(body,`),
  },
  {
    file: /\/src\/http\/problem\.ts$/,
    wrap: (code) =>
      code.replace('  return new Response(body,', `  ${LOOK}('an HTTP body', body); return new Response(body,`),
  },
  {
    file: /\/src\/http\/sse\.ts$/,
    wrap: (code) =>
      code.replace(
        '    if (!over) controller?.enqueue(',
        `    ${LOOK}('an event stream', text); if (!over) controller?.enqueue(`,
      ),
  },
];
/** `log.warn(` becomes a call of a log that the sweep has looked at. */
const LOG_CALL = /\b(log)\.(debug|info|warn|error)\(/g;

export function showToSweep() {
  return {
    name: 'show-to-sweep',
    enforce: 'pre' as const,
    transform(code: string, id: string): { readonly code: string; readonly map: null } | undefined {
      const [path = ''] = id.split('?', 1);
      if (!path.endsWith('.ts') || !path.includes('/src/') || path.includes('/simulators/')) return undefined;
      let shown = code.replace(LOG_CALL, '(globalThis.__secretSweep?.log($1) ?? $1).$2(');
      for (const { file, wrap } of SEAMS) {
        if (!file.test(path)) continue;
        const wrapped = wrap(shown);
        if (wrapped === shown) throw new Error(`${path}: what shows it to the sweep for secrets no longer fits`);
        shown = wrapped;
      }
      return shown === code ? undefined : { code: shown, map: null };
    },
  };
}
