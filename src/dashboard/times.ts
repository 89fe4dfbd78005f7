const SECOND = 1_000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

const two = (n: number): string => String(n).padStart(2, '0');

/**
 * The time that is left, never more than there is: `59:59`, `5:12:09`, `3 d 04 h`; `ended` from zero on.
 */
export function countdown(ms: number): string {
  if (Number.isNaN(ms)) return '';
  if (ms <= 0) return 'ended';
  const seconds = Math.floor(ms / SECOND);
  if (ms < HOUR) return `${Math.floor(seconds / 60)}:${two(seconds % 60)}`;
  if (ms < DAY) return `${Math.floor(ms / HOUR)}:${two(Math.floor((ms % HOUR) / MINUTE))}:${two(seconds % 60)}`;
  const days = Math.floor(ms / DAY);
  return days < 100 ? `${days} d ${two(Math.floor((ms % DAY) / HOUR))} h` : `${days} d`;
}

/** How long ago, in one unit: `4 s`, `12 min`, `3 h`, `2 d`. What lies ahead, by clocks that differ, is `0 s`. */
export function ago(ms: number): string {
  if (Number.isNaN(ms)) return '';
  if (ms < MINUTE) return `${Math.floor(Math.max(0, ms) / SECOND)} s`;
  if (ms < HOUR) return `${Math.floor(ms / MINUTE)} min`;
  if (ms < DAY) return `${Math.floor(ms / HOUR)} h`;
  return `${Math.floor(ms / DAY)} d`;
}

/** The time of day on this machine, `03:12:45`. */
export function clockTime(ms: number): string {
  const date = new Date(ms);
  if (Number.isNaN(date.getTime())) return '';
  return `${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}`;
}

/** {@link clockTime} with the day before it where it is another day than `now`. */
export function moment(ms: number, now: number): string {
  const date = new Date(ms);
  if (Number.isNaN(date.getTime())) return '';
  const day = `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())}`;
  return new Date(now).toDateString() === date.toDateString() ? clockTime(ms) : `${day} ${clockTime(ms)}`;
}

/** `UTC`, `UTC+1`, `UTC-3:30`: what this machine's times are in. */
export function zone(ms: number): string {
  const minutes = -new Date(ms).getTimezoneOffset();
  if (minutes === 0) return 'UTC';
  const whole = Math.floor(Math.abs(minutes) / 60);
  const rest = Math.abs(minutes) % 60;
  return `UTC${minutes < 0 ? '-' : '+'}${whole}${rest === 0 ? '' : `:${two(rest)}`}`;
}

/** A short duration: `<1 ms`, `12 ms`, `12.3 s`. */
export function milliseconds(ms: number): string {
  if (ms < 1) return '<1 ms';
  return ms < SECOND ? `${Math.round(ms)} ms` : `${(ms / SECOND).toFixed(1)} s`;
}

/** `1 session`, `2 sessions`. */
export function counted(count: number, what: string): string {
  return `${count} ${what}${count === 1 ? '' : 's'}`;
}
