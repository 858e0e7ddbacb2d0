/**
 * The shards as the main thread sees them: which it has borrowed from their workers, what is queued for each at its worker, and
 * who waits for either. Main thread; the dispatcher and its parts ask.
 *
 * A shard's lock is kept until the turn ends, so that a pipeline takes it once; whoever borrows does a little of the worker's
 * housekeeping. A command that needs shards with nothing queued for them *marks* them, and where something is queued puts a
 * fence around them (fences.ts) and waits. What a single-key command needs of this it reads from the fields; the loops over all
 * shards are for the rest.
 */
import { arenaBytes, compactStep, hasRoom } from '../engine/alloc.ts';
import { type Arena, COUNTER_NEXT_EXPIRY, PAGE_BYTES, WORD_FENCED } from '../engine/arena.ts';
import type { Call } from '../engine/call.ts';
import { type CommandRow, WRITE } from '../engine/command.ts';
import { findRoom, WRITE_BYTES } from '../engine/defragment.ts';
import type { Footprint } from '../engine/footprint.ts';
import { expireDue } from '../engine/keyspace.ts';
import { hasBuried } from '../engine/lazyfree.ts';
import { LockSet, markShards } from '../engine/locks.ts';
import { requestBytes } from '../engine/request.ts';
import { isSwept } from '../engine/snapshot/epoch.ts';
import type { Saver } from '../engine/snapshot/saver.ts';
import { sweepStep } from '../engine/snapshot/sweep.ts';
import { reclaim } from '../engine/spans.ts';
import { type Outcome, STALLED } from './executor.ts';
import { Fences } from './fences.ts';
import type { Session } from './session.ts';

/** The number of the main thread in lock words; workers follow. */
export const MAIN_THREAD = 0;
/**
 * How long to wait for the lock of a shard for which nothing is queued. Whoever has it is expiring or sweeping, for 0.1 ms at
 * most unless the processor was taken from it; a command handed over instead takes all that follow along to the ring.
 */
const BORROW_WAIT_MS = 0.5;
/** Buckets with something to expire that are looked at when a shard is borrowed. */
const EXPIRE_BUCKETS = 4;
/** Buckets that a snapshot sweeps then. */
const SWEEP_BUCKETS = 4;

/** Of a shard that is fuller than this leaves, no worker gets writes that are logged before they run. */
const QUEUED_PART = 1 / 8;
/** Beside that part: what a full ring of requests takes. */
const QUEUED_BYTES = 4 * 1024 * 1024;
/** What a request takes in memory at the most, by its bytes: records and tables with it. */
export const MEMORY_PER_BYTE = 4;

export class MainShards {
  readonly arenas: readonly Arena[];
  readonly locks: LockSet;
  /** Commands queued at workers, by shard. */
  readonly queued: Int32Array;
  /** Around shards where nothing more may be queued until what somebody wants there is done. */
  readonly fences: Fences;
  /** 1 for the shards that the command in hand needs; see `mark`. */
  readonly marked: Uint8Array;
  /**
   * Sessions that go on when a reply of theirs is there, by id: with the shards for which a worker has the command, none for one
   * whose handler answers later.
   */
  readonly awaited = new Map<number, Uint8Array>();
  /** With what this thread saves keys for snapshots, once it takes part in them. */
  saver: Saver | undefined = undefined;
  private readonly call: Call;
  private readonly clock: { readonly settledMs: number };
  private readonly isPatient: boolean;
  /** Sessions that found a ring full or have to wait for their own replies. */
  private readonly stalled = new Set<Session>();

  /** `clock` says what has expired; `isPatient`: `borrow` waits for a lock as long as it takes. */
  constructor(call: Call, clock: { readonly settledMs: number }, isPatient: boolean) {
    this.call = call;
    this.clock = clock;
    this.isPatient = isPatient;
    this.arenas = call.shards.arenas;
    this.locks = new LockSet(call.shards, MAIN_THREAD);
    this.queued = new Int32Array(this.arenas.length);
    this.fences = new Fences(this.arenas.length);
    this.marked = new Uint8Array(this.arenas.length);
  }

  // ---------------------------------------------------------------- one shard

  /** `borrow` where that takes no time: the lock is free, and nothing is to be done beside; false where it may. */
  borrowAtOnce(shard: number): boolean {
    return !this.isDue(shard) && !this.isSweeping(shard) && this.locks.tryTake(shard);
  }

  /** Takes a shard's lock until the end of the turn; false when it cannot be had soon. */
  borrow(shard: number): boolean {
    const { locks } = this;
    if (locks.held[shard] === 1) return true;
    if (this.isPatient) locks.take(shard);
    else if (!locks.takeWithin(shard, BORROW_WAIT_MS)) return false;
    this.keepHouse(shard);
    return true;
  }

  private isDue(shard: number): boolean {
    return this.arenas[shard].f64[COUNTER_NEXT_EXPIRY] <= this.clock.settledMs;
  }

  /** Whether this thread takes part in the sweep of the shard now. */
  private isSweeping(shard: number): boolean {
    return this.saver !== undefined && !isSwept(this.arenas[shard]) && !this.saver.isBehind;
  }

  /** A little of what its worker has to do in a shard just borrowed: under full load that hardly gets the lock. */
  private keepHouse(shard: number): void {
    const arena = this.arenas[shard];
    if (this.isDue(shard)) expireDue(arena, this.clock.settledMs, EXPIRE_BUCKETS);
    if (this.isSweeping(shard)) sweepStep(arena, this.saver as Saver, SWEEP_BUCKETS);
  }

  // ---------------------------------------------------------------- marked shards

  /** Marks the shards of the request in `call`; how many there are. */
  mark(row: CommandRow): number {
    return markShards(this.call, row, this.marked);
  }

  markOne(shard: number): void {
    this.marked.fill(0);
    this.marked[shard] = 1;
  }

  /** Whether workers have no commands for the marked shards. */
  isUnqueued(): boolean {
    const { marked, queued } = this;
    for (let shard = 0; shard < marked.length; shard++) if (marked[shard] === 1 && queued[shard] > 0) return false;
    return true;
  }

  lockMarked(): void {
    this.locks.takeMarked(this.marked);
  }

  /** `borrowMarked` where that takes no time, as `borrowAtOnce`. */
  borrowMarkedAtOnce(): boolean {
    const { marked, locks } = this;
    for (let shard = 0; shard < marked.length; shard++) {
      if (marked[shard] === 1 && locks.held[shard] === 0 && !this.borrowAtOnce(shard)) return false;
    }
    return true;
  }

  /** `lockMarked` for a client's command, with housekeeping. */
  borrowMarked(): void {
    const { marked } = this;
    this.locks.takeMarked(marked);
    for (let shard = 0; shard < marked.length; shard++) if (marked[shard] === 1) this.keepHouse(shard);
  }

  releaseMarked(): void {
    const { marked, locks } = this;
    for (let shard = 0; shard < marked.length; shard++) if (marked[shard] === 1) locks.release(shard);
  }

  compactMarked(): void {
    const { marked, arenas } = this;
    for (let shard = 0; shard < marked.length; shard++) if (marked[shard] === 1) compactStep(arenas[shard]);
  }

  /** Locks the shards of the keys of the request in `call`, until the turn ends. */
  lockKeys(row: CommandRow): void {
    this.mark(row);
    this.lockMarked();
  }

  /** Locks everything. */
  lockAll(): void {
    this.marked.fill(1);
    this.lockMarked();
  }

  // ---------------------------------------------------------------- who waits

  /** The session is offered again when something has moved. */
  stall(session: Session): Outcome {
    this.stalled.add(session);
    return STALLED;
  }

  /** Those who wait for replies, or for room, are to try again. */
  resumeStalled(): void {
    for (const session of this.stalled) session.resume();
    this.stalled.clear();
  }

  forget(session: Session): void {
    this.stalled.delete(session);
  }

  /**
   * The command in `call` has to come after all that is queued for the shards it marked, since writes take effect in the
   * order in which they are accepted, whoever runs them. Its session waits; meanwhile nobody else's commands are queued
   * there, so that the wait ends.
   */
  fence(session: Session): Outcome {
    this.putFence(session.id);
    return this.stall(session);
  }

  /** A fence around the marked shards, of somebody who may be no session (fences.ts). */
  putFence(holder: number): void {
    this.fences.put(holder, this.marked);
  }

  unfence(holder: number): void {
    if (this.fences.remove(holder)) this.resumeStalled();
  }

  /** Tells the owners of these shards whether a worker has a write over several of them. */
  setFenced(marked: Uint8Array, fenced: number): void {
    for (let shard = 0; shard < marked.length; shard++) {
      if (marked[shard] === 1) Atomics.store(this.arenas[shard].i32, WORD_FENCED, fenced);
    }
  }

  // ---------------------------------------------------------------- memory

  /** Whether any shard has less than this part of its memory left when it takes so many bytes more. */
  isAnyTight(part: number, bytes: number): boolean {
    const { arenas } = this;
    for (let i = 0; i < arenas.length; i++) if (isTight(arenas[i], part, bytes)) return true;
    return false;
  }

  /**
   * Whether the write in `call`, which makes so much beside its arguments, might find no room after what is queued before it: an eighth
   * of a shard is kept for that. Leaves its shards marked.
   */
  mayFill(row: CommandRow, made?: Footprint): boolean {
    // Not only those that ask for memory in Redis: RENAME or EXPIRE may find none either.
    if ((row.flags & WRITE) === 0) return false;
    const bytes = requestBytes(this.call);
    const most = bytes * MEMORY_PER_BYTE + (made?.bytes ?? 0);
    if (this.isTight(row, QUEUED_PART, most + QUEUED_BYTES)) return true;
    const run = (bytes + (made?.longest ?? 0)) * 2;
    return run > PAGE_BYTES * 2 && this.arenas.some((arena, i) => this.marked[i] === 1 && !hasRoom(arena, run));
  }

  /**
   * Whether the shards of the request in `call` have room for so many bytes in one piece, or make some, for which they are locked. Leaves
   * its shards marked.
   */
  findsRoom(row: CommandRow, bytes: number): boolean {
    this.mark(row);
    const { marked, arenas } = this;
    const isRoomy = (arena: Arena): boolean => hasRoom(arena, bytes);
    if (arenas.every((arena, i) => marked[i] === 0 || isRoomy(arena))) return true;
    this.lockMarked();
    return arenas.every((arena, i) => marked[i] === 0 || findRoom(arena, bytes, WRITE_BYTES, isRoomy));
  }

  /** Whether the request in `call` is about such a shard. */
  isTight(row: CommandRow, part: number, bytes: number): boolean {
    this.mark(row);
    const { marked, arenas } = this;
    for (let shard = 0; shard < marked.length; shard++) {
      if (marked[shard] === 1 && isTight(arenas[shard], part, bytes) && !this.makesRoom(shard, part, bytes))
        return true;
    }
    return false;
  }

  /** Whether the shard is tight no more when it has freed what waits to be freed. */
  private makesRoom(shard: number, part: number, bytes: number): boolean {
    const arena = this.arenas[shard];
    return hasBuried(arena) && this.locks.tryTake(shard) && reclaim(arena) && !isTight(arena, part, bytes);
  }
}

function isTight(arena: Arena, part: number, bytes: number): boolean {
  return arenaBytes(arena) + bytes > arena.u8.length * (1 - part);
}
