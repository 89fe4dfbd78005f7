import { isDeepStrictEqual } from 'node:util';
import { LIVE_LIMITS } from '../edge/limits.js';
import type { ConfiguredSource, RelayConfig } from './config.js';

/** What differs between two configurations, and what of it a running relay can take over: a pure decision. */
export interface ReloadPlan {
  readonly added: readonly ConfiguredSource[];
  /** By `<venue>.<id>`, as all that follow. */
  readonly removed: readonly string[];
  /** To be ended and begun anew: these options. */
  readonly changed: readonly ConfiguredSource[];
  /** To take these options over on the connection that it has. */
  readonly revised: readonly ConfiguredSource[];
  readonly kept: readonly string[];
  /** Settings that have changed and stay as they are until a restart, `listen.port`. */
  readonly needsRestart: readonly string[];
}

/** Sections of which nothing can change while the relay runs. */
const FIXED = [
  'listen',
  'workers',
  'journal',
  'metrics',
  'drain',
  'log',
] as const satisfies readonly (keyof RelayConfig)[];

export function nameOf({ module, id }: ConfiguredSource): string {
  return `${module.venue}.${id}`;
}

export function planReload(before: RelayConfig, after: RelayConfig): ReloadPlan {
  const running = new Map(before.sources.map((source) => [nameOf(source), source]));
  const wanted = new Set(after.sources.map(nameOf));
  const sort = (source: ConfiguredSource): 'added' | 'changed' | 'revised' | 'kept' => {
    const known = running.get(nameOf(source));
    if (known === undefined) return 'added';
    const { module, options, files } = source;
    if (isDeepStrictEqual(known.options, options)) return known.files === files ? 'kept' : 'revised';
    return module.canRevise?.(known.options, options) === true ? 'revised' : 'changed';
  };
  const those = (kind: ReturnType<typeof sort>): readonly ConfiguredSource[] =>
    after.sources.filter((source) => sort(source) === kind);
  return {
    added: those('added'),
    removed: [...running.keys()].filter((name) => !wanted.has(name)),
    changed: those('changed'),
    revised: those('revised'),
    kept: those('kept').map(nameOf),
    needsRestart: [
      ...FIXED.flatMap((section) => differences(before[section], after[section], section)),
      ...differences(before.limits, after.limits, 'limits').filter((path) => !isLive(path)),
    ],
  };
}

/** The configuration that holds after the plan was carried out: what needs a restart is as before. */
export function afterReload(before: RelayConfig, after: RelayConfig): RelayConfig {
  const { listen, workers, journal, metrics, drain, log } = before;
  const live = Object.entries(after.limits).filter(([name]) => isLive(`limits.${name}`));
  return {
    ...after,
    listen,
    workers,
    journal,
    metrics,
    drain,
    log,
    limits: { ...before.limits, ...Object.fromEntries(live) },
  };
}

function isLive(path: string): boolean {
  return LIVE_LIMITS.some((name) => path === `limits.${name}`);
}

/** The paths of values that differ. */
function differences(before: unknown, after: unknown, path: string): readonly string[] {
  if (isDeepStrictEqual(before, after)) return [];
  if (!isMap(before) || !isMap(after)) return [path];
  const keys = new Set([...Object.keys(before), ...Object.keys(after)]);
  return [...keys].flatMap((key) => differences(before[key], after[key], `${path}.${key}`));
}

function isMap(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
