/**
 * Blocks up to 64 KiB: size classes, spans of one class and kind, and `alloc` / `free` / `usableSize` over them.
 * Called on the thread that holds the shard's lock; about 10 ns each when warm. Larger blocks are page runs.
 *
 * A span is one or a few pages cut into blocks of one size class, all of one kind, so that compaction finds the owners
 * of everything in it by one relocator. Each (class, kind) pair, `ck` for short, allocates from its current span; when
 * that is full it goes on with the fullest other span that has room, so that sparse spans drain by themselves. The
 * other spans with room hang in four lists per ck by how full they are, which is where compaction looks for victims.
 * Frees move a span downwards through the lists; becoming current or a victim takes it out.
 *
 * ```
 * page 1, the span lists, u32 page numbers, 0 = none
 *   current[ck], list 0[ck], list 1[ck], list 2[ck], list 3[ck]      ck = class * 8 + kind
 *   list 0: up to 1/4 full | 1: up to 1/2 | 2: up to 4/5 | 3: anything less than full
 * block
 *   in use: the owner's bytes | free: +0 u32 offset of the span's next free block, 0 = none
 * ```
 * The span's words in the descriptor of its first page (pages.ts): `free` is the head of the list of freed blocks,
 * `fresh` the first block never handed out yet (so that a new span is not written over), `room` how many blocks are
 * left, `limit` the room at which a free has to look after the lists. A span that was filled is in no list until a
 * 32nd of it is free again: churn over many full spans would else go through the lists at every call (66 instead of
 * 37 ns for a free and an alloc of 96 bytes), for at most 3 % of memory. Spans of fewer than 32 blocks come back at
 * the first free.
 */
import { type Arena, COUNTER_USED_BYTES, type Offset, PAGE_BYTES, PAGE_SHIFT, WORD_BURIED } from './arena.ts';
import {
  D_FREE,
  D_FRESH,
  D_LIMIT,
  D_NEXT,
  D_PREV,
  D_ROOM,
  D_SIZE,
  DESCRIPTORS,
  idlePages,
  owePages,
  releasePages,
  S_RUN_PAGES,
  S_SLAB_PAGES,
  STATE_RUN,
  STATE_SLAB,
  STATE_TAIL,
  shortOfPages,
  TAG_STATE_MASK,
  takePages,
} from './pages.ts';

/** Never moved: roots, tables, segments, directories. */
export const KIND_FIXED = 0;
/** Key records (record.ts). */
export const KIND_RECORD = 1;
/** Members of tables inside hashes and sets. */
export const KIND_MEMBER = 2;
export const KIND_LIST_NODE = 3;
export const KIND_TREE_NODE = 4;
export const KIND_STREAM_NODE = 5;
/** Members of sorted sets: their table and their tree point at them. */
export const KIND_ZSET_MEMBER = 6;
/** Room for kinds in a ck. */
export const KIND_COUNT = 8;

/** Larger blocks are page runs. */
export const MAX_CLASS_BYTES = 65536;
/** Classes 0..16 are 8 bytes apart (class 0 serves requests of no bytes), then there are eight to each doubling. */
export const CLASS_COUNT = 17 + 9 * 8;
export const CK_COUNT = CLASS_COUNT * KIND_COUNT;
/** Spans of several pages serve classes that would leave much of a single page over; this bounds their length. */
export const MAX_SPAN_PAGES = 8;

export const CLASS_BYTES = new Int32Array(CLASS_COUNT);
export const CLASS_PAGES = new Int32Array(CLASS_COUNT);
export const CLASS_CAPACITY = new Int32Array(CLASS_COUNT);

/** Word indexes in page 1. */
export const CURRENT = PAGE_BYTES >>> 2;
export const LISTS = CURRENT + CK_COUNT;
export const LIST_COUNT = 4;

/** In the tag, from bit 3: the list the span hangs in, or one of these. */
export const LIST_NONE = 4;
export const LIST_CURRENT = 5;
export const TAG_LIST_SHIFT = 3;
export const TAG_CK_SHIFT = 8;

/** A room that no free reaches. */
export const NO_LIMIT = 0x7fffffff;

/** The arena has no free page left that would serve. Thrown as one shared instance; the arena is as it was before. */
export class ArenaFullError extends Error {
  readonly code = 'ARENA_FULL';
}
const ARENA_FULL = new ArenaFullError('the arena has no free page');

for (let c = 0; c < CLASS_COUNT; c++) {
  const bytes = c <= 16 ? Math.max(8, c * 8) : (9 + ((c - 17) & 7)) << (4 + ((c - 17) >>> 3));
  let best = 1;
  let bestWaste = Number.POSITIVE_INFINITY;
  for (let pages = Math.ceil(bytes / PAGE_BYTES); pages <= MAX_SPAN_PAGES && bestWaste > 1 / 16; pages++) {
    const waste = ((pages * PAGE_BYTES) % bytes) / (pages * PAGE_BYTES);
    if (waste < bestWaste) {
      best = pages;
      bestWaste = waste;
    }
  }
  CLASS_BYTES[c] = bytes;
  CLASS_PAGES[c] = best;
  CLASS_CAPACITY[c] = Math.floor((best * PAGE_BYTES) / bytes);
}

let reclaimer: (a: Arena) => void = () => {};

/** What frees everything that waits to be freed (lazyfree.ts). */
export function registerReclaimer(reclaim: (a: Arena) => void): void {
  reclaimer = reclaim;
}

/** Frees what waits to be freed; false when nothing does. */
export function reclaim(a: Arena): boolean {
  if (a.u32[WORD_BURIED] === 0) return false;
  reclaimer(a);
  return true;
}

/** Bytes of 8-aligned room for at least `bytes`; its contents are whatever lay there. Throws ArenaFullError. */
export function alloc(a: Arena, bytes: number, kind: number): Offset {
  if (bytes > MAX_CLASS_BYTES) return allocRun(a, bytes);
  const i32 = a.i32;
  const ck = (classOf(bytes) << 3) | kind;
  // With no current span this is the descriptor of page 0, whose room is 0.
  let d = DESCRIPTORS + (i32[CURRENT + ck] << 3);
  let room = i32[d + D_ROOM];
  if (room === 0) {
    d = nextSpan(a, ck);
    if (d === 0) return reclaim(a) ? alloc(a, bytes, kind) : allocRun(a, bytes);
    room = i32[d + D_ROOM];
  }
  const size = i32[d + D_SIZE];
  let block = i32[d + D_FREE];
  if (block !== 0) {
    i32[d + D_FREE] = i32[block >>> 2];
  } else {
    block = i32[d + D_FRESH];
    i32[d + D_FRESH] = block + size;
  }
  i32[d + D_ROOM] = room - 1;
  a.f64[COUNTER_USED_BYTES] += size;
  return block;
}

/** Gives a block back. Freeing anything but a block in use is a mistake of ours that is not always noticed. */
export function free(a: Arena, block: Offset): void {
  const i32 = a.i32;
  let d = DESCRIPTORS + ((block >>> PAGE_SHIFT) << 3);
  const state = i32[d] & TAG_STATE_MASK;
  if (state !== STATE_SLAB) {
    if (state !== STATE_TAIL) {
      freeRun(a, block, state);
      return;
    }
    d = DESCRIPTORS + (i32[d + D_SIZE] << 3);
  }
  i32[block >>> 2] = i32[d + D_FREE];
  i32[d + D_FREE] = block;
  a.f64[COUNTER_USED_BYTES] -= i32[d + D_SIZE];
  const room = i32[d + D_ROOM] + 1;
  i32[d + D_ROOM] = room;
  if (room >= i32[d + D_LIMIT]) sinkSpan(a, d);
}

/** Bytes the block can hold: what was asked for, rounded up to its class or to pages. */
export function usableSize(a: Arena, block: Offset): number {
  const i32 = a.i32;
  const d = DESCRIPTORS + ((block >>> PAGE_SHIFT) << 3);
  if ((i32[d] & TAG_STATE_MASK) !== STATE_TAIL) return i32[d + D_SIZE];
  return i32[DESCRIPTORS + (i32[d + D_SIZE] << 3) + D_SIZE];
}

/** The smallest class that holds `bytes`, at most MAX_CLASS_BYTES. */
export function classOf(bytes: number): number {
  if (bytes <= 128) return (bytes + 7) >>> 3;
  const exponent = 31 - Math.clz32(bytes - 1);
  return 17 + ((exponent - 7) << 3) + (((bytes - 1) >>> (exponent - 3)) & 7);
}

/** Gives back the empty spans that are kept as current ones: the last resort before the arena counts as full. */
function releaseEmptySpans(a: Arena): void {
  const i32 = a.i32;
  for (let ck = 0; ck < CK_COUNT; ck++) {
    const page = i32[CURRENT + ck];
    if (page === 0) continue;
    const d = DESCRIPTORS + (page << 3);
    if (i32[d + D_ROOM] !== CLASS_CAPACITY[ck >>> 3]) continue;
    i32[CURRENT + ck] = 0;
    releaseSpan(a, d);
  }
}

/** A page run for blocks above the largest class, and for smaller ones when no whole span is to be had. */
function allocRun(a: Arena, bytes: number): Offset {
  const i32 = a.i32;
  const pages = Math.ceil(bytes / PAGE_BYTES) || 1;
  const page = takePagesHard(a, pages);
  if (page === 0) {
    if (reclaim(a)) return allocRun(a, bytes);
    throw ARENA_FULL;
  }
  // The last page first: it may be the only one.
  i32[DESCRIPTORS + ((page + pages - 1) << 3)] = STATE_TAIL;
  const d = DESCRIPTORS + (page << 3);
  i32[d] = STATE_RUN;
  i32[d + D_SIZE] = pages << PAGE_SHIFT;
  i32[S_RUN_PAGES] += pages;
  a.f64[COUNTER_USED_BYTES] += pages << PAGE_SHIFT;
  return page << PAGE_SHIFT;
}

function takePagesHard(a: Arena, pages: number): number {
  const page = takePages(a, pages);
  if (page !== 0) return page;
  releaseEmptySpans(a);
  return takePages(a, pages);
}

function freeRun(a: Arena, block: Offset, state: number): void {
  if (state !== STATE_RUN || (block & (PAGE_BYTES - 1)) !== 0) throw new Error(`not a block: ${block}`);
  const i32 = a.i32;
  const page = block >>> PAGE_SHIFT;
  const bytes = i32[DESCRIPTORS + (page << 3) + D_SIZE];
  i32[S_RUN_PAGES] -= bytes >>> PAGE_SHIFT;
  a.f64[COUNTER_USED_BYTES] -= bytes;
  releasePages(a, page, bytes >>> PAGE_SHIFT);
}

/** Retires the full current span of ck and makes another current; returns its descriptor, or 0 for want of pages. */
function nextSpan(a: Arena, ck: number): number {
  const i32 = a.i32;
  let page = 0;
  for (let list = LIST_COUNT - 1; list >= 0 && page === 0; list--) page = i32[LISTS + list * CK_COUNT + ck];
  if (page !== 0) unlinkSpan(a, DESCRIPTORS + (page << 3));
  else page = newSpan(a, ck);
  if (page === 0) return 0;
  const full = i32[CURRENT + ck];
  if (full !== 0) {
    const d = DESCRIPTORS + (full << 3);
    i32[d] = STATE_SLAB | (LIST_NONE << TAG_LIST_SHIFT) | (ck << TAG_CK_SHIFT);
    i32[d + D_LIMIT] = retiredLimit(CLASS_CAPACITY[ck >>> 3]);
  }
  const d = DESCRIPTORS + (page << 3);
  i32[d] = STATE_SLAB | (LIST_CURRENT << TAG_LIST_SHIFT) | (ck << TAG_CK_SHIFT);
  i32[d + D_LIMIT] = NO_LIMIT;
  i32[CURRENT + ck] = page;
  return d;
}

/** Takes pages for a span of ck; returns the first, or 0. The caller sets tag and limit. */
function newSpan(a: Arena, ck: number): number {
  const page = takePagesHard(a, CLASS_PAGES[ck >>> 3]);
  if (page !== 0) formatSpan(a, page, ck);
  return page;
}

/** Makes an empty span of ck of pages that were taken, from `page` on; its descriptor, whose tag and limit are the caller's to set. */
export function formatSpan(a: Arena, page: number, ck: number): number {
  const i32 = a.i32;
  const pages = CLASS_PAGES[ck >>> 3];
  for (let tail = page + 1; tail < page + pages; tail++) {
    i32[DESCRIPTORS + (tail << 3)] = STATE_TAIL;
    i32[DESCRIPTORS + (tail << 3) + D_SIZE] = page;
  }
  const d = DESCRIPTORS + (page << 3);
  i32[d + D_SIZE] = CLASS_BYTES[ck >>> 3];
  i32[d + D_FREE] = 0;
  i32[d + D_FRESH] = page << PAGE_SHIFT;
  i32[d + D_ROOM] = CLASS_CAPACITY[ck >>> 3];
  i32[S_SLAB_PAGES] += pages;
  return d;
}

export function releaseSpan(a: Arena, d: number): void {
  const pages = CLASS_PAGES[a.i32[d] >>> (TAG_CK_SHIFT + 3)];
  a.i32[S_SLAB_PAGES] -= pages;
  releasePages(a, (d - DESCRIPTORS) >>> 3, pages);
}

/** A free brought the room of a span that is not current to its limit: it is empty, or belongs in a lower list. */
function sinkSpan(a: Arena, d: number): void {
  const tag = a.i32[d];
  if (((tag >>> TAG_LIST_SHIFT) & 7) !== LIST_NONE) unlinkSpan(a, d);
  if (a.i32[d + D_ROOM] === CLASS_CAPACITY[tag >>> (TAG_CK_SHIFT + 3)]) {
    releaseSpan(a, d);
  } else {
    linkSpan(a, d);
    oweForSparse(a, d);
  }
}

/**
 * Has compaction win back pages when a span has become at most half full and half of the memory in spans is idle, or
 * when one has become at all sparse and pages are short. Two spans' worth, since what is packed now goes on decaying:
 * with one, deleting nine blocks in ten at random leaves memory at 2.8 times what is live, with two at 2.0, for a
 * quarter of a move per delete.
 */
function oweForSparse(a: Arena, d: number): void {
  const i32 = a.i32;
  const list = (i32[d] >>> TAG_LIST_SHIFT) & 7;
  if (list === LIST_COUNT - 1) return;
  if ((list <= 1 && idlePages(a) * 2 > i32[S_SLAB_PAGES]) || shortOfPages(a)) {
    owePages(a, 2 * CLASS_PAGES[i32[d] >>> (TAG_CK_SHIFT + 3)]);
  }
}

/** Hangs a span that has both room and blocks in use into the list for its occupancy. */
export function linkSpan(a: Arena, d: number): void {
  const i32 = a.i32;
  const ck = i32[d] >>> TAG_CK_SHIFT;
  const capacity = CLASS_CAPACITY[ck >>> 3];
  const used = capacity - i32[d + D_ROOM];
  let list = LIST_COUNT - 1;
  while (list > 0 && used <= listFloor(list, capacity)) list--;
  const page = (d - DESCRIPTORS) >>> 3;
  const head = i32[LISTS + list * CK_COUNT + ck];
  i32[d] = STATE_SLAB | (list << TAG_LIST_SHIFT) | (ck << TAG_CK_SHIFT);
  i32[d + D_LIMIT] = capacity - listFloor(list, capacity);
  i32[d + D_PREV] = 0;
  i32[d + D_NEXT] = head;
  if (head !== 0) i32[DESCRIPTORS + (head << 3) + D_PREV] = page;
  i32[LISTS + list * CK_COUNT + ck] = page;
}

/** The room at which a span that was filled goes back into the lists. */
export function retiredLimit(capacity: number): number {
  return 1 + (capacity >>> 5);
}

/** The number of blocks in use at which a span falls out of a list, into the one below or, from list 0, out of use. */
export function listFloor(list: number, capacity: number): number {
  if (list === 3) return ((capacity * 4) / 5) | 0;
  return list === 2 ? capacity >>> 1 : list === 1 ? capacity >>> 2 : 0;
}

export function unlinkSpan(a: Arena, d: number): void {
  const i32 = a.i32;
  const tag = i32[d];
  const prev = i32[d + D_PREV];
  const next = i32[d + D_NEXT];
  if (next !== 0) i32[DESCRIPTORS + (next << 3) + D_PREV] = prev;
  if (prev !== 0) i32[DESCRIPTORS + (prev << 3) + D_NEXT] = next;
  else i32[LISTS + ((tag >>> TAG_LIST_SHIFT) & 7) * CK_COUNT + (tag >>> TAG_CK_SHIFT)] = next;
}
