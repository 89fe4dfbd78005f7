import { isIPv6 } from 'node:net';

/** The peer's address: IPv4 as such also where it came mapped into IPv6; the proxy's last entry where it is trusted. */
export function peerAddress(socketAddress: string, forwardedFor: string | undefined, trustProxy: boolean): string {
  const last = trustProxy ? forwardedFor?.split(',').at(-1)?.trim() : undefined;
  return normalAddress(last === undefined || last === '' ? socketAddress : withoutPort(last));
}

/** Some proxies add the port: `192.0.2.1:4711`, `[2001:db8::1]:4711`. */
function withoutPort(address: string): string {
  const [, bracketed] = /^\[([^\]]+)\](?::\d+)?$/.exec(address) ?? [];
  const [, dotted] = /^(\d+\.\d+\.\d+\.\d+):\d+$/.exec(address) ?? [];
  return bracketed ?? dotted ?? address;
}

/** One spelling for each address, whatever the transport's: limits count by it. */
function normalAddress(address: string): string {
  if (!isIPv6(address)) return address;
  const short = URL.canParse(`http://[${address}]`) ? new URL(`http://[${address}]`).hostname.slice(1, -1) : address;
  const [, high, low] = /^::ffff:([0-9a-f]{1,4}):([0-9a-f]{1,4})$/.exec(short) ?? [];
  if (high === undefined || low === undefined) return short;
  const [upper, lower] = [Number.parseInt(high, 16), Number.parseInt(low, 16)];
  return [upper >> 8, upper & 255, lower >> 8, lower & 255].join('.');
}

/** `http://host:port` of a listening address. */
export function originOf(host: string, port: number): string {
  return `http://${host.includes(':') ? `[${host}]` : host}:${port}`;
}

export function portTaken(host: string, port: number): string {
  return `${originOf(host, port)} is taken by another process: choose another port, or 0 for a free one`;
}

/**
 * What a request asks for. A target that begins with two slashes is a path like any other, and no host's name: a proxy's
 * rules of paths must not be passed by by it. Throws where it cannot be read.
 */
export function targetUrl(target: string, host: string | undefined): URL {
  const { origin } = new URL(`http://${host ?? 'relay'}`);
  return target.startsWith('/') ? new URL(origin + target) : new URL(target, origin);
}
