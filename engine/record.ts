/**
 * The record: how a key with its value, a hash field, a set member or a sorted-set member lies in an arena.
 * One layout for all of them, so that one table (table.ts) serves all of them.
 *
 * ```
 * 8-aligned, little-endian
 * +0  u32 head:  bits 0-3 type | 4-7 encoding | 8 has expiry | 9 raw string | 10 text string | 11 epoch (key records)
 *     | 16-31 keyspace number (key records)
 * +4  u32 access clock (key records, see eviction.ts) or owner: offset of the table it is in (members)
 * +8  u32 key length in bytes
 * +12 u32 value length in bytes (inline value) or offset of the value's root block (encoding >= ENC_ROOT)
 * [+16 f64 expiry, ms since 1970]          only with bit 8
 * +16 or +24 key bytes, then the inline value's bytes
 * ```
 * Example: SET a 7 without expiry is 18 bytes, in a block of 24:
 * `01 00 00 00 | xx xx xx xx | 01 00 00 00 | 01 00 00 00 | 61 37`.
 */
import type { Arena, Offset } from './arena.ts';

export const TYPE_STRING = 1;
export const TYPE_LIST = 2;
export const TYPE_SET = 3;
export const TYPE_ZSET = 4;
export const TYPE_HASH = 5;
export const TYPE_STREAM = 6;
/** A hash field, set member or sorted-set member inside a table of its own. */
export const TYPE_MEMBER = 7;

/** Encodings below ENC_ROOT keep the value inline, behind the key; from ENC_ROOT on the value word is an offset. */
export const ENC_INLINE = 0;
/** A second inline form (integer sets; everything else inline is ENC_INLINE). */
export const ENC_INTSET = 1;
export const ENC_ROOT = 8;

export const HEAD_EXPIRY = 1 << 8;
/** OBJECT ENCODING says `raw` whatever the length: the string was appended to or written into. */
export const HEAD_RAW = 1 << 9;
/** OBJECT ENCODING says `embstr` although the string reads as an integer (INCRBYFLOAT's results). */
export const HEAD_TEXT = 1 << 10;
/** Equal to the arena's WORD_EPOCH unless a snapshot is under way that has yet to save the record (snapshot/epoch.ts). */
export const HEAD_EPOCH = 1 << 11;
export const HEAD_KEYSPACE_SHIFT = 16;
/** What a value takes along to another key's record: all but where that one is and whether it is saved. */
export const HEAD_OF_VALUE = ((1 << HEAD_KEYSPACE_SHIFT) - 1) & ~HEAD_EPOCH;

export const RECORD_HEADER_BYTES = 16;
export const EXPIRY_BYTES = 8;

export function recordType(a: Arena, record: Offset): number {
  return a.u32[record >>> 2] & 15;
}

export function recordEncoding(a: Arena, record: Offset): number {
  return (a.u32[record >>> 2] >>> 4) & 15;
}

export function setRecordEncoding(a: Arena, record: Offset, encoding: number): void {
  a.u32[record >>> 2] = (a.u32[record >>> 2] & ~0xf0) | (encoding << 4);
}

export function recordKeyspace(a: Arena, record: Offset): number {
  return a.u32[record >>> 2] >>> HEAD_KEYSPACE_SHIFT;
}

export function keyLength(a: Arena, record: Offset): number {
  return a.u32[(record + 8) >>> 2];
}

/** Where the key's bytes begin. */
export function keyStart(a: Arena, record: Offset): Offset {
  return record + RECORD_HEADER_BYTES + ((a.u32[record >>> 2] & HEAD_EXPIRY) >>> 5);
}

/** The value word: the inline value's length in bytes, or the offset of the value's root. */
export function valueWord(a: Arena, record: Offset): number {
  return a.u32[(record + 12) >>> 2];
}

export function setValueWord(a: Arena, record: Offset, value: number): void {
  a.u32[(record + 12) >>> 2] = value;
}

/** Where an inline value's bytes begin. */
export function valueStart(a: Arena, record: Offset): Offset {
  const head = a.u32[record >>> 2];
  return record + RECORD_HEADER_BYTES + ((head & HEAD_EXPIRY) >>> 5) + a.u32[(record + 8) >>> 2];
}

/** Milliseconds since 1970, or +Infinity when the record has no expiry. */
export function recordExpiry(a: Arena, record: Offset): number {
  return (a.u32[record >>> 2] & HEAD_EXPIRY) === 0
    ? Number.POSITIVE_INFINITY
    : a.f64[(record + RECORD_HEADER_BYTES) >>> 3];
}
