import { randomUUID } from 'node:crypto';
import { z } from 'zod';
import { messageOf } from '../errors.js';
import { type CommandContext, parseFlags, type Subcommand, usageError } from './args.js';
import { printable } from './paint.js';
import { relayOrigin, tokenOf } from './relay-url.js';
import { connectRelay, RelayRefusal, type RelaySocket } from './socket-client.js';

const EXIT_FAILED = 1;
const EXIT_UNKNOWN = 3;
/** Errors that leave open whether the venue acted: its time ran out, or a fault cut the command off. */
const OUTCOME_UNKNOWN: ReadonlySet<number> = new Set([4504, -32_603]);
/** Parameters at most; a command has a handful. */
const MAX_ARGUMENTS = 64;

const sources = z.object({
  sources: z.array(
    z.object({
      venue: z.string(),
      source: z.string(),
      commands: z.array(z.object({ command: z.string(), acts: z.boolean() })),
    }),
  ),
});
/** A reply without a result: what became of a command that a life of the relay before this one began. */
const replayed = z.object({ outcome: z.enum(['succeeded', 'failed', 'unknown']) });

export const commandCommand: Subcommand = {
  name: 'command',
  usage: 'URL SOURCE COMMAND [key=value…] [--session S] [--yes] [--token T]',
  summary:
    'Prints the result as JSON. A command that acts asks, or wants --yes. Exit 1 with the error, 3 when the outcome is unknown.',
  async run(args, context) {
    const { values, positionals } = parseFlags(
      args,
      { session: { type: 'string' }, yes: { type: 'boolean', default: false }, token: { type: 'string' } },
      { least: 3, most: MAX_ARGUMENTS },
    );
    const [url, source = '', command = '', ...pairs] = positionals;
    const asked = {
      source,
      command,
      params: parsePairs(pairs),
      requestId: randomUUID(),
      ...(values.session === undefined ? {} : { session: values.session }),
    };
    const relay = await connectRelay({
      origin: relayOrigin(url),
      token: tokenOf(values.token, context.env),
      signal: context.signal,
    });
    try {
      if (!values.yes && (await acts(relay, source, command)) && !(await confirmed(source, command, context))) {
        context.stderr.write('session-relay: nothing was done\n');
        return EXIT_FAILED;
      }
      return await carryOut(relay, asked, context);
    } catch (thrown) {
      // Refused before the command itself was asked for: nothing was done.
      if (!(thrown instanceof RelayRefusal)) throw thrown;
      return tell(thrown, asked, EXIT_FAILED, context);
    } finally {
      relay.close();
    }
  },
};

interface Asked {
  readonly source: string;
  readonly command: string;
  readonly requestId: string;
}

async function carryOut(relay: RelaySocket, asked: Asked, context: CommandContext): Promise<number> {
  try {
    const reply = await relay.request('command', asked);
    context.stdout.write(`${JSON.stringify(reply)}\n`);
    const known = replayed.safeParse(reply);
    if (!known.success || known.data.outcome === 'succeeded') return 0;
    return known.data.outcome === 'failed' ? EXIT_FAILED : EXIT_UNKNOWN;
  } catch (thrown) {
    const isKnown = thrown instanceof RelayRefusal && !OUTCOME_UNKNOWN.has(thrown.rpcCode);
    return tell(thrown, asked, isKnown ? EXIT_FAILED : EXIT_UNKNOWN, context);
  }
}

/** The error as JSON on stdout, and in words on stderr. */
function tell(thrown: unknown, { source, command, requestId }: Asked, exit: number, context: CommandContext): number {
  const error = thrown instanceof RelayRefusal ? thrown.data : { message: messageOf(thrown) };
  const outcome = exit === EXIT_UNKNOWN ? { outcome: 'unknown', requestId } : {};
  context.stdout.write(`${JSON.stringify({ error, ...outcome })}\n`);
  const code = thrown instanceof RelayRefusal ? ` (${thrown.rpcCode})` : '';
  const unknown = exit === EXIT_UNKNOWN ? ': whether it was done is not known' : '';
  context.stderr.write(printable(`session-relay: ${command} of ${source}: ${messageOf(thrown)}${code}${unknown}`));
  context.stderr.write('\n');
  return exit;
}

function parsePairs(pairs: readonly string[]): Readonly<Record<string, unknown>> {
  const params = new Map<string, unknown>();
  for (const pair of pairs) {
    const at = pair.indexOf('=');
    if (at < 1) throw usageError('parameters are key=value');
    const name = pair.slice(0, at);
    if (params.has(name)) throw usageError(`the parameter ${name} is given twice`);
    params.set(name, parseValue(pair.slice(at + 1)));
  }
  return Object.fromEntries(params);
}

/** JSON where it is JSON (`30`, `true`, `"30"`), else text; a number that JavaScript cannot hold exactly stays text. */
function parseValue(text: string): unknown {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'number' && Number.isInteger(value) && !Number.isSafeInteger(value) ? text : value;
  } catch {
    return text;
  }
}

/**
 * Whether the command changes something at the venue. A source that the relay does not list may be one that the grant
 * lets command without seeing it: a person is asked once too often rather than never. What a listed source does not
 * list is left to the relay to refuse.
 */
async function acts(relay: RelaySocket, source: string, command: string): Promise<boolean> {
  const listed = sources.safeParse(await relay.request('get_sources', {}));
  const found = listed.data?.sources.find((one) => `${one.venue}.${one.source}` === source);
  if (found === undefined) return true;
  return found.commands.find((one) => one.command === command)?.acts ?? false;
}

/** Asks a person; where there is none, says what is missing. */
async function confirmed(source: string, command: string, context: CommandContext): Promise<boolean> {
  const { ask, signal, stderr } = context;
  if (ask === undefined) {
    stderr.write(printable(`session-relay: ${command} of ${source} acts, or is not listed by the relay: say --yes`));
    stderr.write('\n');
    return false;
  }
  const answer = await ask(printable(`${command} acts at ${source}. Go ahead? [y/N] `));
  return !signal.aborted && /^y(es)?$/i.test(answer.trim());
}
