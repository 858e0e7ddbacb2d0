/**
 * When sessions run. One per thread that reads connections.
 *
 * A turn of the event loop reads many sockets before timers come round again, so the sessions' work in one turn is
 * bounded in time (`tickBudgetMs`). A session normally runs its input at once, inside the read. When the budget is used
 * up, input is kept and its session joins the backlog; while there is a backlog, everybody queues. The backlog is served
 * round robin at the end of the turn, within what is left of the budget, and in the turns after it.
 */
import { performance } from 'node:perf_hooks';
import type { TickClock } from '../engine/tickclock.ts';
import type { Executor } from './executor.ts';
import type { ServerLimits } from './limits.ts';
import type { Session } from './session.ts';

/** What replies wait for: the log, when it has to be on disk before anybody hears of a write. */
export interface ReplyGate {
  /** The entry that has to be durable before the replies written now may go out; 0 for none. */
  readonly awaitedIndex: number;
  /** Replies that wait for this entry, or an earlier one, may go out. */
  readonly releasedIndex: number;
}

/** Replies of a turn that wait for the log: session i's are bytes[ranges[2i], ranges[2i + 1]). */
interface HeldReplies {
  index: number;
  bytes: Uint8Array;
  sessions: Session[];
  ranges: number[];
}

/** Commands between two looks at the clock, over all sessions. */
const COMMANDS_PER_LOOK = 32;

/** The thread's reply buffer: a fresh one's size, and the size from which on it is not kept. */
const REPLY_BYTES = 64 * 1024;
const KEPT_REPLY_BYTES = 1024 * 1024;
const SPARE_BUFFERS = 16;

export class Scheduler {
  /** Commands until the next look at the clock: `run` loops count it down and call `overBudget` at zero. */
  credit = COMMANDS_PER_LOOK;
  /**
   * The time that commands are given, ms since 1970: read at each look at the clock. It never goes back: while the
   * system's clock has been set back it stands still. A reading costs 70 ns.
   */
  nowMs = Date.now();
  private readonly limits: ServerLimits;
  private readonly executor: Executor;
  private inTick = false;
  private exhausted = false;
  private deadlineMs = 0;
  private backlog: Session[] = [];
  private backlogHead = 0;
  /** Those that were woken from a blocking command: they come before the backlog, so that nobody takes what they were woken for. */
  private woken: Session[] = [];
  private wokenHead = 0;
  private touched: Session[] = [];
  /** Whose the replies in the thread's reply buffer are: range i is [ranges[2i], ranges[2i + 1]). */
  private readonly writers: Session[] = [];
  private readonly ranges: number[] = [];
  /** How many of `writers` hold; the arrays are not cut short, since that costs more than a short tick's write. */
  private writerCount = 0;
  /** Shared with the threads that expire keys. */
  clock: TickClock | undefined = undefined;
  /** Set while there is a log that replies may have to wait for. */
  gate: ReplyGate | undefined = undefined;
  private held: HeldReplies[] = [];
  /** Reply buffers that were held and are free again. */
  private readonly spare: Uint8Array[] = [];

  constructor(limits: ServerLimits, executor: Executor) {
    this.limits = limits;
    this.executor = executor;
  }

  /** Whether a session with new input may run it now; otherwise it has to `enqueue`. Opens the tick. */
  admits(): boolean {
    if (!this.inTick) this.beginTick();
    return !this.exhausted && !this.hasBacklog;
  }

  /** Looks at the clock: whether the running session must stop and queue. */
  overBudget(): boolean {
    this.credit = COMMANDS_PER_LOOK;
    this.readClock();
    if (performance.now() >= this.deadlineMs) this.exhausted = true;
    return this.exhausted;
  }

  /** The time of now, for commands that come from elsewhere than a session. */
  currentMs(): number {
    this.readClock();
    return this.nowMs;
  }

  private readClock(): void {
    const nowMs = Date.now();
    if (nowMs > this.nowMs) this.nowMs = nowMs;
  }

  /** No command gets an earlier time than this. */
  advanceTo(nowMs: number): void {
    if (nowMs > this.nowMs) this.nowMs = nowMs;
  }

  /** For the executor, after a command that took long: the clock is looked at behind it, whatever the count. */
  lookSoon(): void {
    this.credit = 0;
  }

  /** Puts a session at the end of the backlog; `Session.enqueue` sees to it that it is there once. */
  enqueue(session: Session): void {
    if (!this.inTick) this.beginTick();
    this.backlog.push(session);
  }

  /** The same for one that was woken from a blocking command. */
  enqueueWoken(session: Session): void {
    if (!this.inTick) this.beginTick();
    this.woken.push(session);
  }

  private get hasBacklog(): boolean {
    return this.backlogHead < this.backlog.length || this.wokenHead < this.woken.length;
  }

  /** Whose turn it is, in a backlog that is not empty. */
  private nextInBacklog(): Session {
    if (this.wokenHead === this.woken.length) return this.backlog[this.backlogHead++];
    const session = this.woken[this.wokenHead++];
    if (this.wokenHead === this.woken.length) {
      this.woken = [];
      this.wokenHead = 0;
    }
    return session;
  }

  /** Notes that a session has output to be written by the next `flush`. */
  touch(session: Session): void {
    this.touched.push(session);
  }

  /** Notes that reply[start, end) is `session`'s: written at the end of the tick, in the order of the calls. */
  write(session: Session, start: number, end: number): void {
    const count = this.writerCount;
    if (count > 0 && this.writers[count - 1] === session && this.ranges[count * 2 - 1] === start) {
      this.ranges[count * 2 - 1] = end;
      return;
    }
    this.writers[count] = session;
    this.ranges[count * 2] = start;
    this.ranges[count * 2 + 1] = end;
    this.writerCount = count + 1;
  }

  /** Writes all replies that wait in the thread's reply buffer, and lets it be used again. Not within a command. */
  writeReplies(): void {
    const reply = this.executor.call.reply;
    const bytes = reply.u8;
    const index = this.heldIndex();
    if (index > 0) {
      if (this.writerCount > 0) this.holdReplies(index);
      return;
    }
    let reusable = bytes.length <= KEPT_REPLY_BYTES;
    for (let i = 0; i < this.writerCount; i++) {
      if (!this.writers[i].writeRange(bytes, this.ranges[i * 2], this.ranges[i * 2 + 1])) reusable = false;
    }
    this.writerCount = 0;
    reply.length = 0;
    if (!reusable) reply.u8 = new Uint8Array(REPLY_BYTES);
  }

  /** The entry that output written now has to wait for; 0 for none. Replies never overtake those that wait already. */
  private heldIndex(): number {
    if (this.gate === undefined) return 0;
    const awaited = this.gate.awaitedIndex;
    return this.held.length === 0 ? awaited : Math.max(awaited, this.held[this.held.length - 1].index);
  }

  private holdReplies(index: number): void {
    const reply = this.executor.call.reply;
    const sessions = this.writers.slice(0, this.writerCount);
    this.held.push({ index, bytes: reply.u8, sessions, ranges: this.ranges.slice(0, this.writerCount * 2) });
    for (const session of sessions) session.hold();
    this.writerCount = 0;
    reply.length = 0;
    reply.u8 = this.spare.pop() ?? new Uint8Array(REPLY_BYTES);
  }

  /** Whether `bytes`, output of one session, has to wait; then it is kept, and written later. */
  holds(session: Session, bytes: Uint8Array, length: number): boolean {
    const index = this.heldIndex();
    if (index === 0) return false;
    this.held.push({ index, bytes, sessions: [session], ranges: [0, length] });
    session.hold();
    return true;
  }

  /** The log has gone on: writes what waited for it. */
  releaseHeld(): void {
    if (this.held.length === 0) return;
    const released = this.gate === undefined ? Number.POSITIVE_INFINITY : this.gate.releasedIndex;
    let count = 0;
    while (count < this.held.length && this.held[count].index <= released) count++;
    const free = this.held.splice(0, count);
    for (const { bytes, sessions, ranges } of free) {
      let reusable = bytes.length <= KEPT_REPLY_BYTES && this.spare.length < SPARE_BUFFERS;
      for (let i = 0; i < sessions.length; i++) {
        if (!sessions[i].writeRange(bytes, ranges[i * 2], ranges[i * 2 + 1])) reusable = false;
      }
      if (reusable) this.spare.push(bytes);
    }
    // Only now: a session that ends writes the replies of this turn, of all sessions, which come behind those above.
    for (const { sessions } of free) for (const session of sessions) session.release();
  }

  /** Writes the output of every session that has some. Called by whoever delivered replies, when done. */
  flush(): void {
    this.writeReplies();
    if (this.touched.length === 0) return;
    for (let i = 0; i < this.touched.length; i++) this.touched[i].flush();
    this.touched.length = 0;
  }

  private beginTick(): void {
    this.inTick = true;
    this.exhausted = false;
    this.credit = COMMANDS_PER_LOOK;
    this.readClock();
    if (this.clock !== undefined) this.nowMs = this.clock.enter(this.nowMs);
    this.deadlineMs = performance.now() + this.limits.tickBudgetMs;
    setImmediate(this.endTick);
  }

  /** The check phase of the event loop: after all reads of this turn. */
  private readonly endTick = (): void => {
    while (this.hasBacklog && !this.exhausted) {
      this.nextInBacklog().takeTurn();
      // A turn counts also where it ran nothing.
      if (--this.credit <= 0) this.overBudget();
    }
    if (this.backlogHead === this.backlog.length) {
      if (this.backlogHead > 0) this.backlog = [];
      this.backlogHead = 0;
    } else if (this.backlogHead > 1024) {
      this.backlog = this.backlog.slice(this.backlogHead);
      this.backlogHead = 0;
    }
    this.flush();
    this.executor.endTick();
    this.inTick = false;
    this.clock?.leave(this.nowMs);
    // Between this and the next service of the backlog, timers and reads get their turn.
    if (this.hasBacklog) this.beginTick();
  };
}
