import { compareCursors, parseCursor } from '../model/cursor.js';
import { safetyLevel, sessionEvent } from '../model/event.js';
import { fold, isSessionState } from '../model/fold.js';
import type { State } from '../model/session.js';
import { state as stateSchema } from '../model/state-schema.js';
import { hasSnapshot, patternProblem } from '../model/subject.js';
import { type CommandContext, parseFlags, type Subcommand, usageError } from './args.js';
import { type FollowHandlers, follow, type RelayedEvent } from './follow.js';
import { levelColour, type Paint, painter, printable } from './paint.js';
import { relayOrigin, tokenOf } from './relay-url.js';

const EXIT_UNREACHABLE = 3;

export const tailCommand: Subcommand = {
  name: 'tail',
  usage: '[URL] [--channel P]… [--since C] [--states] [--json] [--token T]',
  summary:
    'Watches a relay, resuming across reconnects: in colour on a terminal, one JSON line an event in a pipe. --states prints states as they change. Exit 3 when the relay cannot be asked.',
  async run(args, context) {
    const { values, positionals } = parseFlags(
      args,
      {
        channel: { type: 'string', multiple: true },
        since: { type: 'string' },
        states: { type: 'boolean', default: false },
        json: { type: 'boolean', default: false },
        token: { type: 'string' },
      },
      { least: 0, most: 1 },
    );
    const channels = [...new Set(values.channel ?? ['>'])];
    for (const channel of channels) {
      const wrong = patternProblem(channel);
      if (wrong !== undefined) throw usageError(`--channel ${channel}: ${wrong}`);
      // Part of a session's events folds into a state that never was.
      if (values.states && !hasSnapshot(channel)) {
        throw usageError(`--channel ${channel} names a type: --states wants all that a session says, like deribit.>`);
      }
    }
    if (values.since !== undefined && parseCursor(values.since) === undefined) {
      throw usageError(`--since ${values.since} is no cursor: <epoch>-<offset>`);
    }
    const json = values.json || context.stdout.isTTY !== true;
    const ended = await follow(
      {
        origin: relayOrigin(positionals[0]),
        token: tokenOf(values.token, context.env),
        signal: context.signal,
        channels,
        ...(values.since === undefined ? {} : { since: values.since }),
        snapshot: values.states,
      },
      values.states ? statePrinter(context, json) : eventPrinter(context, json),
    );
    if (ended === undefined) return 0;
    noteTo(context)(ended);
    return EXIT_UNREACHABLE;
  },
};

function noteTo({ stderr }: CommandContext): (text: string) => void {
  return (text) => void stderr.write(`session-relay: ${printable(text)}\n`);
}

function eventPrinter(context: CommandContext, json: boolean): FollowHandlers {
  const paint = painter(context);
  return {
    event: (event) => void context.stdout.write(`${json ? JSON.stringify(event) : eventLine(event, paint)}\n`),
    state() {},
    note: noteTo(context),
  };
}

/** States as snapshots give them and events change them; each is printed when it is another than the one before. */
function statePrinter(context: CommandContext, json: boolean): FollowHandlers {
  const paint = painter(context);
  const note = noteTo(context);
  const states = new Map<string, State>();
  let misread = false;
  const misunderstood = (): void => {
    if (!misread) note('the relay says what this version does not know: some states are not shown');
    misread = true;
  };
  const show = (state: State): void => {
    if (json) context.stdout.write(`${JSON.stringify(state)}\n`);
    else if (isSessionState(state)) context.stdout.write(`${stateLine(state, paint)}\n`);
  };
  return {
    event(relayed) {
      const event = sessionEvent.safeParse(relayed);
      if (!event.success) return misunderstood();
      const before = states.get(event.data.subject);
      const after = fold(before, event.data);
      if (after === before) return;
      if (after === undefined) {
        states.delete(event.data.subject);
        return;
      }
      states.set(after.key, after);
      show(after);
    },
    state(relayed) {
      const parsed = stateSchema.safeParse(relayed);
      if (!parsed.success) return misunderstood();
      const known = states.get(parsed.data.key);
      if (known !== undefined && compareCursors(parsed.data.cursor, known.cursor) <= 0) return;
      states.set(parsed.data.key, parsed.data);
      show(parsed.data);
    },
    note,
  };
}

const ALARMING =
  /^(link\.down|session\.(lost|expired|contested|attention|stale|expiring)|heartbeat\.missed|protection\.(triggered|disarmed|unknown)|venue\.(maintenance|locked|degraded)|account\.locked|source\.(fault|throttled)|command\.(failed|unknown))$/;

function eventLine({ time, subject, type, data }: RelayedEvent, paint: Paint): string {
  const level = type === 'safety.changed' ? safetyLevel.safeParse(data.level).data : undefined;
  const colour = level !== undefined ? levelColour(level) : ALARMING.test(type) ? 'yellow' : 'cyan';
  const detail = Object.entries(data)
    .map(([name, value]) => `${name}=${typeof value === 'string' ? value : JSON.stringify(value)}`)
    .join(' ');
  return `${paint(time.slice(11), 'gray')} ${paint(subject, 'bold')} ${paint(type, colour)} ${paint(detail, 'gray')}`;
}

function stateLine(state: Extract<State, { readonly safety: unknown }>, paint: Paint): string {
  const { level, reasons } = state.safety;
  const status = `${state.status}${state.stale ? ' (stale)' : ''}`;
  return `${paint(level.padEnd(7), levelColour(level))} ${paint(state.key, 'bold')} ${printable(status)} ${paint(reasons.join(' '), 'gray')}`;
}
