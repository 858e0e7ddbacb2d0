/**
 * Arithmetic on strings that read as numbers: INCR, DECR, INCRBY, DECRBY on the decimal text in place, INCRBYFLOAT.
 * Handlers; run under the shard's lock. Sums within 2^53 are made without BigInt and allocate nothing.
 */
import type { Offset } from '../arena.ts';
import type { Call } from '../call.ts';
import { ERR } from '../errors.ts';
import { createRecord, lookupWrite, resizeValue } from '../keyspace.ts';
import { addLongDouble, formatLongDouble, type LongDouble, parseLongDouble } from '../longdouble.ts';
import { HEAD_RAW, HEAD_TEXT, TYPE_STRING, valueStart } from '../record.ts';
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

/** Reads the integer at the key into `c.num` (0 without a key). Returns its record, 0 for none, -1 after an error reply. */
function lookupInteger(c: Call): Offset {
  const record = lookupWrite(c, 1);
  if (record === 0) {
    c.num = 0;
    c.exact = true;
    return 0;
  }
  const a = c.arena;
  if (!isString(a, record)) {
    c.reply.error(ERR.WRONGTYPE);
    return -1;
  }
  if (c.longAt(a.u8, stringStart(a, record), stringLength(a, record))) return record;
  c.reply.error(ERR.NOT_INTEGER);
  return -1;
}

function add(c: Call, amount: number): void {
  const record = lookupInteger(c);
  if (record < 0) return;
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
  const record = lookupInteger(c);
  if (record >= 0) storeBigSum(c, record, c.bigNum + amount);
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
