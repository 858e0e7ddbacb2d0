/**
 * Replies that come after their command's turn: what workers have sent over their rings, and what handlers here answer later. Main
 * thread; the workers' bell calls `take`. Handing out is bounded in time, so that reads and timers come between.
 */
import type { CommandTable } from '../engine/command.ts';
import { NO_SESSION, SEVERAL_SHARDS } from '../engine/link.ts';
import { Reply } from '../engine/reply.ts';
import type { Dispatcher } from './dispatch.ts';
import type { SeveralShards } from './dispatch-several.ts';
import type { MainShards } from './dispatch-shards.ts';
import type { Session } from './session.ts';
import type { CommandStats } from './stats.ts';
import type { CommandWatch } from './watch.ts';
import type { WorkerPool } from './workers.ts';

/** How long the replies of workers may be handed out in one go, and after how many of them the clock is looked at. */
const REPLIES_MS = 4;
const REPLIES_PER_LOOK = 32;
/** A reply of two to this many bytes counts as two. */
const REPLY_CREDIT_SHIFT = 11;
const NO_SHARDS = new Uint8Array(0);
/** `-`, with which an error begins. */
const ERROR_BYTE = 45;

export class LateReplies {
  /** Commands that workers ran. */
  ranOnWorkers = 0;
  private readonly dispatcher: Dispatcher;
  private readonly workers: WorkerPool;
  private readonly watch: CommandWatch;
  private readonly several: SeveralShards;
  private readonly table: CommandTable;
  private readonly stats: CommandStats;
  private readonly shards: MainShards;

  constructor(dispatcher: Dispatcher, workers: WorkerPool, watch: CommandWatch, several: SeveralShards) {
    this.dispatcher = dispatcher;
    this.workers = workers;
    this.watch = watch;
    this.several = several;
    this.table = dispatcher.table;
    this.stats = dispatcher.stats;
    this.shards = dispatcher.shards;
    workers.onReplies = () => this.take();
  }

  /** Hands the replies that workers have sent to their sessions. */
  private take(): void {
    const { dispatcher, shards, workers } = this;
    const { clients } = dispatcher;
    if (clients === undefined) return;
    let deadlineMs = 0;
    let credit = REPLIES_PER_LOOK;
    for (let reply = workers.nextReply(); reply !== undefined; reply = workers.nextReply()) {
      if (reply.shard === SEVERAL_SHARDS) this.several.finished(reply.session, this.table.rows[reply.row]);
      else shards.queued[reply.shard]--;
      this.stats.record(reply.row, 1, reply.elapsedUs);
      this.ranOnWorkers++;
      if (reply.elapsedUs >= this.watch.thresholdUs) {
        const row = this.table.rows[reply.row];
        this.watch.slowOnWorker(row, reply.elapsedUs, reply.excerpt, clients.get(reply.session));
      }
      if (reply.length > 0 && reply.u8[reply.start] === ERROR_BYTE) {
        this.countError(reply.row, reply.u8, reply.start + 1);
      }
      if (reply.session !== NO_SESSION) {
        clients.get(reply.session)?.deliver(reply.sequence, reply.u8, reply.start, reply.length);
      } else {
        dispatcher.replication?.replied(reply.sequence, reply.u8, reply.start, reply.length);
      }
      workers.releaseReply();
      credit -= 1 + (reply.length >>> REPLY_CREDIT_SHIFT);
      if (credit > 0) continue;
      const nowMs = performance.now();
      if (deadlineMs === 0) deadlineMs = nowMs + REPLIES_MS;
      if (nowMs >= deadlineMs) {
        // Reads and timers first; the worker waits when its ring is full.
        setImmediate(() => this.take());
        break;
      }
      credit = REPLIES_PER_LOOK;
    }
    dispatcher.log?.advance();
    clients.scheduler.releaseHeld();
    dispatcher.replication?.progressed();
    dispatcher.exclusive.run();
    shards.resumeStalled();
    clients.flush();
  }

  private countError(row: number, u8: Uint8Array, start: number): void {
    let end = start;
    while (u8[end] > 32) end++;
    this.stats.error(row, String.fromCharCode(...u8.subarray(start, end)), false);
  }

  /**
   * For a command that runs here and whose reply comes later: its session goes on when the function that comes back is called,
   * which writes the reply.
   */
  defer(session: Session): (write: (reply: Reply) => void) => void {
    const seq = session.nextSeq;
    this.shards.awaited.set(session.id, NO_SHARDS);
    return (write) => {
      this.shards.awaited.delete(session.id);
      const reply = new Reply();
      reply.protocol = session.protocol;
      write(reply);
      session.deliver(seq, reply.u8, 0, reply.length);
      this.shards.resumeStalled();
      this.dispatcher.flushClients();
    };
  }
}
