import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const made = new Set<string>();

/** A folder of this test's own. */
export function tempFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'session-relay-'));
  made.add(folder);
  return folder;
}

/** For `afterEach`: removes what `tempFolder` made. */
export function removeTempFolders(): void {
  for (const folder of made) rmSync(folder, { recursive: true, force: true });
  made.clear();
}
