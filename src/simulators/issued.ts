/**
 * Credentials that the simulators of this process give out, told as they are made: whoever tests a relay can look for
 * them where none may be (its logs, events, errors). Nothing is kept.
 */
type Listener = (credential: string) => void;
const listeners = new Set<Listener>();

/** Tells of a credential, and hands it back. */
export function issued(credential: string): string {
  for (const listener of listeners) listener(credential);
  return credential;
}

/** From now on; the answer ends it. */
export function onIssued(listener: Listener): () => void {
  listeners.add(listener);
  return () => void listeners.delete(listener);
}
