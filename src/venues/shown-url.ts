/** A URL as it may be shown: no query, no user, no fragment, where credentials may stand. */
export function shownUrl(url: string): string {
  const { protocol, host, pathname } = new URL(url);
  return `${protocol}//${host}${pathname}`;
}
