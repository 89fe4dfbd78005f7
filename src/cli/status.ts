import { z } from 'zod';
import { SessionRelayError } from '../errors.js';
import { type SafetyLevel, SOURCE_TOKEN, safetyLevel } from '../model/event.js';
import { type CommandContext, parseFlags, type Subcommand } from './args.js';
import { askRelay, describeAnswer } from './ask-relay.js';
import { LEVELS_WORST_FIRST, levelColour, painter, printable } from './paint.js';
import { relayOrigin, tokenOf } from './relay-url.js';

const PAGE = 1000;
const EXIT_UNREACHABLE = 3;

const listed = z.object({
  key: z.string(),
  venue: z.string(),
  source: z.string(),
  session: z.string(),
  status: z.string().optional(),
  stale: z.boolean().optional(),
  expiresAt: z.string().optional(),
  // A level that this version does not know is not safe.
  safety: z.object({ level: safetyLevel.catch('unknown'), reasons: z.array(z.string()) }).optional(),
});
type Listed = z.infer<typeof listed>;
const page = z.object({ sessions: z.array(listed), next: z.string().optional() });
/** Each check is `ok` or says what is wrong. */
const readiness = z.object({ checks: z.object({ blind: z.string() }) });

/** One line of the table. */
interface Row {
  readonly level: SafetyLevel;
  readonly key: string;
  readonly status: string;
  readonly expires: string;
  readonly reasons: readonly string[];
}

const EXIT: Readonly<Record<SafetyLevel, number>> = { safe: 0, at_risk: 1, unknown: 1, unsafe: 2 };

interface Asked {
  readonly origin: string;
  readonly token: string | undefined;
  readonly signal: AbortSignal;
}

export const statusCommand: Subcommand = {
  name: 'status',
  usage: '[URL] [--token T]',
  summary:
    'One table of sessions, unsafe first. Exit 0, 1, 2 by the worst level (safe, at_risk or unknown, unsafe), 3 when the relay cannot be asked.',
  // Any other code would be read as a level.
  failure: EXIT_UNREACHABLE,
  async run(args, context) {
    const { values, positionals } = parseFlags(args, { token: { type: 'string' } }, { least: 0, most: 1 });
    const asked = {
      origin: relayOrigin(positionals[0]),
      token: tokenOf(values.token, context.env),
      signal: context.signal,
    };
    const states = await readStates(asked);
    const blind = await isBlind(asked);
    if (blind) context.stderr.write('session-relay: the relay is blind: every level is unknown\n');
    const rank = ({ level }: Row): number => LEVELS_WORST_FIRST.indexOf(level);
    const rows = rowsOf(states, blind).toSorted((a, b) => rank(a) - rank(b) || (a.key < b.key ? -1 : 1));
    printTable(rows, context);
    // A relay that holds no session has not seen that anything is safe.
    return rows.length === 0 ? EXIT.unknown : Math.max(...rows.map(({ level }) => EXIT[level]));
  },
};

/** Every state that the relay shows, its sources' own too. */
async function readStates(asked: Asked): Promise<readonly Listed[]> {
  const states: Listed[] = [];
  let after: string | undefined;
  do {
    const query = new URLSearchParams({ limit: String(PAGE), ...(after === undefined ? {} : { after }) });
    const answer = await askRelay(asked.origin, `/v1/sessions?${query}`, asked);
    if (answer.status !== 200) {
      throw new SessionRelayError(
        'relay_unreachable',
        `the relay at ${asked.origin} refused: ${describeAnswer(answer)}`,
      );
    }
    const parsed = page.safeParse(answer.body);
    if (!parsed.success || parsed.data.next === (after ?? '')) throw noRelay(asked);
    states.push(...parsed.data.sessions);
    after = parsed.data.next;
  } while (after !== undefined);
  return states;
}

/** Whether the relay itself cannot follow; then its states are what was true once. */
async function isBlind(asked: Asked): Promise<boolean> {
  const { body } = await askRelay(asked.origin, '/readyz', asked);
  const parsed = readiness.safeParse(body);
  if (!parsed.success) throw noRelay(asked);
  return parsed.data.checks.blind !== 'ok';
}

function noRelay({ origin }: Asked): SessionRelayError {
  return new SessionRelayError('relay_unreachable', `what answers at ${origin} is not a session-relay of this version`);
}

/** A row for each session, and for each source that has none: what was never seen is unknown, not absent. */
function rowsOf(states: readonly Listed[], blind: boolean): readonly Row[] {
  const sessions = states.filter(({ session }) => session !== SOURCE_TOKEN);
  const seen = new Set(sessions.map(({ venue, source }) => `${venue}.${source}`));
  const bare = states.filter(
    ({ venue, source, session }) => session === SOURCE_TOKEN && !seen.has(`${venue}.${source}`),
  );
  return [
    ...sessions.map(({ key, status, stale, expiresAt, safety }) => ({
      level: blind ? ('unknown' as const) : (safety?.level ?? 'unknown'),
      key,
      status: `${status ?? ''}${stale === true ? ' (stale)' : ''}`,
      expires: expiresAt ?? '-',
      reasons: blind ? ['relay_blind'] : (safety?.reasons ?? ['unconfirmed']),
    })),
    ...bare.map(({ key }) => ({
      level: 'unknown' as const,
      key,
      status: 'no session',
      expires: '-',
      reasons: ['unconfirmed'],
    })),
  ];
}

function printTable(rows: readonly Row[], context: CommandContext): void {
  const paint = painter(context);
  const { stdout } = context;
  if (rows.length === 0) {
    stdout.write('no sessions\n');
    return;
  }
  const cells = rows.map(({ level, key, status, expires, reasons }) =>
    [level, key, status, expires, reasons.join(' ') || '-'].map(printable),
  );
  const head = ['SAFETY', 'SESSION', 'STATUS', 'EXPIRES', 'REASONS'];
  const widths = head.map((title, column) => Math.max(title.length, ...cells.map((line) => line[column]?.length ?? 0)));
  const render = (line: readonly string[]): string =>
    line.map((cell, column) => (column === line.length - 1 ? cell : cell.padEnd(widths[column] ?? 0))).join('  ');
  stdout.write(`${render(head)}\n`);
  for (const [index, line] of cells.entries()) {
    stdout.write(`${paint(render(line), levelColour(rows[index]?.level ?? 'unknown'))}\n`);
  }
}
