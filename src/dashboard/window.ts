/** What of a long list is on the screen. Rows have one height, in pixels. */
export interface Viewport {
  readonly count: number;
  readonly rowHeight: number;
  readonly height: number;
  readonly scrollTop: number;
}

/** Rows `first` up to, and without, `end`. */
export interface Range {
  readonly first: number;
  readonly end: number;
}

/** Rows beyond the edge that are kept, so that a slow frame shows no hole. */
const OVERSCAN = 6;

export function visibleRange({ count, rowHeight, height, scrollTop }: Viewport, overscan = OVERSCAN): Range {
  if (count === 0 || rowHeight <= 0) return { first: 0, end: 0 };
  const top = Math.min(Math.max(0, scrollTop), Math.max(0, count * rowHeight - height));
  const first = Math.max(0, Math.floor(top / rowHeight) - overscan);
  const end = Math.min(count, Math.ceil((top + height) / rowHeight) + overscan);
  return { first: Math.min(first, count - 1), end: Math.max(end, Math.min(count, first + 1)) };
}

/** Where to scroll to so that a row is wholly on the screen; the present place where it is. */
export function scrollToShow(index: number, { rowHeight, height, scrollTop }: Viewport): number {
  const top = index * rowHeight;
  if (top < scrollTop) return top;
  return top + rowHeight > scrollTop + height ? Math.max(0, top + rowHeight - height) : scrollTop;
}

/** Where a key moves the active row to; `undefined`: the key moves nothing. `active` -1: there is none yet. */
export function moved(key: string, active: number, { count, rowHeight, height }: Viewport): number | undefined {
  if (count === 0) return undefined;
  const page = Math.max(1, Math.floor(height / rowHeight) - 1);
  const to = targetOf(key, active, count, page);
  return to === undefined ? undefined : Math.min(Math.max(0, to), count - 1);
}

function targetOf(key: string, active: number, count: number, page: number): number | undefined {
  switch (key) {
    case 'ArrowDown':
      return active + 1;
    case 'ArrowUp':
      return active < 0 ? 0 : active - 1;
    case 'PageDown':
      return Math.max(active, 0) + page;
    case 'PageUp':
      return active - page;
    case 'Home':
      return 0;
    case 'End':
      return count - 1;
    default:
      return undefined;
  }
}
