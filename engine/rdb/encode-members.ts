/**
 * Sets, hashes and sorted sets as bytes of the RDB format. Each has a packed form for what lies in its key's record and a
 * plain one for what is a table, so that a server that loads them has them in the encoding they had. See encode.ts for who
 * calls it.
 *
 * ```
 * set     11: u32 bytes of an integer | u32 count | the integers, ascending, all little-endian, as one string
 *          2: count | members            (packed sets too: Redis 7.0 has none)
 * hash    16: listpack of fields and values by turns
 *          4: count | field, value ..
 * zset    17: listpack of members and scores by turns, ascending
 *          5: count | member, score as f64 ..
 * ```
 */
import type { Arena, Offset } from '../arena.ts';
import { ENC_INTSET, recordEncoding, valueStart, valueWord } from '../record.ts';
import { formatDouble } from '../reply.ts';
import { hashSize } from '../types/hash.ts';
import { intsetCount } from '../types/intset.ts';
import { MemberWalk } from '../types/member-walk.ts';
import { setSize } from '../types/set.ts';
import { ZsetWalk, zsetSize } from '../types/zset.ts';
import { hasRoot } from '../values.ts';
import { ListpackWriter } from './encode-listpack.ts';
import { RDB_HASH, RDB_HASH_LISTPACK, RDB_SET, RDB_SET_INTSET, RDB_ZSET_2, RDB_ZSET_LISTPACK } from './opcodes.ts';
import type { RdbOutput } from './output.ts';

/** Bytes before the integers of an intset, in Redis and in Millrace. */
const REDIS_INTSET_HEADER_BYTES = 8;
const INTSET_HEADER_BYTES = 1;
/** An element of a listpack is at most so many times what it takes in a hash, and in a sorted set with its score. */
const HASH_GROWTH = 2;
const ZSET_GROWTH = 4;
const LISTPACK_FRAME_BYTES = 7;
const WORD = 4294967296;
/** Whole scores up to here are integers in Redis's packed sets, whose text would have an exponent otherwise. */
const MAX_WHOLE = 2 ** 62;

const walk = new MemberWalk();
const ordered = new ZsetWalk();
const listpack = new ListpackWriter();

export function encodeSet(a: Arena, record: Offset, out: RdbOutput): number {
  if (recordEncoding(a, record) === ENC_INTSET) return encodeIntset(a, record, out);
  out.lengthOf(setSize(a, record));
  for (walk.start(a, record); walk.next(a); ) out.string(a, walk.at, walk.length);
  return RDB_SET;
}

/** The integers lie alike in both. */
function encodeIntset(a: Arena, record: Offset, out: RdbOutput): number {
  const bytes = valueWord(a, record) - INTSET_HEADER_BYTES;
  out.lengthOf(REDIS_INTSET_HEADER_BYTES + bytes);
  out.u32(1 << a.u8[valueStart(a, record)]);
  out.u32(intsetCount(a, record));
  out.bytes(a, valueStart(a, record) + INTSET_HEADER_BYTES, bytes);
  return RDB_SET_INTSET;
}

export function encodeHash(a: Arena, record: Offset, out: RdbOutput): number {
  if (hasRoot(a, record)) {
    out.lengthOf(hashSize(a, record));
    for (walk.start(a, record); walk.next(a); ) {
      out.string(a, walk.at, walk.length);
      out.string(a, walk.valueAt, walk.valueLength);
    }
    return RDB_HASH;
  }
  listpack.begin(out, LISTPACK_FRAME_BYTES + valueWord(a, record) * HASH_GROWTH);
  for (walk.start(a, record); walk.next(a); ) {
    listpack.string(a, walk.at, walk.length);
    listpack.string(a, walk.valueAt, walk.valueLength);
  }
  listpack.end();
  return RDB_HASH_LISTPACK;
}

export function encodeZset(a: Arena, record: Offset, out: RdbOutput): number {
  if (hasRoot(a, record)) {
    out.lengthOf(zsetSize(a, record));
    for (ordered.start(a, record, 0, false); ordered.next(a); ) {
      out.string(a, ordered.at, ordered.length);
      out.double(ordered.score);
    }
    return RDB_ZSET_2;
  }
  listpack.begin(out, LISTPACK_FRAME_BYTES + valueWord(a, record) * ZSET_GROWTH);
  for (ordered.start(a, record, 0, false); ordered.next(a); ) {
    listpack.string(a, ordered.at, ordered.length);
    writeScore(ordered.score);
  }
  listpack.end();
  return RDB_ZSET_LISTPACK;
}

/** A score as its text, which for most is an integer's. */
function writeScore(score: number): void {
  const whole = Math.floor(score) === score && score <= MAX_WHOLE && score >= -MAX_WHOLE;
  if (whole) listpack.integer(Math.floor(score / WORD), score | 0);
  else listpack.ascii(formatDouble(score));
}
