/**
 * session-relay, the stream library: what bots import. Nothing here loads a server, uWebSockets.js or socket.io.
 */
export type { CommandReply } from './bus/bus.js';
export {
  ConfigError,
  type ConfigProblem,
  type ErrorCode,
  SessionRelayError,
  VenueError,
  VenueTimeoutError,
} from './errors.js';
export { type Sessions, type SessionsOptions, sessions } from './hub/sessions.js';
export { type Cursor, compareCursors, formatCursor, parseCursor } from './model/cursor.js';
export {
  type Carrier,
  type Environment,
  EVENT_TYPES,
  type EventData,
  type EventType,
  eventData,
  type Fact,
  type Pulse,
  type Role,
  type SafetyLevel,
  type SessionEvent,
  type SessionKind,
  sessionEvent,
  type VenueName,
} from './model/event.js';
export { fold, foldPulse, isSessionState } from './model/fold.js';
export { type Grant, redactEvent, redactState } from './model/grant.js';
export type { Json } from './model/json.js';
export {
  assess,
  defaultSafetyPolicy,
  type Evidence,
  emptyEvidence,
  isWorse,
  observe,
  type SafetyPolicy,
  settleSafety,
  type Verdict,
} from './model/safety.js';
export type {
  HeartbeatState,
  ProtectionState,
  Safety,
  SessionState,
  SessionStatus,
  SourceState,
  State,
} from './model/session.js';
export {
  contains,
  decodeToken,
  encodeToken,
  matches,
  PatternTrie,
  parseSessionKey,
  patternProblem,
  sessionKey,
} from './model/subject.js';
export type { Clock, Random, Timer } from './net/clock.js';
export { type Log, silentLog } from './net/log.js';
export { type DeribitOptions, deribit } from './venues/deribit/index.js';
export { type IbkrOptions, ibkr } from './venues/ibkr/index.js';
export { realPorts } from './venues/ports.js';
export { type SnaptradeOptions, snaptrade } from './venues/snaptrade/index.js';
export { type TradernetOptions, tradernet } from './venues/tradernet/index.js';
export type {
  CommandSpec,
  FactBatch,
  SourceDescription,
  StopOptions,
  Venue,
  VenueCommand,
  VenuePorts,
} from './venues/venue.js';
