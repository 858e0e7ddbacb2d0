/**
 * The entry of a worker thread. It runs the commands that the main thread queued for its shards, expires their keys, frees
 * what is freed lazily, and sweeps them for snapshots.
 *
 * It works in slices: takes a shard's lock, works for at most SLICE_US, gives the lock back. With nothing to do it sleeps
 * in `Atomics.wait` until the main thread rings its bell or the next key is due to expire.
 */
import { type MessagePort, workerData } from 'node:worker_threads';
import { compactStep } from './alloc.ts';
import { COUNTER_NEXT_EXPIRY, WORD_FENCED } from './arena.ts';
import { Call } from './call.ts';
import { type CommandRow, CommandTable, WRITE } from './command.ts';
import { engineRows } from './commands/index.ts';
import { makeEvictor } from './eviction.ts';
import { excerptArguments, packExcerpt } from './excerpt.ts';
import { type Evictor, execute, executeAccepted } from './execute.ts';
import { expireDue } from './keyspace.ts';
import { freeBuried, hasBuried } from './lazyfree.ts';
import { BELL_STOP, BELL_WORKER, BELL_WORKER_SLEEPS, type LinkMemory, NO_SESSION, WorkerLink } from './link.ts';
import { hasSingleKey, LockSet, markShards } from './locks.ts';
import { rehearse } from './rehearsal.ts';
import { Settings, settingIndex } from './settings.ts';
import { Shards } from './shards.ts';
import { SWEEP_BLOCKED, SWEEP_MORE, Sweeper } from './snapshot/sweeper.ts';
import { TickClock } from './tickclock.ts';

/** The longest time a worker keeps a shard's lock while it has more to do. */
const SLICE_US = 100;
/** Buckets with something to expire, of about seven keys each, between two looks at the clock. */
const EXPIRE_BATCH = 32;
/** Buckets of what is freed lazily, of about seven members each, between two looks at the clock. */
const FREE_BATCH = 8;
/** The longest sleep: an expiry set while the worker sleeps is noticed within this time. */
const MAX_SLEEP_MS = 25;
/** The pause after a slice of expiring or sweeping with more to do: a quarter of the time goes to each at the most. */
const EXPIRE_PAUSE_MS = 0.3;
/**
 * The pause after a slice of expiring while the main thread wants nothing: where they share a processor, a worker that did not
 * sleep at all kept it from a request that had just come in for a time slice of the system's, 3 ms.
 */
const QUIET_PAUSE_MS = 0.05;
/** How long to sleep when a lock was not free. */
const RETRY_MS = 0.1;
const APPENDONLY = settingIndex('appendonly');
/** With a log the main thread makes room before it hands a write over: what is evicted is logged in its place. */
const NO_EVICTION: Evictor = { makeRoom: () => true };
const SLOWER_THAN_US = settingIndex('slowlog-log-slower-than');

export interface WorkerData {
  thread: number;
  arenas: SharedArrayBuffer[];
  settings: SharedArrayBuffer;
  link: LinkMemory;
  port: MessagePort;
  /** Word 0 counts the times a worker had something for the main thread, which sleeps on it. */
  mainBell: SharedArrayBuffer;
  /** Up to which time keys may be expired (tickclock.ts). */
  clock: SharedArrayBuffer;
  /** Where chunks of snapshots go, and the word that counts their bytes until they are released (snapshot/saver.ts). */
  snapshotPort: MessagePort;
  snapshotPending: SharedArrayBuffer;
  /** The shards this worker owns: [from, to). */
  from: number;
  to: number;
  /** On a replica what goes and what expires goes by the log: the worker neither makes room nor takes a read's time for the state's. */
  isReplica: boolean;
}

const BUSY = 0;
const IDLE = 1;
const BLOCKED = 2;

class WorkerThread {
  private readonly data: WorkerData;
  private readonly shards: Shards;
  private readonly call: Call;
  private readonly table = new CommandTable(engineRows);
  private readonly link: WorkerLink;
  private readonly locks: LockSet;
  private readonly needed: Uint8Array;
  private readonly mainBell: Int32Array;
  private readonly clock: TickClock;
  private readonly evictor: Evictor;
  private readonly sweeper: Sweeper;
  /**
   * No write that is still queued here is before it: the time of the last command that ran. On a replica of the last write, whose
   * time is the log's; its reads have the time of its own clock, which is ahead.
   */
  private ranMs = 0;

  constructor(data: WorkerData) {
    this.data = data;
    this.shards = new Shards(data.arenas);
    this.call = new Call(this.shards, new Settings(data.settings));
    this.call.isReplica = data.isReplica;
    this.link = new WorkerLink(data.link, data.port);
    this.locks = new LockSet(this.shards, data.thread);
    this.needed = new Uint8Array(this.shards.arenas.length);
    this.mainBell = new Int32Array(data.mainBell);
    this.clock = new TickClock(data.clock);
    this.evictor = data.isReplica ? NO_EVICTION : makeEvictor(this.shards, this.call.settings, data.thread);
    const pending = new Int32Array(data.snapshotPending);
    this.sweeper = new Sweeper(this.shards.arenas, data.from, data.to, this.locks, data.snapshotPort, pending);
  }

  run(): void {
    const bells = this.link.bells;
    while (Atomics.load(bells, BELL_STOP) === 0) {
      const bell = Atomics.load(bells, BELL_WORKER);
      // In this order: what was queued with earlier times is then visible.
      const settledMs = this.settledMs();
      const served = this.serveRequests();
      const expired = this.expireKeys(served === IDLE ? settledMs : this.ranMs);
      const freed = this.freeBuried();
      const swept = this.sweeper.slice();
      this.locks.releaseAll();
      if (served === BUSY) continue;
      const isBlocked = served === BLOCKED || expired === BLOCKED || freed === BLOCKED || swept === SWEEP_BLOCKED;
      const pauseMs = this.pauseMs(expired === BUSY || freed === BUSY, swept === SWEEP_MORE, isBlocked);
      Atomics.store(bells, BELL_WORKER_SLEEPS, 1);
      Atomics.wait(bells, BELL_WORKER, bell, pauseMs);
      Atomics.store(bells, BELL_WORKER_SLEEPS, 0);
    }
  }

  /** Expiring and sweeping are no hurry: the pause lets the main thread have the locks, and the processor if they share one. */
  private pauseMs(hasExpired: boolean, hasSwept: boolean, isBlocked: boolean): number {
    if (hasExpired && this.clock.isQuiet) return QUIET_PAUSE_MS;
    if (hasExpired || hasSwept) return EXPIRE_PAUSE_MS;
    return isBlocked ? RETRY_MS : this.sleepMs();
  }

  /** When the next key of this worker's shards may expire. */
  private nextExpiry(): number {
    let next = Number.POSITIVE_INFINITY;
    for (let shard = this.data.from; shard < this.data.to; shard++) {
      next = Math.min(next, this.shards.arenas[shard].f64[COUNTER_NEXT_EXPIRY]);
    }
    return next;
  }

  /** The time by which keys may be expired; 0 while none is due. */
  private settledMs(): number {
    const next = this.nextExpiry();
    if (next === Number.POSITIVE_INFINITY) return 0;
    const nowMs = Date.now();
    return next <= nowMs ? this.clock.settle(nowMs) : 0;
  }

  private sleepMs(): number {
    const leftMs = this.nextExpiry() - Date.now();
    // What is due already waits for the end of a turn of the main thread.
    return leftMs <= 0 ? RETRY_MS : Math.min(MAX_SLEEP_MS, leftMs);
  }

  /** Runs queued commands for one slice. */
  private serveRequests(): number {
    const requests = this.link.requests;
    let at = requests.peek();
    if (at === 0) return IDLE;
    const startedAt = performance.now();
    let beganAt = startedAt;
    let state = BUSY;
    for (; at !== 0; at = requests.peek()) {
      if (beganAt - startedAt > SLICE_US / 1000) {
        this.locks.releaseAll();
        break;
      }
      const row = this.table.rows[requests.u32[(at >>> 2) + 1]];
      this.link.receive(at, this.call);
      this.call.begin(row);
      if (!this.takeLocks(row)) {
        state = beganAt === startedAt ? BLOCKED : BUSY;
        break;
      }
      this.call.reply.length = 0;
      // What makes room is said by the log, if there is one.
      const isEntry = requests.u32[(at >>> 2) + 2] === NO_SESSION;
      const isLogged = isEntry || this.call.settings.f64[APPENDONLY] !== 0;
      if (isEntry && (row.flags & WRITE) !== 0) executeAccepted(this.call, row);
      else execute(this.call, row, isLogged ? NO_EVICTION : this.evictor);
      if (!this.data.isReplica || (row.flags & WRITE) !== 0) this.ranMs = this.call.nowMs;
      if (row.flags & WRITE) this.compact(row);
      const now = performance.now();
      this.reply(at, (now - beganAt) * 1000);
      beganAt = now;
      this.link.release(at);
    }
    this.link.publish();
    this.ringMain();
    return state;
  }

  /** Takes the locks of the command's shards. One shard: tries only. Several: waits for them. */
  private takeLocks(row: CommandRow): boolean {
    if (hasSingleKey(row)) {
      this.call.hashKey(row.firstKey);
      return this.locks.tryTake(this.call.arena.shard);
    }
    markShards(this.call, row, this.needed);
    this.locks.takeMarked(this.needed);
    return true;
  }

  private compact(row: CommandRow): void {
    if (hasSingleKey(row)) {
      compactStep(this.call.arena);
      return;
    }
    for (let shard = 0; shard < this.needed.length; shard++) {
      if (this.needed[shard] === 1) compactStep(this.shards.arenas[shard]);
    }
  }

  /** Sends the reply; when the ring is full, lets go of everything and waits for the main thread to read. */
  private reply(at: number, elapsedUs: number): void {
    const slowerThanUs = this.call.settings.f64[SLOWER_THAN_US];
    const isSlow = slowerThanUs >= 0 && elapsedUs >= slowerThanUs;
    const excerpt = isSlow ? packExcerpt(excerptArguments(this.call)) : undefined;
    while (!this.link.send(at, this.call.reply, elapsedUs, excerpt)) {
      this.locks.releaseAll();
      this.link.publish();
      this.ringMain();
      Atomics.wait(this.mainBell, 0, Atomics.load(this.mainBell, 0), RETRY_MS);
    }
  }

  private ringMain(): void {
    Atomics.add(this.mainBell, 0, 1);
    Atomics.notify(this.mainBell, 0);
  }

  /**
   * Deletes keys of this worker's shards that have expired by `nowMs`, for one slice. No command that is still to come has
   * an earlier time: whoever runs the commands again, without these deletions, comes to the same replies.
   */
  private expireKeys(nowMs: number): number {
    const startedAt = performance.now();
    let state = IDLE;
    for (let shard = this.data.from; shard < this.data.to; shard++) {
      const arena = this.shards.arenas[shard];
      if (arena.f64[COUNTER_NEXT_EXPIRY] > nowMs) continue;
      // A write over several shards may wait at another worker, with an earlier time.
      if (Atomics.load(arena.i32, WORD_FENCED) !== 0) {
        state = state === BUSY ? BUSY : BLOCKED;
        continue;
      }
      if (!this.locks.tryTake(shard)) {
        state = state === BUSY ? BUSY : BLOCKED;
        continue;
      }
      while (expireDue(arena, nowMs, EXPIRE_BATCH) > 0) {
        compactStep(arena);
        state = BUSY;
        if (performance.now() - startedAt > SLICE_US / 1000) break;
      }
      this.locks.release(shard);
      if (performance.now() - startedAt > SLICE_US / 1000) break;
    }
    return state;
  }

  /** Frees values of this worker's shards that are gone, for one slice. */
  private freeBuried(): number {
    const startedAt = performance.now();
    let state = IDLE;
    for (let shard = this.data.from; shard < this.data.to; shard++) {
      const arena = this.shards.arenas[shard];
      if (!hasBuried(arena)) continue;
      if (!this.locks.tryTake(shard)) {
        state = state === BUSY ? BUSY : BLOCKED;
        continue;
      }
      state = BUSY;
      while (freeBuried(arena, FREE_BATCH) && performance.now() - startedAt < SLICE_US / 1000) compactStep(arena);
      compactStep(arena);
      this.locks.release(shard);
      if (performance.now() - startedAt > SLICE_US / 1000) break;
    }
    return state;
  }
}

rehearse();
new WorkerThread(workerData as WorkerData).run();
