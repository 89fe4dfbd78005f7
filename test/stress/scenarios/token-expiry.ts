import { mustHold } from '../broken.js';
import { judge } from '../judge.js';
import { drawnCarrier, drawnChannels } from '../roster.js';
import type { Scenario } from '../scenario.js';
import { createTokenIssuer } from '../tokens.js';

const SESSIONS = 8;
const RATE = 300;
/** Tokens live this long, drawn. */
const LEAST_LIFE_MS = 800;
const MOST_LIFE_MS = 2_500;
/** Two processes read the same wall clock, and timers count whole ms. */
const EARLY_MS = 20;
const HOUR_MS = 3_600_000;

/** Tokens expire while events flow: 4401 at `exp` and not before, and with a new token nothing is missing. */
export const tokenExpiry: Scenario = {
  name: 'token-expiry',
  lane: 'ends',
  boundSeconds: [120, 40],
  async run(stage) {
    const issuer = createTokenIssuer();
    const relay = await stage.relay({
      journal: { engine: 'memory', maxBytes: 256 * 1024 * 1024 },
      auth: { mode: 'jwt', secret: issuer.secret },
      fountain: { sessions: SESSIONS, rate: 0 },
    });
    let expired = 0;
    let tooSoon: string | undefined;
    let short = true;
    for (let index = 0; index < stage.size(60, 16); index++) {
      const draw = stage.draw.fork(`subscriber ${index}`);
      const name = `token ${index}`;
      let expiresAtMs = 0;
      stage.subscriber({
        name,
        channels: drawnChannels(draw, [0, SESSIONS - 1]),
        open: drawnCarrier(draw),
        start: 'snapshot',
        folds: false,
        backMs: [0, 300],
        mayClose: [4401],
        async dial() {
          expiresAtMs = Date.now() + (short ? draw.between(LEAST_LIFE_MS, MOST_LIFE_MS) : HOUR_MS);
          return { port: relay.port, token: await issuer.issue({ sub: name, expiresAtMs }) };
        },
        onClosed(end) {
          if (end.how !== 'closed' || end.code !== 4401) return;
          expired++;
          const earlyMs = expiresAtMs - Date.now();
          if (earlyMs > EARLY_MS) tooSoon = `${name} was closed ${earlyMs} ms before its token ended`;
        },
      });
    }
    await relay.rate(RATE);
    await stage.pause(stage.size(9_000, 3_000));
    short = false;
    // The last short ones end, so that everybody holds a token that lasts.
    await stage.pause(MOST_LIFE_MS);
    await relay.rate(0);
    const token = await issuer.issue({ sub: 'judge', expiresAtMs: Date.now() + HOUR_MS });
    const verdict = await judge(stage, { relay, token });
    mustHold(tooSoon === undefined, `a token is good until it ends: ${tooSoon}`);
    mustHold(expired >= stage.subscribers.length, `tokens end: ${expired} closes with 4401`);
    return { ...verdict, done: `${stage.subscribers.length} subscribers, ${expired} tokens expired mid-stream` };
  },
};
