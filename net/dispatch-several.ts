/**
 * Commands over several shards: all their locks are taken in one place, here or on one worker. Their connection waits for a worker's
 * reply before it goes on, since any of its later commands might touch the same keys; a write keeps a fence around its shards until
 * it is done, so that it takes effect where it was accepted. Main thread; the dispatcher asks.
 */
import { type CommandRow, SCOPE_ALL, WRITE } from '../engine/command.ts';
import { SEVERAL_SHARDS } from '../engine/link.ts';
import type { Blocking } from './blocking.ts';
import type { Dispatcher } from './dispatch.ts';
import type { MainShards } from './dispatch-shards.ts';
import { DONE, type Outcome, QUEUED } from './executor.ts';
import { Footprints, makesMuch } from './footprints.ts';
import type { Session } from './session.ts';
import type { WorkerPool } from './workers.ts';

export class SeveralShards {
  private readonly dispatcher: Dispatcher;
  private readonly workers: WorkerPool;
  private readonly shards: MainShards;
  private readonly blocking: Blocking;
  private readonly footprints: Footprints;

  constructor(dispatcher: Dispatcher, workers: WorkerPool) {
    this.dispatcher = dispatcher;
    this.workers = workers;
    this.shards = dispatcher.shards;
    this.blocking = dispatcher.blocking;
    this.footprints = new Footprints(dispatcher.call, dispatcher.shards);
  }

  execute(session: Session, row: CommandRow, id: number): Outcome {
    const { shards, dispatcher } = this;
    const { marked, queued } = shards;
    const count = shards.mark(row);
    const writes = (row.flags & WRITE) !== 0;
    const isUnqueued = shards.isUnqueued();
    if (count === 0 || (isUnqueued && dispatcher.runsHere(id))) {
      dispatcher.borrowMarked();
      dispatcher.run(row, id);
      if (!writes) return DONE;
      shards.compactMarked();
      shards.unfence(session.id);
      if (this.blocking.count > 0 && row.scope === SCOPE_ALL && dispatcher.call.dirty > 0) {
        this.blocking.wakeBehind(dispatcher.call, row);
        session.yieldTurn();
      }
      return DONE;
    }
    if (dispatcher.log !== undefined && this.mayFill(row, isUnqueued))
      return dispatcher.inPlace.executeWrite(session, row, id);
    if (session.hasOutstanding) return shards.stall(session);
    // A read may share the queue with others, but keeps nobody from the fence that he waits for.
    const isExcluded = shards.fences.excludes(session.id, marked);
    if (writes && (!isUnqueued || isExcluded)) return shards.fence(session);
    if (isExcluded) return shards.stall(session);
    const first = row.scope === SCOPE_ALL ? 0 : marked.indexOf(1);
    shards.releaseMarked();
    const outcome = dispatcher.handOver(session, row, id, this.workers.ofShard(first), SEVERAL_SHARDS);
    if (outcome === DONE) shards.unfence(session.id);
    if (outcome !== QUEUED) return outcome;
    for (let shard = 0; shard < marked.length; shard++) queued[shard] += marked[shard];
    if (writes) {
      shards.putFence(session.id);
      shards.setFenced(marked, 1);
    }
    shards.awaited.set(session.id, marked.slice());
    return QUEUED;
  }

  /** Whether a worker might find no room for the write in `call`: what it copies is known only when nothing is queued before it. */
  private mayFill(row: CommandRow, isUnqueued: boolean): boolean {
    if (!makesMuch(row)) return this.shards.mayFill(row);
    return !isUnqueued || this.shards.mayFill(row, this.footprints.measure(row, 0, 0));
  }

  /** A worker has run the session's command. */
  finished(session: number, row: CommandRow): void {
    const { shards, blocking } = this;
    const marked = shards.awaited.get(session) as Uint8Array;
    for (let shard = 0; shard < marked.length; shard++) shards.queued[shard] -= marked[shard];
    shards.awaited.delete(session);
    if ((row.flags & WRITE) !== 0) shards.setFenced(marked, 0);
    shards.unfence(session);
    // Others come here only where nobody waits for their keys, and nobody else comes near those until now.
    if (blocking.count > 0 && (row.flags & WRITE) !== 0 && row.scope === SCOPE_ALL) blocking.wakeAll();
  }
}
