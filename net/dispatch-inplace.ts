/**
 * Commands that run on this thread in every mode: those about shards that only it knows, blocking commands and writes of keys that
 * somebody waits for (who waits is known here, blocking.ts), and writes that tell only when they run what is to be logged. They
 * wait until nothing is queued for their shards. Main thread; the dispatcher asks.
 */
import type { Call } from '../engine/call.ts';
import { BLOCKING, type CommandRow, SCOPE_KEYS, WRITE } from '../engine/command.ts';
import { type Blocking, isMove, WAITING } from './blocking.ts';
import type { Dispatcher } from './dispatch.ts';
import type { MainShards } from './dispatch-shards.ts';
import { DONE, type Outcome, STALLED } from './executor.ts';
import type { Session } from './session.ts';
import type { CommandWatch } from './watch.ts';

export class InPlace {
  private readonly dispatcher: Dispatcher;
  private readonly watch: CommandWatch;
  private readonly call: Call;
  private readonly shards: MainShards;
  private readonly blocking: Blocking;

  constructor(dispatcher: Dispatcher, watch: CommandWatch) {
    this.dispatcher = dispatcher;
    this.watch = watch;
    this.call = dispatcher.call;
    this.shards = dispatcher.shards;
    this.blocking = dispatcher.blocking;
  }

  /** A command about shards that only this thread knows (MEMORY, DEBUG). It sees what its own connection did before. */
  executeHere(session: Session, row: CommandRow, id: number): Outcome {
    if (session.hasOutstanding) return this.shards.stall(session);
    if (this.shards.mark(row) > 0) this.shards.lockMarked();
    this.dispatcher.run(row, id);
    return DONE;
  }

  /** Whether the request in `call` may write a key that a session waits for. */
  concernsWaiting(row: CommandRow): boolean {
    return (
      (row.flags & (WRITE | BLOCKING)) === WRITE && row.scope === SCOPE_KEYS && this.blocking.concerns(this.call, row)
    );
  }

  /**
   * A write of keys that sessions wait for, who run before the next command of this one; or, with a log, one that tells only when
   * it runs what is to be logged.
   */
  executeWrite(session: Session, row: CommandRow, id: number): Outcome {
    const { shards } = this;
    if (session.hasOutstanding) return shards.stall(session);
    shards.mark(row);
    if (!shards.isUnqueued()) return shards.fence(session);
    this.dispatcher.borrowMarked();
    this.dispatcher.run(row, id);
    shards.compactMarked();
    shards.unfence(session.id);
    if (this.call.dirty > 0 && this.blocking.count > 0) {
      this.blocking.wakeFound();
      session.yieldTurn();
    }
    return DONE;
  }

  /** A command that waits when it finds nothing. Then its session offers it again after each write of one of its keys. */
  executeBlocking(session: Session, row: CommandRow, id: number): Outcome {
    const { call, blocking, shards } = this;
    const { stats, writes } = this.dispatcher;
    if (session.hasOutstanding) return shards.stall(session);
    if (session.hasHungUp) return session.hangUp();
    const reply = call.reply;
    const waiter = blocking.of(session);
    const errors = reply.errors;
    const runs = waiter === undefined || waiter.end === WAITING;
    shards.mark(row);
    if (runs && !shards.isUnqueued()) return shards.fence(session);
    stats.endBatch();
    const startedMs = performance.now();
    if (runs) {
      shards.borrowMarked();
      call.retried = waiter !== undefined;
      writes.perform(row);
      shards.unfence(session.id);
      if (call.blockMs >= 0) {
        if (waiter === undefined) blocking.add(session, call, row);
        else blocking.sleep(waiter);
        stats.beginBatch(performance.now());
        return STALLED;
      }
      shards.compactMarked();
    } else {
      shards.unfence(session.id);
      if (waiter !== undefined) blocking.endOf(waiter, reply);
    }
    const nowMs = performance.now();
    const elapsedUs = (nowMs - startedMs) * 1000;
    stats.record(id, 1, elapsedUs);
    stats.beginBatch(nowMs);
    if (elapsedUs >= this.watch.thresholdUs) this.watch.slow(call, row, elapsedUs);
    if (reply.errors !== errors) stats.error(id, reply.lastError, false);
    blocking.remove(session);
    // A move has given somebody something, where the other commands only take.
    if (call.dirty > 0 && isMove(row) && blocking.count > 0 && blocking.concerns(call, row)) {
      blocking.wakeFound();
      session.yieldTurn();
    }
    return DONE;
  }
}
