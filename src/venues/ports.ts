import { type Log, silentLog } from '../net/log.js';
import { systemClock } from '../net/timer.js';
import { createHttpClient } from '../net/undici-http.js';
import { connectWs } from '../net/ws-socket.js';
import type { VenuePorts } from './venue.js';

/** The outside world as it is: the machine's clock, real sockets. */
export function realPorts(log: Log = silentLog): VenuePorts {
  return { clock: systemClock, random: Math.random, connect: connectWs, http: createHttpClient, log };
}
