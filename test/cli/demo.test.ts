import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { z } from 'zod';

/** The command line as users run it: the compiled one, each command a process of its own. */
const main = fileURLToPath(new URL('../../dist/cli/main.js', import.meta.url));
/** The demo shows the first incident of each venue within this. */
const FIRST_INCIDENTS_MS = 30_000;
/** Several processes start and end in one test, on a machine that may be slow. */
const TEST_MS = 60_000;

/** Where a process of these tests finds the system's temporary folder. */
let temporary = '';
beforeEach(() => {
  temporary = mkdtempSync(join(tmpdir(), 'demo-'));
});

const children = new Set<ChildProcess>();
afterEach(async () => {
  for (const child of children) {
    if (child.exitCode !== null || child.signalCode !== null) continue;
    child.kill('SIGKILL');
    await once(child, 'exit');
  }
  children.clear();
  rmSync(temporary, { recursive: true, force: true });
});

interface Running {
  readonly child: ChildProcess;
  readonly stderr: () => string;
  readonly exited: Promise<readonly [number | null, NodeJS.Signals | null]>;
  /** The next line of stdout; rejects where there is none any more. */
  line(): Promise<string>;
}

function run(...args: readonly string[]): Running {
  const env = { ...process.env, TMPDIR: temporary };
  const child = spawn(process.execPath, [main, ...args], { env, stdio: ['ignore', 'pipe', 'pipe'] });
  children.add(child);
  let stderr = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    stderr += text;
  });
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  return {
    child,
    stderr: () => stderr,
    exited: new Promise((resolve) => child.once('exit', (code, signal) => resolve([code, signal]))),
    async line() {
      const { done, value } = await lines.next();
      if (done === true) throw new Error(`${args.join(' ')} ended: ${stderr}`);
      return value;
    },
  };
}

const ready = z.object({
  listening: z.url(),
  transport: z.enum(['uws', 'ws']),
  scenario: z.literal('day'),
  seed: z.number(),
  simulators: z.array(z.object({ venue: z.string(), url: z.string() })),
});

async function demo(...args: readonly string[]) {
  const running = run('demo', '--port', '0', ...args);
  return { ...running, ...ready.parse(JSON.parse(await running.line())) };
}

const event = z.looseObject({ id: z.string(), subject: z.string(), type: z.string() });
type Event = z.infer<typeof event>;
/** Security sessions of the login that are there before the scenario opens one. */
const SESSIONS_AT_FIRST = 2;

const health = z.looseObject({ connections: z.number(), checks: z.looseObject({ draining: z.string() }) });

async function until(url: string, holds: (state: z.infer<typeof health>) => boolean): Promise<void> {
  while (!holds(health.parse(await (await fetch(`${url}/readyz`)).json())));
}

async function tailUntil(tail: Running, enough: (seen: readonly Event[]) => boolean): Promise<void> {
  const seen: Event[] = [];
  while (!enough(seen)) seen.push(event.parse(JSON.parse(await tail.line())));
}

const venuesOf = (seen: readonly Event[], type: RegExp): ReadonlySet<string> =>
  new Set(seen.filter((one) => type.test(one.type)).map(({ subject }) => subject.split('.')[0] ?? ''));

const isSecuritySession = (subject: string): boolean => /^tradernet\.\w+\.\d+$/.test(subject);

describe('session-relay demo', () => {
  test(
    'shows all venues, and the first incident of each within 30 s',
    async () => {
      const startedAt = performance.now();
      const { listening, simulators } = await demo();
      expect(simulators.map(({ venue }) => venue)).toEqual(['deribit', 'tradernet', 'ibkr', 'snaptrade']);
      const tail = run('tail', listening, '--since', '0-0');
      await tailUntil(tail, (seen) => venuesOf(seen, /^session\.opened$/).size === 4);
      const incidents = run('tail', listening, '--since', '0-0');
      const status = run('status', listening);
      const head = await status.line();
      expect(head).toMatch(/^SAFETY +SESSION +STATUS +EXPIRES +REASONS$/);
      expect(await status.line()).toMatch(/^(safe|unknown|at_risk|unsafe) +(deribit|tradernet|ibkr|snaptrade)\./);
      expect([0, 1, 2]).toContain((await status.exited)[0]);
      await tailUntil(incidents, (seen) => {
        const sessions = seen.filter(({ subject, type }) => type === 'session.opened' && isSecuritySession(subject));
        return (
          venuesOf(seen, /^venue\.degraded$/).has('deribit') &&
          venuesOf(seen, /^session\.contested$/).has('ibkr') &&
          venuesOf(seen, /^session\.lost$/).has('snaptrade') &&
          sessions.length > SESSIONS_AT_FIRST
        );
      });
      expect(performance.now() - startedAt).toBeLessThan(FIRST_INCIDENTS_MS);
    },
    TEST_MS,
  );

  test(
    'drains on SIGTERM: Deribit is logged out first, no order is cancelled, and it exits 0',
    async () => {
      const { child, listening, simulators, exited } = await demo('--scenario', 'day', '--seed', '7');
      const tail = run('tail', listening, '--since', '0-0', '--channel', 'deribit.>');
      await tailUntil(tail, (seen) => venuesOf(seen, /^session\.opened$/).has('deribit'));
      const result = run('command', listening, 'deribit.main', 'get_cancel_on_disconnect', 'scope=connection');
      expect(JSON.parse(await result.line())).toMatchObject({ cursor: expect.any(String) });
      expect(await result.exited).toEqual([0, null]);
      child.kill('SIGTERM');
      await tailUntil(tail, (seen) => venuesOf(seen, /^link\.down$/).has('deribit'));
      // The subscriber that is still there holds the drain up: long enough to ask the venue.
      const venue = new URL(simulators[0]?.url ?? '');
      const state: unknown = await (await fetch(`http://${venue.host}/_sim`)).json();
      expect(JSON.stringify(state)).toContain('"cause":"logout","cancelledOrders":[]');
      expect(readdirSync(temporary)).toHaveLength(1);
      expect(await exited).toEqual([0, null]);
      expect(readdirSync(temporary)).toEqual([]);
    },
    TEST_MS,
  );

  test(
    'ends with 128 + the signal on a second one',
    async () => {
      const { child, listening, exited, stderr } = await demo();
      const tail = run('tail', listening, '--since', '0-0');
      // The tail holds the drain up; what it was sent shows that it is there.
      await tail.line();
      child.kill('SIGTERM');
      await until(listening, ({ checks }) => checks.draining !== 'ok');
      child.kill('SIGTERM');
      expect(await exited).toEqual([143, null]);
      expect(stderr()).toContain('SIGTERM again: ending now');
      expect(readdirSync(temporary)).toEqual([]);
      tail.child.kill('SIGTERM');
      expect(await tail.exited).toEqual([0, null]);
    },
    TEST_MS,
  );
});

test(
  'a terminal that closes ends the demo: it has no configuration to read again, and would hold its port for nobody',
  async () => {
    const { child, exited } = await demo();
    child.kill('SIGHUP');
    expect(await exited).toEqual([null, 'SIGHUP']);
  },
  TEST_MS,
);

describe('session-relay demo --data', () => {
  test(
    'keeps its journal there, also when it is killed: the next one goes on in a later epoch',
    async () => {
      const data = join(temporary, 'kept');
      const first = await demo('--data', data);
      const tail = run('tail', first.listening, '--since', '0-0', '--channel', 'deribit.>');
      const seen: string[] = [];
      await tailUntil(tail, (events) => {
        seen.splice(0, seen.length, ...events.map(({ id }) => id));
        return venuesOf(events, /^session\.opened$/).has('deribit');
      });
      first.child.kill('SIGKILL');
      await first.exited;
      const second = await demo('--data', data);
      const again = run('tail', second.listening, '--since', '0-0', '--channel', 'deribit.>');
      await tailUntil(again, (events) => {
        const ids = events.map(({ id }) => id);
        const isLater = ids.length > 0 && ids.at(-1)?.split('-')[0] !== seen[0]?.split('-')[0];
        if (isLater) expect(ids.slice(0, seen.length)).toEqual(seen);
        return isLater && venuesOf(events, /^session\.stale$/).has('deribit');
      });
      second.child.kill('SIGTERM');
      again.child.kill('SIGTERM');
      expect(await second.exited).toEqual([0, null]);
      expect(readdirSync(temporary)).toEqual(['kept']);
    },
    TEST_MS,
  );
});

test(
  'a tail whose reader goes away ends, without a fault',
  async () => {
    const { listening } = await demo();
    const tail = run('tail', listening, '--since', '0-0');
    await tail.line();
    tail.child.stdout?.destroy();
    expect(await tail.exited).toEqual([0, null]);
    expect(tail.stderr()).toBe('');
  },
  TEST_MS,
);
