import { existsSync, readFileSync } from 'node:fs';
import { builtinModules } from 'node:module';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';

/** What importing the library loads: every static import from `src/index.ts` on, types left out as the compiler leaves them out. */
const SRC = fileURLToPath(new URL('../../src/', import.meta.url));
const STATEMENT = /^(?:import|export)\s+(?!type\b)(?:[^;'"]*?\sfrom\s+)?['"]([^'"]+)['"]/gm;
const DYNAMIC = /\bimport\(\s*['"]([^'"]+)['"]\s*\)/g;

interface Reach {
  readonly files: ReadonlySet<string>;
  readonly packages: ReadonlySet<string>;
  /** Loaded only when it is used. */
  readonly later: ReadonlySet<string>;
}

function reachOf(entry: string): Reach {
  const files = new Set<string>();
  const packages = new Set<string>();
  const later = new Set<string>();
  const visit = (path: string): void => {
    const name = relative(SRC, path);
    if (files.has(name)) return;
    files.add(name);
    const text = readFileSync(path, 'utf8');
    for (const [, imported = ''] of text.matchAll(DYNAMIC)) later.add(imported);
    for (const [, imported = ''] of text.matchAll(STATEMENT)) {
      if (imported.startsWith('.')) visit(join(dirname(path), imported.replace(/\.js$/, '.ts')));
      else if (!imported.startsWith('node:')) packages.add(imported);
    }
  };
  visit(join(SRC, entry));
  return { files, packages, later };
}

describe('importing the library', () => {
  const { files, packages, later } = reachOf('index.ts');

  test('loads these packages and no others: no server, no uWebSockets.js, no socket.io', () => {
    expect([...packages].toSorted()).toEqual(['eventemitter3', 'rxjs', 'undici', 'ws', 'yaml', 'zod']);
    expect(builtinModules.some((name) => packages.has(name))).toBe(false);
  });

  test('loads nothing of the edge, the transports, HTTP, the simulators or the command line', () => {
    expect(
      [...files].filter((file) => /^(edge|transports|http|simulators|cli|dashboard)\/|^relay\.ts/.test(file)),
    ).toEqual([]);
  });

  test('makes no WebSocket server: of `ws` it takes the client', () => {
    const servers = [...files].filter((file) =>
      /WebSocketServer|createServer/.test(readFileSync(join(SRC, file), 'utf8')),
    );
    expect(servers).toEqual([]);
  });

  test('leaves the socket.io clients until a source uses them', () => {
    expect([...later]).toEqual(expect.arrayContaining(['socket.io-client', 'socket.io-client-v2']));
  });
});

test('the walk sees what it should: the relay does reach a server', () => {
  const { files } = reachOf('relay.ts');
  expect([...files]).toContain('edge/edge.ts');
  expect(existsSync(join(SRC, 'index.ts'))).toBe(true);
});
