import { z } from 'zod';
import type { SourceInfo } from '../bus/bus.js';
import { ConfigError } from '../errors.js';
import { SOURCE_TOKEN, type VenueName } from '../model/event.js';
import { emptySourceState, isSessionState } from '../model/fold.js';
import { type Json, json } from '../model/json.js';
import { defaultSafetyPolicy } from '../model/safety.js';
import type { SessionState, State } from '../model/session.js';
import { sessionKey } from '../model/subject.js';
import type { CommandSpec, SourceDescription, Venue } from '../venues/venue.js';

/** A session whose source is no longer configured is dropped after this. */
export const FORGET_ORPHANS_MS = 86_400_000;

/** Which venue holds which source now, and what is known of each. */
export interface Sources {
  /** By `<venue>.<source>`. */
  find(name: string): { readonly venue: Venue; readonly source: string } | undefined;
  describe(venue: VenueName, source: string): SourceDescription | undefined;
  /** Of a source that no venue holds, what can be said without one: nothing proves its sessions. */
  describeOrphan(venue: VenueName, source: string, state?: SessionState): SourceDescription;
  /** Every source with its state and commands; `head` is the cursor of one that has said nothing yet. */
  list(states: ReadonlyMap<string, State>, head: string): readonly SourceInfo[];
}

/**
 * `venues`: those that there are now.
 *
 * @throws ConfigError where two of them have the same name: their sessions could not be told apart.
 */
export function createSources(venues: () => readonly Venue[]): Sources {
  refuseNamesakes(venues());
  const schemas = new Map<CommandSpec, Json>();
  const schemaFor = (spec: CommandSpec): Json => {
    const known = schemas.get(spec) ?? schemaOf(spec.params);
    schemas.set(spec, known);
    return known;
  };
  const holderOf = (venue: VenueName | string, source: string): [Venue, SourceDescription] | undefined => {
    for (const one of venues()) {
      const found =
        one.venue === venue ? one.sources().find((description) => description.source === source) : undefined;
      if (found !== undefined) return [one, found];
    }
    return undefined;
  };
  return {
    find(name) {
      const dot = name.indexOf('.');
      const [venue, description] = holderOf(name.slice(0, dot), name.slice(dot + 1)) ?? [];
      return venue === undefined || description === undefined ? undefined : { venue, source: description.source };
    },
    describe: (venue, source) => holderOf(venue, source)?.[1],
    describeOrphan: (venue, source, state) => ({
      venue,
      source,
      role: state?.role ?? 'watch',
      safety: defaultSafetyPolicy(venue),
      forgetAfterMs: FORGET_ORPHANS_MS,
      provedBy: {},
    }),
    list: (states, head) =>
      venues().flatMap((venue) =>
        venue.sources().map(({ source }): SourceInfo => {
          const found = states.get(sessionKey(venue.venue, source, SOURCE_TOKEN));
          const state =
            found !== undefined && !isSessionState(found) ? found : emptySourceState(venue.venue, source, head);
          const commands = venue.commands.map((spec) => ({
            command: spec.command,
            acts: spec.acts,
            params: schemaFor(spec),
          }));
          return { venue: venue.venue, source, state, commands };
        }),
      ),
  };
}

/** @throws ConfigError where two venues have the same name. */
export function refuseNamesakes(venues: readonly Venue[]): void {
  const names = venues.map(({ venue, id }) => `${venue}.${id}`);
  const twice = names.filter((name, index) => names.indexOf(name) !== index);
  if (twice.length === 0) return;
  throw new ConfigError(
    [...new Set(twice)].map((name) => ({ key: 'id', message: `two venues are named ${name}: give each its own id` })),
  );
}

/** A parameter schema as JSON Schema, for whoever lists the commands. */
function schemaOf(schema: z.ZodType): Json {
  const described = json.safeParse(z.toJSONSchema(schema, { unrepresentable: 'any', io: 'input' }));
  return described.success ? described.data : {};
}
