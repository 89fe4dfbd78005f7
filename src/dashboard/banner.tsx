import type { Feed } from './feed.js';
import { doubtWords } from './status-words.js';
import { ago, moment } from './times.js';

/** A connection that is only just being made is no alarm. */
const FIRST_CONNECT_MS = 3_000;

/** Says loudly that what is shown is not known to be true now, and since when. */
export function Banner({ feed, now }: { readonly feed: Feed; readonly now: number }) {
  const { view, doubtSinceMs, heardAtMs, wasLive, status, refusal, narrowedTo } = feed;
  if (refusal !== undefined && status?.state !== 'closed') {
    return <Alarm head="Nothing can be shown." text={`The relay refuses it: ${refusal.message}.`} />;
  }
  if (narrowedTo?.length === 0 && status?.state === 'open') {
    return <Alarm head="Nothing can be shown." text="The token shows no source as a whole." />;
  }
  if (view !== 'live') {
    const since = doubtSinceMs ?? now;
    if (!wasLive && now - since < FIRST_CONNECT_MS) return null;
    if (!wasLive) return <Alarm head="Nothing is known yet." text={doubtWords(view)} since={since} now={now} />;
    const last = heardAtMs === undefined ? '' : ` It was heard last at ${moment(heardAtMs, now)}.`;
    return (
      <Alarm
        head="What is shown here is not known to be true now."
        text={`${doubtWords(view)}${last} All levels are unknown.`}
        since={heardAtMs ?? since}
        now={now}
      />
    );
  }
  if (status?.state === 'blind' && status.sources !== 'all') {
    return (
      <Alarm head="A part is not known to be true now." text={`The relay cannot see ${status.sources.join(', ')}.`} />
    );
  }
  return null;
}

/** What counts on is not part of the alert: it would be read out each second. */
function Alarm({
  head,
  text,
  since,
  now,
}: {
  readonly head: string;
  readonly text: string;
  readonly since?: number;
  readonly now?: number;
}) {
  return (
    <div class="banner">
      <div role="alert">
        <strong>{head}</strong> {text}
      </div>
      {since !== undefined && now !== undefined && (
        <span class="count" aria-hidden="true">
          for {ago(now - since)}
        </span>
      )}
    </div>
  );
}
