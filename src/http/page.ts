import { createHash } from 'node:crypto';
import { type Dirent, promises as fs } from 'node:fs';
import { extname, join, relative, sep } from 'node:path';
import { messageOf } from '../errors.js';
import type { Log } from '../net/log.js';
import { problem } from './problem.js';

/** The built page: read once, so that a name which was not read then leads nowhere. */
export interface Page {
  /** Whether this path is part of the page; `/` always is. */
  has(path: string): boolean;
  /** 200, 304, or 501 where no page was built. */
  answer(path: string, headers: Headers): Response;
}

/** One file in one encoding. A strong ETag names bytes, and those differ by encoding. */
interface Variant {
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly etag: string;
}

interface PageFile {
  readonly type: string;
  readonly cacheControl: string;
  readonly plain: Variant;
  /** By content coding, the best first. */
  readonly encoded: readonly (readonly [coding: string, variant: Variant])[];
}

const INDEX = '/index.html';
const NOT_BUILT = 'this relay has no dashboard: its package was not built (npm run build)';
/** What the build names by its content. */
const HASHED = '/assets/';
const IMMUTABLE = 'public, max-age=31536000, immutable';
/** Asked for each time, so that a relay of another version is never looked at through the page of the last one. */
const REVALIDATED = 'no-cache';
/** As files are named that the build has compressed, the best first. */
const CODINGS: readonly (readonly [coding: string, suffix: string])[] = [
  ['br', '.br'],
  ['gzip', '.gz'],
];
const TYPES: Readonly<Record<string, string>> = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.txt': 'text/plain; charset=utf-8',
  '.svg': 'image/svg+xml',
  '.png': 'image/png',
  '.woff2': 'font/woff2',
};
/**
 * The page runs what its relay serves and speaks to its relay, and nobody else. `'self'` is the relay's socket too (CSP
 * Level 3: Chromium 71, Safari 16). Text of a venue never becomes markup: no policy for trusted types exists.
 */
const CONTENT_SECURITY_POLICY = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "connect-src 'self'",
  "img-src 'self' data:",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
  "require-trusted-types-for 'script'",
  "trusted-types 'none'",
].join('; ');
const SECURITY_HEADERS = {
  'content-security-policy': CONTENT_SECURITY_POLICY,
  'x-content-type-options': 'nosniff',
  'referrer-policy': 'no-referrer',
  'cross-origin-opener-policy': 'same-origin',
  'cross-origin-resource-policy': 'same-origin',
};

/**
 * Reads a built page: `index.html` is served at `/`, every other file at its own path. A folder that is not there, or
 * cannot be read, makes a page that answers 501; it never keeps a relay from starting.
 */
export async function readPage(folder: string, log: Log): Promise<Page> {
  const files = await readFiles(folder).catch((thrown: unknown) => {
    log.warn('there is no dashboard: its files cannot be read', { folder, error: messageOf(thrown) });
    return new Map<string, PageFile>();
  });
  const at = (path: string): PageFile | undefined => files.get(path === '/' ? INDEX : path);
  return {
    has: (path) => path === '/' || (path !== INDEX && files.has(path)),
    answer(path, headers) {
      const file = at(path);
      if (file === undefined) return problem(501, NOT_BUILT);
      const accepted = acceptedCodings(headers.get('accept-encoding') ?? '');
      const [coding, { bytes, etag }] = file.encoded.find(([one]) => accepted.has(one)) ?? [undefined, file.plain];
      const common = { ...SECURITY_HEADERS, etag, 'cache-control': file.cacheControl, vary: 'Accept-Encoding' };
      if (isKnown(headers.get('if-none-match') ?? '', etag))
        return new Response(null, { status: 304, headers: common });
      return new Response(bytes, {
        headers: {
          ...common,
          'content-type': file.type,
          'content-length': String(bytes.byteLength),
          ...(coding === undefined ? {} : { 'content-encoding': coding }),
        },
      });
    },
  };
}

async function readFiles(folder: string): Promise<ReadonlyMap<string, PageFile>> {
  const entries = await fs.readdir(folder, { withFileTypes: true, recursive: true });
  const read = new Map<string, Variant>();
  for (const entry of entries.filter((one) => one.isFile())) {
    const bytes = new Uint8Array(await fs.readFile(join(entry.parentPath, entry.name)));
    read.set(pathOf(folder, entry), { bytes, etag: `"${createHash('sha256').update(bytes).digest('base64url')}"` });
  }
  const files = new Map<string, PageFile>();
  for (const [path, plain] of read) {
    const encoded = CODINGS.flatMap(([coding, suffix]) => {
      const variant = read.get(`${path}${suffix}`);
      return variant === undefined ? [] : [[coding, variant] as const];
    });
    if (CODINGS.some(([, suffix]) => path.endsWith(suffix))) continue;
    const type = TYPES[extname(path)] ?? 'application/octet-stream';
    files.set(path, { type, cacheControl: path.startsWith(HASHED) ? IMMUTABLE : REVALIDATED, plain, encoded });
  }
  return files;
}

function pathOf(folder: string, entry: Dirent): string {
  return `/${relative(folder, join(entry.parentPath, entry.name)).split(sep).join('/')}`;
}

/** Codings that the client names and does not refuse by `q=0`; `*` names none: what is plain always fits it. */
function acceptedCodings(header: string): ReadonlySet<string> {
  const accepted = header.split(',').flatMap((one) => {
    const [coding = '', ...parameters] = one.split(';').map((part) => part.trim().toLowerCase());
    return parameters.some((parameter) => /^q=0(\.0*)?$/.test(parameter)) ? [] : [coding];
  });
  return new Set(accepted);
}

function isKnown(ifNoneMatch: string, etag: string): boolean {
  return ifNoneMatch.split(',').some((one) => {
    const known = one.trim();
    return known === '*' || known === etag || known === `W/${etag}`;
  });
}
