/**
 * Walks all of an arena's allocator and throws at the first thing that is not as it should be: for tests, O(pages +
 * free blocks). Returns the number of blocks in use.
 */
import { type Arena, COUNTER_USED_BYTES, PAGE_BYTES } from './arena.ts';
import {
  BIN_COUNT,
  baseBytes,
  binOf,
  D_FREE,
  D_FRESH,
  D_LIMIT,
  D_NEXT,
  D_PREV,
  D_ROOM,
  D_SIZE,
  DESCRIPTORS,
  S_BIN_BITS,
  S_BINS,
  S_FIRST,
  S_FREE_PAGES,
  S_PAGES,
  S_PEAK,
  S_RUN_PAGES,
  S_SLAB_PAGES,
  S_TOP,
  STATE_FREE,
  STATE_FREE_END,
  STATE_RUN,
  STATE_SLAB,
  STATE_TAIL,
  TAG_STATE_MASK,
} from './pages.ts';
import {
  CK_COUNT,
  CLASS_BYTES,
  CLASS_CAPACITY,
  CLASS_PAGES,
  CURRENT,
  LIST_COUNT,
  LIST_CURRENT,
  LIST_NONE,
  LISTS,
  listFloor,
  retiredLimit,
  TAG_CK_SHIFT,
  TAG_LIST_SHIFT,
} from './spans.ts';

export function verifyAlloc(a: Arena): number {
  const { i32 } = a;
  const top = i32[S_TOP];
  let slabPages = 0;
  let runPages = 0;
  let freePages = 0;
  let usedBytes = 0;
  let blocks = 0;
  let listed = 0;
  let freeRuns = 0;
  let wasFree = false;
  expect(top >= i32[S_FIRST] && top <= i32[S_PAGES], `top ${top}`);
  expect(i32[S_PEAK] >= top, 'peak below top');
  for (let page = i32[S_FIRST]; page < top; ) {
    const d = DESCRIPTORS + (page << 3);
    const state = i32[d] & TAG_STATE_MASK;
    let pages = 1;
    if (state === STATE_FREE) {
      pages = i32[d + D_SIZE];
      expect(!wasFree, `free runs side by side at page ${page}`);
      expect(page + pages < top, `free run at the top at page ${page}`);
      const last = DESCRIPTORS + ((page + pages - 1) << 3);
      expect(i32[last + D_SIZE] === pages, `ends of free run at page ${page}`);
      expect(pages === 1 || i32[last] === STATE_FREE_END, `end of free run at page ${page}`);
      freePages += pages;
      freeRuns++;
    } else if (state === STATE_RUN) {
      pages = i32[d + D_SIZE] / PAGE_BYTES;
      runPages += pages;
      usedBytes += i32[d + D_SIZE];
      blocks++;
      expect(pages === 1 || i32[DESCRIPTORS + ((page + pages - 1) << 3)] === STATE_TAIL, `end of run at page ${page}`);
    } else {
      expect(state === STATE_SLAB, `state ${state} of page ${page}`);
      pages = CLASS_PAGES[i32[d] >>> (TAG_CK_SHIFT + 3)];
      const used = verifySpan(a, page);
      slabPages += pages;
      usedBytes += used * i32[d + D_SIZE];
      blocks += used;
      if (((i32[d] >>> TAG_LIST_SHIFT) & 7) < LIST_COUNT) listed++;
    }
    wasFree = state === STATE_FREE;
    page += pages;
    expect(page <= top, `page ${page} is above the top`);
  }
  expect(slabPages === i32[S_SLAB_PAGES], `slab pages ${slabPages}, counted ${i32[S_SLAB_PAGES]}`);
  expect(runPages === i32[S_RUN_PAGES], `run pages ${runPages}, counted ${i32[S_RUN_PAGES]}`);
  expect(freePages === i32[S_FREE_PAGES], `free pages ${freePages}, counted ${i32[S_FREE_PAGES]}`);
  const counted = a.f64[COUNTER_USED_BYTES];
  expect(usedBytes + baseBytes(a) === counted, `used bytes ${usedBytes + baseBytes(a)}, counted ${counted}`);
  verifyLists(a, listed);
  verifyBins(a, freeRuns);
  return blocks;
}

/** Checks one span and its place in the lists by itself; returns the number of its blocks in use. */
function verifySpan(a: Arena, page: number): number {
  const { i32 } = a;
  const d = DESCRIPTORS + (page << 3);
  const ck = i32[d] >>> TAG_CK_SHIFT;
  const capacity = CLASS_CAPACITY[ck >>> 3];
  const size = CLASS_BYTES[ck >>> 3];
  const where = `span at page ${page}`;
  expect(ck < CK_COUNT && i32[d + D_SIZE] === size, `class of ${where}`);
  for (let tail = page + 1; tail < page + CLASS_PAGES[ck >>> 3]; tail++) {
    const t = DESCRIPTORS + (tail << 3);
    expect(i32[t] === STATE_TAIL && i32[t + D_SIZE] === page, `tail page ${tail} of ${where}`);
  }
  const base = page * PAGE_BYTES;
  const fresh = (i32[d + D_FRESH] - base) / size;
  expect(Number.isInteger(fresh) && fresh >= 0 && fresh <= capacity, `fresh of ${where}`);
  const seen = new Set<number>();
  for (let block = i32[d + D_FREE]; block !== 0; block = i32[block >>> 2]) {
    const index = (block - base) / size;
    expect(Number.isInteger(index) && index >= 0 && index < fresh, `free block ${block} of ${where}`);
    expect(!seen.has(index), `free block ${block} of ${where} is listed twice`);
    seen.add(index);
  }
  const room = i32[d + D_ROOM];
  expect(room === seen.size + capacity - fresh, `room of ${where}`);
  const list = (i32[d] >>> TAG_LIST_SHIFT) & 7;
  const used = capacity - room;
  if (list === LIST_NONE) {
    expect(i32[d + D_LIMIT] === retiredLimit(capacity), `limit of ${where}`);
    expect(room < i32[d + D_LIMIT], `${where} has room but hangs in no list`);
  } else if (list === LIST_CURRENT) {
    expect(i32[CURRENT + ck] === page, `${where} is not current`);
  } else {
    expect(list < LIST_COUNT, `list of ${where}`);
    expect(used > listFloor(list, capacity), `${where} is too empty for its list`);
    expect(used < capacity, `${where} is full and listed`);
    expect(list === LIST_COUNT - 1 || used <= listFloor(list + 1, capacity), `${where} is too full for its list`);
    expect(i32[d + D_LIMIT] === capacity - listFloor(list, capacity), `limit of ${where}`);
  }
  return used;
}

function verifyLists(a: Arena, listed: number): void {
  const { i32 } = a;
  let count = 0;
  for (let ck = 0; ck < CK_COUNT; ck++) {
    const current = i32[CURRENT + ck];
    if (current !== 0) {
      expect(i32[DESCRIPTORS + (current << 3)] === spanTag(LIST_CURRENT, ck), `current span of ck ${ck}`);
    }
    for (let list = 0; list < LIST_COUNT; list++) {
      let prev = 0;
      for (let page = i32[LISTS + list * CK_COUNT + ck]; page !== 0; page = i32[DESCRIPTORS + (page << 3) + D_NEXT]) {
        const d = DESCRIPTORS + (page << 3);
        expect(i32[d] === spanTag(list, ck), `span at page ${page} in list ${list} of ck ${ck}`);
        expect(i32[d + D_PREV] === prev, `back link of span at page ${page}`);
        expect(++count <= listed, 'more spans in lists than there are');
        prev = page;
      }
    }
  }
  expect(count === listed, `${listed} spans with room, ${count} in lists`);
}

function spanTag(list: number, ck: number): number {
  return STATE_SLAB | (list << TAG_LIST_SHIFT) | (ck << TAG_CK_SHIFT);
}

function verifyBins(a: Arena, freeRuns: number): void {
  const { i32 } = a;
  let count = 0;
  for (let bin = 0; bin < BIN_COUNT; bin++) {
    const head = i32[S_BINS + bin];
    expect((head !== 0) === (((i32[S_BIN_BITS + (bin >>> 5)] >>> (bin & 31)) & 1) === 1), `bit of bin ${bin}`);
    let prev = 0;
    for (let page = head; page !== 0; page = i32[DESCRIPTORS + (page << 3) + D_NEXT]) {
      const d = DESCRIPTORS + (page << 3);
      expect(i32[d] === STATE_FREE && binOf(i32[d + D_SIZE]) === bin, `free run at page ${page} in bin ${bin}`);
      expect(i32[d + D_PREV] === prev, `back link of free run at page ${page}`);
      expect(++count <= freeRuns, 'more free runs in bins than there are');
      prev = page;
    }
  }
  expect(count === freeRuns, `${freeRuns} free runs, ${count} in bins`);
}

function expect(condition: boolean, what: string): void {
  if (!condition) throw new Error(`allocator: ${what}`);
}
