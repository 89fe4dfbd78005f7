import type { ClientStatus, View } from '../client/index.js';
import { countdown, milliseconds } from './times.js';

export interface StatusWords {
  readonly tone: 'good' | 'doubt' | 'bad';
  readonly short: string;
  readonly more: string;
}

/** Whether something that is sent now is sent at once. */
export function isConnected(status: ClientStatus | undefined): boolean {
  switch (status?.state) {
    case 'open':
    case 'replaying':
    case 'blind':
    case 'draining':
      return true;
    default:
      return false;
  }
}

/** How it stands with the relay, in words. `channels`: how many this page has subscribed. */
export function statusWords(status: ClientStatus, nowMs: number, channels: number): StatusWords {
  switch (status.state) {
    case 'connecting':
      return { tone: 'doubt', short: 'Connecting', more: status.attempt > 1 ? `attempt ${status.attempt}` : '' };
    case 'unreachable': {
      const left = status.retryAtMs - nowMs;
      const why = endWords(status.code, status.reason);
      return {
        tone: 'bad',
        short: left > 0 ? `Reconnecting in ${countdown(left + 999)}` : 'Reconnecting',
        more: `attempt ${status.attempt}; ${why}`,
      };
    }
    case 'replaying':
      return {
        tone: 'doubt',
        short: `Replaying ${Math.min(status.channels.length, channels)} of ${channels}`,
        more: 'catching up with the relay',
      };
    case 'blind':
      return {
        tone: 'bad',
        short: status.sources === 'all' ? 'Relay is blind' : 'Relay is partly blind',
        more: status.sources === 'all' ? 'it cannot follow anything' : `it cannot follow ${status.sources.join(', ')}`,
      };
    case 'draining':
      return {
        tone: 'doubt',
        short: 'Relay shuts down',
        more: `this page moves in ${countdown(Math.max(1, status.retryAtMs - nowMs) + 999)}`,
      };
    case 'closed':
      return { tone: 'bad', short: 'Disconnected', more: status.error?.message ?? status.reason };
    case 'open':
      return { tone: 'good', short: 'Live', more: status.rttMs === undefined ? '' : milliseconds(status.rttMs) };
  }
}

function endWords(code: number, reason: string): string {
  if (reason !== '') return reason;
  switch (code) {
    case 0:
      return 'no token could be had';
    case 1001:
    case 1012:
      return 'the relay shut down or restarts';
    case 1006:
      return 'the connection broke, or the relay refused it';
    default:
      return `the relay closed with ${code}`;
  }
}

/** Why what is shown may not be believed. */
export function doubtWords(view: Exclude<View, 'live'>): string {
  switch (view) {
    case 'unreachable':
      return 'The relay cannot be heard.';
    case 'blind':
      return 'The relay itself cannot see what happens.';
    case 'replaying':
      return 'The page is catching up with the relay.';
  }
}
