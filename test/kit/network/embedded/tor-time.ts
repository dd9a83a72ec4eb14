/** Times as tor writes them. */

/** `2026-01-01 00:00:00`, from unix seconds. */
export function isoTime(seconds: number): string {
  return new Date(seconds * 1000).toISOString().slice(0, 19).replace('T', ' ');
}

/** `2026-01-01T00:00:00.000000`, from unix milliseconds. */
export function microsecondTime(milliseconds: number): string {
  return new Date(Math.floor(milliseconds)).toISOString().slice(0, 23) + '000';
}
