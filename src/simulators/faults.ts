import type { IncomingMessage, ServerResponse } from 'node:http';
import { z } from 'zod';
import { asSessionRelayError, SessionRelayError } from '../errors.js';
import { type Json, jsonObject } from '../model/json.js';
import type { Clock, Timer } from '../net/clock.js';
import type { FaultSpec, Scenario, Simulator } from './simulator.js';

/** What a simulator does when one fault is triggered. */
export interface Fault {
  /** One sentence: what the venue does then. */
  readonly summary: string;
  /** Default: none are taken. */
  readonly params?: z.ZodType;
  /** Called with what `params` parsed to. */
  run(params: { readonly [name: string]: Json }): void;
}

/** A fault whose `run` has the types of its parameters. */
export function faultWith<S extends z.ZodType>(summary: string, params: S, run: (params: z.output<S>) => void): Fault {
  return { summary, params, run: (parsed) => run(parsed as z.output<S>) };
}

/** Parameters that faults of several venues take. */
export const milliseconds = z.number().int().min(0);
/** How long; what is absent lasts until the fault is triggered with 0, where it does not say otherwise. */
export const forMs = milliseconds.optional();
/** Close codes that may be sent (RFC 6455, and the ranges that it leaves free). */
export const closeCode = z
  .number()
  .int()
  .refine(
    (code) => (code >= 1000 && code <= 1014 && ![1004, 1005, 1006].includes(code)) || (code >= 3000 && code <= 4999),
    'no close code that can be sent',
  );
/** Larger than what the relay's feeds take: `ws` ends such a connection with 1009. */
export const OVERSIZED_BYTES = 17 * 1024 * 1024;
export const MAX_FRAME_BYTES = 64 * 1024 * 1024;

export interface FaultDesk {
  readonly faults: readonly FaultSpec[];
  /** Throws `invalid_params` for a fault that is not here, and for parameters that do not fit. */
  trigger(name: string, params?: { readonly [name: string]: Json }): void;
}

const NO_PARAMS = z.strictObject({});

export function createFaultDesk(faults: { readonly [name: string]: Fault }): FaultDesk {
  return {
    faults: Object.entries(faults).map(([name, { summary }]) => ({ name, summary })),
    trigger(name, params = {}) {
      const fault = Object.hasOwn(faults, name) ? faults[name] : undefined;
      if (fault === undefined) {
        throw new SessionRelayError(
          'invalid_params',
          `this simulator has no fault ${name}: ${Object.keys(faults).join(', ')}`,
        );
      }
      const parsed = (fault.params ?? NO_PARAMS).safeParse(params);
      if (!parsed.success) {
        const [issue] = parsed.error.issues;
        const where = issue?.code === 'unrecognized_keys' ? issue.keys.join(', ') : issue?.path.join('.');
        throw new SessionRelayError(
          'invalid_params',
          `${name}: ${where ?? 'params'}: ${issue?.message ?? 'do not fit'}`,
        );
      }
      fault.run(parsed.data as { readonly [name: string]: Json });
    },
  };
}

const CONTROL_PATH = '/_sim';
const FAULTS_PATH = '/_sim/faults';
/** A larger body is refused. */
const MAX_BODY_BYTES = 64 * 1024;
const faultRequest = z.strictObject({ fault: z.string().min(1), params: jsonObject.optional() });

/**
 * Serves `GET /_sim` (faults and state) and `POST /_sim/faults {"fault": …, "params": …}`. Answers whether the request
 * was one of these; any other is its caller's.
 */
export function serveControl(
  request: IncomingMessage,
  response: ServerResponse,
  simulator: Pick<Simulator, 'venue' | 'faults' | 'fault' | 'state'>,
): boolean {
  const pathname = pathOf(request);
  if (pathname !== CONTROL_PATH && pathname !== FAULTS_PATH) return false;
  // A page of another origin can send a form, but no JSON content type without asking first: none is answered.
  if (request.headers.origin !== undefined) reply(response, 403, { error: 'no web page may steer a simulator' });
  else if (pathname === CONTROL_PATH && request.method === 'GET') {
    reply(response, 200, { venue: simulator.venue, faults: simulator.faults, state: simulator.state() });
  } else if (pathname === FAULTS_PATH && request.method === 'POST') void trigger(request, response, simulator);
  else reply(response, 405, { error: `GET ${CONTROL_PATH} or POST ${FAULTS_PATH}` });
  return true;
}

/** Empty for a request line that is no URL. */
function pathOf({ url = '/' }: IncomingMessage): string {
  return URL.canParse(url, 'http://simulator') ? new URL(url, 'http://simulator').pathname : '';
}

async function trigger(
  request: IncomingMessage,
  response: ServerResponse,
  simulator: Pick<Simulator, 'fault'>,
): Promise<void> {
  try {
    const parsed = faultRequest.safeParse(await bodyOf(request));
    if (!parsed.success) throw new SessionRelayError('invalid_params', 'send {"fault": "name", "params": {…}}');
    simulator.fault(parsed.data.fault, parsed.data.params);
    reply(response, 200, { triggered: parsed.data.fault });
  } catch (thrown) {
    const error = asSessionRelayError(thrown);
    reply(response, error.code === 'invalid_params' ? 400 : 500, { error: error.message });
  }
}

async function bodyOf(request: IncomingMessage): Promise<unknown> {
  const parts: Buffer[] = [];
  let bytes = 0;
  for await (const part of request) {
    const chunk = Buffer.from(part as Uint8Array);
    bytes += chunk.length;
    if (bytes > MAX_BODY_BYTES) throw new SessionRelayError('invalid_params', `at most ${MAX_BODY_BYTES} bytes`);
    parts.push(chunk);
  }
  try {
    return JSON.parse(Buffer.concat(parts).toString('utf8'));
  } catch {
    throw new SessionRelayError('invalid_params', 'the body is not JSON');
  }
}

function reply(response: ServerResponse, status: number, body: unknown): void {
  const text = JSON.stringify(body);
  response.writeHead(status, { 'content-type': 'application/json', 'content-length': Buffer.byteLength(text) });
  response.end(text);
}

/** Plays a scenario on a simulator, from now on. Returns what ends it. */
export function playScenario(
  simulator: Pick<Simulator, 'fault'>,
  scenario: Scenario,
  clock: Clock,
): { readonly stop: () => void } {
  const timers = new Set<Timer>();
  const after = (ms: number, task: () => void): void => {
    const timer = clock.setTimer(() => {
      timers.delete(timer);
      task();
    }, ms);
    timers.add(timer);
  };
  const round = (): void => {
    for (const { atMs, fault, params } of scenario.steps) after(atMs, () => simulator.fault(fault, params));
    if (scenario.repeatMs !== undefined) after(scenario.repeatMs, round);
  };
  round();
  return {
    stop() {
      for (const timer of timers) timer.cancel();
      timers.clear();
    },
  };
}
