/**
 * How large a stream's node would be in Redis, whose nodes are listpacks: the limit stream-node-max-bytes counts their
 * bytes, and where one node ends and the next begins is visible in what `XTRIM MAXLEN ~` drops. Pure; called once per
 * field or value added.
 *
 * In a listpack a string that is the decimal text of an integer is kept as that integer, in 1 to 9 bytes, any other with
 * 1, 2 or 5 bytes before it; the length of all that follows it, in 1 to 5 bytes.
 */

/** An empty listpack: total bytes, count of elements, end mark. */
export const LISTPACK_BYTES = 7;

/** The element of a signed 64-bit integer in two words. */
export function listpackInteger(upper: number, lower: number): number {
  if (upper === 0) {
    if (lower <= 4095) return lower <= 127 ? 2 : 3;
    if (lower <= 0x7fffff) return lower <= 0x7fff ? 4 : 5;
    return lower <= 0x7fffffff ? 6 : 10;
  }
  const value = lower | 0;
  if (upper !== 0xffffffff || value >= 0) return 10;
  if (value >= -32768) return value >= -4096 ? 3 : 4;
  return value >= -0x800000 ? 5 : 6;
}

/** The element of a string. */
export function listpackString(buf: Uint8Array, start: number, length: number): number {
  const first = buf[start];
  if (length > 0 && length <= 20 && first <= 57 && (first >= 48 || first === MINUS)) {
    const bytes = integerText(buf, start, length);
    if (bytes > 0) return bytes;
  }
  const bytes = length + (length < 64 ? 1 : length < 4096 ? 2 : 5);
  if (bytes <= 127) return bytes + 1;
  if (bytes < 16383) return bytes + 2;
  return bytes + (bytes < 2097151 ? 3 : bytes < 268435455 ? 4 : 5);
}

const MINUS = 45;
/** Any whole number of so many digits fits 64 bits, and needs all of them from 11 digits on. */
const SAFE_DIGITS = 18;
const INT64_MAX_DIGITS = '9223372036854775807';
const INT64_MIN_DIGITS = '9223372036854775808';

/** The bytes of the integer that the text stands for; 0 when it is not the one decimal text of a signed 64-bit integer. */
function integerText(buf: Uint8Array, start: number, length: number): number {
  const negative = buf[start] === MINUS;
  const from = negative ? start + 1 : start;
  const end = start + length;
  const digits = end - from;
  if (digits === 0 || (buf[from] === 48 && length > 1)) return 0;
  let value = 0;
  for (let at = from; at < end; at++) {
    const digit = buf[at] - 48;
    if (digit < 0 || digit > 9) return 0;
    value = value * 10 + digit;
  }
  if (digits > SAFE_DIGITS && !fitsInt64(buf, from, digits, negative)) return 0;
  if (value > 0x80000000) return 10;
  if (negative) value = -value;
  return listpackInteger(value < 0 ? 0xffffffff : 0, value >>> 0);
}

function fitsInt64(buf: Uint8Array, from: number, digits: number, negative: boolean): boolean {
  const limit = negative ? INT64_MIN_DIGITS : INT64_MAX_DIGITS;
  if (digits !== limit.length) return false;
  for (let i = 0; i < digits; i++) {
    const difference = buf[from + i] - limit.charCodeAt(i);
    if (difference !== 0) return difference < 0;
  }
  return true;
}
