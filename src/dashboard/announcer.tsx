import { useEffect, useState } from 'preact/hooks';
import type { Feed } from './feed.js';
import { reasonWords } from './reasons.js';

/** No more often than this is anything read out. */
const LEAST_MS = 5_000;
/** More at once are counted. */
const MOST_NAMED = 3;

/** Reads out which sessions became unsafe; what is on the screen all the time it leaves alone. */
export function Announcer({ feed }: { readonly feed: Feed }) {
  const [said, setSaid] = useState('');
  useEffect(() => {
    const timer = setInterval(() => {
      const rows = feed.takeNewlyUnsafe();
      if (rows.length === 0) return;
      const named = rows
        .slice(0, MOST_NAMED)
        .map(({ key, safety }) => `${key}: ${safety.reasons.map(reasonWords).join(', ')}`);
      const others = rows.length > MOST_NAMED ? `; and ${rows.length - MOST_NAMED} more` : '';
      setSaid(`Now unsafe: ${named.join('; ')}${others}`);
    }, LEAST_MS);
    return () => clearInterval(timer);
  }, [feed]);
  return (
    <div class="sr-only" aria-live="assertive">
      {said}
    </div>
  );
}
