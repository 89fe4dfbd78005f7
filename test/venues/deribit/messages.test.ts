import fc from 'fast-check';
import { expect, test } from 'vitest';
import { z } from 'zod';
import { type Json, json } from '../../../src/model/json.js';
import { parseAccessLog, parsePlatformState, parseSubscription, timeOf } from '../../../src/venues/deribit/messages.js';

/** What is read by hand, as schemas say it. */
const flag = z.union([z.boolean(), z.enum(['true', 'false']).transform((text) => text === 'true')]);
const name = z.string().min(1).max(64);
const text = z.string().min(1).max(256).optional().catch(undefined);
const subscription = z.object({ channel: z.string().min(1), data: json });
const platformState = z.union([
  z.object({ maintenance: flag }),
  z.object({ price_index: name, locked: flag, reasons: z.array(name).max(16).optional().catch(undefined) }),
]);
const accessLog = z.object({
  id: z.union([z.number(), name]),
  timestamp: z.number().optional().catch(undefined),
  log: text,
  result: text,
  ip: text,
  country: text,
});

const word = fc.oneof(
  fc.string(),
  fc.constantFrom(
    '',
    'true',
    'false',
    ...[64, 65, 256, 257].flatMap((length) => ['x'.repeat(length), '😀'.repeat(length / 2)]),
  ),
);
const anyJson = fc.jsonValue({ maxDepth: 2 }).map((value) => json.parse(value));
const value: fc.Arbitrary<Json> = fc.oneof(
  word,
  word,
  fc.boolean(),
  fc.integer(),
  fc.array(word, { maxLength: 18 }),
  anyJson,
);

/** Anything, and mostly what has these members, each there or not. */
function around(names: readonly string[]): fc.Arbitrary<Json> {
  const members = Object.fromEntries([...names, 'constructor'].map((one) => [one, value]));
  return fc.oneof(
    { weight: 1, arbitrary: value },
    { weight: 9, arbitrary: fc.record(members, { requiredKeys: [] }).map((one) => json.parse(one)) },
  );
}

/** Both say the same of everything, and take some of it. */
function agree(given: fc.Arbitrary<Json>, byHand: (data: Json) => unknown, bySchema: (data: Json) => unknown): void {
  let taken = 0;
  fc.assert(
    fc.property(given, (data) => {
      const read = byHand(data);
      expect(read).toEqual(bySchema(data));
      if (read !== undefined) taken++;
    }),
    { numRuns: 2_000 },
  );
  expect(taken).toBeGreaterThan(50);
}

test('a subscription’s frame is one with a channel and data', () => {
  agree(around(['channel', 'data']), parseSubscription, (params) => subscription.safeParse(params).data);
});

test('a state of the platform is a maintenance, or an index that is locked or not', () => {
  const given = around(['maintenance', 'price_index', 'locked', 'reasons']);
  agree(given, parsePlatformState, (data) => platformState.safeParse(data).data);
});

test('an access is one that has an id and an action; what else is wrong of it is left out', () => {
  agree(around(['id', 'timestamp', 'log', 'result', 'ip', 'country']), parseAccessLog, (data) => {
    const parsed = accessLog.safeParse(data).data;
    const action = parsed?.log ?? parsed?.result;
    if (parsed === undefined || action === undefined) return undefined;
    const { id, timestamp, ip, country } = parsed;
    const venueTime = timestamp === undefined ? undefined : timeOf(timestamp);
    return { id: String(id), logged: { action, venueTime, ip, country } };
  });
});
