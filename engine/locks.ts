/**
 * The shard locks that one thread holds, and which shards a command needs. Taken in ascending order whenever the thread
 * has to wait for one, with nothing else held, so that threads cannot wait for each other in a circle.
 */
import { WORD_LOCK } from './arena.ts';
import type { Call } from './call.ts';
import { type CommandRow, SCOPE_ALL } from './command.ts';
import type { Shards } from './shards.ts';

/** How long a waiter sleeps before it looks at the lock again: the holder does not wake it. */
const RECHECK_MS = 0.05;
const SPINS = 200;

export class LockSet {
  readonly held: Uint8Array;
  private heldCount = 0;
  private readonly shards: Shards;
  private readonly thread: number;

  constructor(shards: Shards, thread: number) {
    this.shards = shards;
    this.thread = thread;
    this.held = new Uint8Array(shards.arenas.length);
  }

  /** Takes a shard's lock if it is free (or already ours). */
  tryTake(shard: number): boolean {
    if (this.held[shard] === 1) return true;
    if (!this.shards.arenas[shard].tryLock(this.thread)) return false;
    this.held[shard] = 1;
    this.heldCount++;
    return true;
  }

  /** Takes a shard's lock, waiting for it with nothing else held. */
  take(shard: number): void {
    if (this.tryTake(shard)) return;
    this.releaseAll();
    this.wait(shard);
  }

  /** Takes the locks of every shard marked in `needed`, waiting in ascending order if one is not free. */
  takeMarked(needed: Uint8Array): void {
    let all = true;
    for (let shard = 0; shard < needed.length && all; shard++) if (needed[shard] === 1) all = this.tryTake(shard);
    if (all) return;
    this.releaseAll();
    for (let shard = 0; shard < needed.length; shard++) if (needed[shard] === 1) this.wait(shard);
  }

  /** Takes a shard's lock like `take`, but gives up after about `ms`. */
  takeWithin(shard: number, ms: number): boolean {
    if (this.tryTake(shard)) return true;
    this.releaseAll();
    const words = this.shards.arenas[shard].i32;
    for (let spin = 0; spin < SPINS; spin++) if (this.tryTake(shard)) return true;
    const deadline = performance.now() + ms;
    do {
      const holder = Atomics.load(words, WORD_LOCK);
      if (holder !== 0) Atomics.wait(words, WORD_LOCK, holder, RECHECK_MS);
      if (this.tryTake(shard)) return true;
    } while (performance.now() < deadline);
    return false;
  }

  private wait(shard: number): void {
    const words = this.shards.arenas[shard].i32;
    for (let spin = 0; !this.tryTake(shard); spin++) {
      if (spin < SPINS) continue;
      const holder = Atomics.load(words, WORD_LOCK);
      if (holder !== 0) Atomics.wait(words, WORD_LOCK, holder, RECHECK_MS);
    }
  }

  release(shard: number): void {
    if (this.held[shard] === 0) return;
    this.held[shard] = 0;
    this.heldCount--;
    this.shards.arenas[shard].unlock();
  }

  releaseAll(): void {
    if (this.heldCount === 0) return;
    for (let shard = 0; shard < this.held.length; shard++) this.release(shard);
  }
}

const keyArguments: number[] = [];

/** Where a command's keys are among its arguments, none when those are malformed; in an array that the next call uses again. */
export function keyArgumentsOf(call: Call, row: CommandRow): number[] {
  keyArguments.length = 0;
  if (row.keys !== undefined) {
    if (!row.keys(call, keyArguments)) keyArguments.length = 0;
  } else if (row.firstKey !== 0) {
    const last = row.lastKey < 0 ? call.argc + row.lastKey : row.lastKey;
    for (let i = row.firstKey; i <= last; i += row.keyStep) keyArguments.push(i);
  }
  return keyArguments;
}

/**
 * Marks with 1 in `needed` (cleared first) the shards of a command's keys, and hashes the keys for the handler. Returns
 * how many shards: 0 for a command without keys, or when its arguments are malformed (the handler will say so).
 */
export function markShards(call: Call, row: CommandRow, needed: Uint8Array): number {
  if (row.scope === SCOPE_ALL) {
    needed.fill(1);
    return needed.length;
  }
  needed.fill(0);
  if (row.keys !== undefined) {
    let count = 0;
    for (const i of keyArgumentsOf(call, row)) count += mark(call, i, needed);
    return count;
  }
  if (row.firstKey === 0) return 0;
  const last = row.lastKey < 0 ? call.argc + row.lastKey : row.lastKey;
  let count = 0;
  for (let i = row.firstKey; i <= last; i += row.keyStep) count += mark(call, i, needed);
  return count;
}

function mark(call: Call, i: number, needed: Uint8Array): number {
  call.hashKey(i);
  const shard = call.arena.shard;
  if (needed[shard] === 1) return 0;
  needed[shard] = 1;
  return 1;
}

/** Whether the row always has exactly one key argument, so that its shard is found by hashing that one. */
export function hasSingleKey(row: CommandRow): boolean {
  return row.keys === undefined && row.firstKey > 0 && row.firstKey === row.lastKey;
}
