import { interleave } from './support/interleave.js';
import { spread } from './support/numbers.js';
import type { Question } from './support/question.js';
import { openStand, type Stand } from './support/stand.js';

const SESSIONS = 4;

export const resumeStorm: Question = {
  name: 'resume-storm',
  asks: 'Everybody comes back at once, as after a restart: how long until the last is live again?',
  async run({ quick }) {
    const cases = quick
      ? [{ connections: 20, missed: 5 }]
      : [
          { connections: 1_000, missed: 100 },
          { connections: 10_000, missed: 0 },
          { connections: 10_000, missed: 100 },
        ];
    const rounds = quick ? 1 : 2;
    const rows: (readonly string[])[] = [];
    for (const one of cases) {
      for (const transport of ['uws', 'ws'] as const) {
        const samples = await interleave([one], rounds, () => storm({ ...one, transport }));
        const all = samples.get(one) ?? [];
        rows.push([
          String(one.connections),
          String(one.missed),
          `relay, ${transport === 'uws' ? 'uWebSockets.js' : 'ws'}`,
          spread(all.map(({ tookMs }) => tookMs / 1_000)),
          spread(all.map(({ serverUs }) => serverUs / 1_000_000)),
          spread(all.map(({ cpuUs }) => cpuUs / 1_000_000)),
        ]);
      }
    }
    return {
      head: [
        'subscribers',
        'events missed by each',
        'server',
        'until the last is live, s',
        'server CPU, s',
        'load generator CPU, s',
      ],
      rows,
      notes: [
        `From the first SYN to the last \`caught_up\`: connecting, upgrade, the grant of a key, \`subscribe\` with a cursor, replay from an LMDB journal. ${SESSIONS} channels, a quarter of the subscribers on each; every event is checked. With 0 missed it is the connecting alone.`,
      ],
    };
  },
};

interface Storm {
  readonly connections: number;
  readonly missed: number;
  readonly transport: 'uws' | 'ws';
}

async function storm({ connections, missed, transport }: Storm): Promise<{
  readonly tookMs: number;
  readonly serverUs: number;
  readonly cpuUs: number;
}> {
  const stand = await openStand({ name: 'relay', terms: { kind: 'relay', transport, sessions: SESSIONS } });
  try {
    const channels = Array.from({ length: SESSIONS }, (_, index) => `deribit.load.s${index}.session.updated`);
    const since = stand.ready.cursor;
    await miss(stand, channels, missed * SESSIONS);
    const before = await stand.cpuUs();
    const { tookMs, cpuUs } = await stand.gather({
      connections,
      channels,
      since,
      atOnce: connections,
      until: 'caught_up',
      sessions: SESSIONS,
      perEvent: connections / SESSIONS,
    });
    const serverUs = (await stand.cpuUs()) - before;
    const { least, most, faults, firstFault } = await stand.status();
    if (faults > 0 || least !== missed || most !== missed)
      throw new Error(`void: ${least} to ${most} events instead of ${missed}; ${firstFault ?? ''}`);
    return { tookMs, serverUs, cpuUs };
  } finally {
    await stand.end();
  }
}

/** Events that nobody is there for but one witness on each channel, who says when they have been. */
async function miss(stand: Stand, channels: string[], events: number): Promise<void> {
  await stand.gather({ connections: SESSIONS, channels, sessions: SESSIONS, perEvent: 1 });
  if (events > 0) {
    const { events: told, firstFault } = await stand.window({ burst: SESSIONS, most: events, forMs: 60_000 });
    if (told !== events) throw new Error(`${told} of ${events} events were told: ${firstFault ?? ''}`);
  }
  await stand.ask({ ask: 'leave' });
}
