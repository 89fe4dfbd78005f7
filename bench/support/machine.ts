import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { cpus, release } from 'node:os';
import { z } from 'zod';

const packageJson = z.object({ version: z.string() });

/** The cores that servers and load generators are kept on; `undefined` where there is no `taskset`, or one core only. */
export const CORES = coresHere();

function coresHere(): { readonly server: string; readonly load: string } | undefined {
  if (cpus().length < 2 || spawnSync('taskset', ['-p', String(process.pid)]).status !== 0) return undefined;
  return { server: '0', load: '1' };
}

/** What the figures below it were measured with: one line of Markdown. */
export function versionsLine(): string {
  const [cpu] = cpus();
  const parts = [
    `node ${process.versions.node}`,
    ...['uWebSockets.js', 'ws', 'socket.io', 'lmdb'].map((name) => `${name} ${versionOf(name)}`),
    `${cpu?.model.trim() ?? 'unknown CPU'} × ${cpus().length}`,
    `${process.platform} ${release()}`,
    `commit ${commit()}`,
    CORES === undefined
      ? 'nothing pinned'
      : `server on core ${CORES.server}, load generator and venue on core ${CORES.load}`,
  ];
  return parts.join(' · ');
}

/** The version of a package as it is installed. */
export function versionOf(name: string): string {
  try {
    // Compiled files lie two folders deeper than `node_modules`' own.
    const file = new URL(`../../../node_modules/${name}/package.json`, import.meta.url);
    return packageJson.parse(JSON.parse(readFileSync(file, 'utf8'))).version;
  } catch {
    return 'not installed';
  }
}

function commit(): string {
  const { status, stdout } = spawnSync('git', ['describe', '--always', '--dirty'], { encoding: 'utf8' });
  return status === 0 ? stdout.trim() : 'unknown';
}
