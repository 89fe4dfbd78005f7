import { useMemo } from 'preact/hooks';
import type { Feed } from './feed.js';
import type { Row } from './order.js';
import { SESSION_COLUMNS, SessionCells } from './session-cells.js';
import { VirtualGrid } from './virtual-grid.js';

const HEIGHTS = { wide: 3.25, medium: 4.7, card: 8 } as const;
const BREAKPOINTS = { wide: 84, medium: 46 } as const;

export interface SessionListProps {
  readonly feed: Feed;
  readonly rows: readonly Row[];
  readonly total: number;
  /** The relay's time. */
  readonly now: number;
  readonly activeKey: string | undefined;
  readonly openKey: string | undefined;
  readonly onActive: (key: string) => void;
  readonly onOpen: (key: string) => void;
}

/** Every session, unsafe first. */
export function SessionList({ feed, rows, total, now, activeKey, openKey, onActive, onOpen }: SessionListProps) {
  const places = useMemo(() => new Map(rows.map(({ key }, index) => [key, index])), [rows]);
  return (
    <VirtualGrid
      id="sessions"
      label="Sessions"
      columns={SESSION_COLUMNS}
      count={rows.length}
      keyAt={(index) => rows[index]?.key ?? ''}
      levelAt={(index) => rows[index]?.safety.level ?? 'unknown'}
      cellsAt={(index) => {
        const row = rows[index];
        if (row === undefined) return null;
        return (
          <SessionCells row={row} lastEvent={feed.lastEvent(row.key)} samples={feed.roundTrips.of(row.key)} now={now} />
        );
      }}
      heights={HEIGHTS}
      breakpoints={BREAKPOINTS}
      indexOf={(key) => places.get(key) ?? -1}
      {...{ activeKey, openKey, onActive, onOpen }}
      empty={total === 0 ? nothingYet(feed) : 'No session passes the filter.'}
    />
  );
}

function nothingYet({ view, wasLive }: Feed): string {
  if (view === 'live') return 'The relay has no session.';
  return wasLive ? 'Nothing is known.' : 'Nothing is known yet.';
}
