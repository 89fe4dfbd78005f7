import { createPublicKey } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { LineCounter, parseDocument } from 'yaml';
import { z } from 'zod';
import { ConfigError, type ConfigProblem, messageOf } from '../errors.js';
import { venueModules } from '../venues/registry.js';
import type { VenueModule } from '../venues/venue.js';
import { explain, nearest } from './config/explain.js';
import { keysAt } from './config/json-schema.js';
import { createLocator, isWithin, keyOf, type Path } from './config/locate.js';
import { overlay, SECTIONS } from './config/overlay.js';
import { isRecord, record } from './config/record.js';
import { substituteSecrets } from './config/secrets.js';
import { type AuthSettings, type RelaySettings, relaySchema } from './schema.js';

/** A source as configured: the venue's own module and its parsed options. */
export interface ConfiguredSource {
  readonly module: VenueModule;
  readonly options: unknown;
  readonly id: string;
  /** A digest of the files that the options name, where they are read while the relay runs. */
  readonly files?: string;
}

export interface RelayConfig extends Omit<RelaySettings, 'sources'> {
  readonly sources: readonly ConfiguredSource[];
  /** Serve without auth under any name: `--insecure` beyond loopback. */
  readonly anyHost: boolean;
}

export interface LoadOptions {
  readonly env: Readonly<Record<string, string | undefined>>;
  /** From the command line; stronger than environment and file. Paths with dots: `listen.port`. */
  readonly flags?: Readonly<Record<string, string>>;
  /** Allows a non-loopback address without `auth`. */
  readonly insecure?: boolean;
}

/** Notes one problem at a key. */
type Note = (path: Path, message: string) => void;

/** Reads and checks a configuration file. Throws a {@link ConfigError} that lists every problem with its line. */
export function loadConfig(file: string, options: LoadOptions): RelayConfig {
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (cause) {
    throw new ConfigError([{ file, key: '', message: `cannot be read: ${messageOf(cause)}` }]);
  }
  return parseConfig(text, { ...options, file });
}

/** The same of a text; `file` names it in messages, and relative paths in it count from its folder. */
export function parseConfig(text: string, options: LoadOptions & { readonly file: string }): RelayConfig {
  const { file, env, flags = {}, insecure = false } = options;
  const { raw, lineOf, missing } = readDocument(text, file, env);
  const { settings: given, origins, unknown } = overlay(raw, env, flags);
  const settings = origins.has('journal.path') ? given : withJournalPath(given, file);

  const problems: ConfigProblem[] = unknown.map((name) => ({
    key: name,
    message: `names no setting: SESSION_RELAY_<SECTION>_<KEY>, the section one of ${SECTIONS.join(', ')}`,
  }));
  const said = new Set<string>();
  const note: Note = (path, message) => {
    const key = keyOf(path);
    // What follows from a secret that is missing is no problem of its own, and one key has one message at a time.
    if (said.has(key) || missing.some((one) => isWithin(one.path, path))) return;
    said.add(key);
    const origin = path.map((_, index) => origins.get(path.slice(0, index + 1).join('.'))).find((one) => one);
    const line = lineOf(path);
    if (origin !== undefined) problems.push({ key: origin, message });
    else problems.push({ file, ...(line === undefined ? {} : { line }), key, message });
  };
  for (const { path, message } of missing) {
    problems.push({ file, ...lineKey(lineOf(path)), key: keyOf(path), message });
  }

  const venueOf = (index: number): unknown => {
    const entry: unknown = Array.isArray(settings.sources) ? settings.sources[index] : undefined;
    return isRecord(entry) ? entry.venue : undefined;
  };
  const noteIssues = (issues: readonly z.core.$ZodIssue[], prefix: Path): void => {
    for (const issue of issues) {
      const found = explain(issue, { prefix, settings, keysAt: (path) => keysAt(path, venueOf) });
      for (const { path, message } of found) note(path, message);
    }
  };

  const parsed = relaySchema.safeParse(settings);
  if (!parsed.success) noteIssues(parsed.error.issues, []);
  if (flags['journal.path'] !== undefined && record(settings.journal).engine === 'memory')
    note(['journal', 'path'], 'journal.engine is memory, which keeps nothing there: leave one of the two out');
  const sources = parseSources(settings.sources, file, note, noteIssues);
  const { anyHost, auth } = checkTogether(settings, { file, insecure }, note);
  if (problems.length > 0 || !parsed.success) {
    throw new ConfigError(problems.toSorted((a, b) => (a.line ?? 0) - (b.line ?? 0)));
  }
  return { ...parsed.data, auth: auth ?? parsed.data.auth, sources, anyHost };
}

/** Whether an address can only be reached from this machine. */
export function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || /^127(\.\d{1,3}){3}$/.test(host);
}

function lineKey(line: number | undefined): { readonly line?: number } {
  return line === undefined ? {} : { line };
}

interface ReadDocument {
  readonly raw: Readonly<Record<string, unknown>>;
  readonly lineOf: (path: Path) => number | undefined;
  /** Secrets that are not there. */
  readonly missing: readonly { readonly path: Path; readonly message: string }[];
}

/** YAML (and so JSON) to plain values, with what `${…}` stands for put in. */
function readDocument(text: string, file: string, env: LoadOptions['env']): ReadDocument {
  const lines = new LineCounter();
  const missing: { path: Path; message: string }[] = [];
  try {
    const document = parseDocument(text, { lineCounter: lines, prettyErrors: false, uniqueKeys: true });
    if (document.errors.length > 0) {
      throw new ConfigError(
        document.errors.map(({ message, pos }) => {
          return { file, line: lines.linePos(pos[0]).line, key: '', message: withoutQuotes(message) };
        }),
      );
    }
    substituteSecrets(document, { env, file }, (path, message) => {
      if (!missing.some((one) => keyOf(one.path) === keyOf(path))) missing.push({ path, message });
    });
    const raw: unknown = document.toJS() ?? {};
    if (!isRecord(raw))
      throw new ConfigError([{ file, line: 1, key: '', message: 'a configuration is a map of keys' }]);
    return { raw, lineOf: createLocator(document, lines), missing };
  } catch (thrown) {
    if (thrown instanceof ConfigError) throw thrown;
    // Aliases of nothing, or of too much; nesting beyond the stack.
    throw new ConfigError([{ file, key: '', message: `cannot be read: ${withoutQuotes(messageOf(thrown))}` }]);
  }
}

/** What the parser says, without what it quotes of the text: a credential may stand there. */
function withoutQuotes(message: string): string {
  return message.replace(/(?<=\S): .*$|["`'\\].*$/s, '').trim();
}

/** Each source is parsed by its venue's own schema, so that its problems name its own keys. */
function parseSources(
  entries: unknown,
  file: string,
  note: Note,
  noteIssues: (issues: readonly z.core.$ZodIssue[], prefix: Path) => void,
): readonly ConfiguredSource[] {
  if (!Array.isArray(entries)) return [];
  const sources: ConfiguredSource[] = [];
  const first = new Map<string, number>();
  for (const [index, entry] of (entries as readonly unknown[]).entries()) {
    if (!isRecord(entry) || typeof entry.venue !== 'string') continue; // the outer schema says so
    const { venue, ...rest } = entry;
    const module = venueModules.find((candidate) => candidate.venue === venue);
    if (module === undefined) {
      const known = venueModules.map((candidate) => candidate.venue);
      const meant = nearest(venue, known);
      const hint = meant === undefined ? known.join(', ') : `did you mean ${meant}?`;
      note(['sources', index, 'venue'], `${venue} is no venue that this version knows: ${hint}`);
      continue;
    }
    const id = typeof rest.id === 'string' ? rest.id : '';
    const name = `${venue}.${id}`;
    const before = first.get(name);
    if (id !== '' && before !== undefined) {
      const message = `${name} is configured twice (first as sources[${before}]): each source needs an id of its own`;
      note(['sources', index, 'id'], message);
    } else first.set(name, index);
    const withCa = withCaRead(rest, file, (message) => note(['sources', index, 'tls', 'ca'], message));
    const parsed = module.config.safeParse(withServeRole(withUsersFile(withCa, file), module));
    if (parsed.success) {
      const files = readFiles(module, parsed.data, (key, message) => note(['sources', index, key], message));
      sources.push({ module, options: parsed.data, id, ...(files === undefined ? {} : { files }) });
    } else noteIssues(parsed.error.issues, ['sources', index]);
  }
  return sources;
}

/** What a source reads from files while it runs is looked at beforehand, so that a wrong one is a problem with a line. */
function readFiles(
  module: VenueModule,
  options: unknown,
  note: (key: string, message: string) => void,
): string | undefined {
  try {
    return module.readFiles?.(options);
  } catch (thrown) {
    if (!(thrown instanceof ConfigError)) throw thrown;
    for (const { key, message } of thrown.problems) note(key, message);
    return undefined;
  }
}

/** A CA's file is read once, here: a path counts from the configuration's folder, and a wrong one is a problem with a line. */
function withCaRead(
  entry: Readonly<Record<string, unknown>>,
  file: string,
  note: (message: string) => void,
): Readonly<Record<string, unknown>> {
  const { tls } = entry;
  if (!isRecord(tls) || typeof tls.ca !== 'string' || tls.ca === '' || tls.ca.includes('-----BEGIN')) return entry;
  const path = resolve(dirname(file), tls.ca);
  try {
    const ca = readFileSync(path, 'utf8');
    if (ca.includes('-----BEGIN CERTIFICATE-----')) return { ...entry, tls: { ...tls, ca } };
    note(`the file ${path} holds no certificate in PEM (-----BEGIN CERTIFICATE-----)`);
  } catch (thrown) {
    note(`the file ${path} cannot be read: ${messageOf(thrown)}`);
  }
  return entry;
}

/** Where the journal is: a relative path of the file counts from its folder, wherever the relay is started. */
function withJournalPath(settings: Readonly<Record<string, unknown>>, file: string): Readonly<Record<string, unknown>> {
  const { journal } = settings;
  if (!isRecord(journal) || typeof journal.path !== 'string' || journal.path === '') return settings;
  return { ...settings, journal: { ...journal, path: resolve(dirname(file), journal.path) } };
}

/** The users' file is read again while the relay runs; its path counts from the configuration's folder. */
function withUsersFile(entry: Readonly<Record<string, unknown>>, file: string): Readonly<Record<string, unknown>> {
  const { usersFile } = entry;
  return typeof usersFile === 'string' && usersFile !== ''
    ? { ...entry, usersFile: resolve(dirname(file), usersFile) }
    : entry;
}

/** Under `serve` a session has the role that its venue's module says, unless the file says otherwise (PROTOCOL.md §3). */
function withServeRole(
  entry: Readonly<Record<string, unknown>>,
  module: VenueModule,
): Readonly<Record<string, unknown>> {
  const { safety } = entry;
  if (safety !== undefined && !isRecord(safety)) return entry;
  return { ...entry, safety: { role: module.serveRole, ...safety } };
}

/** What no key says alone. Each part is looked at whether or not the others are right, so that all is said at once. */
function checkTogether(
  settings: Readonly<Record<string, unknown>>,
  { file, insecure }: { readonly file: string; readonly insecure: boolean },
  note: Note,
): { readonly anyHost: boolean; readonly auth?: AuthSettings } {
  const host = relaySchema.shape.listen.unwrap().shape.host.safeParse(record(settings.listen).host).data;
  const mode = settings.auth === undefined ? 'none' : record(settings.auth).mode;
  const isOpen = mode === 'none' && host !== undefined && !isLoopback(host);
  if (isOpen && !insecure) {
    note(
      ['listen', 'host'],
      `${host} can be reached from other machines and auth.mode is none: configure auth, listen on 127.0.0.1, or say --insecure`,
    );
  }
  const workers = relaySchema.shape.workers.safeParse(settings.workers).data;
  if (typeof workers === 'number' && workers > 1 && record(settings.listen).transport === 'ws')
    note(['workers'], 'more than 1 needs uWebSockets.js, and listen.transport is ws: leave one of the two out');
  const credentials = relaySchema.shape.auth.safeParse(settings.auth).data;
  const checked = credentials?.mode === 'jwt' ? checkJwt(credentials, file, note) : undefined;
  return { anyHost: isOpen && insecure, ...(checked === undefined ? {} : { auth: checked }) };
}

const keySet = z.object({ keys: z.array(z.looseObject({ kty: z.string() })).min(1) });

/** The keys of tokens are read once beforehand, so that a wrong one is a problem with a line. */
function checkJwt(auth: Extract<AuthSettings, { readonly mode: 'jwt' }>, file: string, note: Note): AuthSettings {
  if (auth.publicKey !== undefined && !isPublicKey(auth.publicKey)) {
    note(['auth', 'publicKey'], 'is no public key in PEM (-----BEGIN PUBLIC KEY-----)');
  }
  const { jwks } = auth;
  if (jwks === undefined || /^https:\/\//.test(jwks)) return auth;
  if (/^[a-z]+:\/\//i.test(jwks)) {
    note(['auth', 'jwks'], 'a key set is fetched over https alone: whoever changes it on its way can make tokens');
    return auth;
  }
  const path = resolve(dirname(file), jwks);
  try {
    keySet.parse(JSON.parse(readFileSync(path, 'utf8')));
  } catch (cause) {
    const why = cause instanceof z.ZodError ? 'it has no keys' : messageOf(cause);
    note(['auth', 'jwks'], `the file ${path} is no JSON Web Key Set: ${why}`);
  }
  return { ...auth, jwks: path };
}

function isPublicKey(pem: string): boolean {
  try {
    return /^\s*-----BEGIN PUBLIC KEY-----/.test(pem) && createPublicKey(pem).type === 'public';
  } catch {
    return false;
  }
}
