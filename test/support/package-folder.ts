import { mkdirSync, mkdtempSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('../../', import.meta.url));

/** A new folder where the package, as it is built, and `rxjs` are installed. Whoever makes it removes it. */
export function packageFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'session-relay-package-'));
  mkdirSync(join(folder, 'node_modules'));
  symlinkSync(root, join(folder, 'node_modules', 'session-relay'));
  symlinkSync(join(root, 'node_modules', 'rxjs'), join(folder, 'node_modules', 'rxjs'));
  return folder;
}
