import type { SocketLike } from '../../src/client/index.js';

type Listener = (event: never) => void;

/** One socket that a client opened, as the relay's side sees it. */
export interface PeerSocket {
  readonly url: string;
  readonly protocols: readonly string[];
  /** Every text that the client sent. */
  readonly sent: readonly string[];
  /** How the client ended it, if it did. */
  readonly closedBy: 'close' | 'terminate' | undefined;
  readonly isOpen: boolean;
  /** The relay sends one text. */
  deliver(text: string): void;
  /** The relay, or the network, ends it. */
  end(code: number, reason?: string): void;
}

/** A network without a network: each `new WebSocket` of the client is handed to the test, which plays the relay. */
export class FakeNetwork {
  readonly sockets: PeerSocket[] = [];
  /** A socket was opened; unless `isDown`. */
  onOpen: ((socket: PeerSocket) => void) | undefined;
  onSend: ((socket: PeerSocket, text: string) => void) | undefined;
  /** Every attempt fails, as a refused upgrade does in a browser: 1006. */
  isDown = false;

  get last(): PeerSocket {
    const socket = this.sockets.at(-1);
    if (socket === undefined) throw new Error('no socket was opened');
    return socket;
  }

  /** Sockets that are not ended: a client must never have two. */
  get live(): number {
    return this.sockets.filter(({ isOpen }) => isOpen).length;
  }

  /** Hand it to `connect`. */
  get WebSocket(): new (
    url: string,
    protocols: string[],
  ) => SocketLike {
    const network = this;
    return class implements SocketLike {
      readonly #listeners = new Map<string, Listener[]>();
      readonly #peer: PeerSocket;
      #state: 'opening' | 'open' | 'closed' = 'opening';
      readonly #sent: string[] = [];
      #closedBy: PeerSocket['closedBy'];

      constructor(url: string, protocols: string[]) {
        const isOpen = (): boolean => this.#state !== 'closed';
        const closedBy = (): PeerSocket['closedBy'] => this.#closedBy;
        this.#peer = {
          url,
          protocols,
          sent: this.#sent,
          get closedBy() {
            return closedBy();
          },
          get isOpen() {
            return isOpen();
          },
          deliver: (text) => {
            if (this.#state === 'open') this.#emit('message', { data: text });
          },
          end: (code, reason = '') => this.#end(code, reason),
        };
        network.sockets.push(this.#peer);
        queueMicrotask(() => {
          if (this.#state !== 'opening') return;
          if (network.isDown) return this.#end(1006, '');
          this.#state = 'open';
          return network.onOpen?.(this.#peer);
        });
      }

      send(text: string): void {
        if (this.#state === 'opening') throw new Error('the socket is not open');
        if (this.#state === 'closed') return;
        this.#sent.push(text);
        network.onSend?.(this.#peer, text);
      }

      close(code = 1000): void {
        this.#closedBy ??= 'close';
        queueMicrotask(() => this.#end(code, ''));
      }

      terminate(): void {
        this.#closedBy ??= 'terminate';
        queueMicrotask(() => this.#end(1006, ''));
      }

      addEventListener(type: string, listener: Listener): void {
        this.#listeners.set(type, [...(this.#listeners.get(type) ?? []), listener]);
      }

      #emit(type: string, event: object): void {
        for (const listener of this.#listeners.get(type) ?? []) listener(event as never);
      }

      #end(code: number, reason: string): void {
        if (this.#state === 'closed') return;
        this.#state = 'closed';
        this.#emit('close', { code, reason });
      }
    };
  }
}
