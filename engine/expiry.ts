/**
 * Which keys expire next: a tree of minima over the buckets of a keyspace table. Runs under the shard's lock.
 *
 * Each bucket has a lower bound of the earliest expiry in it, each group of 16 buckets the minimum of those, each segment
 * the minimum of its groups, the table the minimum of its segments. Setting an expiry lowers at most four numbers.
 * Removing one changes nothing: the bound stays too early, and the next visit to the bucket makes it exact again. So
 * finding what is due costs a walk down the tree however many keys with a TTL are alive, and costs memory per bucket
 * (about 1.2 bytes per key), not per TTL. Redis samples keys at random instead, and may find an expired one late.
 *
 * ```
 * expiry directory, 16 bytes per segment: f64 minimum of the segment | u32 its block | unused
 * block: f64 minimum per bucket [256] | f64 minimum per group [16]
 * ```
 */
import { alloc, free, KIND_FIXED } from './alloc.ts';
import type { Arena, Offset } from './arena.ts';
import {
  BUCKETS,
  bucketOffset,
  EXPIRY_DIRECTORY,
  NEXT_OVERFLOW,
  PLACES,
  PLACES_OFFSET,
  SEGMENT_BUCKETS,
  SEGMENT_SHIFT,
  TABLE_NEXT_EXPIRY,
} from './bucket.ts';
import { recordExpiry } from './record.ts';

export const EXPIRY_ENTRY_BYTES = 16;
const GROUP_SHIFT = 4;
const GROUPS = SEGMENT_BUCKETS >>> GROUP_SHIFT;
const BLOCK_BYTES = (SEGMENT_BUCKETS + GROUPS) * 8;

/** Makes the block of a new segment, with nothing to expire. */
export function expiryBlockCreate(a: Arena, t: Offset, segment: number): void {
  const block = alloc(a, BLOCK_BYTES, KIND_FIXED);
  a.f64.fill(Number.POSITIVE_INFINITY, block >>> 3, (block + BLOCK_BYTES) >>> 3);
  const entry = entryOf(a, t, segment);
  a.f64[entry >>> 3] = Number.POSITIVE_INFINITY;
  a.u32[(entry + 8) >>> 2] = block;
}

export function expiryBlockFree(a: Arena, t: Offset, segment: number): void {
  free(a, a.u32[(entryOf(a, t, segment) + 8) >>> 2]);
}

function entryOf(a: Arena, t: Offset, segment: number): Offset {
  return a.u32[(t + EXPIRY_DIRECTORY) >>> 2] + segment * EXPIRY_ENTRY_BYTES;
}

/** A record of this bucket expires at `atMs`: lowers the minima on the way up. */
export function expiryNote(a: Arena, t: Offset, bucket: number, atMs: number): void {
  const f64 = a.f64;
  const entry = entryOf(a, t, bucket >>> SEGMENT_SHIFT);
  const index = bucket & (SEGMENT_BUCKETS - 1);
  const block = a.u32[(entry + 8) >>> 2] >>> 3;
  if (atMs >= f64[block + index]) return;
  f64[block + index] = atMs;
  const group = block + SEGMENT_BUCKETS + (index >>> GROUP_SHIFT);
  if (atMs < f64[group]) f64[group] = atMs;
  if (atMs < f64[entry >>> 3]) f64[entry >>> 3] = atMs;
  if (atMs < f64[(t + TABLE_NEXT_EXPIRY) >>> 3]) f64[(t + TABLE_NEXT_EXPIRY) >>> 3] = atMs;
}

/**
 * Sets a bucket's minimum to the earliest expiry after `afterMs` in it (the caller deletes what is due before), and
 * makes the minima above it as exact as what they are made of.
 */
export function expiryRefresh(a: Arena, t: Offset, bucket: number, afterMs: number): void {
  const f64 = a.f64;
  const u32 = a.u32;
  let earliest = Number.POSITIVE_INFINITY;
  for (let at = bucketOffset(a, t, bucket); at !== 0; at = u32[(at + NEXT_OVERFLOW) >>> 2]) {
    for (let i = 0; i < PLACES; i++) {
      const record = u32[(at >>> 2) + PLACES_OFFSET + i];
      if (record === 0) continue;
      const atMs = recordExpiry(a, record);
      if (atMs > afterMs && atMs < earliest) earliest = atMs;
    }
  }
  setBucket(a, t, bucket, earliest);
  const segments = ((u32[(t + BUCKETS) >>> 2] - 1) >>> SEGMENT_SHIFT) + 1;
  let next = Number.POSITIVE_INFINITY;
  for (let s = 0; s < segments; s++) next = Math.min(next, f64[entryOf(a, t, s) >>> 3]);
  f64[(t + TABLE_NEXT_EXPIRY) >>> 3] = next;
}

/** Sets a bucket's minimum, raising or lowering those of its group and segment. */
function setBucket(a: Arena, t: Offset, bucket: number, atMs: number): void {
  const f64 = a.f64;
  const entry = entryOf(a, t, bucket >>> SEGMENT_SHIFT);
  const index = bucket & (SEGMENT_BUCKETS - 1);
  const block = a.u32[(entry + 8) >>> 2] >>> 3;
  if (f64[block + index] === atMs) return;
  f64[block + index] = atMs;
  const group = index >>> GROUP_SHIFT;
  f64[block + SEGMENT_BUCKETS + group] = minimum(f64, block + (group << GROUP_SHIFT), 1 << GROUP_SHIFT);
  f64[entry >>> 3] = minimum(f64, block + SEGMENT_BUCKETS, GROUPS);
}

function minimum(f64: Float64Array, from: number, count: number): number {
  let least = f64[from];
  for (let i = 1; i < count; i++) if (f64[from + i] < least) least = f64[from + i];
  return least;
}

/** A bucket was split in two: the old bound holds for both. */
export function expirySplit(a: Arena, t: Offset, source: number, added: number): void {
  expiryNote(a, t, added, bucketMinimum(a, t, source));
}

/** The last bucket was merged into another, which now has the lower bound of both. */
export function expiryMerge(a: Arena, t: Offset, target: number, removed: number): void {
  expiryNote(a, t, target, bucketMinimum(a, t, removed));
  setBucket(a, t, removed, Number.POSITIVE_INFINITY);
}

function bucketMinimum(a: Arena, t: Offset, bucket: number): number {
  const block = a.u32[(entryOf(a, t, bucket >>> SEGMENT_SHIFT) + 8) >>> 2] >>> 3;
  return a.f64[block + (bucket & (SEGMENT_BUCKETS - 1))];
}

/** A bucket with a bound at or before `nowMs`, -1 when there is none. */
export function expiryDueBucket(a: Arena, t: Offset, nowMs: number): number {
  const f64 = a.f64;
  if (f64[(t + TABLE_NEXT_EXPIRY) >>> 3] > nowMs) return -1;
  const segments = ((a.u32[(t + BUCKETS) >>> 2] - 1) >>> SEGMENT_SHIFT) + 1;
  for (let s = 0; s < segments; s++) {
    const entry = entryOf(a, t, s);
    if (f64[entry >>> 3] > nowMs) continue;
    const block = a.u32[(entry + 8) >>> 2] >>> 3;
    for (let g = 0; g < GROUPS; g++) {
      if (f64[block + SEGMENT_BUCKETS + g] > nowMs) continue;
      const first = g << GROUP_SHIFT;
      for (let i = first; i < first + (1 << GROUP_SHIFT); i++) {
        if (f64[block + i] <= nowMs) return (s << SEGMENT_SHIFT) + i;
      }
    }
  }
  return -1;
}

/** The first bucket from number `from` on that has a bound: it holds a record with an expiry, or did once. -1 for none. */
export function expiryNextBucket(a: Arena, t: Offset, from: number): number {
  const f64 = a.f64;
  const buckets = a.u32[(t + BUCKETS) >>> 2];
  let bucket = from;
  while (bucket < buckets) {
    const entry = entryOf(a, t, bucket >>> SEGMENT_SHIFT);
    const index = bucket & (SEGMENT_BUCKETS - 1);
    if (f64[entry >>> 3] === Number.POSITIVE_INFINITY) {
      bucket += SEGMENT_BUCKETS - index;
      continue;
    }
    const block = a.u32[(entry + 8) >>> 2] >>> 3;
    if (f64[block + SEGMENT_BUCKETS + (index >>> GROUP_SHIFT)] === Number.POSITIVE_INFINITY) {
      bucket += (1 << GROUP_SHIFT) - (index & ((1 << GROUP_SHIFT) - 1));
      continue;
    }
    if (f64[block + index] !== Number.POSITIVE_INFINITY) return bucket;
    bucket++;
  }
  return -1;
}
