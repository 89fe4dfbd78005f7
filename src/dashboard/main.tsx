import { render } from 'preact';
import { useEffect, useState } from 'preact/hooks';
import { type ClientStatus, connect, type RelayClient } from '../client/index.js';

function Page({ client }: { readonly client: RelayClient }) {
  const [status, setStatus] = useState<ClientStatus>();
  useEffect(() => {
    const watching = client.status$.subscribe(setStatus);
    return () => watching.unsubscribe();
  }, [client]);
  return (
    <main>
      <h1>session-relay</h1>
      <p role="status">{status === undefined ? 'nothing is known' : status.state}</p>
    </main>
  );
}

const app = document.getElementById('app');
if (app !== null) render(<Page client={connect(new URL('v1/ws', document.baseURI).href)} />, app);
