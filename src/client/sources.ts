import type { Json } from '../model/json.js';
import { boolean, json, list, shape, string } from './shape.js';

/** A source, and what the token may command of it. */
export interface SourceCommands {
  readonly venue: string;
  readonly source: string;
  readonly commands: readonly {
    readonly command: string;
    /** JSON Schema of its parameters, an object. */
    readonly params: Json;
    /** It changes something at the venue; else it only reads. */
    readonly acts: boolean;
  }[];
}

/** The answer to `get_sources`. */
export const isSources = shape({
  sources: list(
    shape({
      venue: string,
      source: string,
      commands: list(shape({ command: string, params: json, acts: boolean })),
    }),
  ),
});
