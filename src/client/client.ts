import { defer, ReplaySubject, Subject } from 'rxjs';
import { SessionRelayError } from '../errors.js';
import { iterate } from '../net/iterate.js';
import { systemClock } from '../net/timer.js';
import type { ConnectOptions, RelayClient } from './api.js';
import { createChannels } from './channels.js';
import { createCommands } from './commands.js';
import { createConnection } from './connection.js';
import type { Line } from './line.js';
import { type SocketClass, socketUrl } from './socket.js';
import { isSources, type SourceCommands } from './sources.js';
import type { ClientNotice, ClientStatus, StatusCounts } from './status.js';
import { createStreams } from './streams.js';

/** Notices that a status counts. */
const COUNTED: { readonly [K in ClientNotice['kind']]?: keyof StatusCounts } = {
  gap: 'gaps',
  resubscribed: 'resubscribed',
  fault: 'faults',
};

/** `WebSocket` must be given here; the entries of the package know their own. */
export function createClient(url: string, options: ConnectOptions & { readonly WebSocket: SocketClass }): RelayClient {
  const { token, WebSocket, clock = systemClock, random = Math.random } = options;
  const status = new ReplaySubject<ClientStatus>(1);
  const notices = new Subject<ClientNotice>();
  const sources = new Subject<readonly SourceCommands[]>();
  let counts: StatusCounts = { gaps: 0, resubscribed: 0, faults: 0 };
  let told = '';
  let line: Line | undefined;
  let rate = 1;
  let isOver = false;

  const report = (notice: ClientNotice): void => {
    const counted = COUNTED[notice.kind];
    if (counted !== undefined) counts = { ...counts, [counted]: counts[counted] + 1 };
    notices.next(notice);
    tellStatus();
  };
  const tellStatus = (): void => {
    if (isOver) return;
    const next = statusNow();
    const text = JSON.stringify(next);
    if (text === told) return;
    told = text;
    status.next(next);
  };
  const statusNow = (): ClientStatus => {
    const { phase } = connection;
    if (phase.state !== 'connected') return { ...phase, ...counts };
    const { state: _, drainAtMs, ...beat } = phase;
    const common = { willRetry: true, ...beat, ...counts } as const;
    const { blind } = channels;
    const behind = channels.replaying();
    if (drainAtMs !== undefined) return { state: 'draining', retryAtMs: drainAtMs, ...common };
    if (blind === 'all') return { state: 'blind', sources: blind, ...common };
    if (blind.size > 0) return { state: 'blind', sources: [...blind], ...common };
    return behind.length > 0 ? { state: 'replaying', channels: behind, ...common } : { state: 'open', ...common };
  };

  const channels = createChannels({ clock, report, changed: tellStatus });
  const commands = createCommands(clock);
  const streams = createStreams({
    channels,
    clock,
    ask: (...asked) => line?.ask(...asked) ?? false,
    rate: () => rate,
    unreadable(what) {
      report({ kind: 'fault', what });
      line?.drop(what);
    },
  });
  const connection = createConnection({
    url: socketUrl(url),
    token,
    WebSocket,
    clock,
    random,
    report,
    changed: tellStatus,
    admitted(admitted) {
      ({ line } = admitted);
      const { maxChannels = Number.POSITIVE_INFINITY, maxRequestsPerSecond = 1 } = admitted.welcome.limits ?? {};
      rate = maxRequestsPerSecond;
      channels.online(line, maxChannels);
      // What was lost again at once is not there to be asked.
      if (line === admitted.line) commands.online(admitted);
      askSources();
    },
    regranted(identity) {
      channels.regranted();
      commands.regranted(identity);
      askSources();
    },
    notice: (notice) => channels.notice(notice),
    lost() {
      line = undefined;
      channels.offline();
      commands.offline();
      const { phase } = connection;
      if (phase.state === 'closed') finish(phase.error);
    },
  });

  const finish = (error: SessionRelayError | undefined): void => {
    if (isOver) return;
    isOver = true;
    commands.stop(error ?? new SessionRelayError('closed', 'the client is closed'));
    streams.finish(error);
    channels.close();
    status.complete();
    sources.complete();
    notices.complete();
  };

  const askSources = (): void => {
    if (!sources.observed) return;
    line?.ask('get_sources', {}, (reply) => {
      if (reply.ok && isSources(reply.result)) sources.next(reply.result.sources);
      else report({ kind: 'fault', what: 'a sources reply that cannot be used' });
    });
  };

  connection.start();
  const { events$, states$, safety$, pulses$ } = streams;
  return {
    status$: status.asObservable(),
    notices$: notices.asObservable(),
    events$,
    events: (channel, how) => ({ [Symbol.asyncIterator]: () => iterate(events$(channel, how)) }),
    states$,
    safety$,
    pulses$,
    sources$: () =>
      defer(() => {
        // Once it is subscribed: an answer comes in a later turn.
        queueMicrotask(askSources);
        return sources;
      }),
    command: (source, command, params = {}, how = {}) => commands.run({ ...how, source, command, params }),
    retryNow: () => connection.retryNow(),
    close: () => connection.close(),
    [Symbol.asyncIterator]: () => iterate(events$('>')),
  };
}
