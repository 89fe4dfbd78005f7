import { useEffect, useState } from 'preact/hooks';
import { connect, type RelayClient } from '../client/index.js';
import { createFeed, type Feed } from './feed.js';
import { createFrames } from './frames.js';

export interface Relay {
  readonly client: RelayClient;
  readonly feed: Feed;
}

/** The relay that this page came from, wherever a proxy mounts it. */
function relayUrl(): string {
  return new URL('v1/ws', document.baseURI).href;
}

/**
 * One connection for as long as the component stays; another token is another component. `drawn` moves when there is
 * something to draw.
 */
export function useRelay(token: string | undefined): Relay & { readonly drawn: number } {
  const [drawn, setDrawn] = useState(0);
  const [{ client, feed, frames }] = useState(() => {
    const frames = createFrames(() => setDrawn((count) => count + 1));
    const client = connect(relayUrl(), token === undefined ? {} : { token });
    return { client, feed: createFeed({ client, now: Date.now, changed: frames.changed }), frames };
  });
  useEffect(() => {
    const retry = (): void => client.retryNow();
    addEventListener('online', retry);
    return () => {
      removeEventListener('online', retry);
      frames.stop();
      feed.stop();
      void client.close();
    };
  }, [client, feed, frames]);
  return { client, feed, drawn };
}
