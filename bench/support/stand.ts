import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { z } from 'zod';
import { json } from '../../src/model/json.js';
import { DERIBIT_CHANNEL } from './channel.js';
import {
  gatherAnswer,
  type LoadInput,
  type RateAnswer,
  rateAnswer,
  statusAnswer,
  type WindowAnswer,
  windowAnswer,
} from './load/asks.js';
import { type BenchProcess, startProcess } from './process.js';
import {
  BENCH_TOKEN,
  countsAnswer,
  cpuAnswer,
  memoryAnswer,
  type ServerTerms,
  serverReady,
} from './servers/options.js';

/** A folder for a CPU profile of the server of every run: for looking, as it makes everything slower. */
const PROFILES = process.env.BENCH_PROFILES;
const nothing = z.unknown();
const venueAnswer = z.object({ source: z.record(z.string(), json) });

/** A contestant: one server process and the load generator that is its own. */
export interface Stand {
  readonly name: string;
  readonly load: BenchProcess;
  readonly server: BenchProcess;
  readonly ready: z.output<typeof serverReady>;
  /** Connects subscribers; resolves when every one is subscribed. */
  gather(options: Partial<Gather> & { readonly connections: number }): Promise<z.output<typeof gatherAnswer>>;
  window(options: { readonly burst: number; readonly most: number; readonly forMs: number }): Promise<Measured>;
  rate(options: {
    readonly perSecond: number;
    readonly forMs: number;
    readonly below: number;
  }): Promise<RateAnswer & { readonly serverUs: number }>;
  ask(asked: LoadInput): Promise<void>;
  status(below?: number): Promise<z.output<typeof statusAnswer>>;
  memory(): Promise<z.output<typeof memoryAnswer>>;
  counts(): Promise<z.output<typeof countsAnswer>>;
  pad(bytes: number): Promise<void>;
  cpuUs(): Promise<number>;
  end(): Promise<void>;
}

type Gather = Extract<LoadInput, { readonly ask: 'gather' }>;

export type Measured = WindowAnswer & { readonly serverUs: number };

export interface StandOptions {
  readonly name: string;
  readonly terms: ServerTerms;
  /** A simulated Deribit as the relay's source. */
  readonly venue?: boolean;
  readonly nodeOptions?: readonly string[];
  /** Default `server`: where there is a core for each, it has its own. `any`: server and load generator share all. */
  readonly core?: 'server' | 'any';
}

export async function openStand(options: StandOptions): Promise<Stand> {
  const { name, terms, venue = false, nodeOptions = [], core = 'server' } = options;
  const folder = mkdtempSync(join(tmpdir(), 'session-relay-bench-'));
  const load = await startProcess({ entry: './load/entry.js', core: core === 'any' ? core : 'load' });
  const source = venue ? { source: (await load.ask(venueAnswer, { ask: 'venue' })).source } : {};
  const argument = terms.kind === 'relay' ? { folder, ...terms, ...source } : terms;
  const server = await startProcess({ entry: './servers/entry.js', argument, core, nodeOptions });
  const ready = serverReady.parse(server.said);
  const cpuUs = async (): Promise<number> => (await server.ask(cpuAnswer, { ask: 'cpu' })).us;

  let runs = 0;
  const measured = async <T>(run: () => Promise<T>): Promise<T & { readonly serverUs: number }> => {
    if (PROFILES !== undefined) await server.ask(nothing, { ask: 'profile' });
    const before = await cpuUs();
    const answer = await run();
    const serverUs = (await cpuUs()) - before;
    if (PROFILES !== undefined) {
      const file = join(
        PROFILES,
        `${name.replaceAll(/[^a-z0-9]+/gi, '-')}-${process.pid}-${server.pid}-${++runs}.cpuprofile`,
      );
      await server.ask(nothing, { ask: 'profile', file });
    }
    return { ...answer, serverUs };
  };

  return {
    name,
    load,
    server,
    ready,
    gather: (options) =>
      load.ask(gatherAnswer, {
        ask: 'gather',
        ...speechOf(terms, venue),
        port: ready.port,
        triggerPort: ready.triggerPort,
        cursor: ready.cursor,
        channels: [DERIBIT_CHANNEL],
        perEvent: options.connections,
        ...options,
      }),
    async window(options) {
      await server.ask(nothing, { ask: 'prepare', events: options.most });
      return measured(() => load.ask(windowAnswer, { ask: 'window', ...options }));
    },
    async rate(options) {
      await server.ask(nothing, { ask: 'prepare', events: Math.ceil((options.perSecond * options.forMs) / 1_000) });
      return measured(() => load.ask(rateAnswer, { ask: 'rate', ...options }));
    },
    async ask(asked) {
      await load.ask(nothing, asked);
    },
    status: (below) => load.ask(statusAnswer, { ask: 'status', ...(below === undefined ? {} : { below }) }),
    memory: () => server.ask(memoryAnswer, { ask: 'memory' }),
    counts: () => server.ask(countsAnswer, { ask: 'counts' }),
    async pad(bytes) {
      await server.ask(nothing, { ask: 'pad', bytes });
    },
    cpuUs,
    async end() {
      await Promise.all([load.end(), server.end()]);
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

/** How a contestant is spoken to, and told of events. */
function speechOf(terms: ServerTerms, venue: boolean): Pick<Gather, 'dialect' | 'trigger' | 'token'> {
  switch (terms.kind) {
    case 'relay': {
      const token = terms.auth === 'none' ? {} : { token: BENCH_TOKEN };
      return { dialect: 'relay', trigger: venue ? 'venue' : 'spout', ...token };
    }
    case 'nats-server':
      return { dialect: 'nats', trigger: 'nats' };
    case 'mosquitto':
      return { dialect: 'mqtt', trigger: 'mqtt' };
    case 'nchan':
      return { dialect: 'plain', trigger: 'http' };
    case 'socket.io':
      return { dialect: 'socket.io', trigger: 'websocket' };
    default:
      return { dialect: 'plain', trigger: 'websocket' };
  }
}
