/**
 * The one error family of session-relay. `code` is stable and narrows in a `switch`; `message` says what happened,
 * where, and what to do about it; `cause` keeps the error underneath. No message ever holds a credential.
 *
 * | code | meaning | on the wire (PROTOCOL.md §4) |
 * |---|---|---|
 * | `config_invalid` | a configuration or a command line that cannot be used; `problems` lists each | exit code 2 |
 * | `port_in_use` | the listen address is taken | exit code 2 |
 * | `invalid_params` | a caller's parameters do not fit | -32602 |
 * | `unauthenticated` | no, wrong or expired credentials | 4401 |
 * | `forbidden` | the grant does not cover it (`data.channel` / `data.command`) | 4403 |
 * | `not_found` | no such source, session or command | 4404 |
 * | `conflict` | not in this state (`data.status` / `data.why`) | 4409 |
 * | `venue_error` | the venue answered with an error (`data.code`, `data.message`) | 4424 |
 * | `rate_limited` | a limit of the relay's or the venue's (`data.retryAfterMs`) | 4429 |
 * | `source_unavailable` | the source is not connected, or cannot take it now | 4503 |
 * | `venue_timeout` | no answer in time: the outcome is **unknown** | 4504 |
 * | `journal_failed` | the journal does not commit or cannot be read | 4503 |
 * | `not_available` | a part that this build does not have | 4503 |
 * | `closed` | used after `stop()` or `close()` | 4503 |
 * | `relay_unreachable` | the relay cannot be asked (client, command line) | exit code 3 |
 * | `events_lost` | events of a stream will never come (`data` is the gap) | |
 * | `internal` | a fault in session-relay itself | -32603 |
 */
export type ErrorCode =
  | 'config_invalid'
  | 'port_in_use'
  | 'invalid_params'
  | 'unauthenticated'
  | 'forbidden'
  | 'not_found'
  | 'conflict'
  | 'venue_error'
  | 'rate_limited'
  | 'source_unavailable'
  | 'venue_timeout'
  | 'journal_failed'
  | 'not_available'
  | 'closed'
  | 'relay_unreachable'
  | 'events_lost'
  | 'internal';

export interface ErrorOptionsOf {
  readonly cause?: unknown;
  /** Machine-readable detail that may be shown to whoever caused the error; never a credential. */
  readonly data?: Readonly<Record<string, unknown>>;
}

export class SessionRelayError extends Error {
  override readonly name: string = 'SessionRelayError';
  readonly code: ErrorCode;
  readonly data: Readonly<Record<string, unknown>> | undefined;

  constructor(code: ErrorCode, message: string, options: ErrorOptionsOf = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.data = options.data;
  }
}

/** One thing wrong with a configuration: where (file, line, key) and what to do. `line` counts from 1. */
export interface ConfigProblem {
  readonly file?: string;
  readonly line?: number;
  readonly key: string;
  readonly message: string;
}

/** The configuration cannot be used. `problems` has one entry for each thing that is wrong, in file order. */
export class ConfigError extends SessionRelayError {
  override readonly name = 'ConfigError';
  readonly problems: readonly ConfigProblem[];

  constructor(problems: readonly ConfigProblem[]) {
    super('config_invalid', problems.map(describeProblem).join('\n'));
    this.problems = problems;
  }
}

/** `file:line: key: message`, each part where it is known. */
export function describeProblem(problem: ConfigProblem): string {
  const place = [problem.file, problem.line].filter((part) => part !== undefined).join(':');
  return [place, problem.key, problem.message].filter((part) => part !== '').join(': ');
}

/** The venue answered a request with an error: `venueCode` and the message are the venue's own. */
export class VenueError extends SessionRelayError {
  override readonly name = 'VenueError';
  readonly venueCode: string | number;

  constructor(venueCode: string | number, venueMessage: string, options: ErrorOptionsOf = {}) {
    super('venue_error', `the venue answered with error ${venueCode}: ${venueMessage}`, {
      ...options,
      data: { code: venueCode, message: venueMessage, ...options.data },
    });
    this.venueCode = venueCode;
  }
}

/** The venue did not answer in time, or the connection broke before the answer: whether it acted is not known. */
export class VenueTimeoutError extends SessionRelayError {
  override readonly name = 'VenueTimeoutError';

  constructor(message: string, options: ErrorOptionsOf = {}) {
    super('venue_timeout', message, options);
  }
}

/** What was thrown, as a member of the family: others become `internal` with the original as `cause`. */
export function asSessionRelayError(thrown: unknown): SessionRelayError {
  if (thrown instanceof SessionRelayError) return thrown;
  return new SessionRelayError('internal', `a fault in session-relay: ${messageOf(thrown)}`, { cause: thrown });
}

/** The message of anything that was thrown. */
export function messageOf(thrown: unknown): string {
  return thrown instanceof Error ? thrown.message : String(thrown);
}
