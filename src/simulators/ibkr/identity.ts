import type { Random } from '../../net/clock.js';
import { drawHex } from './hex.js';

/** What a gateway tells of its machine and of the broker's server; drawn once. */
export interface Identity {
  readonly mac: string;
  readonly hardwareInfo: string;
  readonly serverName: string;
  readonly serverVersion: string;
  /** `sessionId` of the frame `act`; no credential. */
  readonly tradingSession: string;
}

export function drawIdentity(random: Random): Identity {
  const mac = Array.from({ length: 6 }, () => drawHex(random, 2).toUpperCase()).join(':');
  return {
    mac,
    hardwareInfo: `${drawHex(random, 8)}|${mac}`,
    serverName: `JifZ${10_000 + Math.floor(random() * 90_000)}`,
    serverVersion: 'Build 10.45.1a, Apr 22, 2026 1:39:05 PM',
    tradingSession: `${drawHex(random, 8)}.${drawHex(random, 8)}`,
  };
}
