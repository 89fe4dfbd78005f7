import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { afterEach, expect, test } from 'vitest';
import { createLog } from '../../../src/cli/log.js';
import { SessionRelayError, VenueError } from '../../../src/errors.js';
import { silentLog } from '../../../src/net/log.js';
import { createLogins } from '../../../src/simulators/tradernet/logins.js';
import { cli } from '../../support/cli-run.js';
import { closeTestRelays, startTestRelay } from '../../support/relay.js';
import { secret } from '../../support/secrets.js';

/**
 * Leaks, one a test, each of which would pass by itself. Run by `sweep.test.ts` in a vitest of its own, where the file must
 * fail with each of them named.
 */
const PLANTED = secret('planted-and-of-nobody');
afterEach(closeTestRelays);

test('in an event', async () => {
  const { venue, settled } = await startTestRelay('ws');
  venue.open('bot');
  venue.tell({
    source: 'main',
    session: 'bot',
    type: 'session.updated',
    data: { changed: { planted_event: PLANTED } },
  });
  await settled();
});

test('in what is remembered beside an event', async () => {
  const { venue, settled, relay } = await startTestRelay('ws');
  venue.hook = async (_request, tell) => {
    tell({ facts: [], memory: { planted_memory: PLANTED } });
    return { status: 200 };
  };
  await fetch(`${relay.url}/v1/hooks/deribit/main`, { method: 'POST', body: '{}' });
  await settled();
});

test('in a log line that nobody looks at', async () => {
  const { url, venue } = await startTestRelay('ws', { log: silentLog });
  venue.hook = () => Promise.reject(new Error(`planted_log ${PLANTED}`));
  expect((await fetch(`${url}/v1/hooks/deribit/main`, { method: 'POST', body: '{}' })).status).toBe(500);
});

test('in an error, its data and its cause', () => {
  expect(new SessionRelayError('internal', `planted_message ${PLANTED}`)).toBeInstanceOf(Error);
  expect(new VenueError(1, 'x', { data: { planted_data: PLANTED } })).toBeInstanceOf(Error);
  const cause = new Error('x', { cause: new Error(`planted_cause ${PLANTED}`) });
  expect(new SessionRelayError('internal', 'x', { cause })).toBeInstanceOf(Error);
});

test('in an HTTP body and in a frame', async () => {
  const { url, venue, settled, connect } = await startTestRelay('ws');
  venue.open('bot');
  venue.answer = () => Promise.resolve({ planted_answer: encodeURIComponent(PLANTED) });
  await settled();
  const command = { source: 'deribit.main', command: 'read' };
  const subscriber = await connect();
  await subscriber.request('command', command);
  const headers = { 'content-type': 'application/json' };
  await (await fetch(`${url}/v1/commands`, { method: 'POST', headers, body: JSON.stringify(command) })).text();
});

test('in the log of the command line', () => {
  createLog('info', { isTTY: false, write: (text) => void process.stderr.write(text) }).info(
    `planted_stderr ${PLANTED}`,
  );
});

test('in what the command line prints', async () => {
  expect(await cli(['check', '--config', `/planted_cli/${PLANTED}`]).code).toBe(2);
});

test('in what a child process prints', async () => {
  const child = spawn(process.execPath, ['-e', `console.log('planted_child ' + ${JSON.stringify(PLANTED)})`]);
  await once(child, 'close');
});

test('of a token that a simulator issued, and of one that the test made', () => {
  const sid = createLogins({ now: () => 0 }, Math.random).open({ rememberMe: false });
  expect(new SessionRelayError('internal', `planted_issued ${sid}`)).toBeInstanceOf(Error);
  const made = secret('made-by-the-test-itself');
  expect(new SessionRelayError('internal', `planted_made ${made}`)).toBeInstanceOf(Error);
});
