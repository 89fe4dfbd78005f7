import { SessionRelayError } from '../../errors.js';
import { formatCursor } from '../../model/cursor.js';
import type { Json } from '../../model/json.js';
import type { State } from '../../model/session.js';
import { state as stateSchema } from '../../model/state-schema.js';
import type { JournalContents } from './journal.js';
import { HEAD, type LmdbFile } from './lmdb-file.js';
import { headText } from './lmdb-rows.js';
import { epochsBefore, type Position } from './position.js';
import { damaged, epochKey, epochOfKey, parseHead, parseOffset, parseRemembered, parserOf } from './records.js';

/** What a durable journal does when it is opened: begins an epoch, and reads back what the last life left. */

/** A new epoch, flushed before this returns: no cursor of it can be given twice, whatever ends the process. */
export function beginEpoch(file: LmdbFile, path: string, nowMs: number): { position: Position; bytes: number } {
  const { root, meta } = file;
  const found = meta.getEntry(HEAD);
  const last = found === undefined ? undefined : parseHead(found.value);
  if (found !== undefined && last === undefined) throw damaged(path, `its record ${HEAD} cannot be read`);
  const epoch = Math.max((last?.epoch ?? 0) + 1, Math.floor(nowMs));
  const floor = last?.floor ?? formatCursor(epoch, 0);
  const epochs = readEpochs(file, path);
  if (last !== undefined) epochs.set(last.epoch, last.offset);
  const forgotten = epochsBefore(floor, epochs.keys());
  for (const one of forgotten) epochs.delete(one);
  const position = { epoch, offset: 0, floor, dropped: last?.dropped ?? false, epochs };
  const bytes = last?.bytes ?? 0;
  root.transactionSync(() => {
    if (meta.getEntry(HEAD)?.version !== found?.version)
      throw new SessionRelayError(
        'journal_failed',
        `another relay opens the journal in ${path} now: end one of the two`,
      );
    if (last !== undefined) void file.epochs.put(epochKey(last.epoch), String(last.offset));
    for (const one of forgotten) void file.epochs.remove(epochKey(one));
    void meta.put(HEAD, headText(position, bytes), (found?.version ?? 0) + 1);
  });
  return { position, bytes };
}

function readEpochs({ epochs }: LmdbFile, path: string): Map<number, number> {
  const found = new Map<number, number>();
  for (const { key, value } of epochs.getRange()) {
    const epoch = epochOfKey(key);
    const offset = parseOffset(value);
    if (epoch === undefined || offset === undefined) throw damaged(path, 'what it keeps of its epochs cannot be read');
    found.set(epoch, offset);
  }
  return found;
}

const parseState = parserOf<State>(stateSchema);

export function readContents({ states, memory }: LmdbFile, path: string): Omit<JournalContents, 'epoch'> {
  const found: State[] = [];
  for (const { key, value } of states.getRange()) {
    const state = parseState(value);
    if (state === undefined) throw damaged(path, `the state ${Buffer.from(key).toString()} cannot be read`);
    found.push(state);
  }
  const remembered = new Map<string, Map<string, Json>>();
  for (const { key, value: text } of memory.getRange()) {
    const entry = parseRemembered(text);
    if (entry === undefined)
      throw damaged(path, `what is remembered under ${Buffer.from(key).toString()} cannot be read`);
    const space = remembered.get(entry.space) ?? new Map<string, Json>();
    remembered.set(entry.space, space.set(entry.key, entry.value));
  }
  return { states: found, memory: remembered };
}
