import { describe, expect, it } from 'vitest';
import {
  ArenaFullError,
  alloc,
  arenaBytes,
  canHold,
  compactStep,
  createArena,
  free,
  highWaterBytes,
  KIND_FIXED,
  KIND_MEMBER,
  KIND_RECORD,
  liveBytes,
  peakBytes,
  resetArena,
  usableSize,
  verifyAlloc,
} from '../../engine/alloc.ts';
import {
  Arena,
  COUNTER_EXPIRING_KEYS,
  COUNTER_HITS,
  COUNTER_KEYS,
  COUNTER_NEXT_EXPIRY,
  DATABASE_DIRECTORY_OFFSET,
  PAGE_BYTES,
  PAGE_SHIFT,
  WORD_DATABASES,
  WORD_LOCK,
  WORD_SEED0,
  WORD_SEED1,
} from '../../engine/arena.ts';
import { Random } from '../../engine/random.ts';
import { CLASS_BYTES, classOf, MAX_CLASS_BYTES } from '../../engine/spans.ts';
import { Blocks } from '../support/blocks.ts';

const MIB = 1024 * 1024;

function newArena(bytes = 64 * MIB): Arena {
  return new Arena(createArena(bytes, 3, 16, [11, 22]));
}

/** Blocks of `size` until the arena is full. */
function fillUp(a: Arena, size: number, kind = KIND_RECORD): number[] {
  const blocks: number[] = [];
  try {
    for (;;) blocks.push(alloc(a, size, kind));
  } catch (error) {
    expect(error).toBeInstanceOf(ArenaFullError);
  }
  return blocks;
}

describe('createArena', () => {
  it('formats header, counters and allocator', () => {
    const a = newArena();
    expect(a.shard).toBe(3);
    expect([a.u32[WORD_SEED0], a.u32[WORD_SEED1], a.u32[WORD_DATABASES]]).toEqual([11, 22, 16]);
    expect(a.f64[COUNTER_NEXT_EXPIRY]).toBe(Number.POSITIVE_INFINITY);
    expect(verifyAlloc(a)).toBe(0);
    expect(liveBytes(a)).toBe(arenaBytes(a));
  });

  it('reaches 2 GiB', () => {
    const a = newArena(2 ** 31);
    const big = alloc(a, 2 ** 31 - 8 * MIB, KIND_FIXED);
    const last = fillUp(a, 100_000).at(-1) ?? 0;
    expect(last).toBeGreaterThan(2 ** 31 - MIB);
    expect(usableSize(a, big)).toBeGreaterThanOrEqual(2 ** 31 - 8 * MIB);
    free(a, last);
    free(a, big);
    verifyAlloc(a);
  });

  it('refuses what it cannot format', () => {
    expect(() => createArena(1000, 0, 16, [1, 2])).toThrow(RangeError);
    expect(() => createArena(MIB, 0, 100_000, [1, 2])).toThrow(RangeError);
  });
});

describe('size classes', () => {
  it('are the smallest that fit', () => {
    for (let bytes = 1; bytes <= MAX_CLASS_BYTES; bytes++) {
      const c = classOf(bytes);
      if (CLASS_BYTES[c] < bytes || (c > 1 && CLASS_BYTES[c - 1] >= bytes)) throw new Error(`class of ${bytes}`);
    }
  });

  it('waste at most an eighth, and nothing but rounding to 8 in small blocks', () => {
    const a = newArena();
    for (const bytes of [1, 8, 9, 90, 128]) {
      expect(usableSize(a, alloc(a, bytes, KIND_RECORD))).toBe(Math.ceil(bytes / 8) * 8);
    }
    for (let bytes = 129; bytes <= MAX_CLASS_BYTES; bytes += 97) {
      expect(usableSize(a, alloc(a, bytes, KIND_RECORD))).toBeLessThan(bytes * 1.126);
    }
    expect(usableSize(a, alloc(a, 0, KIND_RECORD))).toBe(8);
    verifyAlloc(a);
  });
});

describe('alloc and free', () => {
  it('counts live bytes exactly', () => {
    const a = newArena();
    const first = alloc(a, 90, KIND_RECORD);
    const before = liveBytes(a);
    const second = alloc(a, 90, KIND_RECORD);
    expect(liveBytes(a) - before).toBe(96);
    free(a, second);
    expect(liveBytes(a)).toBe(before);
    free(a, first);
    expect(liveBytes(a)).toBe(before - 96);
    expect(verifyAlloc(a)).toBe(0);
  });

  it('works for blocks of several pages, freed in any order', () => {
    const a = newArena();
    const sizes = [65537, 100_000, MIB, 16384 * 5, 3 * MIB, 70_000];
    const blocks = sizes.map((size) => alloc(a, size, KIND_FIXED));
    blocks.forEach((block, i) => {
      expect(usableSize(a, block)).toBe(Math.ceil(sizes[i] / PAGE_BYTES) * PAGE_BYTES);
    });
    for (const i of [1, 3, 2, 0, 5, 4]) {
      free(a, blocks[i]);
      verifyAlloc(a);
    }
    expect(liveBytes(a)).toBe(arenaBytes(a));
    expect(highWaterBytes(a)).toBeLessThan(peakBytes(a));
  });

  it('keeps kinds apart', () => {
    const a = newArena();
    const record = alloc(a, 64, KIND_RECORD);
    const member = alloc(a, 64, KIND_MEMBER);
    expect(record >>> 14).not.toBe(member >>> 14);
  });

  it('refuses what cannot be a block', () => {
    const a = newArena();
    expect(() => free(a, 0)).toThrow();
    const big = alloc(a, 100_000, KIND_FIXED);
    free(a, big);
    expect(() => free(a, big)).toThrow();
  });

  it('serves one size with memory freed by another', () => {
    const a = newArena(4 * MIB);
    const sizes = [24, 1000, 200_000, 96, 16384, 60_000, 5000];
    const counts = sizes.map((size) => {
      const blocks = fillUp(a, size);
      expect(verifyAlloc(a)).toBe(blocks.length);
      for (const block of blocks) free(a, block);
      return blocks.length;
    });
    // What came before makes no difference.
    sizes.forEach((size, i) => {
      expect(fillUp(newArena(4 * MIB), size).length, `size ${size}`).toBe(counts[i]);
    });
  });

  it('can allocate again in a full arena once a 32nd of a span is free', () => {
    for (const size of [16, 96, 1100, 5000, 20_000, 44_000, 300_000]) {
      const a = newArena(4 * MIB);
      const blocks = fillUp(a, size);
      const page = (blocks[blocks.length >>> 1] >>> PAGE_SHIFT) << PAGE_SHIFT;
      const frees = 1 + Math.floor(PAGE_BYTES / size / 32);
      let freed = 0;
      for (const block of blocks) {
        if (block < page || freed === frees) continue;
        free(a, block);
        freed++;
      }
      for (let i = 0; i < frees; i++) alloc(a, size, KIND_RECORD);
      expect(() => alloc(a, size, KIND_RECORD)).toThrow(ArenaFullError);
      expect(verifyAlloc(a)).toBe(blocks.length);
    }
  });

  it('falls back to single pages when no whole span is left', () => {
    const a = newArena(2 * MIB);
    const pages = fillUp(a, PAGE_BYTES, KIND_RECORD);
    for (let i = 0; i < pages.length; i += 2) free(a, pages[i]);
    // A span of this class would need five pages in a row.
    const block = alloc(a, 11_000, KIND_RECORD);
    expect(usableSize(a, block)).toBe(PAGE_BYTES);
    free(a, block);
    verifyAlloc(a);
  });

  it('leaves the arena as it was when it is full', () => {
    const a = newArena(2 * MIB);
    fillUp(a, 300);
    const before = liveBytes(a);
    for (const size of [300, 8, 64, 5000, 16384, 65536, 10 * MIB, 2 ** 31]) {
      expect(() => alloc(a, size, KIND_MEMBER)).toThrow(ArenaFullError);
      expect(liveBytes(a)).toBe(before);
      verifyAlloc(a);
    }
  });
});

describe('canHold', () => {
  it('is never wrong when it says yes', () => {
    const random = new Random(5);
    for (let round = 0; round < 150; round++) {
      const a = newArena(3 * MIB);
      const blocks = fillUp(a, [100, 3000, PAGE_BYTES, 20_000][round & 3]);
      for (const block of blocks) if (random.below(100) < round * 0.7) free(a, block);
      const sum = random.below([2000, 16_384, 300_000][round % 3]);
      if (!canHold(a, sum)) continue;
      let left = sum;
      for (let i = 0; i < 8; i++) {
        const part = i === 7 ? left : random.below(left + 1);
        alloc(a, part, random.below(6));
        left -= part;
      }
    }
  });

  it('says yes while there is plenty, no when there is not', () => {
    const a = newArena(16 * MIB);
    expect(canHold(a, 10 * MIB)).toBe(true);
    expect(canHold(a, 16 * MIB)).toBe(false);
    const blocks = fillUp(a, 1000);
    expect(canHold(a, 1000)).toBe(false);
    for (const block of blocks) free(a, block);
    expect(canHold(a, 10 * MIB)).toBe(true);
  });
});

describe('resetArena', () => {
  it('forgets what was stored and keeps the statistics', () => {
    const a = newArena();
    const base = liveBytes(a);
    for (let i = 0; i < 10_000; i++) alloc(a, 10 + i, KIND_RECORD + (i & 1));
    a.u32[DATABASE_DIRECTORY_OFFSET >>> 2] = 4711;
    a.f64[COUNTER_HITS] = 5;
    a.f64[COUNTER_KEYS] = 6;
    a.f64[COUNTER_EXPIRING_KEYS] = 7;
    a.f64[COUNTER_NEXT_EXPIRY] = 8;
    a.i32[WORD_LOCK] = 9;
    resetArena(a);
    expect(liveBytes(a)).toBe(base);
    expect(arenaBytes(a)).toBe(base);
    expect(a.u32[DATABASE_DIRECTORY_OFFSET >>> 2]).toBe(0);
    expect([a.f64[COUNTER_HITS], a.f64[COUNTER_KEYS], a.f64[COUNTER_EXPIRING_KEYS]]).toEqual([5, 0, 0]);
    expect(a.f64[COUNTER_NEXT_EXPIRY]).toBe(Number.POSITIVE_INFINITY);
    expect([a.u32[WORD_SEED0], a.u32[WORD_SEED1], a.i32[WORD_LOCK]]).toEqual([11, 22, 9]);
    expect(verifyAlloc(a)).toBe(0);
    // The same calls give the same layout again, over pages full of old bytes.
    const fresh = newArena();
    const random = new Random(9);
    for (let i = 0; i < 5000; i++) {
      const bytes = random.below(3000);
      expect(alloc(a, bytes, KIND_RECORD)).toBe(alloc(fresh, bytes, KIND_RECORD));
    }
    verifyAlloc(a);
  });
});

describe('compaction', () => {
  /** Fills with 64-byte values, deletes nine in ten at random, refills with 1 KiB values to the same live bytes. */
  function churn(step: (a: Arena) => void): { a: Arena; blocks: Blocks } {
    const a = newArena();
    const blocks = new Blocks(a);
    const random = new Random(1);
    for (let i = 0; i < 200_000; i++) {
      blocks.add(16 + 16 + 64, KIND_RECORD);
      step(a);
    }
    const live = liveBytes(a);
    while (blocks.count > 20_000) {
      blocks.remove(random.below(blocks.count));
      step(a);
    }
    while (liveBytes(a) < live) {
      blocks.add(16 + 16 + 1024, KIND_RECORD);
      step(a);
    }
    verifyAlloc(a);
    blocks.checkAll();
    return { a, blocks };
  }

  it('holds memory within 1.4 of what is live when small values give way to large ones', () => {
    const { a, blocks } = churn(compactStep);
    expect(arenaBytes(a) / liveBytes(a)).toBeLessThan(1.4);
    // Not only the books say so: the arena has hardly grown beyond the first fill.
    expect(peakBytes(a) / liveBytes(a)).toBeLessThan(1.4);
    expect(blocks.moves).toBeGreaterThan(0);
    const without = churn(() => {});
    expect(arenaBytes(without.a) / liveBytes(without.a)).toBeGreaterThan(1.5);
  });

  it('holds against changing sizes over and over', () => {
    const a = newArena(256 * MIB);
    const blocks = new Blocks(a);
    const random = new Random(2);
    let worst = 0;
    for (let round = 0; round < 24; round++) {
      const size = [100, 700, 40, 2000, 300, 9000, 24, 1500][round & 7];
      while (liveBytes(a) < 6 * MIB) {
        blocks.add(size + random.below(size >>> 2), KIND_RECORD);
        compactStep(a);
      }
      worst = Math.max(worst, arenaBytes(a) / liveBytes(a));
      while (liveBytes(a) > MIB) {
        blocks.remove(random.below(blocks.count));
        compactStep(a);
      }
    }
    verifyAlloc(a);
    blocks.checkAll();
    expect(worst).toBeLessThan(1.4);
  });

  it('wins pages back while nearly everything is deleted', () => {
    const a = newArena();
    const blocks = new Blocks(a);
    const random = new Random(3);
    for (let i = 0; i < 100_000; i++) blocks.add(96, KIND_RECORD);
    while (blocks.count > 10_000) {
      blocks.remove(random.below(blocks.count));
      compactStep(a);
    }
    expect(arenaBytes(a) / liveBytes(a)).toBeLessThan(2.5);
  });

  it('bounds the work of a step', () => {
    const a = newArena();
    const blocks = new Blocks(a);
    const random = new Random(4);
    for (let i = 0; i < 100_000; i++) blocks.add(40, KIND_RECORD);
    while (blocks.count > 30_000) blocks.remove(random.below(blocks.count));
    alloc(a, 8 * MIB, KIND_FIXED);
    let most = 0;
    for (let i = 0; i < 2000; i++) {
      const before = blocks.moves;
      compactStep(a);
      most = Math.max(most, blocks.moves - before);
    }
    expect(most).toBeGreaterThan(0);
    expect(most).toBeLessThanOrEqual(64);
    expect(arenaBytes(a) / liveBytes(a)).toBeLessThan(1.3);
    verifyAlloc(a);
    blocks.checkAll();
  });

  it('leaves blocks alone that nobody can redirect', () => {
    const a = newArena();
    const blocks = new Blocks(a);
    const random = new Random(5);
    for (let i = 0; i < 50_000; i++) blocks.add(96, KIND_FIXED);
    while (blocks.count > 5000) {
      blocks.remove(random.below(blocks.count));
      compactStep(a);
    }
    alloc(a, 8 * MIB, KIND_FIXED);
    for (let i = 0; i < 1000; i++) compactStep(a);
    expect(blocks.moves).toBe(0);
    blocks.checkAll();
  });

  it('makes room in a full arena', () => {
    const a = newArena(4 * MIB);
    const blocks = new Blocks(a);
    const random = new Random(6);
    expect(() => {
      for (;;) blocks.add(96, KIND_RECORD);
    }).toThrow(ArenaFullError);
    let evicted = 0;
    while (!canHold(a, 1000)) {
      blocks.remove(random.below(blocks.count));
      compactStep(a);
      evicted++;
    }
    // Eight pages' worth at the least; without compaction nearly everything would have to go.
    expect(evicted).toBeLessThan(blocks.count);
    alloc(a, 1000, KIND_RECORD);
    verifyAlloc(a);
    blocks.checkAll();
  });

  it('makes the same arena of the same calls', () => {
    const one = churn(compactStep).a;
    const two = churn(compactStep).a;
    const bytes = highWaterBytes(one);
    expect(highWaterBytes(two)).toBe(bytes);
    expect(Buffer.compare(Buffer.from(one.buffer, 0, bytes), Buffer.from(two.buffer, 0, bytes))).toBe(0);
  });
});
