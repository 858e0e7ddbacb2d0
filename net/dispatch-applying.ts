/**
 * Writes of committed entries, run as the dispatcher runs a client's: on this thread, or on the worker that owns the shard where
 * they are costly. Their order is the log's, shard by shard. Main thread; net/replica/applier.ts asks, for one slice of entries
 * after the other, each within one turn of the event loop.
 */
import { compactStep } from '../engine/alloc.ts';
import type { Call } from '../engine/call.ts';
import { type CommandRow, SCOPE_ALL } from '../engine/command.ts';
import type { Blocking } from './blocking.ts';
import type { Dispatcher } from './dispatch.ts';
import type { MainShards } from './dispatch-shards.ts';
import { APPLIER } from './fences.ts';
import type { WorkerPool } from './workers.ts';

/** What becomes of a command of an entry. */
export const APPLIED = 0;
export const APPLYING = 1;
export const APPLY_LATER = 2;
export type Applied = typeof APPLIED | typeof APPLYING | typeof APPLY_LATER;
/** For a command that must run on this thread. */
export const NO_TICKET = -1;

export class Applying {
  private readonly dispatcher: Dispatcher;
  private readonly workers: WorkerPool;
  private readonly call: Call;
  private readonly shards: MainShards;
  private readonly blocking: Blocking;
  private readonly single: Uint8Array;

  /** `single`: by row, 1 for those with exactly one key that workers have too. */
  constructor(dispatcher: Dispatcher, workers: WorkerPool, single: Uint8Array) {
    this.dispatcher = dispatcher;
    this.workers = workers;
    this.call = dispatcher.call;
    this.shards = dispatcher.shards;
    this.blocking = dispatcher.blocking;
    this.single = single;
  }

  /** Before a slice of entries; `end` follows. */
  begin(nowMs: number): void {
    this.call.session = undefined;
    this.call.noTouch = false;
    this.dispatcher.stats.beginBatch(nowMs);
  }

  /**
   * Runs the write in `call`, with the clock that is set there: its reply is in `call.reply`, unless `call.blockMs` says that it
   * waits (APPLIED); or hands it to a worker, whose reply goes to `replication.replied` with `ticket` (APPLYING). APPLY_LATER: it
   * has to be tried again, since its shards or a ring are busy. In the order of the calls, shard by shard.
   */
  apply(row: CommandRow, id: number, isRetry: boolean, ticket: number, seed: number): Applied {
    const { call, shards, dispatcher } = this;
    call.begin(row);
    call.retried = isRetry;
    if (this.single[id] === 1) {
      call.hashKey(row.firstKey);
      const { shard } = call.arena;
      if (ticket !== NO_TICKET && this.blocking.count === 0 && !dispatcher.runsHere(id)) {
        return this.applyOnWorker(id, shard, ticket, seed);
      }
      if (shards.queued[shard] > 0) {
        shards.markOne(shard);
        shards.putFence(APPLIER);
        return APPLY_LATER;
      }
      shards.locks.take(shard);
      dispatcher.run(row, id);
      compactStep(shards.arenas[shard]);
    } else {
      shards.mark(row);
      if (!shards.isUnqueued()) {
        // Reads that are queued one after the other must not keep it waiting for ever.
        shards.putFence(APPLIER);
        return APPLY_LATER;
      }
      shards.lockMarked();
      dispatcher.run(row, id);
      shards.compactMarked();
    }
    this.unfence();
    if (call.dirty > 0 && this.blocking.count > 0) this.wakeWaiting(row);
    return APPLIED;
  }

  private applyOnWorker(id: number, shard: number, ticket: number, seed: number): Applied {
    this.shards.locks.release(shard);
    const worker = this.workers.ofShard(shard);
    if (!this.workers.sendApplied(worker, this.call, id, shard, ticket, seed)) return APPLY_LATER;
    this.shards.queued[shard]++;
    this.unfence();
    return APPLYING;
  }

  /** The write that had to be tried again will not be. */
  giveUp(): void {
    this.unfence();
  }

  private unfence(): void {
    if (this.shards.fences.count > 0) this.shards.unfence(APPLIER);
  }

  private wakeWaiting(row: CommandRow): void {
    if (row.scope === SCOPE_ALL) this.blocking.wakeBehind(this.call, row);
    else if (this.blocking.concerns(this.call, row)) this.blocking.wakeFound();
  }

  /** The replies that were delivered meanwhile go out. */
  end(): void {
    this.dispatcher.stats.endBatch();
    this.shards.locks.releaseAll();
    this.workers.ring();
    this.shards.resumeStalled();
    this.dispatcher.flushClients();
  }
}
