/**
 * The words of PROTOCOL.md §2 and §3 as plain lists: what `event.ts` makes schemas of, and what a browser checks
 * without them.
 */
export const VENUES = ['deribit', 'tradernet', 'ibkr', 'snaptrade'] as const;
export const CARRIERS = ['ws', 'http', 'hook'] as const;
export const SESSION_KINDS = ['api', 'public', 'login', 'security', 'sso', 'brokerage', 'connection'] as const;
export const ENVIRONMENTS = ['live', 'test', 'paper', 'demo'] as const;
export const ROLES = ['trading', 'watch'] as const;
export const PROTECTION_SCOPES = ['connection', 'account'] as const;
export const SAFETY_LEVELS = ['safe', 'at_risk', 'unsafe', 'unknown'] as const;

/** The token of what concerns a source as a whole. */
export const SOURCE_TOKEN = '-';
