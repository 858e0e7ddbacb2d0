/**
 * A worker's part in snapshots: sweeps its shards in slices, saves what its commands change in anybody's, and sends the chunks
 * to the main thread. Worker threads only; costs one load of a shared word while no snapshot is under way.
 *
 * The last message of a thread for a snapshot has no chunk. It comes when the sweeps of *all* shards are over, not only
 * its own: a command over several shards, or an eviction, saves records of other workers' shards too. So when the main
 * thread has seen the sweeps end, has flushed its own saver, and has that message from every worker, it has every key.
 */
import type { MessagePort } from 'node:worker_threads';
import type { Arena } from '../arena.ts';
import type { LockSet } from '../locks.ts';
import { isAborted, isSwept, snapshotNumber } from './epoch.ts';
import { Saver } from './saver.ts';
import { sweepStep } from './sweep.ts';

/** The longest time a shard's lock is kept, and the pause until the next slice: a quarter of the time at the most. */
const SLICE_MS = 0.1;
const PAUSE_MS = 0.3;
/** Buckets, of about seven keys each, between two looks at the clock. */
const STEP_BUCKETS = 8;

/** A chunk with its keys, or, without one, that the sender has no more of this snapshot. */
export interface SnapshotMessage {
  snapshot: number;
  chunk: Uint8Array | undefined;
  keys: number;
}

/** What a worker has to do next for the snapshot under way: nothing, the next slice, or to try for a lock again. */
export const SWEEP_IDLE = 0;
export const SWEEP_MORE = 1;
export const SWEEP_BLOCKED = 2;

export class Sweeper {
  private readonly arenas: readonly Arena[];
  private readonly from: number;
  private readonly to: number;
  private readonly locks: LockSet;
  private readonly port: MessagePort;
  private readonly saver: Saver;
  /** The snapshot that this thread last had its part in. */
  private finished = 0;
  private nextSliceAt = 0;

  /** For shards [from, to); the saver is for all of `arenas`. Chunks and pending bytes: see saver.ts. */
  constructor(
    arenas: readonly Arena[],
    from: number,
    to: number,
    locks: LockSet,
    port: MessagePort,
    pending: Int32Array,
  ) {
    this.arenas = arenas;
    this.from = from;
    this.to = to;
    this.locks = locks;
    this.port = port;
    this.saver = new Saver((chunk, keys, snapshot) => this.send({ snapshot, chunk, keys }), pending);
    this.saver.reserve();
    for (const arena of arenas) arena.saver = this.saver;
  }

  private send(message: SnapshotMessage): void {
    this.port.postMessage(message);
  }

  /** Sweeps for one slice, if one is due. */
  slice(): number {
    const snapshot = snapshotNumber(this.arenas[0]);
    if (snapshot === this.finished) return SWEEP_IDLE;
    const startedAt = performance.now();
    if (startedAt < this.nextSliceAt) return SWEEP_MORE;
    let state = SWEEP_IDLE;
    for (let shard = this.from; shard < this.to; shard++) {
      const arena = this.arenas[shard];
      if (isSwept(arena)) continue;
      if (this.saver.isBehind) return this.pause();
      if (!this.locks.tryTake(shard)) {
        state = SWEEP_BLOCKED;
        continue;
      }
      const isDone = this.sweep(arena, startedAt + SLICE_MS);
      this.locks.release(shard);
      if (!isDone) return this.pause();
    }
    if (state === SWEEP_IDLE && this.arenas.every(isSwept)) this.finish(snapshot);
    return state;
  }

  private pause(): number {
    this.nextSliceAt = performance.now() + PAUSE_MS;
    return SWEEP_MORE;
  }

  /** False when it was time to stop. */
  private sweep(arena: Arena, until: number): boolean {
    while (!sweepStep(arena, this.saver, STEP_BUCKETS)) {
      if (performance.now() >= until || this.saver.isBehind) return false;
    }
    return true;
  }

  private finish(snapshot: number): void {
    this.finished = snapshot;
    if (!isAborted(this.arenas)) this.saver.flush(snapshot);
    this.send({ snapshot, chunk: undefined, keys: 0 });
  }
}
