import { pino } from 'pino';
import type { Log } from '../net/log.js';
import type { Output } from './args.js';

export const LOG_LEVELS = ['debug', 'info', 'warn', 'error', 'silent'] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];

/** What must never be read in a log, whatever passed it in: a second line of defence behind the callers' own care. */
const SECRET_PATHS = [
  'clientSecret',
  'client_secret',
  'consumerKey',
  'userSecret',
  'credentials',
  'password',
  'token',
  'accessToken',
  'access_token',
  'refreshToken',
  'refresh_token',
  'sid',
  'SID',
  'secretKey',
  'secret',
  'signature',
  'authorization',
  'Authorization',
  'cookie',
  'Cookie',
  'key_current',
  'keyCurrent',
].flatMap((name) => [name, `*.${name}`]);

/** JSON lines, each written at once: what was said before a crash has been said. */
export function createLog(level: LogLevel, output: Output): Log {
  const logger = pino(
    {
      level,
      base: null,
      timestamp: pino.stdTimeFunctions.isoTime,
      redact: { paths: SECRET_PATHS, censor: '[redacted]' },
    },
    { write: (line: string) => void output.write(line) },
  );
  return {
    debug: (message, fields) => logger.debug(fields ?? {}, message),
    info: (message, fields) => logger.info(fields ?? {}, message),
    warn: (message, fields) => logger.warn(fields ?? {}, message),
    error: (message, fields) => logger.error(fields ?? {}, message),
  };
}
