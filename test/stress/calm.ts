import { z } from 'zod';
import { FOUNTAIN_SOURCE } from './fountain.js';
import type { RelayProcess } from './relay-process.js';
import type { Stage } from './stage.js';

const calmPage = z.looseObject({
  sessions: z.array(
    z.looseObject({
      key: z.string(),
      status: z.string().optional(),
      stale: z.boolean().optional(),
      safety: z.looseObject({ level: z.string() }).optional(),
    }),
  ),
});
const readiness = z.looseObject({ status: z.string() });

const LOOK_EVERY_MS = 400;

/**
 * Waits until every source has its links and every session is active, seen and safe, two looks in a row; answers what
 * was seen, to be found again later.
 */
export async function becomesCalm(stage: Stage, relay: RelayProcess, venues: readonly string[]): Promise<string> {
  let now = '';
  let lookedAt = Number.NEGATIVE_INFINITY;
  await stage.until(
    async () => {
      if (performance.now() - lookedAt < LOOK_EVERY_MS) return false;
      lookedAt = performance.now();
      const before = now;
      now = await shown(relay);
      const isReady = readiness.parse((await relay.get('/readyz?sources=1')).body).status === 'ready';
      const sessions = now.split('\n').filter((line) => line !== '' && !line.includes('.- '));
      const areThere = venues.every((venue) => sessions.some((line) => line.startsWith(`${venue}.`)));
      return isReady && areThere && now === before && sessions.every((line) => line.endsWith(' active seen safe'));
    },
    () => `the venues are connected, and every session is active, seen and safe:\n${now}`,
  );
  return now;
}

async function shown(relay: RelayProcess): Promise<string> {
  const { sessions } = calmPage.parse((await relay.get('/v1/sessions?limit=1000')).body);
  return sessions
    .filter(({ key }) => !key.startsWith(`deribit.${FOUNTAIN_SOURCE}.`))
    .map(
      ({ key, status, stale, safety }) =>
        `${key} ${status ?? '-'} ${stale === true ? 'stale' : 'seen'} ${safety?.level ?? '-'}`,
    )
    .join('\n');
}

/** Everything is as it was before: no session is missed, stuck, or taken for something else. */
export async function becomes(stage: Stage, relay: RelayProcess, calm: string): Promise<void> {
  let now = '';
  await stage.until(
    async () => {
      now = await shown(relay);
      return now === calm;
    },
    () => `every session is as before:\n${calm}\nbut\n${now}`,
  );
}
