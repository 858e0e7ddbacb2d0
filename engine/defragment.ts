/**
 * The last resort of an arena that has free memory, but not in the pages that a command needs: moves blocks from the top of the
 * arena downwards, into spans with room and into free runs below, until what is wanted is there. Compaction (compact.ts)
 * does a little after each write and asks for single pages; this makes long runs, all at once. Only where nobody holds an
 * offset, before a command or after it. Costs 0.25 us for a small block that is moved, 1 us for one of a
 * kilobyte; what was moved stays, so that a call that ran
 * out of its budget is continued by the next.
 *
 * Blocks of KIND_FIXED, which are the buckets of tables for the most part, and page runs stay where they are: the longest run is
 * what lies between them.
 */

import type { Arena, Offset } from './arena.ts';
import { COUNTER_USED_BYTES, PAGE_BYTES, PAGE_SHIFT } from './arena.ts';
import { copyBlock, relocatorOf } from './compact.ts';
import {
  cutRun,
  D_FREE,
  D_FRESH,
  D_LIMIT,
  D_ROOM,
  D_SIZE,
  DESCRIPTORS,
  freePages,
  idlePages,
  S_FIRST,
  S_TOP,
  STATE_RUN,
  STATE_SLAB,
  TAG_STATE_MASK,
} from './pages.ts';
import {
  CLASS_CAPACITY,
  CLASS_PAGES,
  CURRENT,
  formatSpan,
  free,
  KIND_COUNT,
  LIST_CURRENT,
  LIST_NONE,
  linkSpan,
  MAX_SPAN_PAGES,
  NO_LIMIT,
  reclaim,
  releaseSpan,
  retiredLimit,
  TAG_CK_SHIFT,
  TAG_LIST_SHIFT,
  unlinkSpan,
} from './spans.ts';

/** The spans of one size class and kind while some of them are emptied. */
interface Group {
  ck: number;
  /** First pages, ascending; then those of new ones. */
  pages: number[];
  /** Those that are no more. */
  gone: Set<number>;
  /** The first of `pages` that may have room. */
  next: number;
}

/** Bytes that a write is kept waiting for at the most, about 15 ms: the rest is done for the next that finds no room. */
export const WRITE_BYTES = 16 * 1024 * 1024;
/** What a block counts beyond its own bytes, for finding whoever points at it. */
const BLOCK_COST_BYTES = 256;

/**
 * Where nobody holds an offset into the arena: makes `isRoomy` true, for `bytes` of room, if freeing what waits to be freed and
 * moving about `budgetBytes` of blocks does. False when there is no room, or not yet.
 */
export function findRoom(a: Arena, bytes: number, budgetBytes: number, isRoomy: (a: Arena) => boolean): boolean {
  if (isRoomy(a) || (reclaim(a) && isRoomy(a))) return true;
  if (sparePages(a) * PAGE_BYTES < bytes) return false;
  return defragment(a, () => isRoomy(a), budgetBytes) && isRoomy(a);
}

/** Pages' worth of memory that is in no block, wherever. */
function sparePages(a: Arena): number {
  return freePages(a) + idlePages(a);
}

/** What an arena had to spare when nothing could be moved: until there is more, nothing is tried. This thread's own. */
const futile = new WeakMap<Arena, number>();
const LEAST_GAIN_PAGES = 2;

const used: Offset[] = [];
const isFree = new Uint8Array(CLASS_CAPACITY[0]);

/** Moves blocks until `isEnough`, for about `budgetBytes` of them. False when nothing was moved. */
export function defragment(a: Arena, isEnough: () => boolean, budgetBytes: number): boolean {
  if (sparePages(a) < (futile.get(a) ?? Number.NEGATIVE_INFINITY) + LEAST_GAIN_PAGES) return false;
  const groups = new Map<number, Group>();
  const movable = survey(a, groups);
  // By length in pages: where the search for the lowest free run goes on.
  const lowest = new Int32Array(MAX_SPAN_PAGES + 1).fill(a.i32[S_FIRST]);
  let budget = budgetBytes;
  let hasMoved = false;
  const opened = new Set<Group>();
  for (let i = movable.length - 1; i >= 0 && budget > 0 && !isEnough(); i--) {
    const group = groups.get(a.i32[DESCRIPTORS + (movable[i] << 3)] >>> TAG_CK_SHIFT) as Group;
    if (!opened.has(group)) {
      opened.add(group);
      detach(a, group);
    }
    const bytes = empty(a, movable[i], group, lowest);
    if (bytes > 0) hasMoved = true;
    budget -= bytes;
  }
  for (const group of opened) attach(a, group);
  if (hasMoved) futile.delete(a);
  else if (!isEnough()) futile.set(a, sparePages(a));
  return hasMoved;
}

/** The first pages of all spans that can be moved, ascending; by class and kind in `groups`. */
function survey(a: Arena, groups: Map<number, Group>): number[] {
  const movable: number[] = [];
  for (let page = a.i32[S_FIRST]; page < a.i32[S_TOP]; page += lengthAt(a, page)) {
    const tag = a.i32[DESCRIPTORS + (page << 3)];
    if ((tag & TAG_STATE_MASK) !== STATE_SLAB) continue;
    const ck = tag >>> TAG_CK_SHIFT;
    if (relocatorOf(ck & (KIND_COUNT - 1)) === undefined) continue;
    movable.push(page);
    const group = groups.get(ck);
    if (group === undefined) groups.set(ck, { ck, pages: [page], gone: new Set(), next: 0 });
    else group.pages.push(page);
  }
  return movable;
}

/** Pages of the span or run, free or not, that begins at `page`. */
function lengthAt(a: Arena, page: number): number {
  const d = DESCRIPTORS + (page << 3);
  const tag = a.i32[d];
  const state = tag & TAG_STATE_MASK;
  if (state === STATE_SLAB) return CLASS_PAGES[tag >>> (TAG_CK_SHIFT + 3)];
  if (state === STATE_RUN) return a.i32[d + D_SIZE] >>> PAGE_SHIFT;
  // A free run of a single page has the state of its end.
  return a.i32[d + D_SIZE];
}

/** Takes a group's spans out of all lists, so that neither `alloc` nor `free` touches more of them than their blocks. */
function detach(a: Arena, group: Group): void {
  const { i32 } = a;
  for (const page of group.pages) {
    const d = DESCRIPTORS + (page << 3);
    const list = (i32[d] >>> TAG_LIST_SHIFT) & 7;
    if (list !== LIST_NONE && list !== LIST_CURRENT) unlinkSpan(a, d);
    i32[d] = STATE_SLAB | (LIST_NONE << TAG_LIST_SHIFT) | (group.ck << TAG_CK_SHIFT);
    i32[d + D_LIMIT] = NO_LIMIT;
  }
  i32[CURRENT + group.ck] = 0;
}

/** Undoes `detach` for the spans that are left. */
function attach(a: Arena, { ck, pages, gone }: Group): void {
  const { i32 } = a;
  const capacity = CLASS_CAPACITY[ck >>> 3];
  for (const page of pages) {
    if (gone.has(page)) continue;
    const d = DESCRIPTORS + (page << 3);
    const room = i32[d + D_ROOM];
    if (room === capacity) releaseSpan(a, d);
    else if (room >= retiredLimit(capacity)) linkSpan(a, d);
    else i32[d + D_LIMIT] = retiredLimit(capacity);
  }
}

/** Moves the blocks of a span below it, as far as there is room; how many bytes they count. */
function empty(a: Arena, page: number, group: Group, lowest: Int32Array): number {
  const { i32 } = a;
  const d = DESCRIPTORS + (page << 3);
  const size = i32[d + D_SIZE];
  const move = relocatorOf(group.ck & (KIND_COUNT - 1))!;
  const count = usedBlocks(a, d, page << PAGE_SHIFT, size);
  let moved = 0;
  for (; moved < count; moved++) {
    const target = spanWithRoom(a, page, group, lowest);
    if (target === 0) break;
    const to = takeBlock(a, target, size);
    copyBlock(a, used[moved], to, size);
    move(a, used[moved], to);
    free(a, used[moved]);
  }
  if (i32[d + D_ROOM] === CLASS_CAPACITY[group.ck >>> 3]) {
    group.gone.add(page);
    releaseSpan(a, d);
  }
  return moved * (size + BLOCK_COST_BYTES);
}

/** Puts the blocks in use of a span into `used`; how many. */
function usedBlocks(a: Arena, d: number, base: Offset, size: number): number {
  const { i32 } = a;
  isFree.fill(0);
  for (let block = i32[d + D_FREE]; block !== 0; block = i32[block >>> 2]) isFree[(block - base) / size] = 1;
  let count = 0;
  for (let block = base, index = 0; block < i32[d + D_FRESH]; block += size, index++) {
    if (isFree[index] === 0) used[count++] = block;
  }
  return count;
}

/** The descriptor of a span of the group below `page` that has room, made if need be; 0 for none. */
function spanWithRoom(a: Arena, page: number, group: Group, lowest: Int32Array): number {
  const { i32 } = a;
  for (; group.next < group.pages.length; group.next++) {
    const other = group.pages[group.next];
    // Those that are gone lie above too.
    if (other >= page) continue;
    const d = DESCRIPTORS + (other << 3);
    if (i32[d + D_ROOM] > 0) return d;
  }
  const made = takeLowest(a, CLASS_PAGES[group.ck >>> 3], page, lowest);
  if (made === 0) return 0;
  const d = formatSpan(a, made, group.ck);
  i32[d] = STATE_SLAB | (LIST_NONE << TAG_LIST_SHIFT) | (group.ck << TAG_CK_SHIFT);
  i32[d + D_LIMIT] = NO_LIMIT;
  group.pages.push(made);
  return d;
}

/** The lowest free run of `count` pages that ends at or before `before`, taken; 0 for none. */
function takeLowest(a: Arena, count: number, before: number, lowest: Int32Array): number {
  const { i32 } = a;
  for (let page = lowest[count]; page + count <= before; page += lengthAt(a, page)) {
    const d = DESCRIPTORS + (page << 3);
    const state = i32[d] & TAG_STATE_MASK;
    lowest[count] = page;
    if (state !== STATE_SLAB && state !== STATE_RUN && i32[d + D_SIZE] >= count) return cutRun(a, page, count);
  }
  return 0;
}

/** A block of a span that has room. */
function takeBlock(a: Arena, d: number, size: number): Offset {
  const { i32 } = a;
  let block = i32[d + D_FREE];
  if (block !== 0) {
    i32[d + D_FREE] = i32[block >>> 2];
  } else {
    block = i32[d + D_FRESH];
    i32[d + D_FRESH] = block + size;
  }
  i32[d + D_ROOM]--;
  a.f64[COUNTER_USED_BYTES] += size;
  return block;
}
