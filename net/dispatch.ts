/**
 * Decides where a command runs, and runs it: on this thread, with the shards borrowed from their workers, or on a worker,
 * over its ring. Main thread only.
 *
 * The main thread keeps a shard it has borrowed until the tick ends, so that a pipeline takes each lock once. A command
 * may run here only when nothing for its shard is queued, so that commands on one key keep their order. `auto` runs here
 * what costs less than handing it over; `inline` always, waiting for a lock if it must; `ring` never.
 *
 * A command over several shards takes all their locks in one place, here or on a worker. On a worker, its connection
 * waits for the reply before it goes on: any of its later commands might touch the same keys.
 *
 * Writes take effect in the order in which this thread accepts them, shard by shard: that order is the log's. What
 * workers have queued for one shard they run in order; a write over several shards, or one that must run here, waits
 * until nothing is queued for its shards, behind a *fence* that lets no more in.
 *
 * Blocking commands, and writes of keys that somebody waits for, run here in every mode: who waits is known here.
 */
import { arenaBytes, compactStep } from '../engine/alloc.ts';
import { type Arena, COUNTER_NEXT_EXPIRY, WORD_FENCED } from '../engine/arena.ts';
import type { Call } from '../engine/call.ts';
import {
  arityFits,
  BLOCKING,
  type CommandRow,
  CommandTable,
  NO_AUTH,
  SCOPE_ALL,
  SCOPE_KEYS,
  SCOPE_NONE,
  unknownCommand,
  WRITE,
} from '../engine/command.ts';
import { engineRows } from '../engine/commands/index.ts';
import { ERR, wrongArity } from '../engine/errors.ts';
import type { Eviction } from '../engine/eviction.ts';
import { expireDue } from '../engine/keyspace.ts';
import { NO_SESSION, SEVERAL_SHARDS } from '../engine/link.ts';
import { hasSingleKey, LockSet, markShards } from '../engine/locks.ts';
import type { LogFront } from '../engine/log/front.ts';
import { Random } from '../engine/random.ts';
import { Reply } from '../engine/reply.ts';
import type { Shards } from '../engine/shards.ts';
import { isSwept } from '../engine/snapshot/epoch.ts';
import type { Saver } from '../engine/snapshot/saver.ts';
import { sweepStep } from '../engine/snapshot/sweep.ts';
import { Blocking, isMove, WAITING } from './blocking.ts';
import { type Clients, PAUSE_NONE } from './clients.ts';
import { DONE, type Executor, type Outcome, QUEUED, STALLED } from './executor.ts';
import { APPLIER, Fences, SERVER } from './fences.ts';
import { Refusals } from './refusals.ts';
import { PASS } from './replica/front.ts';
import { BOUNDED, levelOf } from './replica/reads.ts';
import type { Session } from './session.ts';
import type { CommandStats } from './stats.ts';
import type { CommandWatch } from './watch.ts';
import type { WorkerPool } from './workers.ts';
import { Writes } from './writes.ts';

export const DISPATCH_MODES = ['auto', 'inline', 'ring'] as const;
export type DispatchMode = (typeof DISPATCH_MODES)[number];

/** A command that takes longer than this on average is given to a worker, in mode `auto`. */
const HAND_OVER_US = 100;
/** Commands over every key start with this cost, until they are measured. */
const HEAVY_US = 1000;
const HEAVY = new Set(['keys', 'flushall', 'flushdb', 'sort']);
/**
 * How long to wait for the lock of a shard for which nothing is queued. Whoever has it is expiring or sweeping, for 0.1 ms at
 * most unless the processor was taken from it; a command handed over instead takes all that follow along to the ring.
 */
const BORROW_WAIT_MS = 0.5;
/** Buckets with something to expire that are looked at when a shard is borrowed. */
const EXPIRE_BUCKETS = 4;
/** Buckets that a snapshot sweeps then. */
const SWEEP_BUCKETS = 4;
/** How long the replies of workers may be handed out in one go, and after how many of them the clock is looked at. */
const REPLIES_MS = 4;
const REPLIES_PER_LOOK = 32;
/** A reply of two to this many bytes counts as two. */
const REPLY_CREDIT_SHIFT = 11;
const NO_SHARDS = new Uint8Array(0);
/** The number of the main thread in lock words; workers follow. */
export const MAIN_THREAD = 0;

/** What becomes of a command of an entry. */
export const APPLIED = 0;
export const APPLYING = 1;
export const APPLY_LATER = 2;
/** For a command that must run on this thread. */
export const NO_TICKET = -1;
export type Applying = typeof APPLIED | typeof APPLYING | typeof APPLY_LATER;

/** What a replica does with its clients' commands (net/replica/). */
export interface Replication {
  /** What becomes of the command in `call`, or PASS: then it runs here. */
  execute(session: Session, row: CommandRow): Outcome | typeof PASS;
  /** The clock of the state machine: what has expired by it is gone everywhere. */
  readonly settledMs: number;
  /** Whether the state is that of one entry of the log, with nothing under way. */
  readonly isSettled: boolean;
  /** At the end of a turn. */
  endTurn(): void;
  /** A worker has run the command with this ticket; its reply. */
  replied(ticket: number, from: Uint8Array, start: number, length: number): void;
  /** Workers have finished something. */
  progressed(): void;
  forget(session: Session): void;
}

export class Dispatcher implements Executor {
  readonly call: Call;
  readonly table: CommandTable;
  readonly stats: CommandStats;
  readonly blocking = new Blocking();
  private readonly shards: Shards;
  private readonly workers: WorkerPool;
  private readonly locks: LockSet;
  private readonly watch: CommandWatch;
  private readonly mode: DispatchMode;
  private readonly seeds = new Random((Math.random() * 0x7fffffff) | 1);
  /** Commands queued at workers, by shard. */
  readonly queued: Int32Array;
  /** Around shards where nothing more may be queued until what somebody wants there is done. */
  private readonly fences: Fences;
  /** What the server itself wants done with all shards, as soon as nothing is queued. */
  private readonly exclusive: (() => void)[] = [];
  private readonly needed: Uint8Array;
  /** 1 for rows that wait for an element (reads that may, XREAD, do not yet). */
  private readonly waits: Uint8Array;
  /** 1 for rows with exactly one key that workers have too. */
  private readonly single: Uint8Array;
  /** 1 for rows whose handlers say themselves what is to be logged (engine/effect.ts). */
  private readonly effects: Uint8Array;
  /** Rows from this id on are not in the workers' tables. */
  private readonly firstMainRow: number;
  /** The row of READ, which is a prefix. */
  private readonly readRow: number;
  /** Sessions that wait for the reply of a command over several shards, and the shards it marked. */
  private readonly waitingForMany = new Map<number, Uint8Array>();
  /** Sessions that found a ring full or have to wait for their own replies. */
  private readonly stalled = new Set<Session>();
  private clients: Clients | undefined = undefined;
  /** Where the name of the command that ran last begins: tells whether `call` still holds that request. */
  private lastName = 0;
  /** Commands that workers ran. */
  ranOnWorkers = 0;
  readonly refusals = new Refusals();
  /** With what this thread saves keys for snapshots, once it takes part in them. */
  saver: Saver | undefined = undefined;
  readonly writes: Writes;
  /** Set on a replica: where writes go instead of being run at once, and who says when reads may run. */
  replication: Replication | undefined = undefined;
  /** The state is being replaced, and nobody else may come near it. */
  private isReplacing = false;
  /** Whether a session's requests are run: `call` is theirs. The end of the turn follows. */
  isInBatch = false;
  /** Set by `defer` while the command runs. */
  private isDeferred = false;

  constructor(
    call: Call,
    table: CommandTable,
    stats: CommandStats,
    workers: WorkerPool,
    evictor: Eviction,
    watch: CommandWatch,
    mode: DispatchMode,
  ) {
    this.call = call;
    this.table = table;
    this.stats = stats;
    this.shards = call.shards;
    this.workers = workers;
    this.watch = watch;
    this.mode = mode;
    this.locks = new LockSet(this.shards, MAIN_THREAD);
    this.queued = new Int32Array(this.shards.arenas.length);
    this.fences = new Fences(this.shards.arenas.length);
    this.needed = new Uint8Array(this.shards.arenas.length);
    this.firstMainRow = new CommandTable(engineRows).rows.length;
    this.readRow = table.rows.findIndex((row) => row.name === 'read');
    this.single = Uint8Array.from(table.rows, (row, id) => (id < this.firstMainRow && hasSingleKey(row) ? 1 : 0));
    this.effects = Uint8Array.from(table.rows, (row) => (row.name === 'spop' ? 1 : 0));
    const waiting = WRITE | BLOCKING;
    this.waits = Uint8Array.from(table.rows, (row) => ((row.flags & waiting) === waiting ? 1 : 0));
    this.writes = new Writes(call, evictor, this.queued);
    for (const row of table.rows) if (HEAVY.has(row.name)) stats.costUs[row.id] = HEAVY_US;
    workers.onReplies = () => this.takeReplies();
    stats.onLongRun = (id, calls, excessUs) => {
      watch.slowRun(call, table.rows[id], calls, excessUs, call.off[0] === this.lastName);
    };
  }

  /** Whose sessions the replies of workers go to. */
  serve(clients: Clients): void {
    this.clients = clients;
    clients.scheduler.clock = this.workers.clock;
  }

  beginBatch(): void {
    this.isInBatch = true;
    this.stats.beginBatch(performance.now());
  }

  execute(session: Session): Outcome {
    const call = this.call;
    const row = this.table.resolve(call);
    if (row === undefined) return this.reject(-1, unknownCommand(this.table, call));
    const id = row.id;
    if (!arityFits(row, call.argc)) return this.reject(id, wrongArity(row.name));
    if (session.authRequired && (row.flags & NO_AUTH) === 0) return this.reject(id, ERR.NO_AUTH);
    if (this.refusals.any) {
      const text = this.refusals.of(row);
      if (text !== '') {
        this.unfence(session.id);
        return this.reject(id, text);
      }
    }
    const clients = session.clients;
    if (clients.pauseMode !== PAUSE_NONE && clients.mustWait(session, row)) {
      this.unfence(session.id);
      return STALLED;
    }
    if (this.waitingForMany.size > 0 && this.waitingForMany.has(session.id)) return this.stall(session);
    if (this.writes.mustWait(row)) return this.stall(session);
    if (id === this.readRow) return this.executeRead(session);
    call.begin(row);
    if (this.replication !== undefined) {
      const outcome = this.replication.execute(session, row);
      if (outcome !== PASS) return outcome;
    }
    if (row.scope === SCOPE_NONE) {
      // What the server tells or is told (INFO, CONFIG SET) comes after what its connection has asked before.
      if (session.hasOutstanding && row.group === 'server') return this.stall(session);
      this.run(row, id);
      if (!this.isDeferred) return DONE;
      this.isDeferred = false;
      return QUEUED;
    }
    if (this.blocking.count > 0 && this.concernsWaiting(row)) return this.executeInPlace(session, row, id);
    if (this.effects[id] === 1 && this.log !== undefined) return this.executeInPlace(session, row, id);
    if (this.single[id] === 1) return this.executeSingle(session, row, id);
    if (this.waits[id] === 1) return this.executeBlocking(session, row, id);
    if (id >= this.firstMainRow) return this.executeHere(session, row, id);
    return this.executeMany(session, row, id);
  }

  /** `READ level [ms] command …`: one command at a level of consistency of its own (net/replica/reads.ts). */
  private executeRead(session: Session): Outcome {
    const { call } = this;
    const level = levelOf(call, 1);
    const words = level === BOUNDED ? 3 : 2;
    if (level < 0 || call.argc <= words) return this.reject(this.readRow, ERR.SYNTAX);
    if (level === BOUNDED && (!call.long(2) || call.num < 0)) return this.reject(this.readRow, ERR.NOT_POSITIVE);
    const maxAgeMs = level === BOUNDED ? call.num : 0;
    call.shift(words);
    const row = this.table.resolve(call);
    if (row !== undefined && (row.id === this.readRow || (row.flags & WRITE) !== 0)) {
      return this.reject(this.readRow, 'ERR READ takes a command that reads');
    }
    const { consistency, maxAgeMs: usual } = session;
    session.consistency = level;
    session.maxAgeMs = maxAgeMs;
    const outcome = this.execute(session);
    session.consistency = consistency;
    session.maxAgeMs = usual;
    return outcome;
  }

  /** From here on nothing expires by itself, and commands that need the data set get this error. */
  beginLoading(text: string): void {
    this.workers.clock.enter(Date.now());
    this.refusals.setLoading(text);
  }

  /** Everything is loaded; no command gets a time before `lastMs`. */
  finishLoading(lastMs: number): void {
    this.clients?.scheduler.advanceTo(lastMs);
    this.workers.clock.leave(lastMs);
    this.call.random.reseed(this.seeds.next());
    this.locks.releaseAll();
    this.refusals.setLoading('');
  }

  /** From now on writes go into `log`; undefined: nowhere. */
  keepLog(log: LogFront | undefined): void {
    this.writes.log = log;
    const scheduler = this.clients?.scheduler;
    if (scheduler === undefined) return;
    scheduler.gate = log;
    scheduler.releaseHeld();
    this.resumeStalled();
  }

  /** A time that no command has been after, and no later one will be before. */
  get settledMs(): number {
    return this.replication === undefined ? this.call.nowMs : this.replication.settledMs;
  }

  /** The log that is kept, if any. */
  get log(): LogFront | undefined {
    return this.writes.log;
  }

  /** Hands the command in `call` to a worker, if it has room. */
  private handOver(session: Session, row: CommandRow, id: number, worker: number, shard: number): Outcome {
    const { call, writes } = this;
    if (!writes.makeRoom(row)) {
      call.reply.error(ERR.OOM);
      this.stats.error(id, call.reply.lastError, true);
      return DONE;
    }
    const seed = this.seeds.next();
    if (!this.workers.send(worker, call, id, shard, session, seed)) return this.stall(session);
    writes.handedOver(row, seed);
    return QUEUED;
  }

  /** A command about shards that only this thread knows (MEMORY, DEBUG). It sees what its own connection did before. */
  private executeHere(session: Session, row: CommandRow, id: number): Outcome {
    if (session.hasOutstanding) return this.stall(session);
    if (markShards(this.call, row, this.needed) > 0) this.locks.takeMarked(this.needed);
    this.run(row, id);
    return DONE;
  }

  /** Whether the request in `call` may write a key that a session waits for. */
  private concernsWaiting(row: CommandRow): boolean {
    return (
      (row.flags & (WRITE | BLOCKING)) === WRITE && row.scope === SCOPE_KEYS && this.blocking.concerns(this.call, row)
    );
  }

  /**
   * A write that has to run here, whatever the mode: of keys that sessions wait for, who run before the next command of this
   * one; or, with a log, one that tells only when it runs what is to be logged.
   */
  private executeInPlace(session: Session, row: CommandRow, id: number): Outcome {
    if (session.hasOutstanding) return this.stall(session);
    markShards(this.call, row, this.needed);
    if (!this.isUnqueued()) return this.fence(session);
    this.takeMarked();
    this.run(row, id);
    this.compactMarked();
    this.unfence(session.id);
    if (this.call.dirty > 0 && this.blocking.count > 0) {
      this.blocking.wakeFound();
      session.yieldTurn();
    }
    return DONE;
  }

  /** Takes the locks of the marked shards, for a command that runs here. */
  private takeMarked(): void {
    this.locks.takeMarked(this.needed);
    for (let shard = 0; shard < this.needed.length; shard++) if (this.needed[shard] === 1) this.keepHouse(shard);
  }

  /**
   * The command in `call` has to come after all that is queued for the shards it marked, since writes take effect in the
   * order in which they are accepted, whoever runs them. Its session waits; meanwhile nobody else's commands are queued
   * there, so that the wait ends.
   */
  private fence(session: Session): Outcome {
    this.fences.put(session.id, this.needed);
    return this.stall(session);
  }

  /** Tells the owners of the marked shards whether a worker has a write over several of them. */
  private setFenced(marked: Uint8Array, fenced: number): void {
    for (let shard = 0; shard < marked.length; shard++) {
      if (marked[shard] === 1) Atomics.store(this.shards.arenas[shard].i32, WORD_FENCED, fenced);
    }
  }

  private unfence(session: number): void {
    if (this.fences.remove(session)) this.resumeStalled();
  }

  /** Runs `act` with all shards locked and nothing queued for them: at once, or as soon as that is so. */
  exclusively(act: () => void): void {
    this.exclusive.push(act);
    this.runExclusive();
  }

  /** Also called by a replica that has settled. */
  runExclusive(): void {
    if (this.exclusive.length === 0 || this.isReplacing) return;
    this.needed.fill(1);
    if (!this.isUnqueued()) return this.fences.put(SERVER, this.needed);
    if (this.replication !== undefined && !this.replication.isSettled) return;
    this.locks.takeMarked(this.needed);
    // One may begin to replace the state: then the others come after that.
    while (this.exclusive.length > 0 && !this.isReplacing) this.exclusive.shift()!();
    if (!this.isReplacing) this.locks.releaseAll();
    this.unfence(SERVER);
  }

  /** Those who wait for replies, or for room, are to try again. */
  resumeStalled(): void {
    for (const session of this.stalled) session.resume();
    this.stalled.clear();
  }

  /** A command that waits when it finds nothing. Then its session offers it again after each write of one of its keys. */
  private executeBlocking(session: Session, row: CommandRow, id: number): Outcome {
    if (session.hasOutstanding) return this.stall(session);
    const { call, blocking, stats } = this;
    const reply = call.reply;
    const waiter = blocking.of(session);
    const errors = reply.errors;
    const runs = waiter === undefined || waiter.end === WAITING;
    markShards(call, row, this.needed);
    if (runs && !this.isUnqueued()) return this.fence(session);
    stats.endBatch();
    const startedMs = performance.now();
    if (runs) {
      this.takeMarked();
      call.retried = waiter !== undefined;
      this.writes.perform(row);
      this.unfence(session.id);
      if (call.blockMs >= 0) {
        if (waiter === undefined) blocking.add(session, call, row);
        else blocking.sleep(waiter);
        stats.beginBatch(performance.now());
        return STALLED;
      }
      this.compactMarked();
    } else {
      this.unfence(session.id);
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

  /**
   * For the handler of a command that runs here and whose reply comes later: its session goes on when the function that it
   * gets here is called, which writes the reply.
   */
  defer(session: Session): (write: (reply: Reply) => void) => void {
    const seq = session.nextSeq;
    this.isDeferred = true;
    this.waitingForMany.set(session.id, NO_SHARDS);
    return (write) => {
      this.waitingForMany.delete(session.id);
      const reply = new Reply();
      reply.protocol = session.protocol;
      write(reply);
      session.deliver(seq, reply.u8, 0, reply.length);
      this.resumeStalled();
      this.clients?.flush();
    };
  }

  /** CLIENT UNBLOCK. */
  unblock(session: Session, withError: boolean): boolean {
    return this.blocking.unblock(session, withError);
  }

  private reject(id: number, text: string): Outcome {
    this.call.reply.error(text);
    this.stats.error(id, this.call.reply.lastError, true);
    return DONE;
  }

  private executeSingle(session: Session, row: CommandRow, id: number): Outcome {
    const call = this.call;
    // It may have one from when somebody waited for its key.
    if (this.fences.count > 0) this.unfence(session.id);
    call.hashKey(row.firstKey);
    const shard = call.arena.shard;
    if (this.queued[shard] === 0 && this.runsHere(id) && this.borrow(shard)) {
      this.run(row, id);
      if ((row.flags & WRITE) !== 0) compactStep(this.shards.arenas[shard]);
      return DONE;
    }
    if (this.mode === 'inline') throw new Error('dispatch: a shard could not be borrowed');
    this.locks.release(shard);
    if (session.windowFull) return this.stall(session);
    if (this.fences.count > 0 && this.fences.encloses(shard)) return this.stall(session);
    const outcome = this.handOver(session, row, id, this.workers.ofShard(shard), shard);
    if (outcome === QUEUED) this.queued[shard]++;
    return outcome;
  }

  private runsHere(id: number): boolean {
    return this.mode === 'auto' ? this.stats.costUs[id] < HAND_OVER_US : this.mode === 'inline';
  }

  /** Takes a shard's lock until the end of the tick. In mode `inline` waits for it. */
  private borrow(shard: number): boolean {
    if (this.locks.held[shard] === 1) return true;
    if (this.mode === 'inline') this.locks.take(shard);
    else if (!this.locks.takeWithin(shard, BORROW_WAIT_MS)) return false;
    this.keepHouse(shard);
    return true;
  }

  /** A little of what its worker has to do in a shard just borrowed: under full load that hardly gets the lock. */
  private keepHouse(shard: number): void {
    const arena = this.shards.arenas[shard];
    const { settledMs } = this;
    if (arena.f64[COUNTER_NEXT_EXPIRY] <= settledMs) expireDue(arena, settledMs, EXPIRE_BUCKETS);
    const { saver } = this;
    if (saver !== undefined && !isSwept(arena) && !saver.isBehind) sweepStep(arena, saver, SWEEP_BUCKETS);
  }

  private executeMany(session: Session, row: CommandRow, id: number): Outcome {
    const call = this.call;
    const count = markShards(call, row, this.needed);
    const writes = (row.flags & WRITE) !== 0;
    const isUnqueued = this.isUnqueued();
    if (count === 0 || (isUnqueued && this.runsHere(id))) {
      this.takeMarked();
      this.run(row, id);
      if (!writes) return DONE;
      this.compactMarked();
      this.unfence(session.id);
      if (this.blocking.count > 0 && row.scope === SCOPE_ALL && call.dirty > 0) {
        this.blocking.wakeAll();
        session.yieldTurn();
      }
      return DONE;
    }
    if (session.hasOutstanding) return this.stall(session);
    if (writes && (!isUnqueued || this.fences.excludes(session.id, this.needed))) return this.fence(session);
    const first = row.scope === SCOPE_ALL ? 0 : this.needed.indexOf(1);
    for (let shard = 0; shard < this.needed.length; shard++) if (this.needed[shard] === 1) this.locks.release(shard);
    const outcome = this.handOver(session, row, id, this.workers.ofShard(first), SEVERAL_SHARDS);
    if (outcome === DONE) this.unfence(session.id);
    if (outcome !== QUEUED) return outcome;
    for (let shard = 0; shard < this.needed.length; shard++) this.queued[shard] += this.needed[shard];
    if (writes) {
      this.fences.put(session.id, this.needed);
      this.setFenced(this.needed, 1);
    }
    this.waitingForMany.set(session.id, this.needed.slice());
    return QUEUED;
  }

  /** Whether workers have no commands for the marked shards. */
  private isUnqueued(): boolean {
    const { needed, queued } = this;
    for (let shard = 0; shard < needed.length; shard++) if (needed[shard] === 1 && queued[shard] > 0) return false;
    return true;
  }

  private compactMarked(): void {
    for (let shard = 0; shard < this.needed.length; shard++) {
      if (this.needed[shard] === 1) compactStep(this.shards.arenas[shard]);
    }
  }

  /** Runs a command here, timed and counted. */
  private run(row: CommandRow, id: number): void {
    const call = this.call;
    const reply = call.reply;
    const errors = reply.errors;
    const mark = reply.length;
    this.lastName = call.off[0];
    this.stats.starting(id, call.argc);
    this.writes.perform(row);
    const elapsedUs = this.stats.finished(id, call.argc, reply.length - mark);
    if (elapsedUs > HAND_OVER_US) this.clients?.scheduler.lookSoon();
    if (elapsedUs >= this.watch.thresholdUs) this.watch.slow(call, row, elapsedUs);
    if (reply.errors !== errors) this.stats.error(id, reply.lastError, false);
  }

  /** The session is offered again when something has moved. */
  stall(session: Session): Outcome {
    this.stalled.add(session);
    return STALLED;
  }

  endBatch(): void {
    this.isInBatch = false;
    this.stats.endBatch();
  }

  endTick(): void {
    if (!this.isReplacing) this.locks.releaseAll();
    this.writes.log?.seal();
    this.workers.ring();
    this.replication?.endTurn();
  }

  // ---------------------------------------------------------------- committed entries

  /** Before entries of a group's log are applied; `endApplying` follows within the same turn of the event loop. */
  beginApplying(nowMs: number): void {
    this.call.session = undefined;
    this.call.noTouch = false;
    this.stats.beginBatch(nowMs);
  }

  /**
   * Runs the write in `call`, with the clock that is set there: its reply is in `call.reply`, unless `call.blockMs` says that it
   * waits (APPLIED); or hands it to a worker, whose reply goes to `replication.replied` with `ticket` (APPLYING). APPLY_LATER: it
   * has to be tried again, since its shards or a ring are busy. In the order of the calls, shard by shard.
   */
  apply(row: CommandRow, id: number, isRetry: boolean, ticket: number, seed: number): Applying {
    const { call } = this;
    call.begin(row);
    call.retried = isRetry;
    if (this.single[id] === 1) {
      call.hashKey(row.firstKey);
      const shard = call.arena.shard;
      if (ticket !== NO_TICKET && this.blocking.count === 0 && !this.runsHere(id))
        return this.applyOnWorker(id, shard, ticket, seed);
      if (this.queued[shard] > 0) {
        this.needed.fill(0);
        this.needed[shard] = 1;
        this.fences.put(APPLIER, this.needed);
        return APPLY_LATER;
      }
      this.locks.take(shard);
      this.run(row, id);
      compactStep(this.shards.arenas[shard]);
    } else {
      markShards(call, row, this.needed);
      if (!this.isUnqueued()) {
        // Reads that are queued one after the other must not keep it waiting for ever.
        this.fences.put(APPLIER, this.needed);
        return APPLY_LATER;
      }
      this.locks.takeMarked(this.needed);
      this.run(row, id);
      this.compactMarked();
    }
    if (this.fences.count > 0) this.unfence(APPLIER);
    if (call.dirty > 0 && this.blocking.count > 0) this.wakeWaiting(row);
    return APPLIED;
  }

  private applyOnWorker(id: number, shard: number, ticket: number, seed: number): Applying {
    this.locks.release(shard);
    const worker = this.workers.ofShard(shard);
    if (!this.workers.sendApplied(worker, this.call, id, shard, ticket, seed)) return APPLY_LATER;
    this.queued[shard]++;
    return APPLYING;
  }

  private wakeWaiting(row: CommandRow): void {
    if (row.scope === SCOPE_ALL) this.blocking.wakeAll();
    else if (this.blocking.concerns(this.call, row)) this.blocking.wakeFound();
  }

  /** The replies that were delivered meanwhile go out. */
  endApplying(): void {
    this.stats.endBatch();
    this.locks.releaseAll();
    this.workers.ring();
    this.resumeStalled();
    this.clients?.flush();
  }

  /**
   * Begins to replace the state, on a replica: clients that need it get this error. Resolves when nothing is under way any more;
   * from then on nobody but the caller touches the shards, whose locks are kept.
   */
  beginReplacing(text: string): Promise<void> {
    this.refusals.setLoading(text);
    return new Promise((resolve) =>
      this.exclusively(() => {
        this.isReplacing = true;
        resolve();
      }),
    );
  }

  /** Whoever waits for a key may find it now. */
  endReplacing(): void {
    this.isReplacing = false;
    this.locks.releaseAll();
    this.refusals.setLoading('');
    this.blocking.wakeAll();
  }

  /** No command gets an earlier time than the state has had. */
  advanceClock(nowMs: number): void {
    this.clients?.scheduler.advanceTo(nowMs);
  }

  flushClients(): void {
    this.clients?.flush();
  }

  /** Locks the shards of the keys of the request in `call`, until the turn ends. */
  lockKeys(row: CommandRow): void {
    markShards(this.call, row, this.needed);
    this.locks.takeMarked(this.needed);
  }

  /** Whether any shard has less than this part of its memory left when it takes so many bytes more. */
  isAnyTight(part: number, bytes: number): boolean {
    const { arenas } = this.shards;
    for (let i = 0; i < arenas.length; i++) if (isTight(arenas[i], part, bytes)) return true;
    return false;
  }

  /** Whether the request in `call` is about such a shard. */
  isTight(row: CommandRow, part: number, bytes: number): boolean {
    markShards(this.call, row, this.needed);
    for (let shard = 0; shard < this.needed.length; shard++) {
      if (this.needed[shard] === 1 && isTight(this.shards.arenas[shard], part, bytes)) return true;
    }
    return false;
  }

  /** Before a request that a peer forwarded is looked at: it gets the time of now. */
  beginForwarded(): void {
    const scheduler = this.clients?.scheduler;
    if (scheduler !== undefined) this.call.setClock(scheduler.currentMs());
    this.call.session = undefined;
  }

  /** Hands the replies that workers have sent to their sessions. */
  private takeReplies(): void {
    const clients = this.clients;
    if (clients === undefined) return;
    let deadlineMs = 0;
    let credit = REPLIES_PER_LOOK;
    for (let reply = this.workers.nextReply(); reply !== undefined; reply = this.workers.nextReply()) {
      if (reply.shard === SEVERAL_SHARDS) {
        this.manyFinished(reply.session, this.table.rows[reply.row]);
      } else {
        this.queued[reply.shard]--;
      }
      this.stats.record(reply.row, 1, reply.elapsedUs);
      this.ranOnWorkers++;
      if (reply.elapsedUs >= this.watch.thresholdUs) {
        const row = this.table.rows[reply.row];
        this.watch.slowOnWorker(row, reply.elapsedUs, reply.excerpt, clients.get(reply.session));
      }
      if (reply.length > 0 && reply.u8[reply.start] === 45) this.countError(reply.row, reply.u8, reply.start + 1);
      if (reply.session !== NO_SESSION) {
        clients.get(reply.session)?.deliver(reply.sequence, reply.u8, reply.start, reply.length);
      } else {
        this.replication?.replied(reply.sequence, reply.u8, reply.start, reply.length);
      }
      this.workers.releaseReply();
      credit -= 1 + (reply.length >>> REPLY_CREDIT_SHIFT);
      if (credit > 0) continue;
      const nowMs = performance.now();
      if (deadlineMs === 0) deadlineMs = nowMs + REPLIES_MS;
      if (nowMs >= deadlineMs) {
        // Reads and timers first; the worker waits when its ring is full.
        setImmediate(() => this.takeReplies());
        break;
      }
      credit = REPLIES_PER_LOOK;
    }
    this.writes.log?.advance();
    clients.scheduler.releaseHeld();
    this.replication?.progressed();
    this.runExclusive();
    this.resumeStalled();
    clients.flush();
  }

  private manyFinished(session: number, row: CommandRow): void {
    const needed = this.waitingForMany.get(session) as Uint8Array;
    for (let shard = 0; shard < needed.length; shard++) this.queued[shard] -= needed[shard];
    this.waitingForMany.delete(session);
    if ((row.flags & WRITE) !== 0) this.setFenced(needed, 0);
    this.unfence(session);
    if (this.blocking.count > 0 && (row.flags & WRITE) !== 0) this.blocking.wakeAll();
  }

  private countError(row: number, u8: Uint8Array, start: number): void {
    let end = start;
    while (u8[end] > 32) end++;
    this.stats.error(row, String.fromCharCode(...u8.subarray(start, end)), false);
  }

  forget(session: Session): void {
    this.stalled.delete(session);
    this.blocking.remove(session);
    this.replication?.forget(session);
    // A command of its own that a worker has keeps its fence until it is done.
    if (!this.waitingForMany.has(session.id)) this.unfence(session.id);
  }

  /** Locks everything and keeps it: for the end of the process. */
  lockAll(): void {
    this.needed.fill(1);
    this.locks.takeMarked(this.needed);
  }
}

function isTight(arena: Arena, part: number, bytes: number): boolean {
  return arenaBytes(arena) + bytes > arena.u8.length * (1 - part);
}
