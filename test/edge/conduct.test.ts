import { expect, test } from 'vitest';
import { createConduct } from '../../src/edge/conduct.js';
import { VirtualClock } from '../support/virtual-clock.js';

test('a steady rate at the limit is served for ever', async () => {
  const clock = new VirtualClock();
  const conduct = createConduct(clock, { maxRequestsPerSecond: 10 });
  for (let n = 0; n < 300; n++) {
    expect(conduct.ask(0)).toEqual({ how: 'serve' });
    await clock.advance(100);
  }
});

test('a stretch at twice the rate is ended after 10 s, though half of it was served all the while', async () => {
  const clock = new VirtualClock();
  const conduct = createConduct(clock, { maxRequestsPerSecond: 10 });
  const seen = { serve: 0, refuse: 0 };
  let endedAt: number | undefined;
  for (let n = 0; n < 400 && endedAt === undefined; n++) {
    const { how } = conduct.ask(0);
    if (how === 'close') endedAt = clock.monotonic();
    else seen[how]++;
    await clock.advance(50);
  }
  expect(endedAt).toBeGreaterThanOrEqual(10_000);
  expect(endedAt).toBeLessThan(12_000);
  expect(seen.serve).toBeGreaterThan(80);
  expect(seen.refuse).toBeGreaterThan(80);
});

test('too many requests at once are refused and never end the connection', async () => {
  const clock = new VirtualClock();
  const conduct = createConduct(clock, { maxRequestsPerSecond: 50 });
  for (let n = 0; n < 100; n++) {
    expect(conduct.ask(64)).toMatchObject({ how: 'refuse', retryAfterMs: expect.any(Number) });
    await clock.advance(200);
  }
});

test('errors that are not of the protocol itself never count', () => {
  const conduct = createConduct(new VirtualClock(), { maxRequestsPerSecond: 50 });
  for (let n = 0; n < 50; n++)
    for (const code of [-32_603, 4403, 4404, 4429]) expect(conduct.isTooMany(code)).toBe(false);
});

test('the eleventh error of the protocol within 10 s is one too many', async () => {
  const clock = new VirtualClock();
  const conduct = createConduct(clock, { maxRequestsPerSecond: 50 });
  for (const code of [-32_700, -32_600, -32_601, -32_602, -32_700, -32_600, -32_601, -32_602, -32_700, -32_600])
    expect(conduct.isTooMany(code)).toBe(false);
  await clock.advance(9_999);
  expect(conduct.isTooMany(-32_601)).toBe(true);
});
