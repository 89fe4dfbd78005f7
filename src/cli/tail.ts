import { parseCursor } from '../model/cursor.js';
import { safetyLevel } from '../model/event.js';
import { hasSnapshot, patternProblem } from '../model/subject.js';
import type { Timer } from '../net/clock.js';
import { systemClock } from '../net/timer.js';
import { type CommandContext, parseFlags, type Subcommand, usageError } from './args.js';
import { type FollowHandlers, follow, type RelayedEvent, type View } from './follow.js';
import { createKnownStates } from './known-states.js';
import { levelColour, type Paint, painter, printable } from './paint.js';
import { createRate } from './rate.js';
import { relayOrigin, tokenOf } from './relay-url.js';
import { createScreen } from './screen.js';
import { stateTable } from './state-table.js';

const EXIT_UNREACHABLE = 3;
/** The line below the events is written again so often. */
const STATUS_EVERY_MS = 1_000;
const CLEAR_LINE = '\r\u001b[K';

export const tailCommand: Subcommand = {
  name: 'tail',
  usage: '[URL] [--channel P]… [--since C] [--states] [--json] [--token T]',
  summary:
    'Watches a relay, resuming across reconnects: in colour with counts and rates on a terminal, one JSON line an event in a pipe. --states is a live table of all sessions, unsafe first; in a pipe each state as it changes. Exit 3 when the relay cannot be asked.',
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
    const origin = relayOrigin(positionals[0]);
    const printer = printerFor({ origin, json, states: values.states }, context);
    try {
      const ended = await follow(
        {
          origin,
          token: tokenOf(values.token, context.env),
          signal: context.signal,
          channels,
          ...(values.since === undefined ? {} : { since: values.since }),
          snapshot: values.states,
        },
        printer,
      );
      printer.close();
      if (ended === undefined) return 0;
      noteTo(context)(ended);
      return EXIT_UNREACHABLE;
    } finally {
      printer.close();
    }
  },
};

/** What shows a tail; `close` gives the terminal back. */
type Printer = FollowHandlers & { close(): void };

function printerFor(
  how: { readonly origin: string; readonly json: boolean; readonly states: boolean },
  context: CommandContext,
): Printer {
  if (how.states) return how.json ? statePrinter(context) : stateScreen(how.origin, context);
  return how.json ? eventPrinter(context) : eventView(context);
}

function noteTo({ stderr }: CommandContext): (text: string) => void {
  return (text) => void stderr.write(`session-relay: ${printable(text)}\n`);
}

function eventPrinter(context: CommandContext): Printer {
  return {
    event: (event) => void context.stdout.write(`${JSON.stringify(event)}\n`),
    state() {},
    note: noteTo(context),
    close() {},
  };
}

/** A line an event, and below them one that says how many there were and what they are worth. */
function eventView(context: CommandContext): Printer {
  const { stdout } = context;
  const paint = painter(context);
  const rate = createRate(systemClock);
  let view: View = 'unreachable';
  let timer: Timer | undefined;
  const status = (): string =>
    paint(`${rate.total} events, ${rate.perSecond().toFixed(1)}/s, ${view}`.slice(0, stdout.columns ?? 80), 'gray');
  const print = (line: string): void => void stdout.write(`${CLEAR_LINE}${line}\n${status()}`);
  const tick = (): void => {
    timer = systemClock.setTimer(() => {
      stdout.write(`${CLEAR_LINE}${status()}`);
      tick();
    }, STATUS_EVERY_MS);
  };
  tick();
  return {
    event(event) {
      rate.count();
      print(eventLine(event, paint));
    },
    state() {},
    note: (text) => print(paint(`session-relay: ${text}`, 'yellow')),
    view(next) {
      view = next;
      stdout.write(`${CLEAR_LINE}${status()}`);
    },
    close() {
      if (timer === undefined) return;
      timer.cancel();
      timer = undefined;
      stdout.write(CLEAR_LINE);
    },
  };
}

const MISUNDERSTOOD = 'the relay says what this version does not know: some states are not shown';

/** States as snapshots give them and events change them, as JSON lines: each when it is another than before. */
function statePrinter(context: CommandContext): Printer {
  const note = noteTo(context);
  const known = createKnownStates({
    changed: (_key, state) => {
      if (state !== undefined) context.stdout.write(`${JSON.stringify(state)}\n`);
    },
    misunderstood: () => note(MISUNDERSTOOD),
  });
  return { event: known.event, state: known.state, note, close() {} };
}

/** All states as one live table on the whole screen. */
function stateScreen(origin: string, context: CommandContext): Printer {
  const paint = painter(context);
  const rate = createRate(systemClock);
  let view: View = 'unreachable';
  let note: string | undefined;
  const say = (text: string): void => {
    note = text;
    screen.changed();
  };
  const known = createKnownStates({ changed: () => screen.changed(), misunderstood: () => say(MISUNDERSTOOD) });
  const screen = createScreen(context.stdout, systemClock, (size) =>
    stateTable(
      known.states.values(),
      { ...size, origin, view, note, events: rate.total, perSecond: rate.perSecond(), now: systemClock.now() },
      paint,
    ),
  );
  return {
    event(event) {
      rate.count();
      known.event(event);
      screen.changed();
    },
    state: known.state,
    note: say,
    view(next) {
      view = next;
      // What was said of an outage is over with it.
      if (next === 'live') note = undefined;
      screen.changed();
    },
    close: () => screen.close(),
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
