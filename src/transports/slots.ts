/** What a wire is like, as far as a fan-out must know it. */
export const IDLE = 0;
/** Something waits in it, or may: whoever sends must ask. */
export const MAY_WAIT = 1;
/** Not open yet, or no more. */
export const NOT_OPEN = 2;
export type SlotState = typeof IDLE | typeof MAY_WAIT | typeof NOT_OPEN;

const FIRST_SLOTS = 1_024;

/**
 * The wires of one transport by number: their sockets, and a byte of each that says whether it may be sent to without
 * a look. Numbers are used again, so that the arrays stay as short as there are wires.
 */
export interface Slots<Socket> {
  /** `undefined`: free. */
  readonly sockets: readonly (Socket | undefined)[];
  /** The same array until a slot is taken. */
  states(): Uint8Array;
  /** Its number; it is {@link NOT_OPEN}. */
  take(socket: Socket): number;
  /** Nothing is sent to it any more; its number may be another's from now on. */
  give(index: number): void;
}

export function createSlots<Socket>(): Slots<Socket> {
  const sockets: (Socket | undefined)[] = [];
  const free: number[] = [];
  let states = new Uint8Array(FIRST_SLOTS);

  return {
    sockets,
    states: () => states,
    take(socket) {
      const index = free.pop() ?? sockets.length;
      if (index >= states.length) {
        const more = new Uint8Array(states.length * 2);
        more.set(states);
        states = more;
      }
      sockets[index] = socket;
      states[index] = NOT_OPEN;
      return index;
    },
    give(index) {
      if (sockets[index] === undefined) return;
      sockets[index] = undefined;
      states[index] = NOT_OPEN;
      free.push(index);
    },
  };
}
