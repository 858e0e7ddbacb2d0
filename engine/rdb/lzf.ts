/**
 * Decompresses LZF (Marc Lehmann's LibLZF), which Redis uses for strings of more than 20 bytes. Pure; about 1 ns a byte.
 *
 * ```
 * 000nnnnn                    n + 1 bytes follow as they are
 * lllooooo oooooooo           l from 1 to 6: l + 2 bytes again that lie o + 1 before the end of what there is
 * 111ooooo llllllll oooooooo  l + 9 bytes again
 * ```
 * Example: 02 61 62 63 | 20 02 is `abc` and then three bytes from three back: `abcabc`.
 */

/** One byte more stands for 264 at most, in a step of three. */
export const LZF_GREATEST_GAIN = 88;

/**
 * Expands `from[start, end)` to exactly `length` bytes at the front of `to`, which has room for them. False when the bytes
 * are not LZF, or not of that length; `to` may have been written to then.
 */
export function lzfExpand(from: Uint8Array, start: number, end: number, to: Uint8Array, length: number): boolean {
  let at = start;
  let out = 0;
  while (at < end) {
    const control = from[at++];
    if (control < 32) {
      const last = at + control + 1;
      if (last > end || out + control + 1 > length) return false;
      while (at < last) to[out++] = from[at++];
      continue;
    }
    let count = control >>> 5;
    if (count === 7) {
      if (at >= end) return false;
      count += from[at++];
    }
    if (at >= end) return false;
    let back = out - ((control & 31) << 8) - from[at++] - 1;
    const last = out + count + 2;
    if (back < 0 || last > length) return false;
    // Byte by byte: what is copied may reach into what it makes.
    while (out < last) to[out++] = to[back++];
  }
  return out === length;
}
