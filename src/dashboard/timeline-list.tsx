import { type Entry, placeOf } from './timeline.js';
import { moment } from './times.js';
import { Cell, VirtualGrid } from './virtual-grid.js';

const COLUMNS = [
  { name: 'Time', className: 'e-time' },
  { name: 'Session', className: 'e-key' },
  { name: 'What happened', className: 'e-words' },
] as const;
const HEIGHTS = { wide: 2, medium: 3.5, card: 3.5 } as const;
const BREAKPOINTS = { wide: 60, medium: 40 } as const;

export interface TimelineListProps {
  readonly id: string;
  readonly label: string;
  /** Newest first. */
  readonly entries: readonly Entry[];
  readonly now: number;
  readonly activeKey: string | undefined;
  readonly onActive: (key: string) => void;
  readonly onOpen: (entry: Entry) => void;
}

/** What happened, newest first: events, and what befell the stream itself. */
export function TimelineList({ id, label, entries, now, activeKey, onActive, onOpen }: TimelineListProps) {
  const indexOf = (key: string): number => placeOf(entries, Number(key));
  return (
    <VirtualGrid
      id={id}
      label={label}
      columns={COLUMNS}
      count={entries.length}
      keyAt={(index) => String(entries[index]?.seq ?? '')}
      levelAt={(index) => weight(entries[index])}
      cellsAt={(index) => {
        const entry = entries[index];
        return entry === undefined ? null : <EntryCells entry={entry} now={now} />;
      }}
      heights={HEIGHTS}
      breakpoints={BREAKPOINTS}
      activeKey={activeKey}
      openKey={undefined}
      indexOf={indexOf}
      onActive={onActive}
      onOpen={(key) => {
        const entry = entries[indexOf(key)];
        if (entry !== undefined) onOpen(entry);
      }}
      isAnchored
      empty="Nothing has happened that is shown here."
    />
  );
}

function weight(entry: Entry | undefined): string {
  if (entry === undefined) return 'plain';
  return entry.kind === 'mark' ? `mark-${entry.mark}` : entry.weight;
}

const SIGNS: { readonly [W in Entry['weight']]: string } = { bad: '▲', doubt: '◆', good: '●', plain: '·' };

function EntryCells({ entry, now }: { readonly entry: Entry; readonly now: number }) {
  return (
    <>
      <Cell className="e-time">{moment(entry.atMs, now)}</Cell>
      <Cell className="e-key">{entry.kind === 'event' ? entry.event.subject : 'timeline'}</Cell>
      <Cell className="e-words">
        <span class="sign" data-weight={entry.weight} aria-hidden="true">
          {SIGNS[entry.weight]}
        </span>
        {entry.kind === 'event' && <code>{entry.event.type}</code>} {entry.words}
      </Cell>
    </>
  );
}
