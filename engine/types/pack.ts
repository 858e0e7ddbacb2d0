/**
 * The packed form: short byte strings one after the other behind the key in the key's record. Small hashes (field, value,
 * field, value …) and small sets keep their elements so, in the order in which they came. The whole value is one block
 * and about as many cache lines as it has bytes; everything is a scan, O(n), so owners leave this form at some size.
 * Runs under the shard's lock.
 *
 * ```
 * the inline value, not aligned, little-endian
 * +0 u32 count of entries | then the entries
 * entry: u8 length, or 255 and then u32 length | the bytes
 * ```
 * Example: the hash {a: 1, bc: ''} is 11 bytes: `04 00 00 00 | 01 61 | 01 31 | 02 62 63 | 00`.
 *
 * Bytes given to functions that may move the record must lie outside the arena.
 */
import type { Arena, Offset } from '../arena.ts';
import { copyBytes } from '../keyspace.ts';
import { setValueWord, valueStart, valueWord } from '../record.ts';
import { growValue, shrinkValue } from './inline.ts';

const COUNT_BYTES = 4;
const LONG = 255;
const LONG_HEADER_BYTES = 5;

/** Bytes of a pack without entries. */
export const EMPTY_PACK_BYTES = COUNT_BYTES;

export function entryBytes(length: number): number {
  return (length < LONG ? 1 : LONG_HEADER_BYTES) + length;
}

/** Makes the inline value of a record, whatever it was, a pack without entries; the block keeps its size. */
export function packInit(a: Arena, record: Offset): void {
  setValueWord(a, record, EMPTY_PACK_BYTES);
  setPackCount(a, record, 0);
}

export function packCount(a: Arena, record: Offset): number {
  return a.view.getUint32(valueStart(a, record), true);
}

function setPackCount(a: Arena, record: Offset, count: number): void {
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

export function entryLength(a: Arena, entry: Offset): number {
  const length = a.u8[entry];
  return length < LONG ? length : a.view.getUint32(entry + 1, true);
}

export function entryStart(a: Arena, entry: Offset): Offset {
  return entry + (a.u8[entry] < LONG ? 1 : LONG_HEADER_BYTES);
}

/** Where the entry behind this one begins. */
export function nextEntry(a: Arena, entry: Offset): Offset {
  const length = a.u8[entry];
  if (length < LONG) return entry + 1 + length;
  return entry + LONG_HEADER_BYTES + a.view.getUint32(entry + 1, true);
}

/** The entry at index `index`; the end for the count. */
export function packEntry(a: Arena, record: Offset, index: number): Offset {
  let entry = packStart(a, record);
  for (let i = 0; i < index; i++) entry = nextEntry(a, entry);
  return entry;
}

/**
 * The entry that holds these bytes, 0 when there is none. With `pairs` only every other entry is looked at, the first
 * one first. About 4 ns per entry.
 */
export function packFind(
  a: Arena,
  record: Offset,
  pairs: boolean,
  buf: Uint8Array,
  start: number,
  length: number,
): Offset {
  if (length >= LONG) return findLong(a, record, pairs, buf, start, length);
  const u8 = a.u8;
  const end = packEnd(a, record);
  let entry = packStart(a, record);
  while (entry < end) {
    const mark = u8[entry];
    if (mark === length) {
      // Elements of a collection tend to begin alike, so they are compared from their ends.
      let i = length;
      while (i > 0 && u8[entry + i] === buf[start + i - 1]) i--;
      if (i === 0) return entry;
    }
    entry = mark < LONG ? entry + 1 + mark : nextEntry(a, entry);
    if (!pairs) continue;
    const valueMark = u8[entry];
    entry = valueMark < LONG ? entry + 1 + valueMark : nextEntry(a, entry);
  }
  return 0;
}

/** `packFind` for bytes with a long header. */
function findLong(a: Arena, record: Offset, pairs: boolean, buf: Uint8Array, start: number, length: number): Offset {
  const u8 = a.u8;
  const end = packEnd(a, record);
  for (let entry = packStart(a, record); entry < end; ) {
    if (u8[entry] === LONG && entryLength(a, entry) === length) {
      const at = entry + LONG_HEADER_BYTES;
      let i = 0;
      while (i < length && u8[at + i] === buf[start + i]) i++;
      if (i === length) return entry;
    }
    entry = nextEntry(a, entry);
    if (pairs) entry = nextEntry(a, entry);
  }
  return 0;
}

/** Writes an entry, for which there is room, and returns where it ends. */
function writeEntry(a: Arena, entry: Offset, buf: Uint8Array, start: number, length: number): Offset {
  let at = entry + 1;
  if (length < LONG) {
    a.u8[entry] = length;
  } else {
    a.u8[entry] = LONG;
    a.view.setUint32(at, length, true);
    at = entry + LONG_HEADER_BYTES;
  }
  copyBytes(a.u8, at, buf, start, length);
  return at + length;
}

/** Adds an entry at the end. Returns the record, which may have moved. */
export function packAppend(a: Arena, record: Offset, buf: Uint8Array, start: number, length: number): Offset {
  const had = valueWord(a, record);
  const to = growValue(a, record, had + entryBytes(length));
  writeEntry(a, valueStart(a, to) + had, buf, start, length);
  setPackCount(a, to, packCount(a, to) + 1);
  return to;
}

/** Adds two entries at the end. Returns the record, which may have moved. */
export function packAppendPair(
  a: Arena,
  record: Offset,
  buf: Uint8Array,
  start: number,
  length: number,
  buf2: Uint8Array,
  start2: number,
  length2: number,
): Offset {
  const had = valueWord(a, record);
  const to = growValue(a, record, had + entryBytes(length) + entryBytes(length2));
  const second = writeEntry(a, valueStart(a, to) + had, buf, start, length);
  writeEntry(a, second, buf2, start2, length2);
  setPackCount(a, to, packCount(a, to) + 2);
  return to;
}

/** Gives an entry other bytes in place of its own. Returns the record, which may have moved. */
export function packReplace(
  a: Arena,
  record: Offset,
  entry: Offset,
  buf: Uint8Array,
  start: number,
  length: number,
): Offset {
  const value = valueStart(a, record);
  const had = valueWord(a, record);
  const at = entry - value;
  const after = nextEntry(a, entry) - value;
  const by = entryBytes(length) - (after - at);
  let to = record;
  if (by > 0) {
    to = growValue(a, record, had + by);
    const moved = valueStart(a, to);
    a.u8.copyWithin(moved + after + by, moved + after, moved + had);
  } else if (by < 0) {
    a.u8.copyWithin(value + after + by, value + after, value + had);
    to = shrinkValue(a, record, had + by);
  }
  writeEntry(a, valueStart(a, to) + at, buf, start, length);
  return to;
}

/** Takes out the `count` entries that lie from `from` up to `to`. Returns the record, which may have moved. */
export function packRemove(a: Arena, record: Offset, from: Offset, to: Offset, count: number): Offset {
  a.u8.copyWithin(from, to, packEnd(a, record));
  setPackCount(a, record, packCount(a, record) - count);
  return shrinkValue(a, record, valueWord(a, record) - (to - from));
}

/** For tests: throws when an invariant does not hold. */
export function packVerify(a: Arena, record: Offset): void {
  const end = packEnd(a, record);
  let count = 0;
  let entry = packStart(a, record);
  for (; entry < end; entry = nextEntry(a, entry)) count++;
  if (entry !== end) throw new Error(`pack: the last entry ends at ${entry}, not at ${end}`);
  if (count !== packCount(a, record)) throw new Error(`pack: counted ${count}, header says ${packCount(a, record)}`);
}
