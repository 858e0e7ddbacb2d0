/**
 * The best candidates for eviction that a thread has met: a small list, sorted by rank, of records named by where they
 * were seen. It owns nothing and promises nothing: eviction.ts looks again before it believes an entry.
 */
import type { Offset } from './arena.ts';

/** Entries, as many as in Redis. With 8, 16, 32 or 64 hit ratios differ by less than 0.1 points (bench/hit-ratio.ts). */
export const POOL_SIZE = 16;

export class EvictionPool {
  count = 0;
  /** By slot: the lower the rank, the sooner the record should go. */
  readonly rank = new Float64Array(POOL_SIZE);
  readonly shard = new Uint16Array(POOL_SIZE);
  readonly keyspace = new Uint16Array(POOL_SIZE);
  readonly bucket = new Uint32Array(POOL_SIZE);
  readonly record = new Uint32Array(POOL_SIZE);
  /** The record's access word when it was seen: another one means it was used since. */
  readonly access = new Uint32Array(POOL_SIZE);
  /** A permutation of the slots: those in use come first, by falling rank, so that the best is at `count - 1`. */
  readonly order = new Uint8Array(POOL_SIZE);

  constructor() {
    for (let i = 0; i < POOL_SIZE; i++) this.order[i] = i;
  }

  clear(): void {
    this.count = 0;
  }

  /** Takes a candidate in, at the cost of the worst one when the pool is full; drops it when it is the worst itself. */
  offer(rank: number, shard: number, keyspace: number, bucket: number, record: Offset, access: number): void {
    const { order } = this;
    const isFull = this.count === POOL_SIZE;
    if (isFull && rank >= this.rank[order[0]]) return;
    if (this.has(shard, record, access)) return;
    const slot = isFull ? order[0] : order[this.count];
    if (isFull) this.placeFromWorst(slot, rank);
    else this.placeFromBest(slot, rank);
    this.rank[slot] = rank;
    this.shard[slot] = shard;
    this.keyspace[slot] = keyspace;
    this.bucket[slot] = bucket;
    this.record[slot] = record;
    this.access[slot] = access;
  }

  private has(shard: number, record: Offset, access: number): boolean {
    for (let i = 0; i < this.count; i++) {
      const slot = this.order[i];
      if (this.record[slot] === record && this.shard[slot] === shard && this.access[slot] === access) return true;
    }
    return false;
  }

  private placeFromWorst(slot: number, rank: number): void {
    const { order } = this;
    let i = 0;
    for (; i + 1 < this.count && this.rank[order[i + 1]] >= rank; i++) order[i] = order[i + 1];
    order[i] = slot;
  }

  private placeFromBest(slot: number, rank: number): void {
    const { order } = this;
    let i = this.count++;
    for (; i > 0 && this.rank[order[i - 1]] <= rank; i--) order[i] = order[i - 1];
    order[i] = slot;
  }

  /** Drops the entry at place i of the order. */
  removeAt(i: number): void {
    const { order } = this;
    const slot = order[i];
    this.count--;
    for (; i < this.count; i++) order[i] = order[i + 1];
    order[this.count] = slot;
  }
}
