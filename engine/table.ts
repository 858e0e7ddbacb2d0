/**
 * The hash table of a keyspace, a big hash, a set or a sorted set: record offsets (record.ts) in 64-byte buckets, one
 * cache line each, so that a lookup is one miss for the bucket and one for the record. Runs under the shard's lock.
 *
 * It grows and shrinks one bucket at a time (linear hashing: Litwin, "Linear Hashing", VLDB 1980): an insertion splits
 * at most one bucket, so no command ever pays for a rehash and there are never two tables. Buckets lie in segments of
 * 256; a directory of segments is the only thing that is ever copied as a whole (4 bytes per about 1,800 records).
 *
 * The order of records depends only on the operations made and the seed in the arena's header, never on the clock: reads
 * change nothing here.
 */
import { ArenaFullError, alloc, free, KIND_FIXED } from './alloc.ts';
import type { Arena, Offset } from './arena.ts';
import { WORD_SEED0, WORD_SEED1 } from './arena.ts';
import {
  BUCKET_BYTES,
  BUCKETS,
  bucketOffset,
  COUNT,
  DIRECTORY,
  DIRECTORY_CAPACITY,
  EXPIRY_DIRECTORY,
  FIRST_CAPACITY,
  FIRST_DIRECTORY,
  MASK,
  NEXT_OVERFLOW,
  OWNER_WORD,
  PLACES,
  PLACES_OFFSET,
  SEGMENT_BUCKETS,
  SEGMENT_SHIFT,
  TABLE_HEADER_BYTES,
  TABLE_NEXT_EXPIRY,
} from './bucket.ts';
import {
  EXPIRY_ENTRY_BYTES,
  expiryBlockCreate,
  expiryBlockFree,
  expiryMerge,
  expiryNote,
  expirySplit,
} from './expiry.ts';
import { hashBytes } from './hash.ts';
import { freePages } from './pages.ts';
import type { Random } from './random.ts';
import { EXPIRY_BYTES, HEAD_EXPIRY, keyLength, keyStart, RECORD_HEADER_BYTES } from './record.ts';
import { preserve } from './snapshot/epoch.ts';

/** Records per bucket above which an insertion splits a bucket, and below which a removal merges two. */
const SPLIT_LOAD = 7;
const MERGE_LOAD = 3;
/**
 * With fewer free pages no bucket is split or merged, since either may need memory in the middle: an arena that is nearly
 * full gets longer chains, and no broken ones. A split makes up to a segment of buckets and one of bounds, in spans of up
 * to eight pages each, and an overflow bucket or two; a merge an overflow bucket, or a smaller segment 0.
 */
const SPLIT_PAGES = 20;
const MERGE_PAGES = 2;

const TAG_ONES = 0x01010101;
const TAG_HIGH = 0x80808080 | 0;

/** Makes an empty table; `expiring` gives it the index by expiry (keyspaces only). */
export function tableCreate(a: Arena, expiring: boolean): Offset {
  const t = alloc(a, TABLE_HEADER_BYTES, KIND_FIXED);
  const w = t >>> 2;
  a.u32.fill(0, w, w + TABLE_HEADER_BYTES / 4);
  a.u32[(t + BUCKETS) >>> 2] = 1;
  a.u32[(t + DIRECTORY) >>> 2] = t + FIRST_DIRECTORY;
  a.u32[(t + DIRECTORY_CAPACITY) >>> 2] = 1;
  a.u32[(t + FIRST_CAPACITY) >>> 2] = 1;
  a.f64[(t + TABLE_NEXT_EXPIRY) >>> 3] = Number.POSITIVE_INFINITY;
  try {
    a.u32[(t + FIRST_DIRECTORY) >>> 2] = newBuckets(a, 1);
    if (expiring) {
      a.u32[(t + EXPIRY_DIRECTORY) >>> 2] = alloc(a, EXPIRY_ENTRY_BYTES, KIND_FIXED);
      expiryBlockCreate(a, t, 0);
    }
  } catch (error) {
    for (const block of [FIRST_DIRECTORY, EXPIRY_DIRECTORY]) {
      if (a.u32[(t + block) >>> 2] !== 0) free(a, a.u32[(t + block) >>> 2]);
    }
    free(a, t);
    throw error;
  }
  return t;
}

/** Frees the table's own blocks; the records are the caller's to free, before. */
export function tableFree(a: Arena, t: Offset): void {
  const buckets = a.u32[(t + BUCKETS) >>> 2];
  for (let b = 0; b < buckets; b++) {
    let next = a.u32[(bucketOffset(a, t, b) + NEXT_OVERFLOW) >>> 2];
    while (next !== 0) {
      const after = a.u32[(next + NEXT_OVERFLOW) >>> 2];
      free(a, next);
      next = after;
    }
  }
  const directory = a.u32[(t + DIRECTORY) >>> 2];
  const expiry = a.u32[(t + EXPIRY_DIRECTORY) >>> 2];
  const segments = ((buckets - 1) >>> SEGMENT_SHIFT) + 1;
  for (let s = 0; s < segments; s++) {
    free(a, a.u32[(directory >>> 2) + s]);
    if (expiry !== 0) expiryBlockFree(a, t, s);
  }
  if (directory !== t + FIRST_DIRECTORY) free(a, directory);
  if (expiry !== 0) free(a, expiry);
  free(a, t);
}

export function tableCount(a: Arena, t: Offset): number {
  return a.u32[(t + COUNT) >>> 2];
}

export function tableBuckets(a: Arena, t: Offset): number {
  return a.u32[(t + BUCKETS) >>> 2];
}

/** A word of the header that belongs to the table's owner (a sorted set keeps its tree's root there). */
export function tableOwnerWord(a: Arena, t: Offset): number {
  return a.u32[(t + OWNER_WORD) >>> 2];
}

export function setTableOwnerWord(a: Arena, t: Offset, word: number): void {
  a.u32[(t + OWNER_WORD) >>> 2] = word;
}

/** The table hash of a key, seeded by the arena. */
export function keyHash(a: Arena, buf: Uint8Array, start: number, length: number): number {
  return hashBytes(a.u32[WORD_SEED0], a.u32[WORD_SEED1], buf, start, length);
}

export function recordHash(a: Arena, record: Offset): number {
  return keyHash(a, a.u8, keyStart(a, record), keyLength(a, record));
}

/** The bucket in which a record with this hash lies. */
export function bucketOf(a: Arena, t: Offset, hash: number): number {
  const mask = a.u32[(t + MASK) >>> 2];
  const bucket = hash & mask;
  return bucket < a.u32[(t + BUCKETS) >>> 2] ? bucket : bucket & (mask >>> 1);
}

function tagOf(hash: number): number {
  const tag = hash >>> 24;
  return tag === 0 ? 1 : tag;
}

/** The record whose key is these bytes, 0 when there is none. */
export function tableFind(a: Arena, t: Offset, hash: number, buf: Uint8Array, start: number, length: number): Offset {
  const u32 = a.u32;
  const view = viewOf(buf);
  const pattern = Math.imul(tagOf(hash), TAG_ONES);
  let bucket = bucketOffset(a, t, bucketOf(a, t, hash));
  do {
    const word = bucket >>> 2;
    for (let group = 0; group < 3; group++) {
      const tags = u32[word + group] ^ pattern;
      // A zero byte becomes 0x80; a byte above a zero one may too, and is then refused by the comparison of keys.
      let match = (tags - TAG_ONES) & ~tags & TAG_HIGH;
      while (match !== 0) {
        const lowest = 31 - Math.clz32(match & -match);
        const record = u32[word + PLACES_OFFSET + (group << 2) + (lowest >>> 3)];
        if (record !== 0 && keyEquals(a, record, view, start, length)) return record;
        match &= match - 1;
      }
    }
    bucket = u32[(bucket + NEXT_OVERFLOW) >>> 2];
  } while (bucket !== 0);
  return 0;
}

let viewed: Uint8Array = new Uint8Array(0);
let lastView: DataView = new DataView(viewed.buffer);

/**
 * A view of an array's bytes, for words at any offset. The last one is kept, since nearly all keys lie in one buffer; keys from two by
 * turns cost a view each.
 */
function viewOf(bytes: Uint8Array): DataView {
  if (bytes !== viewed) {
    lastView = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    viewed = bytes;
  }
  return lastView;
}

/** Whether the record's key is these bytes. Keys lie 8-aligned, so they are compared four bytes at a time. */
function keyEquals(a: Arena, record: Offset, view: DataView, start: number, length: number): boolean {
  const i32 = a.i32;
  if (i32[(record + 8) >>> 2] !== length) return false;
  const key = record + RECORD_HEADER_BYTES + ((i32[record >>> 2] & HEAD_EXPIRY) === 0 ? 0 : EXPIRY_BYTES);
  let i = 0;
  for (; i + 4 <= length; i += 4) if (i32[(key + i) >>> 2] !== view.getInt32(start + i, true)) return false;
  const u8 = a.u8;
  for (; i < length; i++) if (u8[key + i] !== view.getUint8(start + i)) return false;
  return true;
}

/** Adds a record whose key is not in the table. Throws ArenaFullError when there is no place for it; nothing has changed then. */
export function tableInsert(a: Arena, t: Offset, hash: number, record: Offset): void {
  place(a, bucketOffset(a, t, bucketOf(a, t, hash)), tagOf(hash), record);
  const count = ++a.u32[(t + COUNT) >>> 2];
  if (count > a.u32[(t + BUCKETS) >>> 2] * SPLIT_LOAD) split(a, t);
}

/** Takes a record out (it is in the table). The caller frees it. */
export function tableRemove(a: Arena, t: Offset, hash: number, record: Offset): void {
  displace(a, bucketOffset(a, t, bucketOf(a, t, hash)), record);
  const count = --a.u32[(t + COUNT) >>> 2];
  // Two merges a removal at most, so that a table emptied quickly shrinks as quickly.
  for (let i = 0; i < 2; i++) {
    const buckets = a.u32[(t + BUCKETS) >>> 2];
    if (buckets > 1 && count < buckets * MERGE_LOAD && freePages(a) >= MERGE_PAGES) merge(a, t);
  }
}

/** Puts `to` where `from` stood: the same key, moved. */
export function tableReplace(a: Arena, t: Offset, hash: number, from: Offset, to: Offset): void {
  const place = findPlace(a, bucketOffset(a, t, bucketOf(a, t, hash)), from);
  a.u32[place >>> 2] = to;
}

/** The offset of the word that holds `record`, in the chain that begins at `bucket`. */
function findPlace(a: Arena, bucket: Offset, record: Offset): Offset {
  const u32 = a.u32;
  for (let at = bucket; at !== 0; at = u32[(at + NEXT_OVERFLOW) >>> 2]) {
    const word = (at >>> 2) + 4;
    for (let i = 0; i < PLACES; i++) if (u32[word + i] === record) return (word + i) << 2;
  }
  throw new Error(`table: record ${record} is not in its bucket`);
}

function place(a: Arena, first: Offset, tag: number, record: Offset): void {
  const u32 = a.u32;
  let bucket = first;
  for (;;) {
    const word = bucket >>> 2;
    for (let group = 0; group < 3; group++) {
      const tags = u32[word + group];
      const empty = (tags - TAG_ONES) & ~tags & TAG_HIGH;
      if (empty !== 0) {
        const index = (group << 2) + ((31 - Math.clz32(empty & -empty)) >>> 3);
        a.u8[bucket + index] = tag;
        u32[word + PLACES_OFFSET + index] = record;
        return;
      }
    }
    let next = u32[(bucket + NEXT_OVERFLOW) >>> 2];
    if (next === 0) {
      next = newBuckets(a, 1);
      u32[(bucket + NEXT_OVERFLOW) >>> 2] = next;
    }
    bucket = next;
  }
}

/** Takes a record out of a chain and fills its place with the chain's last record, so that chains stay dense. */
function displace(a: Arena, first: Offset, record: Offset): void {
  const u32 = a.u32;
  const u8 = a.u8;
  const hole = findPlace(a, first, record);
  const holeBucket = hole & ~(BUCKET_BYTES - 1);
  const holeIndex = ((hole - holeBucket) >>> 2) - 4;
  let before = 0;
  let last = first;
  for (let next = u32[(first + NEXT_OVERFLOW) >>> 2]; next !== 0; next = u32[(next + NEXT_OVERFLOW) >>> 2]) {
    before = last;
    last = next;
  }
  let lastIndex = holeIndex;
  if (last !== first || holeBucket !== first) {
    lastIndex = PLACES - 1;
    while (u32[(last >>> 2) + PLACES_OFFSET + lastIndex] === 0) lastIndex--;
  }
  u8[holeBucket + holeIndex] = u8[last + lastIndex];
  u32[hole >>> 2] = u32[(last >>> 2) + PLACES_OFFSET + lastIndex];
  u8[last + lastIndex] = 0;
  u32[(last >>> 2) + PLACES_OFFSET + lastIndex] = 0;
  if (before !== 0 && isEmpty(u32, last)) {
    u32[(before + NEXT_OVERFLOW) >>> 2] = 0;
    free(a, last);
  }
}

function isEmpty(u32: Uint32Array, bucket: Offset): boolean {
  const word = bucket >>> 2;
  return (u32[word] | u32[word + 1] | u32[word + 2]) === 0;
}

/** `count` zeroed buckets, 64-aligned so that `displace` can tell a place's bucket from its offset. */
function newBuckets(a: Arena, count: number): Offset {
  const block = alloc(a, count * BUCKET_BYTES, KIND_FIXED);
  a.u32.fill(0, block >>> 2, (block >>> 2) + count * (BUCKET_BYTES / 4));
  return block;
}

/**
 * Gives an empty table the buckets that so many records will need, as inserting them would have: without moving any. Costs
 * 64 bytes and about 0.2 us per seven records.
 */
export function tableReserve(a: Arena, t: Offset, count: number): void {
  if (a.u32[(t + COUNT) >>> 2] !== 0) return;
  while (a.u32[(t + BUCKETS) >>> 2] * SPLIT_LOAD < count && split(a, t));
}

/** Splits the bucket whose turn it is: half of its records go to a new last bucket. False when there is no memory for it. */
function split(a: Arena, t: Offset): boolean {
  const u32 = a.u32;
  const added = u32[(t + BUCKETS) >>> 2];
  if (freePages(a) < SPLIT_PAGES || !makeRoom(a, t, added)) return false;
  let mask = u32[(t + MASK) >>> 2];
  if (added > mask) {
    mask = mask * 2 + 1;
    u32[(t + MASK) >>> 2] = mask;
  }
  u32[(t + BUCKETS) >>> 2] = added + 1;
  const source = added & (mask >>> 1);
  const from = bucketOffset(a, t, source);
  const to = bucketOffset(a, t, added);
  for (let at = from; at !== 0; at = u32[(at + NEXT_OVERFLOW) >>> 2]) {
    for (let i = 0; i < PLACES; i++) {
      const record = u32[(at >>> 2) + PLACES_OFFSET + i];
      if (record === 0) continue;
      const hash = recordHash(a, record);
      if ((hash & mask) !== added) continue;
      place(a, to, tagOf(hash), record);
      a.u8[at + i] = 0;
      u32[(at >>> 2) + PLACES_OFFSET + i] = 0;
    }
  }
  gather(a, from);
  if (u32[(t + EXPIRY_DIRECTORY) >>> 2] !== 0) expirySplit(a, t, source, added);
  return true;
}

/** Moves the records of a chain's overflow buckets into the places that are free before them, and frees what is then empty. */
function gather(a: Arena, first: Offset): void {
  const u32 = a.u32;
  let overflow = u32[(first + NEXT_OVERFLOW) >>> 2];
  if (overflow === 0) return;
  u32[(first + NEXT_OVERFLOW) >>> 2] = 0;
  while (overflow !== 0) {
    for (let i = 0; i < PLACES; i++) {
      const record = u32[(overflow >>> 2) + PLACES_OFFSET + i];
      if (record !== 0) place(a, first, a.u8[overflow + i], record);
    }
    const next = u32[(overflow + NEXT_OVERFLOW) >>> 2];
    free(a, overflow);
    overflow = next;
  }
}

/** Makes the memory of bucket number `added` exist, if it can. */
function makeRoom(a: Arena, t: Offset, added: number): boolean {
  const u32 = a.u32;
  const segment = added >>> SEGMENT_SHIFT;
  if (segment === 0) {
    const capacity = u32[(t + FIRST_CAPACITY) >>> 2];
    if (added >= capacity) resizeFirst(a, t, added, capacity * 2);
    return true;
  }
  if ((added & (SEGMENT_BUCKETS - 1)) !== 0) return true;
  const capacity = u32[(t + DIRECTORY_CAPACITY) >>> 2];
  // The one block that may be longer than a page.
  if (segment >= capacity && !growDirectories(a, t, capacity * 2)) return false;
  const buckets = newBuckets(a, SEGMENT_BUCKETS);
  u32[(u32[(t + DIRECTORY) >>> 2] >>> 2) + segment] = buckets;
  if (u32[(t + EXPIRY_DIRECTORY) >>> 2] !== 0) expiryBlockCreate(a, t, segment);
  return true;
}

/** Gives segment 0, while it is the only one, room for `capacity` buckets; `used` of them are kept. */
function resizeFirst(a: Arena, t: Offset, used: number, capacity: number): void {
  const directory = a.u32[(t + DIRECTORY) >>> 2];
  const old = a.u32[directory >>> 2];
  const grown = newBuckets(a, capacity);
  a.u8.copyWithin(grown, old, old + used * BUCKET_BYTES);
  a.u32[directory >>> 2] = grown;
  a.u32[(t + FIRST_CAPACITY) >>> 2] = capacity;
  free(a, old);
}

/** False when there is no run of pages for them. */
function growDirectories(a: Arena, t: Offset, capacity: number): boolean {
  const u32 = a.u32;
  const old = u32[(t + DIRECTORY) >>> 2];
  const oldExpiry = u32[(t + EXPIRY_DIRECTORY) >>> 2];
  const half = capacity >>> 1;
  let grown = 0;
  let expiry = 0;
  try {
    grown = alloc(a, capacity * 4, KIND_FIXED);
    if (oldExpiry !== 0) expiry = alloc(a, capacity * EXPIRY_ENTRY_BYTES, KIND_FIXED);
  } catch (error) {
    if (!(error instanceof ArenaFullError)) throw error;
    if (grown !== 0) free(a, grown);
    return false;
  }
  u32.copyWithin(grown >>> 2, old >>> 2, (old >>> 2) + half);
  u32[(t + DIRECTORY) >>> 2] = grown;
  if (old !== t + FIRST_DIRECTORY) free(a, old);
  if (oldExpiry !== 0) {
    a.u8.copyWithin(expiry, oldExpiry, oldExpiry + half * EXPIRY_ENTRY_BYTES);
    u32[(t + EXPIRY_DIRECTORY) >>> 2] = expiry;
    free(a, oldExpiry);
  }
  u32[(t + DIRECTORY_CAPACITY) >>> 2] = capacity;
  // They may have taken what the segment would need.
  return freePages(a) >= SPLIT_PAGES;
}

/**
 * Undoes the last split: the last bucket's records go back to the bucket they came from. A snapshot's sweep may have passed
 * that one already, so a keyspace's records are saved as if they changed.
 */
function merge(a: Arena, t: Offset): void {
  const u32 = a.u32;
  const removed = u32[(t + BUCKETS) >>> 2] - 1;
  const mask = u32[(t + MASK) >>> 2];
  const target = removed & (mask >>> 1);
  const from = bucketOffset(a, t, removed);
  const to = bucketOffset(a, t, target);
  const isKeyspace = u32[(t + EXPIRY_DIRECTORY) >>> 2] !== 0;
  let at = from;
  while (at !== 0) {
    for (let i = 0; i < PLACES; i++) {
      const record = u32[(at >>> 2) + PLACES_OFFSET + i];
      if (record === 0) continue;
      if (isKeyspace) preserve(a, record);
      place(a, to, a.u8[at + i], record);
    }
    const next = u32[(at + NEXT_OVERFLOW) >>> 2];
    if (at !== from) free(a, at);
    at = next;
  }
  u32.fill(0, from >>> 2, (from >>> 2) + BUCKET_BYTES / 4);
  if (isKeyspace) expiryMerge(a, t, target, removed);
  dropLast(a, t, removed);
  if (isKeyspace && (removed & (SEGMENT_BUCKETS - 1)) === 0) expiryBlockFree(a, t, removed >>> SEGMENT_SHIFT);
  const capacity = u32[(t + FIRST_CAPACITY) >>> 2];
  if (removed < SEGMENT_BUCKETS && removed * 4 <= capacity) resizeFirst(a, t, removed, capacity >>> 1);
}

/**
 * For a table that is being taken apart: takes the records of the last bucket out, appends them to `out` and returns how many.
 * The bucket goes too, unless it is the only one. Allocates nothing; not for tables with an expiry index.
 */
export function tableTakeLast(a: Arena, t: Offset, out: Offset[]): number {
  const u32 = a.u32;
  const last = u32[(t + BUCKETS) >>> 2] - 1;
  const count = bucketRecords(a, t, last, out);
  const bucket = bucketOffset(a, t, last);
  for (let at = u32[(bucket + NEXT_OVERFLOW) >>> 2]; at !== 0; ) {
    const next = u32[(at + NEXT_OVERFLOW) >>> 2];
    free(a, at);
    at = next;
  }
  u32.fill(0, bucket >>> 2, (bucket >>> 2) + BUCKET_BYTES / 4);
  u32[(t + COUNT) >>> 2] -= count;
  if (last > 0) dropLast(a, t, last);
  return count;
}

/** Bucket number `last`, the last, is empty and is no more. */
function dropLast(a: Arena, t: Offset, last: number): void {
  const u32 = a.u32;
  const mask = u32[(t + MASK) >>> 2];
  u32[(t + BUCKETS) >>> 2] = last;
  if (last - 1 <= mask >>> 1) u32[(t + MASK) >>> 2] = mask >>> 1;
  const segment = last >>> SEGMENT_SHIFT;
  if (segment > 0 && (last & (SEGMENT_BUCKETS - 1)) === 0) {
    free(a, u32[(u32[(t + DIRECTORY) >>> 2] >>> 2) + segment]);
  }
}

/** Tells the expiry index that this record now expires at its recorded time. Only for tables made with `expiring`. */
export function tableNoteExpiry(a: Arena, t: Offset, hash: number, atMs: number): void {
  expiryNote(a, t, bucketOf(a, t, hash), atMs);
}

/** A walk over all records, bucket by bucket. Reused; the table must not change between calls. */
export class TableWalk {
  private bucket = 0;
  private at = 0;
  private index = 0;

  start(): void {
    this.bucket = 0;
    this.at = 0;
    this.index = PLACES;
  }

  /** The next record, 0 at the end. */
  next(a: Arena, t: Offset): Offset {
    const u32 = a.u32;
    for (;;) {
      while (this.index < PLACES) {
        const record = u32[(this.at >>> 2) + PLACES_OFFSET + this.index++];
        if (record !== 0) return record;
      }
      const overflow = this.at === 0 ? 0 : u32[(this.at + NEXT_OVERFLOW) >>> 2];
      if (overflow !== 0) {
        this.at = overflow;
      } else {
        if (this.bucket >= u32[(t + BUCKETS) >>> 2]) return 0;
        this.at = bucketOffset(a, t, this.bucket++);
      }
      this.index = 0;
    }
  }
}

/** Appends the records of one bucket to `out` and returns how many. */
export function bucketRecords(a: Arena, t: Offset, bucket: number, out: Offset[]): number {
  const u32 = a.u32;
  let count = 0;
  for (let at = bucketOffset(a, t, bucket); at !== 0; at = u32[(at + NEXT_OVERFLOW) >>> 2]) {
    for (let i = 0; i < PLACES; i++) {
      const record = u32[(at >>> 2) + PLACES_OFFSET + i];
      if (record !== 0) {
        out.push(record);
        count++;
      }
    }
  }
  return count;
}

/**
 * One step of SCAN: appends the records of one bucket to `out` and returns the next cursor, 0 when done.
 *
 * The cursor counts in reversed bit order, so that a bucket and the buckets it is split into lie next to each other in
 * that order: every record present during the whole scan is returned at least once, however the table grows or shrinks.
 */
export function tableScan(a: Arena, t: Offset, cursor: number, out: Offset[]): number {
  const buckets = a.u32[(t + BUCKETS) >>> 2];
  const mask = a.u32[(t + MASK) >>> 2];
  const lowMask = mask >>> 1;
  const low = cursor & lowMask;
  const isSplit = low + lowMask + 1 < buckets && mask !== 0;
  const level = isSplit ? mask : lowMask;
  bucketRecords(a, t, cursor & level, out);
  // Reversed-bits increment under the mask of this bucket's level.
  return reverseBits(reverseBits((cursor | ~level) >>> 0) + 1);
}

function reverseBits(x: number): number {
  x = ((x >>> 1) & 0x55555555) | ((x & 0x55555555) << 1);
  x = ((x >>> 2) & 0x33333333) | ((x & 0x33333333) << 2);
  x = ((x >>> 4) & 0x0f0f0f0f) | ((x & 0x0f0f0f0f) << 4);
  x = ((x >>> 8) & 0x00ff00ff) | ((x & 0x00ff00ff) << 8);
  return ((x >>> 16) | (x << 16)) >>> 0;
}

const SAMPLE_TRIES = 128;
/** A chain this long or longer is always accepted; shorter ones in proportion, which makes the draw uniform below it. */
const SAMPLE_CHAIN = 24;

/** A record drawn evenly (but for chains of over 24 records); 0 when the table is empty. About three bucket reads. */
export function tableRandom(a: Arena, t: Offset, random: Random): Offset {
  if (a.u32[(t + COUNT) >>> 2] === 0) return 0;
  const buckets = a.u32[(t + BUCKETS) >>> 2];
  let bucket = 0;
  let size = 0;
  for (let tries = 0; tries < SAMPLE_TRIES; tries++) {
    bucket = random.below(buckets);
    size = chainSize(a, t, bucket);
    if (size > 0 && random.below(SAMPLE_CHAIN) < size) return chainRecord(a, t, bucket, random.below(size));
  }
  while (size === 0) {
    bucket = bucket + 1 < buckets ? bucket + 1 : 0;
    size = chainSize(a, t, bucket);
  }
  return chainRecord(a, t, bucket, random.below(size));
}

function chainSize(a: Arena, t: Offset, bucket: number): number {
  const u32 = a.u32;
  let size = 0;
  for (let at = bucketOffset(a, t, bucket); at !== 0; at = u32[(at + NEXT_OVERFLOW) >>> 2]) {
    for (let i = 4; i < 4 + PLACES; i++) if (u32[(at >>> 2) + i] !== 0) size++;
  }
  return size;
}

function chainRecord(a: Arena, t: Offset, bucket: number, index: number): Offset {
  const u32 = a.u32;
  for (let at = bucketOffset(a, t, bucket); at !== 0; at = u32[(at + NEXT_OVERFLOW) >>> 2]) {
    for (let i = 4; i < 4 + PLACES; i++) {
      const record = u32[(at >>> 2) + i];
      if (record !== 0 && index-- === 0) return record;
    }
  }
  throw new Error('table: bucket shorter than counted');
}

/** Bytes of the table's own blocks, without the records. O(buckets). */
export function tableBytes(a: Arena, t: Offset): number {
  const u32 = a.u32;
  const buckets = u32[(t + BUCKETS) >>> 2];
  let bytes = TABLE_HEADER_BYTES + Math.max(buckets, u32[(t + FIRST_CAPACITY) >>> 2]) * BUCKET_BYTES;
  for (let b = 0; b < buckets; b++) {
    for (let at = u32[(bucketOffset(a, t, b) + NEXT_OVERFLOW) >>> 2]; at !== 0; at = u32[(at + NEXT_OVERFLOW) >>> 2])
      bytes += BUCKET_BYTES;
  }
  return bytes;
}

/** For tests: walks everything and throws at the first thing that is not as it must be. O(n). */
export function tableVerify(a: Arena, t: Offset): void {
  const u32 = a.u32;
  const buckets = u32[(t + BUCKETS) >>> 2];
  let count = 0;
  for (let b = 0; b < buckets; b++) {
    for (let at = bucketOffset(a, t, b); at !== 0; at = u32[(at + NEXT_OVERFLOW) >>> 2]) {
      if ((at & (BUCKET_BYTES - 1)) !== 0) throw new Error(`table: bucket at ${at} is not aligned`);
      for (let i = 0; i < PLACES; i++) {
        const record = u32[(at >>> 2) + PLACES_OFFSET + i];
        const tag = a.u8[at + i];
        if ((record === 0) !== (tag === 0)) throw new Error(`table: tag ${tag} for record ${record}`);
        if (record === 0) continue;
        count++;
        const hash = recordHash(a, record);
        if (tagOf(hash) !== tag) throw new Error(`table: wrong tag for record ${record}`);
        if (bucketOf(a, t, hash) !== b) throw new Error(`table: record ${record} in bucket ${b}`);
      }
    }
  }
  if (count !== u32[(t + COUNT) >>> 2])
    throw new Error(`table: counted ${count}, header says ${u32[(t + COUNT) >>> 2]}`);
}
