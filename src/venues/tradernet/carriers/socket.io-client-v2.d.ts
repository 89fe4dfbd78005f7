/** What is used of socket.io-client 2.5.0, which ships no types; what it hands over is parsed, not believed. */
declare module 'socket.io-client-v2' {
  interface Options {
    readonly forceNew: boolean;
    readonly reconnection: boolean;
    readonly transports: readonly string[];
    readonly extraHeaders: Readonly<Record<string, string>>;
    readonly timeout: number;
    /** The `ws` package, also where there is a global WebSocket. */
    readonly forceNode: boolean;
    readonly ca?: string;
    readonly rejectUnauthorized?: boolean;
  }
  interface Manager {
    /** The engine.io connection; its transport takes in what the socket received. */
    readonly engine: { readonly transport: object };
    /** Takes in what the engine received; throws on binary data that no packet announced. */
    readonly decoder: { add(data: unknown): void };
    on(event: string, listener: (...args: unknown[]) => void): void;
  }
  interface Socket {
    readonly io: Manager;
    emit(event: string, ...args: unknown[]): void;
    close(): void;
  }
  export function connect(url: string, options: Options): Socket;
}
