import { JsonView } from './json-view.js';
import { Modal } from './modal.js';
import type { Entry } from './timeline.js';

/** One entry of the timeline with all that it holds. */
export function EntryDialog({
  entry,
  onClose,
  onSession,
}: {
  readonly entry: Entry;
  readonly onClose: () => void;
  /** `undefined`: the session is not in the list. */
  readonly onSession: ((key: string) => void) | undefined;
}) {
  const shown = entry.kind === 'event' ? entry.event : entry.detail;
  const title = entry.kind === 'event' ? entry.event.type : TITLES[entry.mark];
  return (
    <Modal label={`Event ${title}`} onClose={onClose}>
      <h2>{title}</h2>
      <p>{entry.words}</p>
      <dl class="facts">
        <dt>Told at</dt>
        <dd>{new Date(entry.atMs).toISOString()}</dd>
        {entry.kind === 'event' && (
          <>
            <dt>Session</dt>
            <dd>{entry.event.subject}</dd>
            <dt>Cursor</dt>
            <dd>{entry.event.id}</dd>
          </>
        )}
      </dl>
      <JsonView label="Event as JSON" value={shown} />
      <div class="buttons">
        {entry.kind === 'event' && onSession !== undefined && (
          <button type="button" onClick={() => onSession(entry.event.subject)}>
            Show session
          </button>
        )}
        <button type="button" onClick={onClose}>
          Close
        </button>
      </div>
    </Modal>
  );
}

const TITLES = {
  gap: 'Events are missing',
  restart: 'The relay restarted',
  outage: 'Not known to be true',
  back: 'Live again',
  note: 'Note',
} as const;
