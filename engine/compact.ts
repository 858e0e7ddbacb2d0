/**
 * Compaction: moves the blocks of sparse spans into fuller ones of the same class and kind, so that whole pages come
 * free for other sizes. Runs at the safe point after a write command, on the thread that holds the shard's lock, while
 * nobody holds an offset. One load and compare when there is nothing to do, else at most about 50 microseconds.
 *
 * Why: an allocator that cannot move blocks is at the mercy of its callers. Fill a cache with small values, drop nine
 * in ten, and every page still holds a few; large values then find no page (Robson, "Worst case fragmentation of first
 * fit and best fit storage allocation strategies", 1977). Here pointers are offsets and owners are found by kind, so
 * blocks can move, and whatever the history, pages in movable spans settle at about 5/4 of what is live in them, plus a
 * span or two per class. (While every write takes pages faster than a step's budget frees them, as large values over
 * blocks of 16 bytes do, that takes some more writes.)
 *
 * When: touched pages cannot be handed back to the operating system, so there is no hurry until someone wants pages.
 * Work is therefore driven by debt (S_DEBT), counted in pages: it grows by what is taken from the arena, and when spans
 * fall half empty while half of all span memory is idle or pages run short (`oweForSparse`); it shrinks by what is
 * given back. While a sixth of span memory is idle, each step empties spans, the sparsest first, until the debt is
 * paid or the step's budget spent. Emptying a span that is f full frees it for f of a span's worth of copying, and
 * never takes a page: blocks only move into spans that have room, so a move cannot fail.
 *
 * The spans' lists by occupancy (spans.ts) are the queue of victims, and what a step leaves half done simply hangs in a
 * lower list than before; there is no other state. As with the rest of the allocator, what happens depends on the
 * sequence of calls alone.
 */
import { type Arena, type Offset, PAGE_SHIFT } from './arena.ts';
import {
  D_FREE,
  D_FRESH,
  D_LIMIT,
  D_NEXT,
  D_ROOM,
  D_SIZE,
  DESCRIPTORS,
  idlePages,
  S_DEBT,
  S_SLAB_PAGES,
  STATE_SLAB,
  shortOfPages,
} from './pages.ts';
import {
  alloc,
  CK_COUNT,
  CLASS_CAPACITY,
  CURRENT,
  free,
  KIND_COUNT,
  LIST_COUNT,
  LIST_NONE,
  LISTS,
  linkSpan,
  NO_LIMIT,
  releaseSpan,
  TAG_CK_SHIFT,
  TAG_LIST_SHIFT,
  unlinkSpan,
} from './spans.ts';

export type Relocator = (a: Arena, from: Offset, to: Offset) => void;

/** Bytes of work in one step; a moved block counts its size and, for finding its owner, BLOCK_COST. */
const STEP_BYTES = 65536;
const BLOCK_COST = 1024;
/** Idle memory below this many pages is left alone: a few half-filled spans per class are no fragmentation. */
const MIN_IDLE_PAGES = 32;
/** With nothing to move, this many pages are taken before the lists are searched again. */
const PAUSE_PAGES = 16;
/** Spans fuller than list 2 holds (4/5) are not worth emptying. */
const VICTIM_LISTS = 3;
/** How many spans are asked whether they have room for a victim's blocks before it is taken for granted. */
const ROOM_TRIES = 8;

const relocators: (Relocator | undefined)[] = new Array(KIND_COUNT).fill(undefined);
/** Which blocks of the span at hand are free, one byte each. Only used within one call. */
const isFree = new Uint8Array(CLASS_CAPACITY[0]);

/**
 * Says who redirects the pointers to blocks of a kind; called once, at load. `move` is called after the bytes were
 * copied and before `from` is freed; it must redirect every pointer to `from`, and neither allocate nor free.
 */
export function registerRelocator(kind: number, move: Relocator): void {
  relocators[kind] = move;
}

export function relocatorOf(kind: number): Relocator | undefined {
  return relocators[kind];
}

/** The safe point: called after each write command, while no offset is held by anyone. */
export function compactStep(a: Arena): void {
  if (a.i32[S_DEBT] > 0) compact(a);
}

function compact(a: Arena): void {
  const i32 = a.i32;
  const idle = idlePages(a);
  if (idle * 6 < i32[S_SLAB_PAGES] || (idle < MIN_IDLE_PAGES && !shortOfPages(a))) {
    i32[S_DEBT] = 0;
    return;
  }
  let budget = STEP_BYTES;
  while (budget > 0 && i32[S_DEBT] > 0) {
    const d = findVictim(a);
    if (d === 0) {
      i32[S_DEBT] = -PAUSE_PAGES;
      return;
    }
    budget = evacuate(a, d, budget);
  }
}

/**
 * The descriptor of a span to empty, or 0: one of the emptiest list that has any, of the largest class, since there the
 * fewest moves free a page. About 1 microsecond when all lists are empty. Class 0 is left out: its blocks would move
 * into class 1.
 */
function findVictim(a: Arena): number {
  const i32 = a.i32;
  for (let list = 0; list < VICTIM_LISTS; list++) {
    const heads = LISTS + list * CK_COUNT;
    for (let ck = CK_COUNT - 1; ck >= KIND_COUNT; ck--) {
      const page = i32[heads + ck];
      if (page === 0 || relocators[ck & (KIND_COUNT - 1)] === undefined) continue;
      if (othersHaveRoom(a, ck, list, page)) return DESCRIPTORS + (page << 3);
    }
  }
  return 0;
}

/** Whether the blocks of a span fit into the current span of its ck and those at least as full as itself. */
function othersHaveRoom(a: Arena, ck: number, list: number, victim: number): boolean {
  const i32 = a.i32;
  let missing = CLASS_CAPACITY[ck >>> 3] - i32[DESCRIPTORS + (victim << 3) + D_ROOM];
  missing -= i32[DESCRIPTORS + (i32[CURRENT + ck] << 3) + D_ROOM];
  let tries = ROOM_TRIES;
  for (let other = LIST_COUNT - 1; other >= list && missing > 0; other--) {
    for (let page = i32[LISTS + other * CK_COUNT + ck]; page !== 0; page = i32[DESCRIPTORS + (page << 3) + D_NEXT]) {
      if (page === victim) continue;
      missing -= i32[DESCRIPTORS + (page << 3) + D_ROOM];
      if (missing <= 0 || --tries === 0) return true;
    }
  }
  return missing <= 0;
}

/** Moves blocks out of a listed span until it is empty, others are full or the budget is spent; returns the rest. */
function evacuate(a: Arena, d: number, budget: number): number {
  const i32 = a.i32;
  const ck = i32[d] >>> TAG_CK_SHIFT;
  const kind = ck & (KIND_COUNT - 1);
  const move = relocators[kind] as Relocator;
  const size = i32[d + D_SIZE];
  const base = ((d - DESCRIPTORS) >>> 3) << PAGE_SHIFT;
  const fresh = i32[d + D_FRESH];
  // In no list, so that nothing is allocated from it, and with a limit that no free reaches.
  unlinkSpan(a, d);
  i32[d] = STATE_SLAB | (LIST_NONE << TAG_LIST_SHIFT) | (ck << TAG_CK_SHIFT);
  i32[d + D_LIMIT] = NO_LIMIT;
  markFree(a, d, base, size);
  for (let from = base, index = 0; from < fresh && budget > 0; from += size, index++) {
    if (isFree[index] === 1) continue;
    if (!hasRoom(a, ck)) break;
    const to = alloc(a, size, kind);
    copyBlock(a, from, to, size);
    move(a, from, to);
    free(a, from);
    budget -= size + BLOCK_COST;
  }
  if (i32[d + D_ROOM] === CLASS_CAPACITY[ck >>> 3]) releaseSpan(a, d);
  else linkSpan(a, d);
  // A victim that found no room costs a little too, so that a step ends in any case.
  return budget - BLOCK_COST;
}

function markFree(a: Arena, d: number, base: Offset, size: number): void {
  const i32 = a.i32;
  isFree.fill(0);
  // Multiplying is exact enough: the quotient is a whole number below 2^11.
  const perBlock = 1 / size;
  for (let block = i32[d + D_FREE]; block !== 0; block = i32[block >>> 2]) {
    isFree[((block - base) * perBlock + 0.5) | 0] = 1;
  }
}

/** Whether an allocation of ck would do without a new span. */
function hasRoom(a: Arena, ck: number): boolean {
  const i32 = a.i32;
  if (i32[DESCRIPTORS + (i32[CURRENT + ck] << 3) + D_ROOM] > 0) return true;
  for (let list = 0; list < LIST_COUNT; list++) if (i32[LISTS + list * CK_COUNT + ck] !== 0) return true;
  return false;
}

export function copyBlock(a: Arena, from: Offset, to: Offset, size: number): void {
  if (size > 512) {
    a.u8.copyWithin(to, from, from + size);
    return;
  }
  const i32 = a.i32;
  for (let i = from >>> 2, j = to >>> 2, end = (from + size) >>> 2; i < end; i++, j++) i32[j] = i32[i];
}
