import fc from 'fast-check';
import { expect, it } from 'vitest';
import { ArenaFullError, compactStep, createArena, liveBytes, resetArena, verifyAlloc } from '../../engine/alloc.ts';
import { Arena } from '../../engine/arena.ts';
import { Random } from '../../engine/random.ts';
import { Blocks } from '../support/blocks.ts';

const MIB = 1024 * 1024;

/** One stretch of random operations: how much of what is allocated and how likely, then what is checked. */
interface Batch {
  operations: number;
  /** Share of allocations in percent; the rest are frees. */
  growth: number;
  sizes: 'small' | 'medium' | 'large' | 'any' | 'one';
  kinds: number;
  compact: boolean;
}

const batch: fc.Arbitrary<Batch> = fc.record({
  operations: fc.integer({ min: 1, max: 3000 }),
  growth: fc.constantFrom(0, 5, 30, 50, 70, 95, 100),
  sizes: fc.constantFrom('small', 'medium', 'large', 'any', 'one'),
  kinds: fc.integer({ min: 1, max: 6 }),
  compact: fc.boolean(),
});

function sizeOf(random: Random, sizes: Batch['sizes']): number {
  if (sizes === 'one') return 96;
  if (sizes === 'small') return random.below(300);
  if (sizes === 'medium') return random.below(5000);
  if (sizes === 'large') return random.below(100_000);
  return 2 ** random.below(17) + random.below(100);
}

function runBatch(blocks: Blocks, random: Random, b: Batch): number {
  const a = blocks.arena;
  let full = 0;
  for (let i = 0; i < b.operations; i++) {
    if (random.below(100) < b.growth) {
      try {
        blocks.add(sizeOf(random, b.sizes), random.below(b.kinds));
      } catch (error) {
        if (!(error instanceof ArenaFullError)) throw error;
        full++;
      }
    } else if (blocks.count > 0) {
      blocks.remove(random.below(blocks.count));
    }
    if (b.compact) compactStep(a);
  }
  return full;
}

it('keeps every byte and every count over any sequence of operations', () => {
  let moves = 0;
  let full = 0;
  fc.assert(
    fc.property(
      fc.array(batch, { minLength: 1, maxLength: 10 }),
      fc.integer(),
      fc.constantFrom(MIB, 3 * MIB, 64 * MIB),
      (batches, seed, bytes) => {
        const blocks = new Blocks(new Arena(createArena(bytes, 0, 16, [1, 2])));
        const random = new Random(seed);
        for (const b of batches) {
          full += runBatch(blocks, random, b);
          expect(verifyAlloc(blocks.arena)).toBe(blocks.count);
        }
        moves += blocks.moves;
        while (blocks.count > 0) blocks.remove(blocks.count - 1);
        expect(verifyAlloc(blocks.arena)).toBe(0);
      },
    ),
    { numRuns: 40 },
  );
  // The runs met what they are for.
  expect(moves).toBeGreaterThan(0);
  expect(full).toBeGreaterThan(0);
}, 30_000);

it('keeps every byte while sizes change in a nearly full arena', () => {
  const a = new Arena(createArena(8 * MIB, 0, 16, [1, 2]));
  const blocks = new Blocks(a);
  const random = new Random(77);
  const base = liveBytes(a);
  for (let round = 0; round < 30; round++) {
    const sizes = (['one', 'medium', 'small', 'any', 'large'] as const)[round % 5];
    runBatch(blocks, random, { operations: 4000, growth: 90, sizes, kinds: 3, compact: true });
    verifyAlloc(a);
    runBatch(blocks, random, { operations: (blocks.count * 0.9) | 0, growth: 0, sizes, kinds: 3, compact: true });
    expect(verifyAlloc(a)).toBe(blocks.count);
  }
  blocks.checkAll();
  expect(blocks.moves).toBeGreaterThan(1000);
  resetArena(a);
  expect(liveBytes(a)).toBe(base);
});
