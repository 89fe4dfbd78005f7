// biome-ignore-all lint/a11y/useFocusableInteractive: the grid has the focus and names its active row
// biome-ignore-all lint/a11y/useKeyWithClickEvents: keys are the grid's
// biome-ignore-all lint/a11y/useSemanticElements: rows of a table cannot be laid out as cards and keep their meaning
import type { ComponentChildren } from 'preact';
import { useLayoutEffect, useRef, useState } from 'preact/hooks';
import { moved, scrollToShow, type Viewport, visibleRange } from './window.js';

/** How wide the grid itself is, whatever else is on the screen. */
export type Layout = 'wide' | 'medium' | 'card';

export interface GridProps {
  readonly id: string;
  readonly label: string;
  readonly columns: readonly { readonly name: string; readonly className: string }[];
  readonly count: number;
  keyAt(index: number): string;
  /** Of the cells alone; the row itself is the grid's. */
  cellsAt(index: number): ComponentChildren;
  /** What a row says to style and tests. */
  levelAt(index: number): string;
  /** In rem. */
  readonly heights: { readonly [L in Layout]: number };
  /** In rem: from how wide on. */
  readonly breakpoints: { readonly wide: number; readonly medium: number };
  readonly activeKey: string | undefined;
  indexOf(key: string): number;
  /** `undefined`: nothing is open. */
  readonly openKey: string | undefined;
  onActive(key: string): void;
  onOpen(key: string): void;
  /** What is looked at stays where it is while new rows come in front of it; at the top they are followed. */
  readonly isAnchored?: boolean;
  readonly empty: ComponentChildren;
}

/**
 * A grid of any number of rows, of which only those on the screen exist. The grid has the focus and names the active row
 * (`aria-activedescendant`), so that focus never gets lost with a row; rows say their place (`aria-rowindex`).
 */
export function VirtualGrid(props: GridProps) {
  const { id, columns, count, heights, activeKey, openKey } = props;
  const box = useRef<HTMLDivElement>(null);
  const { width, height, rem } = useSize(box);
  const layout = layoutOf(width / rem, props.breakpoints);
  const rowHeight = Math.round(heights[layout] * rem);
  const headHeight = layout === 'wide' ? Math.round(HEAD_REM * rem) : 0;
  const { scrollTop, onScroll } = useScroll(box, props, rowHeight);
  const viewport: Viewport = { count, rowHeight, height: Math.max(0, height - headHeight), scrollTop };
  const { first, end } = visibleRange(viewport);

  const show = (index: number): void => {
    const key = props.keyAt(index);
    props.onActive(key);
    const element = box.current;
    if (element === null) return;
    const to = scrollToShow(index, { ...viewport, scrollTop: element.scrollTop });
    if (to !== element.scrollTop) element.scrollTop = to;
  };
  const onKeyDown = (event: KeyboardEvent): void => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const active = activeKey === undefined ? -1 : props.indexOf(activeKey);
    if ((event.key === 'Enter' || event.key === ' ') && active >= 0) {
      event.preventDefault();
      props.onOpen(props.keyAt(active));
      return;
    }
    const to = moved(event.key, active, viewport);
    if (to === undefined) return;
    event.preventDefault();
    show(to);
  };
  const rows = [];
  for (let index = first; index < end; index++) {
    const key = props.keyAt(index);
    rows.push(
      <GridRow
        key={key}
        id={`${id}-${key}`}
        index={index}
        top={index * rowHeight}
        height={rowHeight}
        level={props.levelAt(index)}
        isActive={key === activeKey}
        isOpen={key === openKey}
        onOpen={() => {
          props.onActive(key);
          props.onOpen(key);
        }}
      >
        {props.cellsAt(index)}
      </GridRow>,
    );
  }
  const active = activeKey === undefined ? -1 : props.indexOf(activeKey);
  const isActiveShown = active >= first && active < end;
  return (
    <div
      ref={box}
      id={id}
      class="grid"
      data-layout={layout}
      role="grid"
      tabIndex={0}
      aria-label={props.label}
      aria-rowcount={count + 1}
      aria-colcount={columns.length}
      {...(isActiveShown ? { 'aria-activedescendant': `${id}-${activeKey}` } : {})}
      onKeyDown={onKeyDown}
      onFocus={() => {
        if (activeKey === undefined && count > 0) props.onActive(props.keyAt(first));
      }}
      onScroll={onScroll}
    >
      <GridHead columns={columns} />
      <div role="rowgroup" class="grid-body" style={{ height: `${count * rowHeight}px` }}>
        {rows}
      </div>
      {count === 0 && <div class="grid-empty">{props.empty}</div>}
    </div>
  );
}

/** Of the row of column names, where it is shown. The style says the same. */
const HEAD_REM = 2;

function GridHead({ columns }: Pick<GridProps, 'columns'>) {
  return (
    <div role="rowgroup" class="grid-head">
      <div role="row" aria-rowindex={1} class="grid-columns">
        {columns.map(({ name, className }) => (
          <div key={name} role="columnheader" class={className}>
            {name}
          </div>
        ))}
      </div>
    </div>
  );
}

function GridRow(props: {
  readonly id: string;
  readonly index: number;
  readonly top: number;
  readonly height: number;
  readonly level: string;
  readonly isActive: boolean;
  readonly isOpen: boolean;
  readonly onOpen: () => void;
  readonly children: ComponentChildren;
}) {
  const { id, index, top, height, level, isActive, isOpen, onOpen, children } = props;
  return (
    <div
      id={id}
      role="row"
      class="grid-row"
      data-level={level}
      data-active={isActive}
      aria-rowindex={index + 2}
      aria-selected={isOpen}
      style={{ transform: `translateY(${top}px)`, height: `${height}px` }}
      onClick={onOpen}
    >
      {children}
    </div>
  );
}

export function Cell({ className, children }: { readonly className: string; readonly children: ComponentChildren }) {
  return (
    <div role="gridcell" class={className}>
      {children}
    </div>
  );
}

function layoutOf(rems: number, { wide, medium }: GridProps['breakpoints']): Layout {
  return rems >= wide ? 'wide' : rems >= medium ? 'medium' : 'card';
}

function useSize(box: { readonly current: HTMLElement | null }): {
  readonly width: number;
  readonly height: number;
  readonly rem: number;
} {
  const [size, setSize] = useState({ width: 0, height: 0, rem: 16 });
  useLayoutEffect(() => {
    const element = box.current;
    if (element === null) return undefined;
    const measure = (): void => {
      const rem = Number.parseFloat(getComputedStyle(document.documentElement).fontSize) || 16;
      setSize({ width: element.clientWidth, height: element.clientHeight, rem });
    };
    measure();
    const observer = new ResizeObserver(measure);
    observer.observe(element);
    return () => observer.disconnect();
  }, [box]);
  return size;
}

/**
 * Where the list is scrolled to. Where it is anchored, it scrolls along with the row at its top edge when that moves to
 * another place: in the same turn as its rows are made, so that no frame shows the hole.
 */
function useScroll(
  box: { readonly current: HTMLElement | null },
  { isAnchored = false, count, keyAt, indexOf }: GridProps,
  rowHeight: number,
): { readonly scrollTop: number; readonly onScroll: () => void } {
  const place = useRef(0);
  const anchor = useRef<{ readonly key: string; readonly index: number } | undefined>(undefined);
  const [, redraw] = useState(0);
  const before = isAnchored ? anchor.current : undefined;
  const index = before === undefined ? -1 : indexOf(before.key);
  const shift = before === undefined || index < 0 ? 0 : (index - before.index) * rowHeight;
  const scrollTop = Math.max(0, place.current + shift);
  const onScroll = (): void => {
    place.current = box.current?.scrollTop ?? 0;
    hold();
    redraw((count) => count + 1);
  };
  const hold = (): void => {
    const top = Math.floor(place.current / rowHeight);
    anchor.current = top > 0 && top < count ? { key: keyAt(top), index: top } : undefined;
  };
  useLayoutEffect(() => {
    const element = box.current;
    if (element === null || !isAnchored) return;
    if (shift !== 0) {
      element.scrollTop = scrollTop;
      place.current = element.scrollTop;
    }
    hold();
  });
  return { scrollTop, onScroll };
}
