import { Agent } from 'node:https';
import { z } from 'zod';
import { messageOf } from '../../../errors.js';
import { connectPinned, tlsConnection } from '../../../net/verify.js';
import { type Frame, MAX_FRAME_CHARACTERS, NOTIFY_CHANNEL, readSocketIoEvent } from '../messages.js';
import type { Carrier, CarrierEnd, CarrierHandlers, CarrierTarget } from './carrier.js';

/** What the two generations of socket.io clients share: which options, which events, how an end is told. */

/** The connection must be made within this. */
export const CONNECT_TIMEOUT_MS = 10_000;

/** A larger frame ends the connection (version 2 hands this on to nobody: there the limit is that of `ws`, 100 MiB). */
const MAX_PAYLOAD_BYTES = 16 * 1024 * 1024;

/** Options that both clients take. One WebSocket and nothing beside it: polling needs cookies that Node does not keep. */
export function clientOptions({ headers, tls }: CarrierTarget) {
  const options = {
    forceNew: true,
    reconnection: false,
    transports: ['websocket'],
    extraHeaders: { ...headers },
    timeout: CONNECT_TIMEOUT_MS,
    maxPayload: MAX_PAYLOAD_BYTES,
    ...tlsConnection(tls),
  };
  if (tls?.fingerprint === undefined) return options;
  // Both hand `agent` on to the WebSocket; the types of version 4 know only of names.
  return Object.assign(options, {
    agent: Object.assign(new Agent(), { createConnection: connectPinned(tls) }) as never,
  });
}

/** A client of either generation, reduced to what a carrier needs. */
export interface Client {
  emit(event: string, ...args: readonly unknown[]): void;
  close(): void;
}

/** What a client's events are turned into. */
export interface ClientEvents {
  opened(): void;
  event(name: string, args: readonly unknown[]): void;
  alive(): void;
  /** Something could not be decoded; the client itself decides whether it goes on. */
  undecoded(what: unknown): void;
  /** The connection failed, or the venue refused it, before it was open. */
  failed(error: unknown): void;
  /** It ended, in the client's own words (`io server disconnect`, `transport close`, `ping timeout`). */
  disconnected(reason: unknown): void;
}

/**
 * A carrier over a client that is loaded when it is first needed, so that whoever does not use socket.io does not load
 * it. `hint` says what to try where the two sides do not understand each other.
 */
export function socketIoCarrier(
  load: (events: ClientEvents) => Promise<Client>,
  target: CarrierTarget,
  handlers: CarrierHandlers,
  hint: string,
): Carrier {
  let client: Client | undefined;
  let isOpen = false;
  let over = false;

  const end = (how: CarrierEnd): void => {
    if (over) return;
    over = true;
    client?.close();
    queueMicrotask(() => handlers.ended(how));
  };
  const told = (frame: Frame): void => {
    if (!over) handlers.frame(frame);
  };
  const events: ClientEvents = {
    opened() {
      if (over || isOpen) return;
      isOpen = true;
      handlers.opened();
    },
    event: (name, args) => told(readSocketIoEvent(name, args)),
    alive() {
      if (!over) handlers.alive();
    },
    undecoded: (what) => told({ kind: 'bad', why: 'not a socket.io packet', sample: wordsOf(what) }),
    failed(error) {
      const status = statusOf(error);
      const words = wordsOf(error);
      const reason = status === undefined || status === 400 ? `${words} (${hint})` : words;
      end({
        code: isOpen ? 1006 : 0,
        clean: false,
        reason,
        initiator: status === undefined && isNetwork(error) ? 'network' : 'venue',
        ...(status === undefined ? {} : { status }),
      });
    },
    disconnected(reason) {
      const words = typeof reason === 'string' ? reason : 'disconnected';
      const byVenue = words === 'io server disconnect';
      const code = !isOpen ? 0 : byVenue ? 1000 : 1006;
      if (/parse error/.test(words)) events.undecoded(words);
      end({ code, clean: isOpen && byVenue, reason: words, initiator: byVenue ? 'venue' : 'network' });
    },
  };
  load(events).then(
    (loaded) => {
      client = loaded;
      if (over) loaded.close();
    },
    (thrown: unknown) => end({ code: 0, clean: false, reason: messageOf(thrown), initiator: 'network' }),
  );

  const subscribe = (): void => client?.emit('sup_subscribe', NOTIFY_CHANNEL, target.user);
  const leave = (): void => end({ code: isOpen ? 1000 : 0, clean: isOpen, reason: '', initiator: 'network' });
  // A subscription is answered with the list: the one question that socket.io has an answer for.
  return { askSessions: subscribe, ask: subscribe, close: leave, terminate: leave };
}

/** An event, an error or a binary event of the socket's own namespace that carries nothing at all. */
const BARE_PACKET = /^4(?:[24]|5\d{0,20}-)(?:\/,?)?[\d\s]*$/;

/**
 * Both clients take in what the engine has received within the socket's own listener, or a turn later, where nobody
 * catches what they throw: a second handshake that cannot be read, or an event without a name, would end the process.
 * It ends the connection instead.
 */
export function guardEngine(engine: { readonly transport: object }, events: ClientEvents): void {
  const { transport } = engine;
  if (!hasOnData(transport)) throw new Error('this socket.io client has no transport that is known');
  const onData = transport.onData.bind(transport);
  transport.onData = (data) => {
    const text = typeof data === 'string' ? data : '';
    // The clients have no limit of their own below 100 MiB, and parse in one go.
    if (text.length > MAX_FRAME_CHARACTERS) return events.undecoded('a packet that is too long');
    try {
      if (!BARE_PACKET.test(text)) return onData(data);
    } catch {
      // As if it were bare: what the client made of it cannot be trusted any more.
    }
    return events.disconnected('parse error');
  };
}

function hasOnData(transport: object): transport is { onData: (data: unknown) => void } {
  return 'onData' in transport && typeof transport.onData === 'function';
}

const failure = z.object({
  message: z.string(),
  type: z.string().optional().catch(undefined),
  description: z
    .looseObject({ message: z.string() })
    .transform(({ message }) => message)
    .optional()
    .catch(undefined),
});

/** What a client says of a failure: texts, or errors with what lies under them. */
function wordsOf(error: unknown): string {
  if (typeof error === 'string') return error;
  const parsed = failure.safeParse(error);
  if (!parsed.success) return 'the connection failed';
  const { message, description } = parsed.data;
  return description === undefined || description === '' ? message : `${message}: ${description}`;
}

/** A failure of the transport, not an answer of the venue's. */
function isNetwork(error: unknown): boolean {
  const parsed = failure.safeParse(error);
  return parsed.success && (parsed.data.type === 'TransportError' || /timeout/.test(parsed.data.message));
}

/** The status of a refused upgrade, which the clients give in words alone. */
function statusOf(error: unknown): number | undefined {
  const [, status] = /Unexpected server response: (\d{3})/.exec(wordsOf(error)) ?? [];
  return status === undefined ? undefined : Number(status);
}
