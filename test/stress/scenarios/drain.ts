import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { mustHold } from '../broken.js';
import { judge } from '../judge.js';
import type { RelayProcess } from '../relay-process.js';
import { drawnCarrier } from '../roster.js';
import type { Scenario } from '../scenario.js';
import { startTraffic } from '../traffic.js';
import { startVenues } from '../venues.js';

/** What a drain may take beyond its timeout: the process must still end. */
const SLACK_MS = 5_000;
const CHANNELS = [
  '>',
  'deribit.>',
  '*.*.*.session.*',
  'tradernet.>',
  '*.*.*.access.logged',
  'deribit.main.relay.>',
] as const;
const ends = z.looseObject({ ended: z.array(z.looseObject({ cause: z.string() })) });

/** `serve` is told to end while its venues speak and subscribers listen, and another takes its place on the same data. */
export const drain: Scenario = {
  name: 'drain',
  lane: 'ends',
  boundSeconds: [120, 40],
  async run(stage) {
    const venues = await startVenues(stage, { timesFaster: 1, since: Date.now() });
    const timeoutMs = stage.size(4_000, 2_000);
    const folder = stage.folder();
    const file = join(folder, 'relay.json');
    writeFileSync(
      file,
      JSON.stringify({
        listen: { port: 0, transport: stage.transport },
        journal: { engine: 'lmdb', path: join(folder, 'data') },
        drain: { timeout: timeoutMs },
        sources: venues.map(({ source }) => source),
      }),
    );
    const serve = (): Promise<RelayProcess> => stage.command(['serve', '--config', file]);
    let relay = await serve();
    let isUp = true;
    const left: number[] = [];
    const count = stage.size(200, 50);
    for (let index = 0; index < count; index++) {
      const draw = stage.draw.fork(`subscriber ${index}`);
      const folds = index % 40 === 0;
      stage.subscriber({
        name: `subscriber ${index}`,
        channels: [folds ? '>' : draw.oneOf(CHANNELS)],
        open: drawnCarrier(draw),
        dial: () => (isUp ? { port: relay.port } : undefined),
        start: 'snapshot',
        backMs: [10, 100],
        folds,
        mayClose: [1001],
        onClosed(end, self) {
          if (isUp || end.how !== 'closed') return;
          left.push(performance.now());
          if (self.seen.get('draining') !== 1 || end.code !== 1001)
            unfair = `${self.name}: ${self.seen.get('draining') ?? 0} draining, then ${end.code}`;
        },
      });
    }
    let unfair: string | undefined;
    await stage.until(() => stage.subscribers.every(({ isLive }) => isLive), 'everybody is live');
    const traffic = startTraffic(venues, stage.draw.fork('traffic'));
    await stage.pause(stage.size(3_000, 1_000));

    isUp = false;
    const began = performance.now();
    relay.terminate();
    const { code, signal } = await relay.exited;
    const took = performance.now() - began;
    mustHold(code === 0, `a drained relay ends with 0: ${code ?? signal}; ${relay.complaints.join(' ')}`);
    mustHold(took < timeoutMs + SLACK_MS, `a drain ends in time: ${Math.round(took)} ms of ${timeoutMs}`);
    await stage.until(
      () => left.length === count,
      () => `everybody is sent away: ${left.length} of ${count}`,
    );
    mustHold(unfair === undefined, `everybody is told draining, then closed with 1001: ${unfair}`);
    const last = Math.max(...left) - began;
    mustHold(last < timeoutMs + SLACK_MS, `everybody is sent away in time: ${Math.round(last)} ms of ${timeoutMs}`);
    const spread = Math.max(...left) - Math.min(...left);
    for (const { venue, simulator } of venues) {
      if (venue !== 'deribit') continue;
      const cause = ends.parse(simulator.state()).ended.at(-1)?.cause;
      mustHold(cause === 'logout', `Deribit is logged out of, so that orders stay: the connection ended by ${cause}`);
    }

    relay = await serve();
    isUp = true;
    for (const one of stage.subscribers) one.hurry();
    await stage.until(() => stage.subscribers.every(({ isLive }) => isLive), 'everybody is live again');
    await stage.pause(stage.size(1_500, 500));
    traffic.stop();
    const verdict = await judge(stage, { relay });
    mustHold(verdict.announced === 0, `a journal that survives serves every cursor: ${verdict.announced} gaps`);
    return {
      ...verdict,
      done: `SIGTERM under load: ${count} subscribers told and sent away over ${(spread / 1_000).toFixed(1)} s, resumed at the next relay; ${traffic.told()} things happened at 4 venues`,
    };
  },
};
