/**
 * DUMP and RESTORE: a key's value as bytes that another server, Millrace or Redis, makes a key of. Handlers; run under the
 * lock of the key's shard. O(bytes of the value).
 *
 * ```
 * payload: u8 type | value (rdb/encode.ts) | u16 version of the format | crc64 of all before it, u64    little-endian
 * ```
 * Example: DUMP of a key with the value 7 is `00 | c0 07 | 0a 00 | 74 cd 48 a2 83 ab ce 92`.
 */
import { lfuClock, lruClock } from '../access.ts';
import { free } from '../alloc.ts';
import type { Offset } from '../arena.ts';
import type { Call } from '../call.ts';
import { type CommandRow, DENYOOM, READONLY, WRITE } from '../command.ts';
import { ERR } from '../errors.ts';
import type { Footprint } from '../footprint.ts';
import { attachRecord, deleteRecord, detachRecord, lookupQuiet, lookupRead, lookupWrite } from '../keyspace.ts';
import { Crc64 } from '../rdb/crc64.ts';
import { loadValue } from '../rdb/decode.ts';
import { encodeValue } from '../rdb/encode.ts';
import { RdbError } from '../rdb/errors.ts';
import { RdbInput } from '../rdb/input.ts';
import { addValue } from '../rdb/measure.ts';
import { RDB_VERSION_NEWEST, RDB_VERSION_WRITTEN } from '../rdb/opcodes.ts';
import { RdbOutput } from '../rdb/output.ts';
import { freeValue } from '../values.ts';
import { ONE_KEY, rowMaker } from './rows.ts';

const BUSY_KEY = 'BUSYKEY Target key name already exists.';
const BAD_PAYLOAD = 'ERR DUMP payload version or checksum are wrong';
const BAD_DATA = 'ERR Bad data format';
const TTL_NEGATIVE = 'ERR Invalid TTL value, must be >= 0';
const IDLETIME_NEGATIVE = 'ERR Invalid IDLETIME value, must be >= 0';
const FREQ_RANGE = 'ERR Invalid FREQ value, must be >= 0 and <= 255';

/** Version and checksum. */
const FOOTER_BYTES = 10;
const CRC_BYTES = 8;
const MAX_FREQUENCY = 255;
/** A larger output is given back after use. */
const KEPT_BYTES = 1024 * 1024;

const crc = new Crc64();
let output = new RdbOutput();

function dump(c: Call): void {
  const record = lookupRead(c, 1);
  if (record === 0) return c.reply.nil();
  const out = output;
  out.length = 0;
  out.byte(0);
  const type = encodeValue(c.arena, record, out);
  out.u8[0] = type;
  out.u16(RDB_VERSION_WRITTEN);
  crc.reset();
  crc.update(out.u8, 0, out.length);
  out.u64(crc.high, crc.low);
  c.reply.bulk(out.u8, 0, out.length);
  if (out.u8.length > KEPT_BYTES) output = new RdbOutput();
}

/** The options of the RESTORE at hand: seconds since the last use and frequency of use are -1 when they are not given. */
const options = { replace: false, absolute: false, idleSeconds: -1, frequency: -1 };

function restore(c: Call): void {
  if (!parseOptions(c)) return;
  const old = lookupWrite(c, 1);
  if (old !== 0 && !options.replace) return c.reply.error(BUSY_KEY);
  if (!c.long(2)) return c.reply.error(ERR.NOT_INTEGER);
  if (c.num < 0) return c.reply.error(TTL_NEGATIVE);
  const expireAtMs = expiry(c);
  if (!isSound(c, 3)) return c.reply.error(BAD_PAYLOAD);
  const isLate = expireAtMs !== 0 && expireAtMs <= c.nowMs;

  // The old value goes when the new one is there: a bad payload, or a full arena, leaves it.
  const a = c.arena;
  if (old !== 0) detachRecord(a, old);
  try {
    const input = new RdbInput(c.buf, c.off[3], c.off[3] + c.len[3] - FOOTER_BYTES);
    const type = input.byte();
    loadValue(c, 1, type, input, isLate ? 0 : expireAtMs);
  } catch (error) {
    if (old !== 0) {
      c.hashKey(1);
      attachRecord(c, c.db, old);
    }
    if (!(error instanceof RdbError)) throw error;
    return c.reply.error(BAD_DATA);
  }
  if (old !== 0) {
    freeValue(a, old);
    free(a, old);
  }
  const record = lookupQuiet(c, 1);
  if (isLate) deleteRecord(a, record);
  else setAccess(c, record);
  if (!isLate || old !== 0) c.dirty++;
  c.reply.ok();
}

/** A payload may be compressed. */
function addRestored(c: Call, _ahead: number, to: Footprint): void {
  try {
    const input = new RdbInput(c.buf, c.off[3], c.off[3] + c.len[3] - FOOTER_BYTES);
    addValue(input.byte(), input, to);
  } catch (error) {
    // It will be refused.
    if (!(error instanceof RdbError)) throw error;
  }
}

function parseOptions(c: Call): boolean {
  options.replace = false;
  options.absolute = false;
  options.idleSeconds = -1;
  options.frequency = -1;
  for (let i = 4; i < c.argc; i++) {
    const hasValue = i + 1 < c.argc;
    if (c.is(i, 'REPLACE')) {
      options.replace = true;
    } else if (c.is(i, 'ABSTTL')) {
      options.absolute = true;
    } else if (hasValue && options.frequency < 0 && c.is(i, 'IDLETIME')) {
      if (!number(c, ++i, Number.POSITIVE_INFINITY, IDLETIME_NEGATIVE)) return false;
      options.idleSeconds = c.num;
    } else if (hasValue && options.idleSeconds < 0 && c.is(i, 'FREQ')) {
      if (!number(c, ++i, MAX_FREQUENCY, FREQ_RANGE)) return false;
      options.frequency = c.num;
    } else {
      c.reply.error(ERR.SYNTAX);
      return false;
    }
  }
  return true;
}

/** Reads argument i as a number from 0 to `limit`; false after an error reply. */
function number(c: Call, i: number, limit: number, otherwise: string): boolean {
  if (c.long(i) && c.num >= 0 && c.num <= limit) return true;
  c.reply.error(c.long(i) ? otherwise : ERR.NOT_INTEGER);
  return false;
}

/** When the key is to expire, from the TTL just read; 0 for never. */
function expiry(c: Call): number {
  if (c.num === 0 || options.absolute) return c.num;
  const atMs = c.num + c.nowMs;
  // Redis's 64-bit sum overflows here, to a time long past.
  return Number.isSafeInteger(atMs) ? atMs : Number(BigInt.asIntN(64, c.bigNum + BigInt(c.nowMs)));
}

/** Whether argument i ends in a version that can be read and in the checksum of all before it. */
function isSound(c: Call, i: number): boolean {
  const start = c.off[i];
  const end = start + c.len[i];
  if (c.len[i] < FOOTER_BYTES) return false;
  if (c.view.getUint16(end - FOOTER_BYTES, true) > RDB_VERSION_NEWEST) return false;
  crc.reset();
  crc.update(c.buf, start, end - CRC_BYTES);
  return crc.low === c.view.getInt32(end - CRC_BYTES, true) && crc.high === c.view.getInt32(end - CRC_BYTES + 4, true);
}

/** Sets when or how often the key was used, if that is what the policy in force counts. */
function setAccess(c: Call, record: Offset): void {
  const word = (record + 4) >>> 2;
  if (c.lfu && options.frequency >= 0) c.arena.u32[word] = lfuClock(c.nowMs) | options.frequency;
  if (!c.lfu && options.idleSeconds >= 0) c.arena.u32[word] = lruClock(c.nowMs - options.idleSeconds * 1000);
}

const row = rowMaker('generic', ['keyspace']);
const dangerous = rowMaker('generic', ['keyspace', 'dangerous']);
const COST = 'O(1) for the key and O(n) for the bytes of its value';

export const dumpRows: CommandRow[] = [
  row('dump', 2, READONLY, ONE_KEY, '2.6.0', COST, 'Returns a value as bytes that RESTORE takes', dump),
  {
    ...dangerous('restore', -4, WRITE | DENYOOM, ONE_KEY, '2.6.0', COST, 'Makes a key of the bytes of DUMP', restore),
    makes: addRestored,
  },
];
