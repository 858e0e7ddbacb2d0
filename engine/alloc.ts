/**
 * The allocator of an arena, seen from outside: formats arenas, hands out blocks and takes them back, tells how full
 * an arena is. Everything here runs on the thread that holds the shard's lock. What an arena looks like depends on the
 * sequence of calls alone: no clock, no randomness, so replicas that apply the same commands get the same layout.
 *
 * ```
 * page 0      header (arena.ts); at +2048 the page state: top, counts, bins of free runs            pages.ts
 * page 1      per (size class, kind): the current span and four lists of spans with room            spans.ts
 * page 2..    page descriptors, 32 bytes each, for every page the arena has room for                pages.ts
 * page F..    spans (blocks of up to 64 KiB), runs (larger blocks) and free runs, up to the top
 * top..       never written since the top was last here; costs no memory if it never was
 * ```
 * Example: the first `alloc(a, 90, KIND_RECORD)` of an arena of 1024 pages. 90 bytes are class 12 (96 bytes), so
 * ck = 12 * 8 + 1 = 97. There is no current span; page 4 (2 + 1024 * 32 / 16384) is taken from the top and becomes one
 * of 170 blocks; the block is at offset 4 * 16384 = 65536 and COUNTER_USED_BYTES grows by 96, and by 32 for the
 * descriptor.
 */
import {
  ARENA_MAGIC,
  Arena,
  COUNTER_BURIED,
  COUNTER_EXPIRING_KEYS,
  COUNTER_KEYS,
  COUNTER_LAZY_FREED,
  COUNTER_NEXT_EXPIRY,
  COUNTER_USED_BYTES,
  DATABASE_DIRECTORY_OFFSET,
  MAX_DATABASES,
  PAGE_BYTES,
  WORD_BURIED,
  WORD_DATABASES,
  WORD_EXPIRE_DB,
  WORD_MAGIC,
  WORD_PAGES,
  WORD_SEED0,
  WORD_SEED1,
  WORD_SHARD,
  WORD_SNAPSHOT_STATE,
} from './arena.ts';
import {
  baseBytes,
  DESCRIPTOR_BYTES,
  formatPages,
  freePages,
  longestRun,
  MAX_PAGES,
  S_FIRST,
  S_PEAK,
  S_RUN_PAGES,
  S_SLAB_PAGES,
  S_TOP,
} from './pages.ts';
import { SNAPSHOT_SWEEPING } from './snapshot/epoch.ts';
import { CK_COUNT, CURRENT, LIST_COUNT, MAX_CLASS_BYTES, MAX_SPAN_PAGES, reclaim } from './spans.ts';

export { compactStep, registerRelocator } from './compact.ts';
export {
  ArenaFullError,
  alloc,
  free,
  KIND_FIXED,
  KIND_LIST_NODE,
  KIND_MEMBER,
  KIND_RECORD,
  KIND_STREAM_NODE,
  KIND_TREE_NODE,
  KIND_ZSET_MEMBER,
  usableSize,
} from './spans.ts';
export { verifyAlloc } from './verifyalloc.ts';

/** Below this an arena could not hold one span of each kind a command may need. */
const MIN_PAGES = 16;
/** `canHold` is about so many allocations at most: all that a command makes for one key. */
const ALLOCATIONS = 8;
/** Classes up to this one have spans of a single page; above, a block may open a span of up to 8 pages. */
const ONE_PAGE_BYTES = 1536;

/** Reserves and formats an arena of at most `bytes`. Memory is taken from the system only where it is touched. */
export function createArena(
  bytes: number,
  shard: number,
  databases: number,
  seed: [number, number],
): SharedArrayBuffer {
  const pages = Math.min(Math.floor(bytes / PAGE_BYTES), MAX_PAGES);
  if (pages < MIN_PAGES) throw new RangeError(`an arena needs at least ${MIN_PAGES * PAGE_BYTES} bytes`);
  if (databases < 1 || databases > MAX_DATABASES) throw new RangeError(`databases must be 1 to ${MAX_DATABASES}`);
  const buffer = new SharedArrayBuffer(pages * PAGE_BYTES);
  const u32 = new Uint32Array(buffer, 0, PAGE_BYTES >>> 2);
  u32[WORD_MAGIC] = ARENA_MAGIC;
  u32[WORD_SHARD] = shard;
  u32[WORD_PAGES] = pages;
  u32[WORD_SEED0] = seed[0];
  u32[WORD_SEED1] = seed[1];
  u32[WORD_DATABASES] = databases;
  resetArena(new Arena(buffer));
  return buffer;
}

/**
 * Forgets everything stored (FLUSHALL): the arena is as just created but for lock, seeds, the snapshot's words and the
 * statistics, which stay. A snapshot under way was aborted before. Costs about 2 microseconds whatever was stored.
 */
export function resetArena(a: Arena): void {
  if (a.i32[WORD_SNAPSHOT_STATE] === SNAPSHOT_SWEEPING && a.f64[COUNTER_KEYS] > 0) {
    throw new Error('alloc: an arena that a snapshot has not saved is reset');
  }
  formatPages(a, a.u32[WORD_PAGES]);
  a.i32.fill(0, CURRENT, CURRENT + CK_COUNT * (1 + LIST_COUNT));
  a.u32.fill(0, DATABASE_DIRECTORY_OFFSET >>> 2, PAGE_BYTES >>> 2);
  a.u32[WORD_EXPIRE_DB] = 0;
  a.u32[WORD_BURIED] = 0;
  a.f64[COUNTER_USED_BYTES] = baseBytes(a);
  a.f64[COUNTER_LAZY_FREED] += a.f64[COUNTER_BURIED];
  a.f64[COUNTER_BURIED] = 0;
  a.f64[COUNTER_KEYS] = 0;
  a.f64[COUNTER_EXPIRING_KEYS] = 0;
  a.f64[COUNTER_NEXT_EXPIRY] = Number.POSITIVE_INFINITY;
}

/**
 * Whether an allocation of `bytes`, or up to eight that sum to it, would surely succeed now. Errs on the side of no, by
 * up to 1 MiB, since each of them may open a span of its own. A block of at most a page only needs free pages
 * somewhere; for larger ones it looks for one free run that would hold them all.
 */
export function canHold(a: Arena, bytes: number): boolean {
  if (hasRoom(a, bytes) || (reclaim(a) && hasRoom(a, bytes))) return true;
  if (!isLenient) return false;
  const pages = Math.ceil(bytes / PAGE_BYTES);
  // One block may be asked for, to save memory: that must not fail where it need not be had.
  return freePages(a) >= Math.max(ALLOCATIONS, pages) && (bytes > MAX_CLASS_BYTES || longestRun(a) >= pages);
}

let isLenient = false;

/**
 * Until it is set back `canHold` says yes where it would rather say no: for a command that was accepted before, which finds out
 * by its blocks whether there is room. This thread's own.
 */
export function beLenient(lenient: boolean): void {
  isLenient = lenient;
}

/** Whether there is room for blocks of `bytes` in all, of which the longest has `longest`: `hasRoom` asks for one run that holds all. */
export function hasRoomFor(a: Arena, bytes: number, longest: number): boolean {
  return (
    freePages(a) >= ALLOCATIONS * MAX_SPAN_PAGES + Math.ceil(bytes / PAGE_BYTES) &&
    longestRun(a) > Math.ceil(longest / PAGE_BYTES)
  );
}

/** The same without freeing anything that waits to be freed: also for an arena that is not locked, as of a moment ago. */
export function hasRoom(a: Arena, bytes: number): boolean {
  const reserve = bytes <= ONE_PAGE_BYTES ? ALLOCATIONS : ALLOCATIONS * MAX_SPAN_PAGES;
  if (bytes <= PAGE_BYTES) return freePages(a) >= reserve;
  return longestRun(a) >= reserve + Math.ceil(bytes / PAGE_BYTES);
}

/** Bytes in blocks in use, and what the allocator itself needs. */
export function liveBytes(a: Arena): number {
  return a.f64[COUNTER_USED_BYTES];
}

/** Bytes in pages in use, and what the allocator itself needs; divided by `liveBytes` it is the fragmentation. */
export function arenaBytes(a: Arena): number {
  return (a.i32[S_SLAB_PAGES] + a.i32[S_RUN_PAGES]) * PAGE_BYTES + baseBytes(a);
}

/** Everything below this offset may be in use: what a snapshot copies. */
export function highWaterBytes(a: Arena): number {
  return a.i32[S_TOP] * PAGE_BYTES;
}

/** The highest `highWaterBytes` has been: what the arena has taken from the operating system. */
export function peakBytes(a: Arena): number {
  return a.i32[S_PEAK] * PAGE_BYTES;
}

/** Bytes ever written to: the same without the descriptors of pages that were never used, most of them in a new arena. */
export function touchedBytes(a: Arena): number {
  const peak = a.i32[S_PEAK];
  const descriptors = (peak - a.i32[S_TOP]) * DESCRIPTOR_BYTES;
  return baseBytes(a) + descriptors + (peak - a.i32[S_FIRST]) * PAGE_BYTES;
}
