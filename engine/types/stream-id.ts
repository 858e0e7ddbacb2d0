/**
 * Stream ids: a time in milliseconds and a sequence number, 64 bits each. An id is four consecutive words of some
 * Uint32Array, the most significant first: in an arena's blocks and in scratch arrays alike, so that comparing and copying
 * need no objects. Any thread; a few nanoseconds each, but for texts that are not plain digits.
 *
 * ```
 * +0 u32 upper half of the time | +1 lower half | +2 upper half of the sequence | +3 lower half
 * ```
 * Example: `1526919030474-3` is 355, 2210706762, 0, 3.
 */
import type { Reply } from '../reply.ts';

/** Words in an id. */
export const ID_WORDS = 4;
export const ID_BYTES = 16;

const WORD = 4294967296;
const UINT64 = 1n << 64n;
const INT64_MIN = -(1n << 63n);

export function compareIds(one: Uint32Array, i: number, other: Uint32Array, j: number): number {
  for (let k = 0; k < ID_WORDS; k++) {
    const a = one[i + k];
    const b = other[j + k];
    if (a !== b) return a < b ? -1 : 1;
  }
  return 0;
}

export function copyId(to: Uint32Array, i: number, from: Uint32Array, j: number): void {
  to[i] = from[j];
  to[i + 1] = from[j + 1];
  to[i + 2] = from[j + 2];
  to[i + 3] = from[j + 3];
}

export function clearId(to: Uint32Array, i: number): void {
  to.fill(0, i, i + ID_WORDS);
}

export function maximumId(to: Uint32Array, i: number): void {
  to.fill(0xffffffff, i, i + ID_WORDS);
}

export function isZeroId(id: Uint32Array, i: number): boolean {
  return (id[i] | id[i + 1] | id[i + 2] | id[i + 3]) === 0;
}

/** Makes it the next id; from the highest on it becomes 0-0, and the result is false. */
export function incrementId(id: Uint32Array, i: number): boolean {
  for (let k = i + ID_WORDS - 1; k >= i; k--) {
    id[k]++;
    if (id[k] !== 0) return true;
  }
  return false;
}

/** Makes it the id before; 0-0 becomes the highest, and the result is false. */
export function decrementId(id: Uint32Array, i: number): boolean {
  for (let k = i + ID_WORDS - 1; k >= i; k--) {
    id[k]--;
    if (id[k] !== 0xffffffff) return true;
  }
  return false;
}

/**
 * The id that `*` stands for: of the time in `clock`, or the one after `last` when the clock is not ahead of it. (The clock
 * comes in an object since a number of its size would be made one, per call.)
 */
export function nextId(
  to: Uint32Array,
  i: number,
  last: Uint32Array,
  j: number,
  clock: { readonly nowMs: number },
): void {
  to[i] = clock.nowMs / WORD;
  to[i + 1] = clock.nowMs;
  to[i + 2] = 0;
  to[i + 3] = 0;
  if (to[i] > last[j] || (to[i] === last[j] && to[i + 1] > last[j + 1])) return;
  copyId(to, i, last, j);
  incrementId(to, i);
}

/** Results of `parseId`. */
export const ID_INVALID = 0;
export const ID_GIVEN = 1;
/** The id was written `<time>-*`: the sequence, 0 for now, is to be chosen. */
export const ID_AUTO_SEQUENCE = 2;

const MAX_ID_BYTES = 127;
const DASH = 45;
const STAR = 42;

/** Reads `<time>` or `<time>-<sequence>` into `to`; without a sequence, both words of it become `missing`. */
export function parseId(
  buf: Uint8Array,
  start: number,
  length: number,
  missing: number,
  to: Uint32Array,
  i: number,
): number {
  if (length > MAX_ID_BYTES) return ID_INVALID;
  // Redis reads a C string: nothing counts from the first NUL on.
  let end = start;
  while (end < start + length && buf[end] !== 0) end++;
  let dash = start;
  while (dash < end && buf[dash] !== DASH) dash++;
  if (!parseUnsigned(buf, start, dash, to, i)) return ID_INVALID;
  if (dash === end) {
    to[i + 2] = missing;
    to[i + 3] = missing;
    return ID_GIVEN;
  }
  if (end - dash === 2 && buf[dash + 1] === STAR) {
    to[i + 2] = 0;
    to[i + 3] = 0;
    return ID_AUTO_SEQUENCE;
  }
  return parseUnsigned(buf, dash + 1, end, to, i + 2) ? ID_GIVEN : ID_INVALID;
}

const MAX_SAFE_DIGITS = 15;

/** Reads a whole unsigned 64-bit number into two words. */
function parseUnsigned(buf: Uint8Array, start: number, end: number, to: Uint32Array, i: number): boolean {
  if (start === end || end - start > MAX_SAFE_DIGITS) return parseSlowly(buf, start, end, to, i);
  let value = 0;
  for (let at = start; at < end; at++) {
    const digit = buf[at] - 48;
    if (digit < 0 || digit > 9) return parseSlowly(buf, start, end, to, i);
    value = value * 10 + digit;
  }
  to[i] = value / WORD;
  to[i + 1] = value;
  return true;
}

/** What C's strtoull takes: white space before it, a sign, and a negative number for its complement to 2^64. */
const STRTOULL = /^[ \t\n\v\f\r]*([+-]?)(\d+)$/;
/** What Redis reads as a signed integer first, and then refuses when it is negative. */
const PLAIN_NEGATIVE = /^-[1-9]\d*$/;

function parseSlowly(buf: Uint8Array, start: number, end: number, to: Uint32Array, i: number): boolean {
  const text = String.fromCharCode(...buf.subarray(start, end));
  const match = STRTOULL.exec(text);
  if (match === null) return false;
  let value = BigInt(match[2]);
  if (value >= UINT64) return false;
  if (match[1] === '-') {
    if (PLAIN_NEGATIVE.test(text) && -value >= INT64_MIN) return false;
    value = BigInt.asUintN(64, -value);
  }
  to[i] = Number(value >> 32n);
  to[i + 1] = Number(value & 0xffffffffn);
  return true;
}

/** Two numbers of up to 20 digits and a dash. */
const text = new Uint8Array(41);

/** Writes the id as a bulk string. */
export function replyId(reply: Reply, id: Uint32Array, i: number): void {
  let end = writeUnsigned(0, id, i);
  text[end++] = DASH;
  end = writeUnsigned(end, id, i + 2);
  reply.bulk(text, 0, end);
}

const BILLION = 1e9;
const SAFE_UPPER = 1 << 21;

/** Writes the digits of the 64-bit number in two words at `at` of `text`; returns where they end. */
function writeUnsigned(at: number, words: Uint32Array, i: number): number {
  if (words[i] >= SAFE_UPPER) return writeLarge(at, words[i], words[i + 1]);
  const value = words[i] * WORD + words[i + 1];
  if (value < BILLION) return writeDigits(at, value | 0, digitsIn(value | 0));
  const billions = Math.floor(value / BILLION) | 0;
  const middle = writeDigits(at, billions, digitsIn(billions));
  return writeDigits(middle, (value - billions * BILLION) | 0, 9);
}

function writeLarge(at: number, upper: number, lower: number): number {
  const digits = ((BigInt(upper) << 32n) | BigInt(lower)).toString();
  for (let k = 0; k < digits.length; k++) text[at + k] = digits.charCodeAt(k);
  return at + digits.length;
}

/** How many decimal digits a number below 2^31 has. */
function digitsIn(value: number): number {
  let count = 1;
  for (let limit = 10; count < 10 && value >= limit; limit *= 10) count++;
  return count;
}

/** Writes exactly `count` digits of a number below 2^31. */
function writeDigits(at: number, value: number, count: number): number {
  for (let k = at + count - 1; k >= at; k--) {
    const rest = (value / 10) | 0;
    text[k] = 48 + (value - rest * 10);
    value = rest;
  }
  return at + count;
}
