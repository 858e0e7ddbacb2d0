/**
 * Arithmetic on the values of hash fields that read as numbers: HINCRBY and HINCRBYFLOAT. Handlers; run under the shard's
 * lock. Sums within 2^53 are made without BigInt and allocate nothing.
 */
import type { Offset } from '../arena.ts';
import type { Call } from '../call.ts';
import { ERR } from '../errors.ts';
import { lookupWrite } from '../keyspace.ts';
import { addLongDouble, formatLongDouble, type LongDouble, parseLongDouble } from '../longdouble.ts';
import { createHash, hashFind, hashSet, isHash, value } from '../types/hash.ts';
import { INTEGER_TEXT_BYTES, integerText } from '../types/intset.ts';

const INT64_MAX = 9223372036854775807n;
const INT64_MIN = -9223372036854775808n;
const TWO_32 = 4294967296;

const encoder = new TextEncoder();
const text = new Uint8Array(INTEGER_TEXT_BYTES);

/**
 * Looks the hash in argument 1 up, and the field in argument 2 in it, whose value is left in `value`, with length -1 for none.
 * Returns the hash, 0 for none, -1 after an error reply.
 */
function lookupField(c: Call): Offset {
  const record = lookupWrite(c, 1);
  value.length = -1;
  if (record === 0) return 0;
  if (!isHash(c.arena, record)) {
    c.reply.error(ERR.WRONGTYPE);
    return -1;
  }
  hashFind(c.arena, record, c.buf, c.off[2], c.len[2]);
  return record;
}

/** Sets the field in argument 2 of the hash at `record` (0: none yet). */
function store(c: Call, record: Offset, bytes: Uint8Array, start: number, length: number): void {
  hashSet(c, record === 0 ? createHash(c, 2, 4) : record, 2, bytes, start, length);
  c.dirty++;
}

export function hincrby(c: Call): void {
  if (!c.long(3)) return c.reply.error(ERR.NOT_INTEGER);
  const { exact, num: amount, big } = c;
  const record = lookupField(c);
  if (record < 0) return;
  c.num = 0;
  c.exact = true;
  if (value.length >= 0 && !c.longAt(c.arena.u8, value.start, value.length)) return c.reply.error(ERR.HASH_NOT_INTEGER);
  const sum = c.num + amount;
  if (!exact || !c.exact || !Number.isSafeInteger(sum)) {
    return storeBigSum(c, record, c.bigNum + (exact ? BigInt(amount) : big));
  }
  const at = integerText(Math.floor(sum / TWO_32), sum | 0, text);
  store(c, record, text, at, INTEGER_TEXT_BYTES - at);
  c.reply.int(sum);
}

function storeBigSum(c: Call, record: Offset, sum: bigint): void {
  if (sum > INT64_MAX || sum < INT64_MIN) return c.reply.error(ERR.OVERFLOW);
  const bytes = encoder.encode(sum.toString());
  store(c, record, bytes, 0, bytes.length);
  c.reply.bigInt(sum);
}

export function hincrbyfloat(c: Call): void {
  const amount = parseLongDouble(c.buf, c.off[3], c.len[3]);
  if (amount === undefined) return c.reply.error(ERR.NOT_FLOAT);
  if (amount.e === Number.POSITIVE_INFINITY) return c.reply.error(ERR.VALUE_NAN_OR_INFINITY);
  const record = lookupField(c);
  if (record < 0) return;
  let old: LongDouble | undefined = { m: 0n, e: 0 };
  if (value.length >= 0) old = parseLongDouble(c.arena.u8, value.start, value.length);
  if (old === undefined) return c.reply.error(ERR.HASH_NOT_FLOAT);
  const sum = addLongDouble(old, amount);
  if (sum === undefined) return c.reply.error(ERR.NAN_OR_INFINITY);
  const bytes = encoder.encode(formatLongDouble(sum));
  store(c, record, bytes, 0, bytes.length);
  c.reply.bulk(bytes, 0, bytes.length);
}
