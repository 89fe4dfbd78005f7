import { asSessionRelayError, ConfigError, describeProblem } from '../errors.js';
import { VERSION } from '../version.js';
import { type CommandContext, type Subcommand, UsageError } from './args.js';
import { checkCommand } from './check.js';
import { commandCommand } from './command.js';
import { demoCommand } from './demo.js';
import { printable } from './paint.js';
import { serveCommand } from './serve.js';
import { simulateCommand } from './simulate.js';
import { statusCommand } from './status.js';
import { tailCommand } from './tail.js';

const EXIT_FAILED = 1;
/** Something was wrong with what was asked: the command line or the configuration. */
const EXIT_BAD_INPUT = 2;

const subcommands: readonly Subcommand[] = [
  demoCommand,
  serveCommand,
  simulateCommand,
  tailCommand,
  statusCommand,
  commandCommand,
  checkCommand,
];

function usage(): string {
  const lines = subcommands.map((one) => `  ${usageLine(one)}\n      ${one.summary}`);
  return `session-relay ${VERSION}\n\n${lines.join('\n')}\n`;
}

function usageLine({ name, usage: rest }: Subcommand): string {
  return `session-relay ${name} ${rest}`;
}

/** Runs one command line and resolves with its exit code. Never rejects. */
export async function run(args: readonly string[], context: CommandContext): Promise<number> {
  const [name, ...rest] = args;
  if (name === undefined) {
    context.stderr.write(usage());
    return EXIT_BAD_INPUT;
  }
  if (name === 'help' || name === '--help' || name === '-h') {
    context.stdout.write(usage());
    return 0;
  }
  if (name === '--version' || name === '-v') {
    context.stdout.write(`${VERSION}\n`);
    return 0;
  }
  const subcommand = subcommands.find((one) => one.name === name);
  if (subcommand === undefined) {
    context.stderr.write(`session-relay: there is no command ${printable(name)}\n\n${usage()}`);
    return EXIT_BAD_INPUT;
  }
  if (rest.includes('--help') || rest.includes('-h')) {
    context.stdout.write(`${usageLine(subcommand)}\n${subcommand.summary}\n`);
    return 0;
  }
  try {
    return await subcommand.run(rest, context);
  } catch (thrown) {
    const code = report(thrown, subcommand, context);
    return subcommand.failure ?? code;
  }
}

/** One line a problem on stderr, and the exit code that goes with the kind of error. */
function report(thrown: unknown, subcommand: Subcommand, { stderr }: CommandContext): number {
  const say = (text: string): void => void stderr.write(`session-relay: ${printable(text)}\n`);
  if (thrown instanceof ConfigError) {
    for (const problem of thrown.problems) say(describeProblem(problem));
    if (thrown instanceof UsageError) stderr.write(`usage: ${usageLine(subcommand)}\n`);
    return EXIT_BAD_INPUT;
  }
  const error = asSessionRelayError(thrown);
  say(error.message);
  if (error.code === 'internal' && error.cause instanceof Error) stderr.write(`${error.cause.stack ?? ''}\n`);
  return error.code === 'port_in_use' || error.code === 'invalid_params' ? EXIT_BAD_INPUT : EXIT_FAILED;
}
