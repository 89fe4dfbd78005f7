import { simulators } from '../simulators/index.js';
import { aborted, hostOf, parseFlags, portOf, type Subcommand, seedOf, usageError } from './args.js';
import { listening } from './listening.js';

const DEFAULT_HOST = '127.0.0.1';

export const simulateCommand: Subcommand = {
  name: 'simulate',
  usage: 'VENUE [--port N] [--host H] [--scenario NAME] [--seed N]',
  summary: 'One venue simulator alone; prints one JSON line when it listens, with a ready entry for `sources`.',
  async run(args, { stdout, signal }) {
    const { values, positionals } = parseFlags(
      args,
      {
        port: { type: 'string', default: '0' },
        host: { type: 'string', default: DEFAULT_HOST },
        scenario: { type: 'string' },
        seed: { type: 'string' },
      },
      { least: 1, most: 1 },
    );
    const [venue = ''] = positionals;
    const start = Object.entries(simulators).find(([name]) => name === venue)?.[1];
    if (start === undefined) {
      throw usageError(`there is no simulator of ${venue}: ${Object.keys(simulators).join(', ')}`);
    }
    const address = { host: hostOf(values.host), port: portOf(values.port) };
    const simulator = await listening(
      address,
      start({
        ...address,
        ...(values.scenario === undefined ? {} : { scenario: values.scenario }),
        ...(values.seed === undefined ? {} : { seed: seedOf(values.seed) }),
      }),
    );
    try {
      stdout.write(`${JSON.stringify({ venue: simulator.venue, url: simulator.url, source: simulator.source })}\n`);
      await aborted(signal);
    } finally {
      await simulator.close();
    }
    return 0;
  },
};
