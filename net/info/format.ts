/** How INFO writes numbers. */

const UNITS = ['K', 'M', 'G', 'T', 'P'];

/** `894.80K`: bytes in the largest unit that leaves a whole number before the point. */
export function humanBytes(bytes: number): string {
  if (bytes < 1024) return `${bytes}B`;
  let value = bytes / 1024;
  let unit = 0;
  for (; value >= 1024 && unit < UNITS.length - 1; unit++) value /= 1024;
  return `${value.toFixed(2)}${UNITS[unit]}`;
}

export function ratio(part: number, whole: number): number {
  return whole === 0 ? 0 : part / whole;
}

export function percent(part: number, whole: number): string {
  return `${(ratio(part, whole) * 100).toFixed(2)}%`;
}
