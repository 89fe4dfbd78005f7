import type { FanOut, Slot, Wire } from '../../src/edge/wire.js';

/** Slots for wires of a test: sends to each by its own `send`, as a transport's fan-out does that keeps its promises. */
export function createFakeFanOut(): { slotFor(wire: () => Wire): Slot } {
  const wires: (() => Wire)[] = [];
  const fanOut: FanOut = {
    send(messages, slots) {
      const result = { skipped: [] as number[], queued: [] as number[], failed: [] as number[] };
      for (const [at, slot] of slots.entries()) {
        const wire = wires[slot]?.();
        let taken = 0;
        for (const message of wire?.isOpen === true && wire.buffered() === 0 ? messages : []) {
          const outcome = wire?.send(message);
          if (outcome !== 'sent' && outcome !== 'queued') break;
          taken++;
        }
        if (taken === 0) result.skipped.push(at);
        else if (taken < messages.length) result.failed.push(at);
        else if (wire?.buffered() !== 0) result.queued.push(at);
      }
      return result;
    },
    forget() {},
  };
  return {
    slotFor(wire) {
      wires.push(wire);
      return { fanOut, index: wires.length - 1 };
    },
  };
}
