// A relay over a durable journal, as a process of its own that a test may kill. Its one venue says numbered updates as
// fast as the journal takes them, and remembers with each how far it came. One JSON argument; JSON lines, by `mode`.
import { Subject } from 'rxjs';
import { sessions } from '../../dist/index.js';
import { createLmdbJournal, startRelay } from '../../dist/relay.js';

const { data, sync, mode, sessionCount, textBytes, retention } = JSON.parse(process.argv[2]);
/** Batches that wait for the journal at once. */
const OUTSTANDING = 3;
const SOURCE = 'main';
/** Events of one batch where the journal runs alone. */
const BATCH = 20;

function numberedVenue() {
  const facts = new Subject();
  let stopped = false;
  let n = 0;
  const fact = (session, type, data, key) => ({ source: SOURCE, session, type, data, ...(key ? { key } : {}) });
  const sayMore = () => {
    if (stopped) return;
    n++;
    const session = `s${n % sessionCount}`;
    const changed = { n, text: 'x'.repeat(textBytes) };
    facts.next({
      facts: [fact(session, 'session.updated', { changed }, `update-${n}`)],
      memory: { n },
      committed: (done) => done && setImmediate(sayMore),
    });
  };
  return {
    venue: 'deribit',
    id: SOURCE,
    facts$: facts.asObservable(),
    commands: [],
    command: () => Promise.reject(new Error('takes no commands')),
    sources: () => [
      {
        venue: 'deribit',
        source: SOURCE,
        role: 'watch',
        safety: { protection: 'preferred', graceMs: 30_000, only: [], quiet: [] },
        forgetAfterMs: 86_400_000,
        provedBy: {},
      },
    ],
    start(memory) {
      n = memory?.get('n') ?? 0;
      facts.next({ facts: [fact('-', 'link.up', { carrier: 'ws', generation: 1, url: 'wss://venue.test' })] });
      for (let index = 0; index < sessionCount; index++)
        facts.next({ facts: [fact(`s${index}`, 'session.opened', { kind: 'api', role: 'watch' })] });
      for (let index = 0; index < OUTSTANDING; index++) sayMore();
    },
    stop() {
      stopped = true;
      facts.complete();
      return Promise.resolve();
    },
  };
}

const say = (line) => process.stdout.write(`${JSON.stringify(line)}\n`);
const write = (level) => (message, fields) =>
  process.stderr.write(`${JSON.stringify({ level, message, ...fields })}\n`);
const log = { debug() {}, info() {}, warn: write('warn'), error: write('error') };
const journal = createLmdbJournal({ path: data, sync, log, ...(retention === undefined ? {} : { retention }) });

/** The journal alone, which drops what it does not keep while it takes what comes; a line for each that is done. */
async function appendAndTruncate() {
  const { epoch } = await journal.open(Date.now());
  for (let offset = 0; ; offset += BATCH) {
    const events = Array.from({ length: BATCH }, (_, index) => ({
      id: `${epoch}-${offset + index + 1}`,
      key: `key-${epoch}-${offset + index + 1}`,
      source: '/deribit/main',
      subject: 'deribit.main.relay',
      type: 'session.updated',
      time: new Date().toISOString(),
      data: { changed: { text: 'x'.repeat(textBytes) } },
    }));
    await journal.append({ events, states: new Map() });
    say({ appended: events.at(-1).id });
    journal.truncate(Date.now()).then((floor) => say({ floor }));
  }
}

if (mode === 'journal') await appendAndTruncate();
else if (mode === 'library') {
  const live = sessions([numberedVenue()], { journal, log });
  live.safety$('deribit.main.s0').subscribe(({ level, reasons }) => say({ level, reasons }));
} else {
  const relay = await startRelay({ venues: [numberedVenue()], listen: { port: 0 }, transport: 'ws', journal, log });
  say({ url: relay.url });
}
