/**
 * Numbers as INCRBYFLOAT and HINCRBYFLOAT see them. Redis computes in C's long double, on x86-64 a binary float with a
 * mantissa of 64 bits, and prints with `%.17Lf`. Replies are to match to the last digit, so this does the same
 * arithmetic in BigInts: a value is m * 2^e, and reading and adding round to 64 bits, half to even, as the hardware does.
 * About a microsecond per operation; any thread; holds no state.
 *
 * Example: 0.1 is read as 14757395258967641293 * 2^-67 (error 1e-21), and 0.1 + 0.2 prints as 0.3; doubles would give
 * 0.30000000000000004.
 */

/** The value m * 2^e; `m` is 2^64 at most in size. `m` +1 or -1 with `e` Infinity is an infinity. */
export interface LongDouble {
  m: bigint;
  e: number;
}

const MANTISSA_BITS = 64;
/** The exponent of the lowest bit of the smallest number, and the first power of two that is too large. */
const MIN_EXPONENT = -16445;
const OVERFLOW_EXPONENT = 16384;
/** Longer texts are not numbers to Redis (its buffer). */
const MAX_TEXT_BYTES = 5 * 1024 - 1;
/** Digits before the decimal point from which a number overflows whatever they are, and zeros behind it that make it zero. */
const DECIMAL_LIMIT = 5000;
/** Digits printed behind the decimal point. */
const PRINTED_DIGITS = 17;
const PRINTED_SCALE = 10n ** BigInt(PRINTED_DIGITS);

const DECIMAL = /^([+-]?)(\d*)(?:\.(\d*))?(?:e([+-]?\d+))?$/i;
const INFINITE = /^([+-]?)inf(?:inity)?$/i;
const HEXADECIMAL = /^([+-]?)0x([0-9a-f]*)(?:\.([0-9a-f]*))?(?:p([+-]?\d+))?$/i;

/** Reads what C's strtold reads and Redis accepts; undefined for anything else, too large or too small to be told from 0. */
export function parseLongDouble(buf: Uint8Array, start: number, length: number): LongDouble | undefined {
  if (length === 0 || length > MAX_TEXT_BYTES) return undefined;
  let text = '';
  for (let i = 0; i < length; i++) text += String.fromCharCode(buf[start + i]);
  const infinite = INFINITE.exec(text);
  if (infinite !== null) return { m: infinite[1] === '-' ? -1n : 1n, e: Number.POSITIVE_INFINITY };
  const hex = HEXADECIMAL.exec(text);
  const match = hex ?? DECIMAL.exec(text);
  if (match === null) return undefined;
  const [, sign, whole, fraction = '', exponentText = '0'] = match;
  const digits = whole + fraction;
  if (digits === '') return undefined;
  const mantissa = BigInt(hex === null ? digits : `0x${digits}`);
  const value =
    hex === null
      ? fromDecimal(mantissa, digits.length, fraction.length, Number(exponentText))
      : fromBinary(mantissa, Number(exponentText) - 4 * fraction.length);
  if (value !== undefined && sign === '-') value.m = -value.m;
  return value;
}

/** digits * 10^(exponent - fractionDigits), rounded. */
function fromDecimal(digits: bigint, count: number, fractionDigits: number, exponent: number): LongDouble | undefined {
  if (digits === 0n) return { m: 0n, e: 0 };
  const scale = exponent - fractionDigits;
  if (scale > DECIMAL_LIMIT || scale + count < -DECIMAL_LIMIT) return undefined;
  const value = scale >= 0 ? rounded(digits * 10n ** BigInt(scale), 1n) : rounded(digits, 10n ** BigInt(-scale));
  return value.m === 0n || value.e === Number.POSITIVE_INFINITY ? undefined : value;
}

function fromBinary(digits: bigint, exponent: number): LongDouble | undefined {
  if (digits === 0n) return { m: 0n, e: 0 };
  const top = exponent + bitLength(digits);
  if (top > OVERFLOW_EXPONENT || top < MIN_EXPONENT) return undefined;
  const value = exponent >= 0 ? rounded(digits << BigInt(exponent), 1n) : rounded(digits, 1n << BigInt(-exponent));
  return value.m === 0n || value.e === Number.POSITIVE_INFINITY ? undefined : value;
}

function bitLength(n: bigint): number {
  const hex = n.toString(16);
  return hex.length * 4 - Math.clz32(Number.parseInt(hex[0], 16)) + 28;
}

/** numerator / denominator, both positive, rounded to a mantissa of 64 bits, half to even. */
function rounded(numerator: bigint, denominator: bigint): LongDouble {
  // The quotient of numbers of p and q bits has p - q or p - q + 1 bits.
  let shift = MANTISSA_BITS - (bitLength(numerator) - bitLength(denominator));
  if (quotientBits(numerator, denominator, shift) > MANTISSA_BITS) shift--;
  if (-shift < MIN_EXPONENT) shift = -MIN_EXPONENT;
  const n = shift > 0 ? numerator << BigInt(shift) : numerator;
  const d = shift < 0 ? denominator << BigInt(-shift) : denominator;
  let m = n / d;
  const twiceRest = (n % d) * 2n;
  if (twiceRest > d || (twiceRest === d && (m & 1n) === 1n)) m++;
  if (m !== 0n && bitLength(m) - shift > OVERFLOW_EXPONENT) return { m: 1n, e: Number.POSITIVE_INFINITY };
  return { m, e: -shift };
}

function quotientBits(numerator: bigint, denominator: bigint, shift: number): number {
  const n = shift > 0 ? numerator << BigInt(shift) : numerator;
  const d = shift < 0 ? denominator << BigInt(-shift) : denominator;
  return bitLength(n / d);
}

/** x + y, rounded; undefined when that is infinite or not a number. */
export function addLongDouble(x: LongDouble, y: LongDouble): LongDouble | undefined {
  if (x.e === Number.POSITIVE_INFINITY || y.e === Number.POSITIVE_INFINITY) return undefined;
  const e = Math.min(x.e, y.e);
  const sum = (x.m << BigInt(x.e - e)) + (y.m << BigInt(y.e - e));
  if (sum === 0n) return { m: 0n, e: 0 };
  const size = sum < 0n ? -sum : sum;
  const value = e >= 0 ? rounded(size << BigInt(e), 1n) : rounded(size, 1n << BigInt(-e));
  if (value.e === Number.POSITIVE_INFINITY) return undefined;
  if (sum < 0n) value.m = -value.m;
  return value;
}

/** C's `%.17Lf` without the zeros at its end; never `-0`. For finite values. */
export function formatLongDouble(value: LongDouble): string {
  const size = value.m < 0n ? -value.m : value.m;
  let scaled = size * PRINTED_SCALE;
  if (value.e >= 0) {
    scaled <<= BigInt(value.e);
  } else {
    const bits = BigInt(-value.e);
    const rest = scaled & ((1n << bits) - 1n);
    const half = 1n << (bits - 1n);
    scaled >>= bits;
    if (rest > half || (rest === half && (scaled & 1n) === 1n)) scaled++;
  }
  if (scaled === 0n) return '0';
  const digits = scaled.toString().padStart(PRINTED_DIGITS + 1, '0');
  const point = digits.length - PRINTED_DIGITS;
  const text = `${digits.slice(0, point)}.${digits.slice(point)}`.replace(/\.?0+$/, '');
  return value.m < 0n ? `-${text}` : text;
}
