/** Calls `draw` soon after changes, in a frame of the browser, however many changes there are. */
export interface Frames {
  changed(): void;
  stop(): void;
}

/** More often is more than a person reads. */
const LEAST_MS = 100;

export function createFrames(draw: () => void): Frames {
  let timer: ReturnType<typeof setTimeout> | undefined;
  let frame: number | undefined;
  let drawnAt = Number.NEGATIVE_INFINITY;

  const paint = (): void => {
    frame = undefined;
    drawnAt = performance.now();
    draw();
  };
  return {
    changed() {
      if (timer !== undefined || frame !== undefined) return;
      timer = setTimeout(
        () => {
          timer = undefined;
          // A hidden page gets no frames: it is drawn when it is looked at, and its title without one.
          if (document.hidden) paint();
          else frame = requestAnimationFrame(paint);
        },
        Math.max(0, drawnAt + LEAST_MS - performance.now()),
      );
    },
    stop() {
      clearTimeout(timer);
      if (frame !== undefined) cancelAnimationFrame(frame);
    },
  };
}
