/**
 * `disabled_date` of the vendor's spec: `2022-01-21 15:11:19.217000-05:00`, with a space, microseconds and the offset of
 * wherever it was written.
 */
export function spacedDate(ms: number, offsetMinutes: number): string {
  const local = new Date(ms + offsetMinutes * 60_000).toISOString();
  const size = Math.abs(offsetMinutes);
  const offset = `${offsetMinutes < 0 ? '-' : '+'}${twoDigits(Math.floor(size / 60))}:${twoDigits(size % 60)}`;
  return `${local.slice(0, 10)} ${local.slice(11, 23)}000${offset}`;
}

/** `eventTimestamp` of the vendor's samples: `2022-05-31T11:37:50.590720+00:00`. */
export function eventDate(ms: number): string {
  return `${new Date(ms).toISOString().slice(0, 23)}000+00:00`;
}

/** Every other date: `2022-01-21T20:11:19.217000Z`. */
export function isoDate(ms: number): string {
  return `${new Date(ms).toISOString().slice(0, 23)}000Z`;
}

function twoDigits(value: number): string {
  return String(value).padStart(2, '0');
}
