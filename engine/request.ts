/**
 * One request: ranges of bytes in somebody else's buffer (a socket's read buffer or a ring). Reused for every
 * command of a thread. Argument 0 is the command's name. The bytes belong to the buffer's owner and are valid
 * only while the command runs.
 */

const MAX_SAFE_DIGITS = 15;
const INT64_MAX = 9223372036854775807n;
const INT64_MIN = -9223372036854775808n;

const NO_BYTES = new Uint8Array(0);
const NO_VIEW = new DataView(NO_BYTES.buffer);

const decoder = new TextDecoder();

export class Request {
  private bytesOf: Uint8Array = NO_BYTES;
  /** The same bytes as `buf`, for words at any offset. */
  view: DataView = NO_VIEW;
  argc = 0;
  /** Where argument i begins in `buf`, and its length in bytes. */
  off: Int32Array = new Int32Array(64);
  len: Int32Array = new Int32Array(64);

  /** The results of `long`: the number, rounded when it does not fit a double exactly; then `exact` is false and `big` holds it. */
  num = 0;
  exact = true;
  big = 0n;

  /** Where the arguments' bytes lie. */
  get buf(): Uint8Array {
    return this.bytesOf;
  }

  set buf(bytes: Uint8Array) {
    if (bytes === this.bytesOf) return;
    this.bytesOf = bytes;
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  /** Makes room for `count` arguments. */
  reserveArgs(count: number): void {
    if (count <= this.off.length) return;
    let capacity = this.off.length * 2;
    while (capacity < count) capacity *= 2;
    const off = new Int32Array(capacity);
    const len = new Int32Array(capacity);
    off.set(this.off);
    len.set(this.len);
    this.off = off;
    this.len = len;
  }

  /** Drops the first `count` arguments: what they were in front of is a request of its own. */
  shift(count: number): void {
    this.argc -= count;
    this.off.copyWithin(0, count, count + this.argc);
    this.len.copyWithin(0, count, count + this.argc);
  }

  /** Puts arguments in front that `shift` took away. */
  unshift(off: Int32Array, len: Int32Array): void {
    const count = off.length;
    this.off.copyWithin(count, 0, this.argc);
    this.len.copyWithin(count, 0, this.argc);
    this.off.set(off);
    this.len.set(len);
    this.argc += count;
  }

  /** Whether argument i is the word `upper` (ASCII, given in upper case), in any case. */
  is(i: number, upper: string): boolean {
    const length = upper.length;
    if (this.len[i] !== length) return false;
    const start = this.off[i];
    for (let k = 0; k < length; k++) {
      let byte = this.buf[start + k];
      if (byte >= 97 && byte <= 122) byte -= 32;
      if (byte !== upper.charCodeAt(k)) return false;
    }
    return true;
  }

  /** Whether arguments i and j hold the same bytes. */
  same(i: number, j: number): boolean {
    const length = this.len[i];
    if (length !== this.len[j]) return false;
    for (let k = 0; k < length; k++) if (this.buf[this.off[i] + k] !== this.buf[this.off[j] + k]) return false;
    return true;
  }

  /**
   * Reads argument i as a signed 64-bit integer by Redis's strict rule (no spaces, no plus sign, no leading zeros, no
   * `-0`), leaving it in `num` (and in `big` when `exact` is false). False when it is not one.
   */
  long(i: number): boolean {
    return this.longAt(this.buf, this.off[i], this.len[i]);
  }

  /** `long` for bytes anywhere, a value in an arena for example. */
  longAt(buf: Uint8Array, start: number, length: number): boolean {
    if (length === 0 || length > 20) return false;
    let at = start;
    const end = start + length;
    const negative = buf[at] === 45;
    if (negative) at++;
    const digits = end - at;
    if (digits === 0) return false;
    const first = buf[at] - 48;
    if (first < 0 || first > 9) return false;
    if (first === 0 && (digits > 1 || negative)) return false;
    if (digits > MAX_SAFE_DIGITS) return this.longSlow(buf, start, end);
    let value = first;
    for (at++; at < end; at++) {
      const digit = buf[at] - 48;
      if (digit < 0 || digit > 9) return false;
      value = value * 10 + digit;
    }
    this.num = negative ? -value : value;
    this.exact = true;
    return true;
  }

  private longSlow(buf: Uint8Array, start: number, end: number): boolean {
    const digitsFrom = buf[start] === 45 ? start + 1 : start;
    for (let i = digitsFrom; i < end; i++) if (buf[i] < 48 || buf[i] > 57) return false;
    const value = BigInt(String.fromCharCode(...buf.subarray(start, end)));
    if (value > INT64_MAX || value < INT64_MIN) return false;
    this.num = Number(value);
    this.exact = Number.isSafeInteger(this.num);
    this.big = value;
    return true;
  }

  /** The integer last read by `long`, as a BigInt whatever its size. */
  get bigNum(): bigint {
    return this.exact ? BigInt(this.num) : this.big;
  }

  /** Argument i as text (UTF-8, bad bytes replaced). Allocates: for the cold side. */
  str(i: number): string {
    return decoder.decode(this.bytes(i));
  }

  /**
   * Argument i as an error text shows it, like C's `%s`: one character per byte, up to the first NUL, at most `limit`.
   */
  shown(i: number, limit = this.len[i]): string {
    const end = this.off[i] + Math.min(this.len[i], limit);
    let text = '';
    for (let at = this.off[i]; at < end && this.buf[at] !== 0; at++) text += String.fromCharCode(this.buf[at]);
    return text;
  }

  /** A copy of argument i's bytes. Allocates. */
  bytes(i: number): Uint8Array {
    return this.buf.slice(this.off[i], this.off[i] + this.len[i]);
  }

  /**
   * Reads argument i as a double the way Redis's getDoubleFromObject does: the whole argument must be a number as C's
   * strtod reads it (decimal, hexadecimal, inf, infinity), no spaces, not NaN. Returns NaN when it is not one.
   */
  double(i: number): number {
    return parseDouble(this.buf, this.off[i], this.len[i]);
  }
}

/** One way to match any text, so that the time stays linear. */
const DECIMAL = /^[+-]?(\d+(\.\d*)?|\.\d+)(e[+-]?\d+)?$/i;
const INFINITE = /^[+-]?inf(inity)?$/i;
const HEXADECIMAL = /^([+-]?)0x([0-9a-f]*)(?:\.([0-9a-f]*))?(?:p([+-]?\d+))?$/i;

/** 10^0 to 10^15: exact, so that a quotient of two exact numbers is rounded once, as strtod rounds. */
const POWERS_OF_TEN = Array.from({ length: 16 }, (_, exponent) => 10 ** exponent);

/** Numbers longer than this are taken for none; 1e308 with all its digits has 309. */
const MAX_NUMBER_BYTES = 64 * 1024;

/**
 * See Request.double. NaN for anything that is not a number, and for what a double cannot tell from infinity or 0;
 * with `lax` those are infinity and 0.
 */
export function parseDouble(buf: Uint8Array, start: number, length: number, lax = false): number {
  if (length === 0 || length > MAX_NUMBER_BYTES) return Number.NaN;
  // The common case, up to 15 digits with or without sign and point, without a string.
  if (length <= 17) {
    const negative = buf[start] === 45;
    const first = negative ? 1 : 0;
    let value = 0;
    let point = -1;
    let i = first;
    for (; i < length; i++) {
      const digit = buf[start + i] - 48;
      if (digit >= 0 && digit <= 9) value = value * 10 + digit;
      else if (digit === -2 && point < 0) point = i;
      else break;
    }
    const digits = length - first - (point < 0 ? 0 : 1);
    if (i === length && digits > 0 && digits <= 15) {
      if (point >= 0) value /= POWERS_OF_TEN[length - 1 - point];
      return negative ? -value : value;
    }
  }
  if (isInf(buf, start, length)) return buf[start] === 45 ? Number.NEGATIVE_INFINITY : Number.POSITIVE_INFINITY;
  const text = String.fromCharCode(...buf.subarray(start, start + length));
  if (INFINITE.test(text)) return text[0] === '-' ? Number.NEGATIVE_INFINITY : Number.POSITIVE_INFINITY;
  const decimal = DECIMAL.test(text);
  const value = decimal ? Number(text) : parseHexadecimal(text);
  if (lax || Number.isNaN(value)) return value;
  const mantissaIsNotZero = decimal ? /^[^e]*[1-9]/i : /x[^p]*[1-9a-f]/i;
  const lost = value === 0 ? mantissaIsNotZero.test(text) : !Number.isFinite(value);
  return lost ? Number.NaN : value;
}

/** Whether the bytes are `inf` in any case, with or without a sign: the usual open end of a range, without a string. */
function isInf(buf: Uint8Array, start: number, length: number): boolean {
  const signed = buf[start] === 43 || buf[start] === 45;
  const i = signed ? start + 1 : start;
  if (length !== (signed ? 4 : 3)) return false;
  return (buf[i] | 32) === 105 && (buf[i + 1] | 32) === 110 && (buf[i + 2] | 32) === 102;
}

function parseHexadecimal(text: string): number {
  const hex = HEXADECIMAL.exec(text);
  if (hex === null || (hex[2] === '' && (hex[3] ?? '') === '')) return Number.NaN;
  const fraction = hex[3] ?? '';
  const digits = Number.parseInt(`${hex[2]}${fraction}`, 16);
  const value = digits * 2 ** (Number(hex[4] ?? 0) - 4 * fraction.length);
  return hex[1] === '-' ? -value : value;
}

/** From the first byte of the first argument to the last of the last. */
export function requestBytes({ argc, off, len }: Request): number {
  return off[argc - 1] + len[argc - 1] - off[0];
}
