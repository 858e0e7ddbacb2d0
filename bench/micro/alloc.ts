/**
 * The allocator's costs: allocations and frees of one size warm and at random, of page runs, and the safe point with
 * and without work. `allocBench` serves a tinybench suite; run directly, this prints ns per operation.
 * Each `fn` does BATCH operations.
 */
import {
  alloc,
  compactStep,
  createArena,
  free,
  KIND_FIXED,
  KIND_RECORD,
  registerRelocator,
} from '../../engine/alloc.ts';
import { Arena } from '../../engine/arena.ts';
import { Random } from '../../engine/random.ts';

const BATCH = 1000;
const MIB = 1024 * 1024;
const LIVE = 100_000;

interface Case {
  name: string;
  fn: () => void;
}

function newArena(bytes: number): Arena {
  return new Arena(createArena(bytes, 0, 16, [1, 2]));
}

/** alloc then free of one block, again and again: everything in cache, lists never touched. */
function pingPong(): Case {
  const a = newArena(64 * MIB);
  return {
    name: 'alloc + free, same block',
    fn: () => {
      for (let i = 0; i < BATCH; i++) free(a, alloc(a, 96, KIND_RECORD));
    },
  };
}

/** A thousand allocations, then a thousand frees, in order. */
function batches(): Case {
  const a = newArena(64 * MIB);
  const blocks = new Int32Array(BATCH);
  return {
    name: 'alloc x 1000, free x 1000',
    fn: () => {
      for (let i = 0; i < BATCH; i++) blocks[i] = alloc(a, 96, KIND_RECORD);
      for (let i = 0; i < BATCH; i++) free(a, blocks[i]);
    },
  };
}

/** One of many live blocks, chosen at random, is replaced by one of `size(i)` bytes. */
function churn(name: string, size: (i: number) => number, step: boolean): Case {
  const a = newArena(512 * MIB);
  const blocks = new Int32Array(LIVE);
  const sizes = new Int32Array(BATCH).map((_, i) => size(i));
  const random = new Random(1);
  for (let i = 0; i < LIVE; i++) blocks[i] = alloc(a, sizes[i % BATCH], KIND_FIXED);
  return {
    name,
    fn: () => {
      for (let i = 0; i < BATCH; i++) {
        const k = random.below(LIVE);
        free(a, blocks[k]);
        blocks[k] = alloc(a, sizes[i], KIND_FIXED);
        if (step) compactStep(a);
      }
    },
  };
}

function runs(): Case {
  const a = newArena(512 * MIB);
  const blocks = new Int32Array(64);
  const random = new Random(1);
  for (let i = 0; i < blocks.length; i++) blocks[i] = alloc(a, 100_000, KIND_FIXED);
  return {
    name: 'free + alloc of 64 KiB to 1 MiB, random',
    fn: () => {
      for (let i = 0; i < BATCH; i++) {
        const k = random.below(blocks.length);
        free(a, blocks[k]);
        blocks[k] = alloc(a, 65_537 + random.below(MIB), KIND_FIXED);
      }
    },
  };
}

/** Blocks of a kind that moves, with the owner's index in the block, as a record carries its key. */
function compaction(): Case {
  const a = newArena(512 * MIB);
  const blocks = new Int32Array(LIVE);
  const random = new Random(1);
  registerRelocator(KIND_RECORD, (arena, from, to) => {
    if (arena === a) blocks[a.i32[(from + 8) >>> 2]] = to;
  });
  const put = (k: number, bytes: number): void => {
    blocks[k] = alloc(a, bytes, KIND_RECORD);
    a.i32[(blocks[k] + 8) >>> 2] = k;
  };
  let bytes = 96;
  for (let i = 0; i < LIVE; i++) put(i, bytes);
  let left = LIVE;
  return {
    name: 'free + alloc + compactStep, sizes drifting',
    fn: () => {
      for (let i = 0; i < BATCH; i++) {
        const k = random.below(LIVE);
        free(a, blocks[k]);
        put(k, bytes);
        compactStep(a);
        if (--left === 0) {
          left = LIVE;
          bytes = bytes > 1500 ? 40 : (bytes * 1.37) | 0;
        }
      }
    },
  };
}

export function allocBench(): Case[] {
  return [
    pingPong(),
    batches(),
    churn('free + alloc, random block, one size', () => 96, false),
    churn('free + alloc + compactStep, random block, one size', () => 96, true),
    churn('free + alloc, random block, 16 to 400 bytes', (i) => 16 + ((i * 7919) % 384), false),
    runs(),
    compaction(),
  ];
}

export default function suite(): { name: string; fn: () => void; operations: number }[] {
  return allocBench().map((each) => ({ ...each, operations: BATCH }));
}

if (import.meta.main) {
  for (const { name, fn } of allocBench()) {
    for (let i = 0; i < 300; i++) fn();
    let best = Number.POSITIVE_INFINITY;
    for (let round = 0; round < 5; round++) {
      const start = performance.now();
      for (let i = 0; i < 200; i++) fn();
      best = Math.min(best, ((performance.now() - start) * 1e6) / (200 * BATCH));
    }
    console.log(`${best.toFixed(1).padStart(8)} ns  ${name}`);
  }
}
