import type { Clock, Timer } from '../net/clock.js';
import type { Output } from './args.js';

/** The whole terminal, drawn again when something changed and once a second for what time changes. */
export interface Screen {
  /** Something changed: drawn soon, however often this is called. */
  changed(): void;
  /** Gives the terminal back as it was. Idempotent. */
  close(): void;
}

/** Drawn at most so often: more than a person sees. */
const LEAST_MS = 100;
const TICK_MS = 1_000;
const ESCAPE = '\u001b[';
const ENTER = `${ESCAPE}?1049h${ESCAPE}?25l`;
const LEAVE = `${ESCAPE}?25h${ESCAPE}?1049l`;
const HOME = `${ESCAPE}H`;
const CLEAR_LINE = `${ESCAPE}K`;
const CLEAR_BELOW = `${ESCAPE}J`;
const DEFAULT_COLUMNS = 80;
const DEFAULT_ROWS = 24;

export function createScreen(
  output: Output,
  clock: Clock,
  draw: (size: { readonly columns: number; readonly rows: number }) => readonly string[],
): Screen {
  let timer: Timer | undefined;
  let tick: Timer | undefined;
  let drawnAt = Number.NEGATIVE_INFINITY;
  let closed = false;

  const paintNow = (): void => {
    timer = undefined;
    drawnAt = clock.monotonic();
    const size = { columns: output.columns ?? DEFAULT_COLUMNS, rows: output.rows ?? DEFAULT_ROWS };
    const lines = draw(size).map((line) => `${line}${CLEAR_LINE}`);
    output.write(`${HOME}${lines.join('\r\n')}${CLEAR_BELOW}`);
  };
  const changed = (): void => {
    if (closed || timer !== undefined) return;
    const waitMs = drawnAt + LEAST_MS - clock.monotonic();
    timer = clock.setTimer(paintNow, Math.max(0, waitMs));
  };
  const everySecond = (): void => {
    tick = clock.setTimer(() => {
      changed();
      everySecond();
    }, TICK_MS);
  };

  output.write(ENTER);
  changed();
  everySecond();
  return {
    changed,
    close() {
      if (closed) return;
      closed = true;
      timer?.cancel();
      tick?.cancel();
      output.write(LEAVE);
    },
  };
}
