import { type MaintenanceWindow, WEEKDAYS } from './options.js';

/** The tag of what happens while an outage is expected. */
export const MAINTENANCE_SUSPECTED = 'maintenance_suspected';

const DAY_MINUTES = 1_440;
const DAY_NAMES: readonly string[] = WEEKDAYS;

/** Whether one of the windows is open at `nowMs` (ms since the epoch). */
export function isMaintenance(windows: readonly MaintenanceWindow[], nowMs: number): boolean {
  return windows.some((window) => isOpen(window, nowMs));
}

function isOpen({ zone, days, from, to }: MaintenanceWindow, nowMs: number): boolean {
  const local = localTime(zone, nowMs);
  const begin = minutesOf(from);
  const end = minutesOf(to) > begin ? minutesOf(to) : minutesOf(to) + DAY_MINUTES;
  const begins = (day: number): boolean => {
    const name = WEEKDAYS[(day + WEEKDAYS.length) % WEEKDAYS.length];
    return name !== undefined && days.includes(name);
  };
  const today = begins(local.day) && local.minutes >= begin && local.minutes < end;
  const sinceYesterday = local.minutes + DAY_MINUTES;
  return today || (begins(local.day - 1) && sinceYesterday < end);
}

function minutesOf(time: string): number {
  const [hours = 0, minutes = 0] = time.split(':').map(Number);
  return hours * 60 + minutes;
}

/** Day of the week (0: Sunday) and minutes since midnight, in a time zone. */
function localTime(zone: string, nowMs: number): { readonly day: number; readonly minutes: number } {
  const parts = new Intl.DateTimeFormat('en-US', {
    timeZone: zone,
    weekday: 'short',
    hour: '2-digit',
    minute: '2-digit',
    hourCycle: 'h23',
  }).formatToParts(nowMs);
  const part = (type: string): string => parts.find((one) => one.type === type)?.value ?? '';
  const weekday = part('weekday').toLowerCase();
  const day = DAY_NAMES.indexOf(weekday);
  return { day, minutes: Number(part('hour')) * 60 + Number(part('minute')) };
}
