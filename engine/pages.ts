/**
 * The pages of an arena: which are in use, which are free, and how runs of them are taken and given back.
 * Called by the allocator alone (spans.ts, alloc.ts), on the thread that holds the shard's lock. A take or a release
 * costs about 30 ns and touches two or three descriptors; neither depends on how many pages there are.
 *
 * Free runs hang in bins by length, as in a two-level segregated fit (Masmano et al., "TLSF", 2004): lengths up to
 * 15 pages have a bin each, longer ones eight bins per doubling, and one bit per bin says whether it is empty. A run
 * that is given back is joined with free neighbours; one that ends at the top lowers the top instead of being kept,
 * so that a snapshot, which copies everything below the top, stays small.
 *
 * ```
 * page descriptor, 32 bytes, out of band: descriptor of page p at 32768 + 32 * p; words:
 *              +0 tag                      +1          +2     +3     +4    +5     +6    +7
 * span, head   SLAB | list << 3 | ck << 8  block bytes free   fresh  room  limit  prev  next   (spans.ts)
 * span, rest   TAIL                        head page
 * run, first   RUN                         bytes in it
 * run, last    TAIL
 * free, first  FREE                        pages                                  prev  next
 * free, last   FREE_END                    pages
 * ```
 * The first and the last page of everything below the top have a true tag; pages between them may hold an old one.
 * Descriptors at or above the top are never read, so fresh ones need no formatting and cost no memory.
 */
import { ALLOC_STATE_OFFSET, type Arena, COUNTER_USED_BYTES, PAGE_BYTES } from './arena.ts';

/** Page 0 is the header, page 1 the span lists (spans.ts), then come the descriptors. */
export const DESCRIPTOR_PAGE = 2;
export const DESCRIPTOR_BYTES = 32;
/** Word index of the descriptor of page 0; that of page p is `DESCRIPTORS + (p << 3)`. */
export const DESCRIPTORS = (DESCRIPTOR_PAGE * PAGE_BYTES) >>> 2;
/** One page less than 2 GiB, so that even the end of the last page is a positive i32. */
export const MAX_PAGES = 2 ** 17 - 1;

/** Words of a descriptor. */
export const D_TAG = 0;
export const D_SIZE = 1;
export const D_FREE = 2;
export const D_FRESH = 3;
export const D_ROOM = 4;
export const D_LIMIT = 5;
export const D_PREV = 6;
export const D_NEXT = 7;

/** The lowest three bits of a tag. */
export const TAG_STATE_MASK = 7;
export const STATE_FREE = 1;
export const STATE_FREE_END = 2;
export const STATE_SLAB = 3;
export const STATE_RUN = 4;
export const STATE_TAIL = 5;

const STATE = ALLOC_STATE_OFFSET >>> 2;
/** Number of the first page above everything in use; grows and shrinks. */
export const S_TOP = STATE;
/** Number of pages the arena has room for. */
export const S_PAGES = STATE + 1;
/** Number of the first page behind the descriptors. */
export const S_FIRST = STATE + 2;
/** The highest the top has been since the arena was created: what the operating system has been asked for. */
export const S_PEAK = STATE + 3;
/** Pages in free runs below the top. */
export const S_FREE_PAGES = STATE + 4;
/** Pages in spans. Together: slab + run + free pages = top - first. */
export const S_SLAB_PAGES = STATE + 5;
/** Pages in runs handed out whole. */
export const S_RUN_PAGES = STATE + 6;
/** Pages that compaction should win back (compact.ts); not positive when it has nothing to do. */
export const S_DEBT = STATE + 7;
/** One bit per bin: some run hangs in it. */
export const S_BIN_BITS = STATE + 8;
/** First page of the first free run of each bin. */
export const S_BINS = STATE + 12;
export const BIN_COUNT = 128;
export const STATE_WORDS = S_BINS + BIN_COUNT - STATE;

/** The debt goes no higher, so that one large value does not keep compaction busy for long. */
const MAX_DEBT = 1024;
/** How many runs of the bin of its own length a request looks at before it cuts a longer one. */
const OWN_BIN_TRIES = 8;

/** Formats the page state; `pages` is what the arena has room for. */
export function formatPages(a: Arena, pages: number): void {
  const i32 = a.i32;
  const peak = i32[S_PEAK];
  i32.fill(0, STATE, STATE + STATE_WORDS);
  const first = DESCRIPTOR_PAGE + Math.ceil((pages * DESCRIPTOR_BYTES) / PAGE_BYTES);
  i32[S_TOP] = first;
  i32[S_PAGES] = pages;
  i32[S_FIRST] = first;
  i32[S_PEAK] = Math.max(peak, first);
}

/** Bytes that count as used in an arena with nothing in it: header, span lists and the descriptors below the top. */
export function baseBytes(a: Arena): number {
  return DESCRIPTOR_PAGE * PAGE_BYTES + a.i32[S_TOP] * DESCRIPTOR_BYTES;
}

/** Takes `count` pages in a row and returns the number of the first, or 0 when there are none. The caller tags them. */
export function takePages(a: Arena, count: number): number {
  const i32 = a.i32;
  let page = takeFromBins(a, count, OWN_BIN_TRIES);
  if (page === 0) {
    page = i32[S_TOP];
    if (page + count > i32[S_PAGES]) {
      page = takeFromBins(a, count, MAX_PAGES);
      if (page === 0) return 0;
    } else {
      setTop(a, page + count);
    }
  }
  owePages(a, count);
  return page;
}

/** Gives back pages that `takePages` handed out. */
export function releasePages(a: Arena, page: number, count: number): void {
  const i32 = a.i32;
  if (i32[S_DEBT] > 0) i32[S_DEBT] -= Math.min(i32[S_DEBT], count);
  // So that freeing the same block again is noticed, even if its page lies above the top by now.
  i32[DESCRIPTORS + (page << 3)] = 0;
  if (page > i32[S_FIRST]) {
    const before = DESCRIPTORS + ((page - 1) << 3);
    const state = i32[before] & TAG_STATE_MASK;
    if (state === STATE_FREE || state === STATE_FREE_END) {
      const length = i32[before + D_SIZE];
      page -= length;
      count += length;
      unlinkRun(a, page, length);
    }
  }
  const end = page + count;
  if (end === i32[S_TOP]) {
    setTop(a, page);
    return;
  }
  const after = DESCRIPTORS + (end << 3);
  if ((i32[after] & TAG_STATE_MASK) === STATE_FREE) {
    const length = i32[after + D_SIZE];
    count += length;
    unlinkRun(a, end, length);
  }
  linkRun(a, page, count);
}

/** The length in pages that some free run surely has, the space above the top included. */
export function longestRun(a: Arena): number {
  const i32 = a.i32;
  const above = i32[S_PAGES] - i32[S_TOP];
  for (let word = 3; word >= 0; word--) {
    const bits = i32[S_BIN_BITS + word];
    if (bits !== 0) return Math.max(above, shortestOfBin(word * 32 + 31 - Math.clz32(bits)));
  }
  return above;
}

/** Has compaction win back `count` pages at the coming safe points, if there are any to win (compact.ts). */
export function owePages(a: Arena, count: number): void {
  a.i32[S_DEBT] = Math.min(a.i32[S_DEBT] + count, MAX_DEBT);
}

/** Pages' worth of room in spans: what is in use less what is live. */
export function idlePages(a: Arena): number {
  const live = a.f64[COUNTER_USED_BYTES] - baseBytes(a);
  return a.i32[S_SLAB_PAGES] + a.i32[S_RUN_PAGES] - live / PAGE_BYTES;
}

/** Whether less than a sixteenth of the arena is free. */
export function shortOfPages(a: Arena): boolean {
  return freePages(a) * 16 < a.i32[S_PAGES];
}

/** Pages in free runs and above the top. */
export function freePages(a: Arena): number {
  return a.i32[S_FREE_PAGES] + a.i32[S_PAGES] - a.i32[S_TOP];
}

/** The bin that a free run of `count` pages hangs in. */
export function binOf(count: number): number {
  if (count < 16) return count;
  const exponent = 31 - Math.clz32(count);
  return 16 + ((exponent - 4) << 3) + ((count >>> (exponent - 3)) & 7);
}

function shortestOfBin(bin: number): number {
  if (bin < 16) return bin;
  return (8 + (bin & 7)) << (((bin - 16) >>> 3) + 1);
}

function takeFromBins(a: Arena, count: number, tries: number): number {
  const i32 = a.i32;
  if (i32[S_FREE_PAGES] < count) return 0;
  const own = binOf(count);
  for (let page = i32[S_BINS + own]; page !== 0 && tries > 0; tries--) {
    const d = DESCRIPTORS + (page << 3);
    if (i32[d + D_SIZE] >= count) return cutRun(a, page, count);
    page = i32[d + D_NEXT];
  }
  const bin = nextBin(a, own + 1);
  return bin === 0 ? 0 : cutRun(a, i32[S_BINS + bin], count);
}

/** The first bin at or above `bin` that is not empty; 0 if there is none. */
function nextBin(a: Arena, bin: number): number {
  if (bin >= BIN_COUNT) return 0;
  let word = bin >>> 5;
  let bits = a.i32[S_BIN_BITS + word] & (-1 << (bin & 31));
  while (bits === 0) {
    if (++word === BIN_COUNT >>> 5) return 0;
    bits = a.i32[S_BIN_BITS + word];
  }
  return word * 32 + 31 - Math.clz32(bits & -bits);
}

/** Takes the low end of a free run and leaves the rest free. */
export function cutRun(a: Arena, page: number, count: number): number {
  const length = a.i32[DESCRIPTORS + (page << 3) + D_SIZE];
  unlinkRun(a, page, length);
  if (length > count) linkRun(a, page + count, length - count);
  return page;
}

function linkRun(a: Arena, page: number, count: number): void {
  const i32 = a.i32;
  const bin = binOf(count);
  const head = i32[S_BINS + bin];
  const last = DESCRIPTORS + ((page + count - 1) << 3);
  i32[last] = STATE_FREE_END;
  i32[last + D_SIZE] = count;
  const d = DESCRIPTORS + (page << 3);
  i32[d] = STATE_FREE;
  i32[d + D_SIZE] = count;
  i32[d + D_PREV] = 0;
  i32[d + D_NEXT] = head;
  if (head !== 0) i32[DESCRIPTORS + (head << 3) + D_PREV] = page;
  i32[S_BINS + bin] = page;
  i32[S_BIN_BITS + (bin >>> 5)] |= 1 << (bin & 31);
  i32[S_FREE_PAGES] += count;
}

function unlinkRun(a: Arena, page: number, count: number): void {
  const i32 = a.i32;
  const bin = binOf(count);
  const d = DESCRIPTORS + (page << 3);
  const prev = i32[d + D_PREV];
  const next = i32[d + D_NEXT];
  if (next !== 0) i32[DESCRIPTORS + (next << 3) + D_PREV] = prev;
  if (prev !== 0) {
    i32[DESCRIPTORS + (prev << 3) + D_NEXT] = next;
  } else {
    i32[S_BINS + bin] = next;
    if (next === 0) i32[S_BIN_BITS + (bin >>> 5)] &= ~(1 << (bin & 31));
  }
  i32[S_FREE_PAGES] -= count;
}

function setTop(a: Arena, top: number): void {
  const i32 = a.i32;
  a.f64[COUNTER_USED_BYTES] += (top - i32[S_TOP]) * DESCRIPTOR_BYTES;
  i32[S_TOP] = top;
  if (top > i32[S_PEAK]) i32[S_PEAK] = top;
}
