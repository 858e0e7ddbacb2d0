/**
 * A small sorted set: its members packed behind the key in the key's record, in order of score and member, so that the
 * whole set is one block and about as many cache lines as it has bytes. Everything is a scan, O(n): sets leave this form
 * at zset-max-listpack-entries or -value. Runs under the shard's lock.
 *
 * ```
 * the inline value, not aligned, little-endian
 * +0 u32 count of entries | then the entries
 * entry: +0 f64 score | +8 u8 length of the member, or 255 and then u32 length | the member's bytes
 * ```
 * Example: {a: 1, bc: 2} is 25 bytes:
 * `02 00 00 00 | 00 00 00 00 00 00 f0 3f 01 61 | 00 00 00 00 00 00 00 40 02 62 63`.
 */
import type { Arena, Offset } from '../arena.ts';
import { copyBytes, resizeValue } from '../keyspace.ts';
import { valueStart, valueWord } from '../record.ts';
import { compareBytes } from './zset-member.ts';

const COUNT_BYTES = 4;
/** Offset of the length in an entry. */
const LENGTH = 8;
const SHORT_HEADER_BYTES = 9;
const LONG_HEADER_BYTES = 13;
const LONG = 255;

/** Bytes of the value of a set with no members. */
export const EMPTY_PACK_BYTES = COUNT_BYTES;

export function entryBytes(length: number): number {
  return (length < LONG ? SHORT_HEADER_BYTES : LONG_HEADER_BYTES) + length;
}

export function packCount(a: Arena, record: Offset): number {
  return a.view.getUint32(valueStart(a, record), true);
}

export function setPackCount(a: Arena, record: Offset, count: number): void {
  a.view.setUint32(valueStart(a, record), count, true);
}

/** Where the first entry begins. */
export function packStart(a: Arena, record: Offset): Offset {
  return valueStart(a, record) + COUNT_BYTES;
}

/** Where the last entry ends. */
export function packEnd(a: Arena, record: Offset): Offset {
  return valueStart(a, record) + valueWord(a, record);
}

export function entryScore(a: Arena, entry: Offset): number {
  return a.view.getFloat64(entry, true);
}

export function entryMemberLength(a: Arena, entry: Offset): number {
  const length = a.u8[entry + LENGTH];
  return length < LONG ? length : a.view.getUint32(entry + SHORT_HEADER_BYTES, true);
}

export function entryMemberStart(a: Arena, entry: Offset): Offset {
  return entry + (a.u8[entry + LENGTH] < LONG ? SHORT_HEADER_BYTES : LONG_HEADER_BYTES);
}

/** Where the entry behind this one begins. */
export function nextEntry(a: Arena, entry: Offset): Offset {
  const length = a.u8[entry + LENGTH];
  if (length < LONG) return entry + SHORT_HEADER_BYTES + length;
  return entry + LONG_HEADER_BYTES + a.view.getUint32(entry + SHORT_HEADER_BYTES, true);
}

/** The entry of this member, 0 when there is none. */
export function packFind(a: Arena, record: Offset, buf: Uint8Array, start: number, length: number): Offset {
  const u8 = a.u8;
  const end = packEnd(a, record);
  const short = length < LONG ? length : LONG;
  for (let entry = packStart(a, record); entry < end; entry = nextEntry(a, entry)) {
    if (u8[entry + LENGTH] !== short || entryMemberLength(a, entry) !== length) continue;
    // Backwards, as members often begin alike.
    const member = entryMemberStart(a, entry);
    let i = length - 1;
    while (i >= 0 && u8[member + i] === buf[start + i]) i--;
    if (i < 0) return entry;
  }
  return 0;
}

/** Where the entry at index `index` begins; the end for the count. */
export function packEntry(a: Arena, record: Offset, index: number): Offset {
  let entry = packStart(a, record);
  for (let i = 0; i < index; i++) entry = nextEntry(a, entry);
  return entry;
}

/** How many entries come before this one. */
export function packIndex(a: Arena, record: Offset, entry: Offset): number {
  let index = 0;
  for (let at = packStart(a, record); at < entry; at = nextEntry(a, at)) index++;
  return index;
}

/** How many entries have a score below `score`, or up to it when `inclusive`. */
export function packCountToScore(a: Arena, record: Offset, score: number, inclusive: boolean): number {
  const end = packEnd(a, record);
  let index = 0;
  for (let entry = packStart(a, record); entry < end; entry = nextEntry(a, entry)) {
    const other = entryScore(a, entry);
    if (other > score || (!inclusive && other === score)) break;
    index++;
  }
  return index;
}

/** Where an entry with this score and member, which the set does not have, belongs. */
function packPlace(a: Arena, record: Offset, score: number, buf: Uint8Array, start: number, length: number): Offset {
  const end = packEnd(a, record);
  let entry = packStart(a, record);
  while (entry < end) {
    const other = entryScore(a, entry);
    if (other > score) break;
    if (other === score && compareEntry(a, entry, buf, start, length) > 0) break;
    entry = nextEntry(a, entry);
  }
  return entry;
}

/** Negative, 0 or positive as memcmp orders an entry's member and these bytes. */
export function compareEntry(a: Arena, entry: Offset, buf: Uint8Array, start: number, length: number): number {
  return compareBytes(a.u8, entryMemberStart(a, entry), entryMemberLength(a, entry), buf, start, length);
}

/** Writes an entry, for which there is room, and returns where it ends. A score of -0 becomes 0, as in a listpack. */
export function writeEntry(
  a: Arena,
  entry: Offset,
  score: number,
  buf: Uint8Array,
  start: number,
  length: number,
): Offset {
  a.view.setFloat64(entry, score + 0, true);
  let member = entry + SHORT_HEADER_BYTES;
  if (length < LONG) {
    a.u8[entry + LENGTH] = length;
  } else {
    a.u8[entry + LENGTH] = LONG;
    a.view.setUint32(member, length, true);
    member = entry + LONG_HEADER_BYTES;
  }
  copyBytes(a.u8, member, buf, start, length);
  return member + length;
}

/** Adds a member that the set does not have; the bytes lie outside the arena. Returns the record, which may have moved. */
export function packInsert(
  a: Arena,
  record: Offset,
  score: number,
  buf: Uint8Array,
  start: number,
  length: number,
): Offset {
  const place = packPlace(a, record, score, buf, start, length) - valueStart(a, record);
  const had = valueWord(a, record);
  const bytes = entryBytes(length);
  const to = resizeValue(a, record, had + bytes);
  const value = valueStart(a, to);
  a.u8.copyWithin(value + place + bytes, value + place, value + had);
  writeEntry(a, value + place, score, buf, start, length);
  setPackCount(a, to, packCount(a, to) + 1);
  return to;
}

/** Gives a member that the set has, whose bytes lie outside the arena, another score. */
export function packSetScore(
  a: Arena,
  record: Offset,
  entry: Offset,
  score: number,
  buf: Uint8Array,
  start: number,
  length: number,
): void {
  const bytes = entryBytes(length);
  const place = packPlace(a, record, score, buf, start, length);
  // A higher score finds its place behind the entry, a lower one before it or at it.
  if (place > entry) {
    a.u8.copyWithin(entry, entry + bytes, place);
    writeEntry(a, place - bytes, score, buf, start, length);
  } else {
    a.u8.copyWithin(place + bytes, place, entry);
    writeEntry(a, place, score, buf, start, length);
  }
}

/** Takes out the entries from `from` up to `to`, `count` of them. Returns the record, which may have moved. */
export function packRemove(a: Arena, record: Offset, from: Offset, to: Offset, count: number): Offset {
  a.u8.copyWithin(from, to, packEnd(a, record));
  setPackCount(a, record, packCount(a, record) - count);
  return resizeValue(a, record, valueWord(a, record) - (to - from));
}
