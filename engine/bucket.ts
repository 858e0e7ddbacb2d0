/**
 * How a table and its buckets lie in memory, and how a bucket's number becomes its offset. What the words are for:
 * table.ts; what the expiry directory is for: expiry.ts.
 *
 * ```
 * bucket, one cache line: u8 tags[12] | u32 next overflow bucket (0 = none) | u32 records[12]
 *   a tag is the top byte of the hash (1 for 0); tag 0 with record 0 is an empty place. Tags are compared four at a time.
 *
 * header, 48 bytes
 *   +0  u32 count    | +4 u32 buckets | +8 u32 mask: the power of two above the highest bucket, minus 1
 *   +12 u32 directory: u32 per segment of 256 buckets, the segment's offset
 *   +16 u32 directory capacity in segments | +20 u32 buckets that segment 0 has room for (1 .. 256)
 *   +24 u32 expiry directory (0 = this table has no expiry index)
 *   +28 u32 the directory itself while there is one segment
 *   +32 f64 lower bound of the earliest expiry, ms since 1970 | +40 u32 a word of the owner's
 *   +32 u32, once the table is buried (lazyfree.ts): the next buried one
 *   +44 u32 records with an expiry
 * ```
 */
import type { Arena, Offset } from './arena.ts';

export const TABLE_HEADER_BYTES = 48;
export const COUNT = 0;
export const BUCKETS = 4;
export const MASK = 8;
export const DIRECTORY = 12;
export const DIRECTORY_CAPACITY = 16;
export const FIRST_CAPACITY = 20;
export const EXPIRY_DIRECTORY = 24;
export const FIRST_DIRECTORY = 28;
export const TABLE_NEXT_EXPIRY = 32;
export const NEXT_BURIED = 32;
export const OWNER_WORD = 40;
export const EXPIRING_COUNT = 44;

export const BUCKET_BYTES = 64;
/** Records that fit a bucket. */
export const PLACES = 12;
/** Byte offset of the overflow link in a bucket. */
export const NEXT_OVERFLOW = 12;
/** Word offset of the first record in a bucket. */
export const PLACES_OFFSET = 4;
export const SEGMENT_SHIFT = 8;
export const SEGMENT_BUCKETS = 1 << SEGMENT_SHIFT;

export function bucketOffset(a: Arena, t: Offset, bucket: number): Offset {
  const directory = a.u32[(t + DIRECTORY) >>> 2];
  return a.u32[(directory >>> 2) + (bucket >>> SEGMENT_SHIFT)] + ((bucket & (SEGMENT_BUCKETS - 1)) << 6);
}
