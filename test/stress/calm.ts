import { z } from 'zod';
import { mustHold } from './broken.js';
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

/** Each session's status and level, once every source has its links and no session is stale. */
export async function isCalm(stage: Stage, relay: RelayProcess): Promise<string> {
  let seen = '';
  await stage.until(async () => {
    const { body } = await relay.get('/readyz?sources=1');
    if (readiness.parse(body).status !== 'ready') return false;
    const now = await shown(relay);
    const isStill = now === seen && !now.includes('stale') && now.includes('deribit.main.relay active');
    seen = now;
    await stage.pause(isStill ? 0 : 400);
    return isStill;
  }, 'the venues are connected and their sessions are seen');
  return seen;
}

async function shown(relay: RelayProcess): Promise<string> {
  const { sessions } = calmPage.parse((await relay.get('/v1/sessions?limit=1000')).body);
  return sessions
    .map(
      ({ key, status, stale, safety }) =>
        `${key} ${status ?? ''} ${stale === true ? 'stale' : ''} ${safety?.level ?? ''}`,
    )
    .join('\n');
}

/** Everything is as it was before: no session is missed, stuck, or taken for something else. */
export async function becomes(stage: Stage, relay: RelayProcess, calm: string): Promise<void> {
  let now = '';
  await stage
    .until(async () => {
      now = await shown(relay);
      return now === calm;
    }, 'all is as before')
    .catch(() => mustHold(false, `after the flaps every session is as before:\n${calm}\nbut\n${now}`));
}
