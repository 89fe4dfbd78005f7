import { mustHold } from '../broken.js';
import { judge } from '../judge.js';
import { drawnCarrier, drawnChannels } from '../roster.js';
import type { Scenario } from '../scenario.js';
import type { Subscriber } from '../subscriber.js';
import { createTokenIssuer } from '../tokens.js';

const SESSIONS = 8;
const RATE = 300;
/** Many times what lies between two replacements: a busy machine is late with one now and then. */
const LIFE_MS = 8_000;
const REPLACED_WITHIN_MS = 1_000;
const HOUR_MS = 3_600_000;

/** Tokens are replaced on live sockets while events flow: no close, no hole; a narrower grant ends what it no longer covers. */
export const tokenReplaced: Scenario = {
  name: 'token-replaced',
  lane: 'ends',
  boundSeconds: [120, 40],
  async run(stage) {
    const issuer = createTokenIssuer();
    const relay = await stage.relay({
      journal: { engine: 'memory', maxBytes: 256 * 1024 * 1024 },
      auth: { mode: 'jwt', secret: issuer.secret },
      fountain: { sessions: SESSIONS, rate: 0 },
    });
    const count = stage.size(60, 16);
    const issue = (sub: string, lifeMs: number, channels?: readonly string[]): Promise<string> =>
      issuer.issue({ sub, expiresAtMs: Date.now() + lifeMs, ...(channels === undefined ? {} : { channels }) });
    let going = true;
    const replacing: Promise<void>[] = [];
    for (let index = 0; index < count; index++) {
      const draw = stage.draw.fork(`subscriber ${index}`);
      const name = `token ${index}`;
      const one = stage.subscriber({
        name,
        channels: drawnChannels(draw, [0, SESSIONS - 1]),
        open: drawnCarrier(draw),
        start: 'snapshot',
        backMs: [0, 300],
        // Only the tokens that replace it are short: 60 connect at once, and are live when they are.
        dial: async () => ({ port: relay.port, token: await issue(name, HOUR_MS) }),
      });
      const replace = async (): Promise<void> => {
        await stage.until(() => one.isLive, `${name} is live`);
        while (going) {
          one.authenticate(await issue(name, LIFE_MS));
          await stage.pause(draw.between(50, REPLACED_WITHIN_MS));
        }
        one.authenticate(await issue(name, HOUR_MS));
      };
      replacing.push(replace());
    }
    await relay.rate(RATE);
    await stage.until(() => stage.subscribers.every(({ isLive }) => isLive), 'everybody is live');
    await stage.pause(LIFE_MS + stage.size(6_000, 1_000));
    going = false;
    await Promise.all(replacing);
    const reconnected = stage.subscribers.filter(({ connects }) => connects !== 1);
    mustHold(reconnected.length === 0, `nobody is closed whose token is replaced: ${reconnected[0]?.name}`);

    // Still flowing: some are given less than they had.
    const narrowed = stage.subscribers.filter((_, index) => index % 4 === 0);
    for (const one of narrowed) one.authenticate(await issue(one.name, HOUR_MS, ['tradernet.>']));
    await stage.until(
      () => narrowed.every(({ trails }) => [...trails.values()].every(({ hasEnded }) => hasEnded)),
      'what a grant no longer covers ends with unsubscribed',
    );
    await stage.pause(500);
    await relay.rate(0);
    const token = await issue('judge', HOUR_MS);
    const verdict = await judge(stage, { relay, token });
    const replaced = stage.subscribers.reduce((sum, one) => sum + authentications(one), 0);
    return {
      ...verdict,
      done: `${count} subscribers, ${replaced} tokens replaced on live sockets, ${narrowed.length} grants narrowed`,
    };
  },
};

function authentications({ seen }: Subscriber): number {
  return seen.get('authenticated') ?? 0;
}
