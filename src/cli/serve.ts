import { folderOf, hostOf, parseFlags, portOf, type Subcommand, usageError } from './args.js';
import { startConfigured } from './assemble.js';
import { loadConfig } from './config.js';
import { runServer } from './server.js';

export const serveCommand: Subcommand = {
  name: 'serve',
  usage: '--config FILE [--host H] [--port N] [--data DIR] [--insecure]',
  summary: 'The relay on real venues. Prints one JSON line when it listens; logs to stderr; SIGTERM drains.',
  async run(args, context) {
    const { values } = parseFlags(
      args,
      {
        config: { type: 'string' },
        host: { type: 'string' },
        port: { type: 'string' },
        data: { type: 'string' },
        insecure: { type: 'boolean', default: false },
      },
      { least: 0, most: 0 },
    );
    if (values.config === undefined) throw usageError('--config FILE is missing');
    const config = loadConfig(values.config, {
      env: context.env,
      insecure: values.insecure,
      flags: {
        ...(values.host === undefined ? {} : { 'listen.host': hostOf(values.host) }),
        ...(values.port === undefined ? {} : { 'listen.port': String(portOf(values.port)) }),
        ...(values.data === undefined ? {} : { 'journal.path': folderOf(values.data) }),
      },
    });
    const relay = await startConfigured(config, context);
    if (relay === undefined) return 0;
    return runServer(relay, context, { drainTimeoutMs: config.drain.timeout });
  },
};
