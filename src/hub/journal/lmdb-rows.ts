import type { JournalBatch } from './journal.js';
import type { LmdbFile } from './lmdb-file.js';
import type { Position } from './position.js';
import { eventKey, type Head, memoryKey, memoryText, nameKey, weightOf } from './records.js';

/** A batch as it goes into a durable journal's file. Whatever may fail comes before the first write. */

export interface Rows {
  /** What its events weigh. */
  readonly bytes: number;
  /** What they may take in the file: see `FileRoom.reserve`. */
  readonly rows: number;
  readonly valueBytes: number;
  /** The cursor of the first event whose fact key is held. */
  firstHeld(): string | undefined;
  /** Puts it all. Does not throw. */
  write(): void;
}

export function rowsOf(
  { events, texts, states, memory }: JournalBatch,
  file: LmdbFile,
  { epoch, offset }: Position,
): Rows {
  let bytes = 0;
  let valueBytes = 0;
  const eventRows = events.map((event, index) => {
    const text = texts?.[index] ?? JSON.stringify(event);
    valueBytes += Buffer.byteLength(text);
    bytes += weightOf(text, event.key);
    return { id: event.id, at: eventKey(epoch, offset + 1 + index), text, key: nameKey(event.key) };
  });
  const rows = [...states].map(([key, state]) => ({
    database: file.states,
    key: nameKey(key),
    text: state === null ? undefined : JSON.stringify(state),
  }));
  for (const [space, entries] of memory ?? []) {
    for (const [key, value] of Object.entries(entries)) {
      const text = value === null ? undefined : memoryText(space, key, value);
      rows.push({ database: file.memory, key: memoryKey(space, key), text });
    }
  }
  for (const { text } of rows) valueBytes += text === undefined ? 0 : Buffer.byteLength(text);
  return {
    bytes,
    rows: eventRows.length + rows.length,
    valueBytes,
    firstHeld: () => eventRows.find(({ key }) => file.keys.doesExist(key))?.id,
    write() {
      for (const { at, text, key } of eventRows) {
        void file.events.put(at, text);
        void file.keys.put(key, at);
      }
      for (const { database, key, text } of rows) {
        if (text === undefined) void database.remove(key);
        else void database.put(key, text);
      }
    },
  };
}

export function headText({ epoch, offset, floor, dropped }: Position, bytes: number): string {
  return JSON.stringify({ epoch, offset, floor, dropped, bytes } satisfies Head);
}
