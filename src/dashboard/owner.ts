import type { SourceCommands } from '../client/index.js';

/** `<venue>.<source>`, as session keys begin and commands name it. */
export function ownerName({ venue, source }: SourceCommands): string {
  return `${encodeToken(venue)}.${encodeToken(source)}`;
}

/** PROTOCOL.md §1: inside a token everything else is percent-encoded. */
function encodeToken(name: string): string {
  return encodeURIComponent(name)
    .replaceAll('%3A', ':')
    .replaceAll('%40', '@')
    .replaceAll('%2B', '+')
    .replace(/[.!*'()]/g, (one) => `%${one.charCodeAt(0).toString(16).toUpperCase()}`);
}
