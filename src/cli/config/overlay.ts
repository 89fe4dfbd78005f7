import { isRecord } from './record.js';

/** Environment and flags over the file: flags win over the environment, that over the file. */
const PREFIX = 'SESSION_RELAY_';
/** Variables of this prefix that are not settings. */
const NOT_SETTINGS = new Set(['SESSION_RELAY_TOKEN']);
/** What an orchestrator sets for a service that is called `session-relay` (Kubernetes docs, "Service", environment variables). */
const SERVICE_LINK =
  /^SESSION_RELAY_(SERVICE_HOST|SERVICE_PORT(_.*)?|PORT|PORT_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)$/;
export const SECTIONS = ['listen', 'auth', 'limits', 'journal', 'drain', 'log'] as const;
/** Flags that have another name than the last part of the setting's path. */
const FLAG_NAMES = new Map([['journal.path', '--data']]);
/** Settings that are lists: the variable separates with commas. */
const LISTS = new Set(['limits.origins', 'auth.commands']);

export interface Overlaid {
  readonly settings: Readonly<Record<string, unknown>>;
  /** What gave a setting that is not the file's: its path with dots, to the variable's or the flag's name. */
  readonly origins: ReadonlyMap<string, string>;
  /** Variables that name no setting. */
  readonly unknown: readonly string[];
}

export function overlay(
  file: Readonly<Record<string, unknown>>,
  env: Readonly<Record<string, string | undefined>>,
  flags: Readonly<Record<string, string>>,
): Overlaid {
  let settings = file;
  const origins = new Map<string, string>();
  const unknown: string[] = [];
  for (const [name, value = ''] of Object.entries(env)) {
    if (value === '' || !name.startsWith(PREFIX) || NOT_SETTINGS.has(name) || SERVICE_LINK.test(name)) continue;
    const path = pathOfVariable(name);
    if (path === undefined) {
      unknown.push(name);
      continue;
    }
    const dotted = path.join('.');
    origins.set(dotted, name);
    settings = withValue(settings, path, LISTS.has(dotted) ? value.split(',').map((one) => one.trim()) : value);
  }
  for (const [dotted, value] of Object.entries(flags)) {
    origins.set(dotted, FLAG_NAMES.get(dotted) ?? `--${dotted.split('.').at(-1) ?? dotted}`);
    settings = withValue(settings, dotted.split('.'), value);
  }
  return { settings, origins, unknown };
}

/** `SESSION_RELAY_LIMITS_MAX_CHANNELS` → `limits.maxChannels`; `…_JOURNAL_RETENTION_MAX_AGE` → `journal.retention.maxAge`. */
function pathOfVariable(name: string): readonly string[] | undefined {
  const [section = '', ...rest] = name.slice(PREFIX.length).toLowerCase().split('_');
  if (section === 'workers' && rest.length === 0) return [section];
  if (!SECTIONS.some((one) => one === section) || rest.length === 0) return undefined;
  const nested = section === 'journal' && rest[0] === 'retention' && rest.length > 1;
  return nested ? [section, 'retention', camel(rest.slice(1))] : [section, camel(rest)];
}

function camel(words: readonly string[]): string {
  return words.map((word, index) => (index === 0 ? word : word.charAt(0).toUpperCase() + word.slice(1))).join('');
}

/** A copy with one value set; what stood in the way of the path and is no map is replaced. */
function withValue(
  target: Readonly<Record<string, unknown>>,
  [head = '', ...rest]: readonly string[],
  value: unknown,
): Readonly<Record<string, unknown>> {
  const inner = target[head];
  return { ...target, [head]: rest.length === 0 ? value : withValue(isRecord(inner) ? inner : {}, rest, value) };
}
