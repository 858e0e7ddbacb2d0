/**
 * Arithmetic on strings that read as numbers: INCR, DECR, INCRBY, DECRBY on the decimal text in place, INCRBYFLOAT.
 * Handlers; run under the shard's lock. Sums within 2^53 are made without BigInt and allocate nothing.
 */
import type { Offset } from '../arena.ts';
import type { Call } from '../call.ts';
import { ERR } from '../errors.ts';
import { createRecord, lookupWrite, resizeValue } from '../keyspace.ts';
import { addLongDouble, formatLongDouble, type LongDouble, parseLongDouble } from '../longdouble.ts';
import { HEAD_EXPIRY, HEAD_OF_VALUE, HEAD_RAW, HEAD_TEXT, TYPE_STRING, valueStart, valueWord } from '../record.ts';
import { isString, KEEP_EXPIRY, setString, stringLength, stringStart } from '../types/string.ts';

const INT64_MAX = 9223372036854775807n;
const INT64_MIN = -9223372036854775808n;
const encoder = new TextEncoder();

export function incr(c: Call): void {
  add(c, 1);
}

export function decr(c: Call): void {
  add(c, -1);
}

export function incrby(c: Call): void {
  if (!c.long(2)) return c.reply.error(ERR.NOT_INTEGER);
  if (c.exact) add(c, c.num);
  else addBig(c, c.big);
}

export function decrby(c: Call): void {
  if (!c.long(2)) return c.reply.error(ERR.NOT_INTEGER);
  if (c.exact) return add(c, -c.num);
  if (c.big === INT64_MIN) return c.reply.error(ERR.DECR_OVERFLOW);
  addBig(c, -c.big);
}

/** Numbers of up to so many digits, and sums with what is no larger, fit 31 bits. */
const SHORT_DIGITS = 9;
const SHORT_LIMIT = 10 ** SHORT_DIGITS;
/** By how many digits: the least number that has them. */
const LEAST = Int32Array.from({ length: SHORT_DIGITS + 2 }, (_, digits) => (digits < 2 ? 0 : 10 ** (digits - 1)));

/** Reads the integer of a record (0: no key, 0) into `c.num`; false after an error reply. */
function readInteger(c: Call, record: Offset): boolean {
  if (record === 0) {
    c.num = 0;
    c.exact = true;
    return true;
  }
  const a = c.arena;
  if (!isString(a, record)) {
    c.reply.error(ERR.WRONGTYPE);
    return false;
  }
  if (c.longAt(a.u8, stringStart(a, record), stringLength(a, record))) return true;
  c.reply.error(ERR.NOT_INTEGER);
  return false;
}

function add(c: Call, amount: number): void {
  const record = lookupWrite(c, 1);
  if (record !== 0 && addInPlace(c, record, amount)) return;
  if (!readInteger(c, record)) return;
  const sum = c.num + amount;
  if (!c.exact || !Number.isSafeInteger(sum)) return storeBigSum(c, record, c.bigNum + BigInt(amount));
  let size = sum < 0 ? -sum : sum;
  const length = decimalLength(size) + (sum < 0 ? 1 : 0);
  const to = integerRecord(c, record, length);
  const u8 = c.arena.u8;
  const start = valueStart(c.arena, to);
  let at = start + length;
  do {
    const rest = size <= 0x7fffffff ? ((size | 0) / 10) | 0 : Math.floor(size / 10);
    u8[--at] = 48 + (size - rest * 10);
    size = rest;
  } while (size !== 0);
  if (sum < 0) u8[start] = 45;
  c.dirty++;
  c.reply.int(sum);
}

/**
 * The usual case, a counter that stays as long as it was: writes only the digits that change, and the reply is a copy of them. False,
 * with nothing done, when it is another.
 */
function addInPlace(c: Call, record: Offset, amount: number): boolean {
  const a = c.arena;
  const length = valueWord(a, record);
  if ((a.u32[record >>> 2] & HEAD_OF_VALUE & ~HEAD_EXPIRY) !== TYPE_STRING) return false;
  if (length === 0 || length > SHORT_DIGITS || amount > SHORT_LIMIT || amount < -SHORT_LIMIT) return false;
  const u8 = a.u8;
  const start = valueStart(a, record);
  let at = start + length;
  let value = 0;
  for (let i = start; i < at; i++) {
    const digit = u8[i] - 48;
    if (digit < 0 || digit > 9) return false;
    value = (Math.imul(value, 10) + digit) | 0;
  }
  const sum = (value + amount) | 0;
  if (value < LEAST[length] || sum < LEAST[length] || sum >= LEAST[length + 1]) return false;
  let rest = sum;
  do {
    const higher = (rest / 10) | 0;
    u8[--at] = 48 + (rest - higher * 10);
    rest = higher;
    value = (value / 10) | 0;
  } while (rest !== value);
  c.dirty++;
  c.reply.intText(u8, start, length);
  return true;
}

/** The key's record with room for an integer's `length` digits as its inline value, its expiry as it was. */
function integerRecord(c: Call, record: Offset, length: number): Offset {
  if (record === 0) return createRecord(c, 1, TYPE_STRING, length);
  const to = resizeValue(c.arena, record, length);
  c.arena.u32[to >>> 2] &= ~(HEAD_RAW | HEAD_TEXT);
  return to;
}

function decimalLength(n: number): number {
  let length = 1;
  for (let limit = 10; n >= limit; limit *= 10) length++;
  return length;
}

function addBig(c: Call, amount: bigint): void {
  const record = lookupWrite(c, 1);
  if (readInteger(c, record)) storeBigSum(c, record, c.bigNum + amount);
}

function storeBigSum(c: Call, record: Offset, sum: bigint): void {
  if (sum > INT64_MAX || sum < INT64_MIN) return c.reply.error(ERR.OVERFLOW);
  const text = sum.toString();
  const to = integerRecord(c, record, text.length);
  const start = valueStart(c.arena, to);
  for (let i = 0; i < text.length; i++) c.arena.u8[start + i] = text.charCodeAt(i);
  c.dirty++;
  c.reply.bigInt(sum);
}

export function incrbyfloat(c: Call): void {
  const record = lookupWrite(c, 1);
  const a = c.arena;
  let value: LongDouble | undefined = { m: 0n, e: 0 };
  if (record !== 0) {
    if (!isString(a, record)) return c.reply.error(ERR.WRONGTYPE);
    value = parseLongDouble(a.u8, stringStart(a, record), stringLength(a, record));
  }
  const amount = value && parseLongDouble(c.buf, c.off[2], c.len[2]);
  if (value === undefined || amount === undefined) return c.reply.error(ERR.NOT_FLOAT);
  const sum = addLongDouble(value, amount);
  if (sum === undefined) return c.reply.error(ERR.NAN_OR_INFINITY);
  const text = encoder.encode(formatLongDouble(sum));
  const to = setString(c, 1, record, text, 0, text.length, KEEP_EXPIRY);
  a.u32[to >>> 2] |= HEAD_TEXT;
  c.dirty++;
  c.reply.bulk(text, 0, text.length);
}
