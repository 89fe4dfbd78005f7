import { expect, test } from 'vitest';
import { HEARTBEAT_MS, MAX_PROTOCOL_ERRORS, PROTOCOL_ERROR_WINDOW_MS } from '../../src/edge/limits.js';
import { createEdgeStage } from '../support/edge-stage.js';

async function connect() {
  const stage = await createEdgeStage({ limits: { maxRequestsPerSecond: 20 } });
  const got: { readonly id?: number; readonly error?: { readonly code: number } }[] = [];
  const wire = stage.connect(1e9, (text) => void got.push(JSON.parse(text)));
  const say = (text: string, times: number): void => {
    for (let n = 0; n < times; n++) wire.handlers?.message(text, text.length);
    wire.read(1e9);
  };
  const codes = (): readonly (number | undefined)[] => {
    wire.read(1e9);
    return got.splice(0).flatMap(({ id, error }) => (id === undefined ? [] : [error?.code]));
  };
  return { stage, wire, say, codes };
}

const PING = '{"jsonrpc":"2.0","id":1,"method":"ping"}';

test('errors of the protocol count within their window, whatever heartbeats come in between', async () => {
  const { stage, wire, say } = await connect();
  await stage.clock.advance(HEARTBEAT_MS - 100);
  say('nonsense', MAX_PROTOCOL_ERRORS);
  await stage.clock.advance(PROTOCOL_ERROR_WINDOW_MS - 1);
  expect(wire.closedWith).toBeUndefined();
  say('nonsense', 1);
  expect(wire.closedWith).toBe(4400);
});

test('the rate is not given back by a heartbeat, and is whole again after a second, or after a long silence', async () => {
  const { stage, say, codes } = await connect();
  await stage.clock.advance(HEARTBEAT_MS - 1);
  say(PING, 20);
  await stage.clock.advance(2);
  say(PING, 5);
  expect(codes().filter((code) => code === 4429)).toHaveLength(5);
  for (const silence of [1_000, 3 * HEARTBEAT_MS]) {
    await stage.clock.advance(silence);
    say(PING, 21);
    await stage.settle();
    expect(codes()).toEqual([...Array.from({ length: 20 }, () => undefined), 4429]);
  }
});

test('a request that is answered after two heartbeats is answered, and one that came behind it after it', async () => {
  const { stage, wire, say, codes } = await connect();
  let answer: (isHeld: boolean) => void = () => undefined;
  Object.assign(stage.bus, { holds: () => new Promise<boolean>((resolve) => (answer = resolve)) });
  const subscribe = (id: number, since: string): string =>
    JSON.stringify({ jsonrpc: '2.0', id, method: 'subscribe', params: { channels: ['>'], ...(since && { since }) } });
  say(subscribe(1, '1-0'), 1);
  await stage.settle();
  await stage.clock.advance(2 * HEARTBEAT_MS + 1);
  say(subscribe(2, ''), 1);
  await stage.clock.advance(3 * HEARTBEAT_MS);
  expect(codes()).toEqual([]);
  answer(true);
  await stage.settle();
  expect(codes()).toEqual([undefined, undefined]);
  wire.handlers?.closed(1000, '');
  expect([stage.replay.channels.size, stage.clock.timers]).toEqual([0, 0]);
});
