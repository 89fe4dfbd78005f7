import { parseFlags, type Subcommand, usageError } from './args.js';
import { configJsonSchema } from './config/json-schema.js';
import { loadConfig } from './config.js';

export const checkCommand: Subcommand = {
  name: 'check',
  usage: '--config FILE [--insecure] | --json-schema',
  summary:
    'Validates a configuration; errors name the line and the key. --json-schema prints every key with its default and meaning.',
  async run(args, { env, stdout }) {
    const { values } = parseFlags(
      args,
      {
        config: { type: 'string' },
        insecure: { type: 'boolean', default: false },
        'json-schema': { type: 'boolean', default: false },
      },
      { least: 0, most: 0 },
    );
    if (values['json-schema']) {
      stdout.write(`${JSON.stringify(configJsonSchema(), undefined, 2)}\n`);
      return 0;
    }
    if (values.config === undefined) throw usageError('--config FILE is missing');
    const config = loadConfig(values.config, { env, insecure: values.insecure });
    const sources = config.sources.map(({ module, id }) => `${module.venue}.${id}`);
    stdout.write(
      `${values.config} is valid: ${sources.length} source${sources.length === 1 ? '' : 's'} (${sources.join(', ')})\n`,
    );
    return 0;
  },
};
