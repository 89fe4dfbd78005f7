import type { SessionState } from '../client/index.js';

import { isDoubtful } from './reasons.js';

type Status = 'armed' | 'disarmed' | 'unknown';

const WORDS: { readonly [S in Status]: string } = { armed: 'armed', disarmed: 'off', unknown: 'unknown' };
const SIGNS: { readonly [S in Status]: string } = { armed: '▣', disarmed: '▢', unknown: '?' };

/** Cancel-on-disconnect of both scopes; a scope that was never read says so. Nothing for venues that have none. */
export function ProtectionChips({ state, long }: { readonly state: SessionState; readonly long?: boolean }) {
  const { protection, safety } = state;
  const past = isDoubtful(safety);
  if (protection === undefined) return <span class="dim">{hasNone(state) ? 'none at this venue' : 'never read'}</span>;
  return (
    <span class="chips">
      <Chip scope={long ? 'connection' : 'conn'} status={protection.connection} past={past} />
      <Chip scope={long ? 'account' : 'acct'} status={protection.account} past={past} />
    </span>
  );
}

function Chip({
  scope,
  status,
  past,
}: {
  readonly scope: string;
  readonly status: Status | undefined;
  /** It was so when the relay was heard last. */
  readonly past: boolean;
}) {
  if (status === undefined) return <span class="chip">{scope} never read</span>;
  return (
    <span class="chip" data-protection={past ? 'unknown' : status}>
      <span aria-hidden="true">{SIGNS[status]} </span>
      {scope} {past && 'was '}
      {WORDS[status]}
    </span>
  );
}

/** Cancel-on-disconnect is Deribit's (README.md, "What it does at each venue"). */
function hasNone({ venue, kind }: SessionState): boolean {
  return venue !== 'deribit' || kind === 'public';
}
