import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, describe, expect, test } from 'vitest';
import { type FolderLock, lockFolder } from '../../../src/hub/journal/folder-lock.js';
import { removeTempFolders, tempFolder } from '../../support/temp-folder.js';

const locks: FolderLock[] = [];
afterEach(async () => {
  await Promise.all(locks.splice(0).map((lock) => lock.release()));
  removeTempFolders();
});

/** Linux has a way of its own, every other system but Windows a file; both work here. */
const platforms = process.platform === 'linux' ? (['linux', 'freebsd'] as const) : ([process.platform] as const);

describe.each(platforms)('a folder on %s', (platform) => {
  const lock = async (folder: string): Promise<FolderLock> => {
    const taken = await lockFolder(folder, platform);
    locks.push(taken);
    return taken;
  };

  test('is held once, also within one process, and by whom is said', async () => {
    const folder = tempFolder();
    await lock(folder);
    await expect(lock(folder)).rejects.toMatchObject({
      code: 'journal_failed',
      message: expect.stringContaining(`${folder} is held by this process itself`),
    });
    await lock(tempFolder());
  });

  test('is free again once it was let go, however often', async () => {
    const folder = tempFolder();
    const first = await lock(folder);
    await first.release();
    await first.release();
    await lock(folder);
  });

  test('of many who want it at once one has it', async () => {
    const folder = tempFolder();
    const all = await Promise.allSettled(Array.from({ length: 8 }, () => lock(folder)));
    expect(all.filter(({ status }) => status === 'fulfilled')).toHaveLength(1);
  });

  test('is held by another process until that is killed, and not a moment longer', async () => {
    const folder = tempFolder();
    const built = new URL('../../../dist/hub/journal/folder-lock.js', import.meta.url).href;
    const script = `
      const { lockFolder } = await import(${JSON.stringify(built)});
      await lockFolder(${JSON.stringify(folder)}, ${JSON.stringify(platform)});
      process.stdout.write('held');
      setInterval(() => {}, 1_000);`;
    const child = spawn(process.execPath, ['--input-type=module', '-e', script], {
      cwd: fileURLToPath(new URL('../../..', import.meta.url)),
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    try {
      await once(child.stdout, 'data');
      await expect(lock(folder)).rejects.toThrow(`is held by process ${child.pid}`);
      child.kill('SIGKILL');
      await once(child, 'exit');
      await lock(folder);
    } finally {
      child.kill('SIGKILL');
    }
  });
});

test.runIf(process.platform === 'linux')('a holder that says nothing still holds', async () => {
  const folder = tempFolder();
  const silent = createServer(() => undefined);
  silent.listen({ path: join(folder, 'lock.sock') });
  await once(silent, 'listening');
  try {
    await expect(lockFolder(folder, 'freebsd')).rejects.toThrow('is held by another process');
    expect(existsSync(join(folder, 'lock.sock'))).toBe(true);
  } finally {
    silent.close();
  }
});
