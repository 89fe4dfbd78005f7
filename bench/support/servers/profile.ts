import { writeFileSync } from 'node:fs';
import { Session } from 'node:inspector/promises';

const INTERVAL_US = 100;
let session: Session | undefined;

/** Without a file it begins a CPU profile of this process; with one it ends it and writes it there. */
export async function profile(file: string | undefined): Promise<void> {
  if (file === undefined) {
    session = new Session();
    session.connect();
    await session.post('Profiler.enable');
    await session.post('Profiler.setSamplingInterval', { interval: INTERVAL_US });
    await session.post('Profiler.start');
    return;
  }
  const result = await session?.post('Profiler.stop');
  session?.disconnect();
  session = undefined;
  writeFileSync(file, JSON.stringify(result?.profile));
}
