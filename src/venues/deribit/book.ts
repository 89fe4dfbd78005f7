import { type EventData, type EventType, type Fact, SOURCE_TOKEN } from '../../model/event.js';
import type { Json } from '../../model/json.js';
import type { FactBatch } from '../venue.js';
import { type Frame, initialMapperState, type MapperState, mapFrame, platformMemory } from './mapper.js';
import type { PlatformRecord } from './memory.js';

/** A fact of one source, before its source, session and generation are added. */
export type Told<T extends EventType = EventType> = {
  readonly [K in T]: { readonly type: K; readonly data: EventData<K>; readonly key?: string };
}[T];

/** Tells facts as one batch, with what to remember in the same transaction. */
export type Tell = (
  facts: readonly Told[],
  memory?: { readonly [key: string]: Json },
  committed?: NonNullable<FactBatch['committed']>,
) => void;

/** Everything that a source tells goes through here: named, numbered, in order. */
export interface Book {
  readonly tell: Tell;
  /** Takes in one frame and tells what follows from it. */
  map(frame: Frame): void;
  /** Takes in one frame; what follows from it is for the caller's own batch. */
  mapped(frame: Frame): readonly Told[];
  readonly state: MapperState;
}

/** What concerns the source as a whole. */
const OF_SOURCE = /^(link|venue|account|source)\./;

export function createBook(options: {
  readonly source: string;
  /** The session's token. */
  readonly session: string;
  readonly recalled: PlatformRecord;
  readonly generation: () => number;
  readonly out: (batch: FactBatch) => void;
}): Book {
  const { source, session, generation, out } = options;
  let state = initialMapperState(source, session, options.recalled);
  /** The state whose memory was handed out last. */
  let remembered = state;

  /** What a frame changed is remembered in the batch that tells of it, whoever tells. */
  const send = (facts: readonly Fact[], own?: Memory, committed?: FactBatch['committed']): void => {
    const memory = joined(platformMemory(state, remembered), own);
    remembered = state;
    if (facts.length === 0 && memory === undefined) {
      committed?.(false);
      return;
    }
    out({
      facts,
      ...(memory === undefined ? {} : { memory }),
      ...(committed === undefined ? {} : { committed }),
    });
  };
  const name = (fact: Told): Fact => {
    const token = OF_SOURCE.test(fact.type) ? SOURCE_TOKEN : session;
    return { source, session: token, generation: generation(), ...fact } as Fact;
  };
  const mapped = (frame: Frame): readonly Fact[] => {
    const [after, facts] = mapFrame(state, frame, generation());
    state = after;
    return facts;
  };

  return {
    tell: (facts, memory, committed) => send(facts.map(name), memory, committed),
    map: (frame) => send(mapped(frame)),
    mapped,
    get state() {
      return state;
    },
  };
}

type Memory = FactBatch['memory'];

function joined(one: Memory, other: Memory): Memory {
  return one === undefined ? other : { ...one, ...other };
}
