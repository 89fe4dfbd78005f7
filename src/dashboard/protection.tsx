import type { SessionState } from '../client/index.js';

type Status = 'armed' | 'disarmed' | 'unknown';

const WORDS: { readonly [S in Status]: string } = { armed: 'armed', disarmed: 'off', unknown: 'unknown' };
const SIGNS: { readonly [S in Status]: string } = { armed: '▣', disarmed: '▢', unknown: '?' };

/** Cancel-on-disconnect of both scopes; a scope that was never read says so. Nothing for venues that have none. */
export function ProtectionChips({ state, long }: { readonly state: SessionState; readonly long?: boolean }) {
  const { protection } = state;
  if (protection === undefined) return <span class="dim">{hasNone(state) ? 'none at this venue' : 'never read'}</span>;
  return (
    <span class="chips">
      <Chip scope={long ? 'connection' : 'conn'} status={protection.connection} />
      <Chip scope={long ? 'account' : 'acct'} status={protection.account} />
    </span>
  );
}

function Chip({ scope, status }: { readonly scope: string; readonly status: Status | undefined }) {
  if (status === undefined) return <span class="chip">{scope} never read</span>;
  return (
    <span class="chip" data-protection={status}>
      <span aria-hidden="true">{SIGNS[status]} </span>
      {scope} {WORDS[status]}
    </span>
  );
}

/** Cancel-on-disconnect is Deribit's (README.md, "What it does at each venue"). */
function hasNone({ venue, kind }: SessionState): boolean {
  return venue !== 'deribit' || kind === 'public';
}
