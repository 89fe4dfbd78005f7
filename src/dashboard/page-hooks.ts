import { useEffect, useState } from 'preact/hooks';

const TICK_MS = 1_000;

/** This machine's time; moves once a second, on the second. */
export function useNow(): number {
  const [now, setNow] = useState(Date.now);
  useEffect(() => {
    let timer: ReturnType<typeof setTimeout>;
    const tick = (): void => {
      const at = Date.now();
      setNow(at);
      timer = setTimeout(tick, TICK_MS - (at % TICK_MS));
    };
    tick();
    return () => clearTimeout(timer);
  }, []);
  return now;
}

/** `/` goes to the text filter; Esc back to the list, and out of the detail. Dialogs have their own. */
export function useShortcuts(
  search: { readonly current: HTMLInputElement | null },
  isDetailOpen: boolean,
  closeDetail: () => void,
): void {
  useEffect(() => {
    const pressed = (event: KeyboardEvent): void => {
      if (event.ctrlKey || event.metaKey || event.altKey) return;
      if (document.querySelector('dialog[open]') !== null) return;
      const at = event.target;
      const isTyping = at instanceof HTMLInputElement || at instanceof HTMLSelectElement;
      if (event.key === '/' && !isTyping) {
        event.preventDefault();
        search.current?.focus();
      } else if (event.key === 'Escape' && at === search.current) {
        document.getElementById('sessions')?.focus();
      } else if (event.key === 'Escape' && isDetailOpen) closeDetail();
    };
    addEventListener('keydown', pressed);
    return () => removeEventListener('keydown', pressed);
  }, [search, isDetailOpen, closeDetail]);
}

/** What the tab says while another one is looked at. */
export function useTitle(isLive: boolean, unsafe: number, drawn: number): void {
  useEffect(() => {
    document.title = !isLive
      ? '? not live – session-relay'
      : unsafe > 0
        ? `(${unsafe}) unsafe – session-relay`
        : 'session-relay';
  }, [isLive, unsafe, drawn]);
}
