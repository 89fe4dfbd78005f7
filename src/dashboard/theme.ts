export type Theme = 'auto' | 'light' | 'dark';

const KEY = 'session-relay.theme';
const NEXT: { readonly [T in Theme]: Theme } = { auto: 'light', light: 'dark', dark: 'auto' };

export function nextTheme(theme: Theme): Theme {
  return NEXT[theme];
}

export function storedTheme(): Theme {
  const found = read();
  return found === 'light' || found === 'dark' ? found : 'auto';
}

export function applyTheme(theme: Theme): void {
  document.documentElement.dataset.theme = theme;
  try {
    localStorage.setItem(KEY, theme);
  } catch {
    // Without storage it holds for this page.
  }
}

function read(): string | null {
  try {
    return localStorage.getItem(KEY);
  } catch {
    return null;
  }
}
