import { useEffect, useState } from 'preact/hooks';

/** What was chosen; `auto` follows the machine. */
export type ThemeChoice = 'auto' | 'light' | 'dark';
export type Theme = 'light' | 'dark';

const KEY = 'session-relay.theme';
const NEXT: { readonly [T in ThemeChoice]: ThemeChoice } = { auto: 'light', light: 'dark', dark: 'auto' };

/** The theme that was chosen, the one that is shown, and a way to the next choice. */
export function useTheme(): { readonly choice: ThemeChoice; readonly theme: Theme; readonly next: () => void } {
  const [choice, setChoice] = useState(stored);
  const [isDark, setIsDark] = useState(() => darkScheme().matches);
  const theme = choice === 'auto' ? (isDark ? 'dark' : 'light') : choice;
  useEffect(() => {
    const scheme = darkScheme();
    const turned = (): void => setIsDark(scheme.matches);
    scheme.addEventListener('change', turned);
    return () => scheme.removeEventListener('change', turned);
  }, []);
  useEffect(() => {
    document.documentElement.dataset.theme = theme;
  }, [theme]);
  const next = (): void => {
    const chosen = NEXT[choice];
    setChoice(chosen);
    store(chosen);
  };
  return { choice, theme, next };
}

function darkScheme(): MediaQueryList {
  return matchMedia('(prefers-color-scheme: dark)');
}

function stored(): ThemeChoice {
  try {
    const found = localStorage.getItem(KEY);
    return found === 'light' || found === 'dark' ? found : 'auto';
  } catch {
    return 'auto';
  }
}

function store(choice: ThemeChoice): void {
  try {
    localStorage.setItem(KEY, choice);
  } catch {
    // Without storage it holds for this page.
  }
}
