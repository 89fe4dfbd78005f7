import { type Document, isMap, isScalar, type LineCounter } from 'yaml';

/** Where a key stands in a configuration: `['sources', 0, 'url']`. */
export type Path = readonly (string | number)[];

/** `sources[0].url` */
export function keyOf(path: Path): string {
  return path
    .map((part, index) => (typeof part === 'number' ? `[${part}]` : `${index === 0 ? '' : '.'}${nameOf(part)}`))
    .join('');
}

/** What is written like no key is not repeated: with a colon or a quote too few a credential stands in its place. */
function nameOf(part: string): string {
  return /^[A-Za-z_][\w.-]{0,39}$/.test(part) ? part : '…';
}

/** Whether `outer` is `inner` or one of its parents. */
export function isWithin(inner: Path, outer: Path): boolean {
  return outer.length <= inner.length && outer.every((part, index) => part === inner[index]);
}

/** The line of a path, counted from 1, or of its nearest parent that the file has. */
export function createLocator(document: Document, lines: LineCounter): (path: Path) => number | undefined {
  const lineAt = (offset: number): number => lines.linePos(offset).line;
  return (path) => {
    for (let length = path.length; length >= 0; length--) {
      const last = path[length - 1];
      const parent = length === 0 ? undefined : document.getIn(path.slice(0, length - 1), true);
      if (isMap(parent)) {
        const pair = parent.items.find((item) => isScalar(item.key) && String(item.key.value) === last);
        if (pair !== undefined && isScalar(pair.key) && pair.key.range) return lineAt(pair.key.range[0]);
        continue;
      }
      const node = document.getIn(path.slice(0, length), true);
      if (hasRange(node)) return lineAt(node.range[0]);
    }
    return undefined;
  };
}

function hasRange(node: unknown): node is { readonly range: readonly [number, number, number] } {
  return typeof node === 'object' && node !== null && 'range' in node && Array.isArray(node.range);
}
