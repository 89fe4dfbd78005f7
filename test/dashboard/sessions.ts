import type { SafetyLevel, SessionState, SourceState, State } from '../../src/client/index.js';

/** A session's state with what a test is about. */
export function sessionOf(key: string, more: Partial<SessionState> = {}): SessionState {
  const [venue = '', source = '', session = ''] = key.split('.');
  return {
    key,
    venue,
    source,
    session,
    kind: 'api',
    role: 'trading',
    status: 'active',
    stale: false,
    safety: { level: 'safe', reasons: [], notes: [] },
    attributes: {},
    cursor: '1-1',
    ...more,
  } as SessionState;
}

export function atLevel(key: string, level: SafetyLevel, ...reasons: readonly string[]): SessionState {
  return sessionOf(key, { safety: { level, reasons, notes: [] } });
}

export function sourceOf(owner: string): SourceState {
  const [venue = '', source = ''] = owner.split('.');
  return {
    key: `${owner}.-`,
    venue,
    source,
    session: '-',
    kind: 'source',
    attributes: { links: { ws: 'up' }, venueLevel: 'normal', degraded: [], accountLocked: [] },
    cursor: '1-1',
  } as SourceState;
}

export function statesOf<S extends State>(...states: readonly S[]): ReadonlyMap<string, S> {
  return new Map(states.map((state) => [state.key, state]));
}
