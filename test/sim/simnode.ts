/**
 * A node without sockets and threads over a simulated disk: the real engine, log and snapshot files, driven turn by turn from
 * one random sequence. The threads of a real node are steps here that take turns: the one that accepts writes, the log's
 * writer, the sweep of a worker, and the one that writes a snapshot's file.
 *
 * The order of steps is that of net/persistence.ts, net/recovery.ts, net/snapshotter.ts and engine/log/thread.ts; what of it
 * can run without threads is the real thing (Writes, LogFront, Replayer, openBehind, loadSnapshot, removeOlder).
 */

import { compactStep } from '../../engine/alloc.ts';
import type { Arena } from '../../engine/arena.ts';
import { arityFits, BLOCKING, type CommandRow, WRITE } from '../../engine/command.ts';
import { type Eviction, makeEvictor } from '../../engine/eviction.ts';
import { execute } from '../../engine/execute.ts';
import { expireDue } from '../../engine/keyspace.ts';
import { hasSingleKey } from '../../engine/locks.ts';
import { LogError } from '../../engine/log/errors.ts';
import { LogFront } from '../../engine/log/front.ts';
import {
  type LogLink,
  NUMBER_DURABLE,
  NUMBER_WRITTEN,
  STATUS,
  STATUS_FAILING,
  STATUS_OK,
} from '../../engine/log/link.ts';
import { GROUP, openBehind } from '../../engine/log/opening.ts';
import type { SegmentLog } from '../../engine/log/segmentlog.ts';
import type { Random } from '../../engine/random.ts';
import { Shards } from '../../engine/shards.ts';
import { releaseChunk } from '../../engine/snapshot/chunk.ts';
import { abortSnapshot, beginSnapshot, isAborted, isSwept } from '../../engine/snapshot/epoch.ts';
import { SnapshotError } from '../../engine/snapshot/file-errors.ts';
import { SnapshotFileReader } from '../../engine/snapshot/read-file.ts';
import { loadSnapshot } from '../../engine/snapshot/read-load.ts';
import { newestWhole, removeOlder, removeTemporary, snapshotName } from '../../engine/snapshot/retain.ts';
import { Saver } from '../../engine/snapshot/saver.ts';
import { sweepStep } from '../../engine/snapshot/sweep.ts';
import { openTarget, type TargetFile } from '../../engine/snapshot/write-file.ts';
import { Replayer } from '../../net/replay.ts';
import { header } from '../../net/snapshotter.ts';
import { Writes } from '../../net/writes.ts';
import type { Arg, TestEngine } from '../support/engine.ts';
import { anyCommand } from '../support/gen/any.ts';
import { blockingCommand } from '../support/gen/blocking.ts';
import { pick } from '../support/gen/string.ts';
import type { SimDisk } from './simdisk.ts';

const DIRECTORY = '/data';
const LOG_DIRECTORY = '/data/log';
/** A header takes 4 KiB, so a segment has room for a few turns. */
const LOG_OPTIONS = { segmentBytes: 6 * 1024, reserveBytes: 2048 };
const TERM = 0;
/** Entries that the ring has room for. */
const RING_ENTRIES = 6;
const NO_EVICTION = { makeRoom: () => true };

/** What happens that decides what must be there after a crash. */
export interface Witness {
  /** The data set is now what everything up to this index makes it; `anew`: so is something else that had the index. */
  reached(index: number, node: SimNode, anew: boolean): void;
  /** The log begins anew behind `index`: what it holds counts from the first snapshot on that covers it. */
  began(index: number): void;
  /** Entries up to this one were said to be durable. */
  synced(index: number): void;
  /** A snapshot that covers everything up to this index was said to be durable. */
  saved(index: number): void;
  trace(text: string): void;
}

/** The process ends as the real one would: only what the disk has remains. */
export class NodeDied extends Error {
  override readonly name = 'NodeDied';
}

/** The ring to the writer, and its shared words. */
class SimLink {
  readonly words = new Int32Array(16);
  readonly numbers = new Float64Array(8);
  readonly queue: { index: number; bytes: Uint8Array }[] = [];

  /** The last entry that was sealed, sent or not. */
  sealed = 0;

  send(index: number, bytes: Uint8Array, length: number): boolean {
    this.sealed = index;
    if (this.queue.length >= RING_ENTRIES) return false;
    this.queue.push({ index, bytes: bytes.slice(0, length) });
    return true;
  }

  call(): void {}
}

/** A log that is open, from both sides. */
interface KeptLog {
  link: SimLink;
  log: SegmentLog;
  front: LogFront;
}

interface SnapshotRun {
  /** 0 until it has begun. */
  number: number;
  index: number;
  timeMs: number;
  file: TargetFile | undefined;
  chunks: { chunk: Uint8Array; keys: number }[];
  failure: SnapshotError | undefined;
}

export class SimNode {
  /** The last entry that the data set had when it was loaded, and the latest time in it. */
  loadedIndex = 0;
  loadedMs = 0;
  readonly engine: TestEngine;
  private readonly disk: SimDisk;
  private readonly r: Random;
  private readonly witness: Witness;
  private readonly evictor: Eviction;
  private readonly writes: Writes;
  private readonly pending = new Int32Array(new SharedArrayBuffer(4));
  private readonly sweeping: Arena[];
  private readonly savers: Saver[] = [];
  private kept: KeptLog | undefined = undefined;
  /** A log that is open, and not yet attached. */
  private opening: KeptLog | undefined = undefined;
  /** Without a log: the index that the last snapshot had. */
  private index = 0;
  private snapshot: SnapshotRun | undefined = undefined;
  private wantsSnapshot = false;
  /** What the log's writer was asked to drop. */
  private readonly drops: number[] = [];
  /** Under appendfsync always the writer syncs whatever it takes. */
  private always: boolean;

  private constructor(disk: SimDisk, engine: TestEngine, r: Random, witness: Witness) {
    this.disk = disk;
    this.engine = engine;
    this.r = r;
    this.witness = witness;
    this.always = r.below(3) > 0;
    const { arenas } = engine.shards;
    this.evictor = makeEvictor(engine.shards, engine.settings, 0);
    this.writes = new Writes(engine.call, this.evictor, new Int32Array(arenas.length));
    this.sweeping = new Shards(arenas.map((arena) => arena.buffer)).arenas;
    for (const own of [arenas, this.sweeping]) {
      const saver = new Saver((chunk, keys, snapshot) => this.takeChunk(chunk, keys, snapshot), this.pending);
      for (const arena of own) arena.saver = saver;
      this.savers.push(saver);
    }
  }

  // ---------------------------------------------------------------- start

  /** Loads what the disk has, into an empty engine. */
  static async open(
    disk: SimDisk,
    engine: TestEngine,
    r: Random,
    witness: Witness,
    appendonly: boolean,
  ): Promise<SimNode> {
    const node = new SimNode(disk, engine, r, witness);
    await node.load(appendonly);
    return node;
  }

  private async load(appendonly: boolean): Promise<void> {
    const { disk, engine, witness } = this;
    const { call } = engine;
    const removed = removeTemporary(disk, DIRECTORY);
    const newest = newestWhole(disk, DIRECTORY);
    if (newest !== undefined) {
      const reader = new SnapshotFileReader(disk, newest.path);
      this.loadedMs = reader.header.timeMs;
      this.loadedIndex = reader.header.groups[0].index;
      call.setClock(this.loadedMs);
      await loadSnapshot(reader, call, () => {});
    }
    witness.trace(`start: ${removed} temporary files, snapshot of entry ${this.loadedIndex}`);
    let hasGap = false;
    if (appendonly || disk.list(LOG_DIRECTORY).some((name) => name.endsWith('.log'))) {
      const replayer = new Replayer(call, engine.table);
      const opened = openBehind(disk, LOG_DIRECTORY, LOG_OPTIONS, this.loadedIndex, false, (record) =>
        replayer.run(record.index, record.bytes, record.start, record.start + record.length),
      );
      this.loadedIndex = opened.lastIndex;
      this.loadedMs = Math.max(this.loadedMs, replayer.lastMs);
      ({ hasGap } = opened);
      for (const note of opened.notes) witness.trace(note);
      if (appendonly) this.attach(this.keep(opened.log, opened.lastIndex));
      else opened.log.close();
    }
    this.index = this.loadedIndex;
    this.wantsSnapshot = hasGap && appendonly;
    witness.trace(`loaded up to entry ${this.loadedIndex}, appendonly ${appendonly ? 'yes' : 'no'}`);
  }

  private keep(log: SegmentLog, lastIndex: number): KeptLog {
    const link = new SimLink();
    return { link, log, front: new LogFront(link as unknown as LogLink, lastIndex) };
  }

  private attach(kept: KeptLog): void {
    this.kept = kept;
    this.writes.log = kept.front;
  }

  // ---------------------------------------------------------------- turns

  /** One turn of the event loop, and what the other threads do meanwhile. */
  turn(): void {
    const { r, kept } = this;
    if (kept !== undefined && kept.link.words[STATUS] === STATUS_FAILING) {
      this.writeLog(kept);
    } else {
      const { engine } = this;
      engine.nowMs = (engine.nowMs as number) + (r.below(8) === 0 ? r.below(4000) : r.below(3));
      for (let count = 1 + r.below(4); count > 0; count--) {
        const sealed = this.kept?.link.sealed;
        this.command();
        // A large command ends an entry in the middle of a turn.
        if (this.kept !== undefined && this.kept.link.sealed !== sealed) {
          this.witness.reached(this.kept.link.sealed, this, false);
        }
      }
      this.kept?.front.seal();
    }
    if (this.kept !== undefined) this.witness.reached(this.kept.front.lastIndex, this, false);
    if (this.opening !== undefined && r.below(2) === 0) this.finishStart();
    this.changeSettings();
    if (this.kept !== undefined && r.below(4) > 0) this.writeLog(this.kept);
    if (this.snapshot === undefined && (r.below(12) === 0 || (this.wantsSnapshot && r.below(2) === 0))) this.request();
    if (this.snapshot !== undefined) this.stepSnapshot(this.snapshot);
  }

  private command(): void {
    const { r, engine, writes } = this;
    const { call } = engine;
    const args = this.draw();
    const row = this.prepare(args);
    if (row === undefined || writes.mustWait(row)) return;
    if (r.below(4) === 0) for (const arena of engine.shards.arenas) expireDue(arena, call.nowMs, 4);
    call.begin(row);
    call.reply.length = 0;
    if ((row.flags & WRITE) !== 0 && hasSingleKey(row) && row.name !== 'spop' && r.below(4) === 0) this.handOver(row);
    else {
      call.retried = (row.flags & BLOCKING) !== 0 && r.below(2) === 0;
      writes.perform(row);
    }
    if ((row.flags & WRITE) !== 0) for (const arena of engine.shards.arenas) compactStep(arena);
  }

  private draw(): Arg[] {
    const { r } = this;
    const choice = r.below(100);
    if (choice === 0) return [pick(r, ['FLUSHDB', 'FLUSHALL'])];
    if (choice === 1) return ['SWAPDB', r.below(3), r.below(3)];
    // Sets and lists beyond what is packed, of which members are drawn.
    if (choice < 8) return ['SADD', 'large', ...Array.from({ length: 1 + r.below(60) }, () => `m${r.below(1000)}`)];
    if (choice < 11) return r.below(2) === 0 ? ['SPOP', 'large', 1 + r.below(40)] : ['SPOP', 'large'];
    if (choice < 30) {
      const ttl: Arg[] = r.below(3) === 0 ? ['PX', 1 + r.below(20_000)] : [];
      return ['SET', `k:${r.below(40)}`, 'v'.repeat(r.below(120)), ...ttl];
    }
    if (choice < 40) return ['INCR', `n:${r.below(10)}`];
    if (choice < 45) return ['APPEND', `k:${r.below(40)}`, 'x'.repeat(r.below(400))];
    // Waiting commands are rare in the mixture, and lists are mostly gone.
    if (choice < 48) return blockingCommand(r);
    if (choice < 50) return ['DEL', `k:${r.below(40)}`, `n:${r.below(10)}`];
    const command = anyCommand(r);
    return /^flush/i.test(String(command[0])) ? ['DBSIZE'] : command;
  }

  /** The request in the call; its row, when it is a good one. */
  private prepare(args: readonly Arg[]): CommandRow | undefined {
    const { call, table, nowMs } = this.engine;
    const parts = args.map((arg) => (typeof arg === 'object' ? Buffer.from(arg) : Buffer.from(String(arg), 'utf8')));
    call.buf = new Uint8Array(Buffer.concat(parts));
    call.reserveArgs(parts.length);
    call.argc = parts.length;
    let at = 0;
    for (let i = 0; i < parts.length; i++) {
      call.off[i] = at;
      call.len[i] = parts[i].length;
      at += parts[i].length;
    }
    call.db = this.r.below(8) === 0 ? this.r.below(3) : 0;
    call.setClock(nowMs as number);
    const row = table.resolve(call);
    return row !== undefined && arityFits(row, call.argc) ? row : undefined;
  }

  /** As if a worker ran it, with a seed of its own. */
  private handOver(row: CommandRow): void {
    const { writes, engine, r } = this;
    const { call } = engine;
    if (!writes.makeRoom(row)) return;
    const seed = r.next();
    writes.handedOver(row, seed);
    call.random.reseed(seed);
    execute(call, row, writes.log === undefined ? this.evictor : NO_EVICTION);
  }

  // ---------------------------------------------------------------- appendonly

  private changeSettings(): void {
    const { r } = this;
    if (r.below(20) === 0) this.always = r.below(2) > 0;
    if (r.below(30) !== 0) return;
    if (this.kept !== undefined) this.stopLog(this.kept);
    else if (this.opening === undefined) this.startLog();
  }

  /** CONFIG SET appendonly no. */
  private stopLog(kept: KeptLog): void {
    this.witness.trace(`appendonly no at entry ${kept.front.lastIndex}`);
    this.index = kept.front.lastIndex;
    this.kept = undefined;
    this.writes.log = undefined;
    this.drops.length = 0;
    this.drain(kept);
  }

  /** What the writer does when it is told to stop. */
  private drain(kept: KeptLog): void {
    const { front, link, log } = kept;
    try {
      while (link.queue.length > 0 || log.bufferedBytes > 0) {
        if (!this.writeRound(kept)) return;
        front.advance();
      }
      log.close();
      this.witness.synced(front.lastIndex);
    } catch (error) {
      if (!(error instanceof LogError)) throw error;
      this.witness.trace(`the log was not closed: ${error.message}`);
    }
  }

  /** CONFIG SET appendonly yes: the log begins anew, and is attached when it is open. */
  private startLog(): void {
    this.index += 2;
    this.witness.trace(`appendonly yes behind ${this.index}`);
    try {
      const { log, lastIndex } = openBehind(this.disk, LOG_DIRECTORY, LOG_OPTIONS, this.index, true, () => {});
      this.opening = this.keep(log, lastIndex);
    } catch (error) {
      if (!(error instanceof LogError)) throw error;
      this.witness.trace(`the log cannot be opened: ${error.message}`);
    }
  }

  private finishStart(): void {
    const kept = this.opening as KeptLog;
    this.opening = undefined;
    this.attach(kept);
    this.witness.began(kept.front.lastIndex);
    this.wantsSnapshot = true;
  }

  // ---------------------------------------------------------------- the log's writer

  private writeLog(kept: KeptLog): void {
    const { witness } = this;
    try {
      for (const through of this.drops.splice(0)) {
        witness.trace(`entries up to ${through} are dropped`);
        kept.log.dropThrough(GROUP, through);
      }
    } catch (error) {
      if (!(error instanceof LogError)) throw error;
      if (error.code === 'SYNC_FAILED') throw new NodeDied(error.message);
      witness.trace(`not dropped: ${error.message}`);
    }
    this.writeRound(kept);
    kept.log.reclaim();
    kept.front.advance();
  }

  /** False when the disk did not take it. */
  private writeRound(kept: KeptLog): boolean {
    const { log, link } = kept;
    if (log.bufferedBytes === 0) {
      for (let count = 1 + this.r.below(RING_ENTRIES); count > 0 && link.queue.length > 0; count--) {
        const { index, bytes } = link.queue.shift()!;
        log.append(GROUP, TERM, index, bytes, 0, bytes.length);
      }
    }
    const last = log.lastIndex(GROUP);
    try {
      if (this.always || this.r.below(6) === 0) {
        log.sync();
        link.numbers[NUMBER_DURABLE] = last;
        this.witness.synced(last);
        this.witness.trace(`synced up to ${last}`);
      } else {
        log.flush();
        this.witness.trace(`written up to ${last}`);
      }
      link.numbers[NUMBER_WRITTEN] = last;
      link.words[STATUS] = log.trouble === undefined ? STATUS_OK : STATUS_FAILING;
      return true;
    } catch (error) {
      if (!(error instanceof LogError)) throw error;
      this.witness.trace(`the log was not written: ${error.message}`);
      if (error.code === 'SYNC_FAILED') throw new NodeDied(error.message);
      link.words[STATUS] = STATUS_FAILING;
      return false;
    }
  }

  // ---------------------------------------------------------------- snapshots

  private takeChunk(chunk: Uint8Array, keys: number, snapshot: number): void {
    const run = this.snapshot;
    if (run !== undefined && run.number === snapshot) run.chunks.push({ chunk, keys });
    else releaseChunk(chunk, this.pending);
  }

  private request(): void {
    this.wantsSnapshot = false;
    this.snapshot = { number: 0, index: 0, timeMs: 0, file: undefined, chunks: [], failure: undefined };
  }

  /** Some of what the workers and the thread that writes the file have to do. */
  private stepSnapshot(run: SnapshotRun): void {
    const { r, sweeping } = this;
    for (let count = r.below(6); count > 0; count--) {
      sweepStep(sweeping[r.below(sweeping.length)], this.savers[1], 1 + r.below(12));
    }
    if (run.number === 0) {
      if (sweeping.every(isSwept)) this.beginRun(run);
      return;
    }
    // More chunks than the one that so few keys make.
    if (r.below(3) === 0 && !isAborted(sweeping)) pick(r, this.savers).flush(run.number);
    this.guarded(run, () => this.writeFile(run, r.below(3)));
    if (sweeping.every(isSwept)) this.endRun(run);
  }

  private beginRun(run: SnapshotRun): void {
    const { engine, kept } = this;
    run.timeMs = engine.nowMs as number;
    if (kept === undefined) {
      // While a log is about to begin: the index that was left free for this.
      run.index = this.opening === undefined ? ++this.index : this.index - 1;
    } else {
      kept.front.seal();
      run.index = kept.front.lastIndex;
    }
    this.witness.reached(run.index, this, kept === undefined);
    this.witness.trace(`snapshot of entry ${run.index} begins`);
    run.number = beginSnapshot(engine.shards.arenas, run.timeMs);
  }

  /** The thread of the pool: opens the file, then writes chunks. */
  private writeFile(run: SnapshotRun, chunks: number): void {
    if (run.file === undefined) {
      const covered = header(run, `00000000-0000-4000-8000-${String(run.number).padStart(12, '0')}`);
      const path = `${DIRECTORY}/${snapshotName(covered.groups)}`;
      run.file = openTarget(this.disk, { format: 'mrs', path, header: covered });
    }
    for (let left = chunks; left > 0 && run.chunks.length > 0; left--) {
      const { chunk, keys } = run.chunks.shift()!;
      run.file.chunk(chunk, keys);
      releaseChunk(chunk, this.pending);
    }
  }

  /** After an error the rest of the snapshot is for nothing. */
  private guarded(run: SnapshotRun, work: () => void): void {
    if (run.failure !== undefined) return;
    try {
      work();
    } catch (error) {
      if (!(error instanceof SnapshotError)) throw error;
      this.witness.trace(`the snapshot failed: ${error.message}`);
      run.failure = error;
      run.file?.discard();
      abortSnapshot(this.engine.shards.arenas);
    }
  }

  private endRun(run: SnapshotRun): void {
    if (run.failure === undefined && !isAborted(this.sweeping)) {
      for (const saver of this.savers) saver.flush(run.number);
      this.guarded(run, () => {
        this.writeFile(run, Number.POSITIVE_INFINITY);
        run.file!.publish();
        this.published(run);
      });
    } else if (run.failure === undefined) {
      this.witness.trace('the snapshot was aborted');
      run.file?.discard();
    }
    for (const { chunk } of run.chunks) releaseChunk(chunk, this.pending);
    this.snapshot = undefined;
    this.wantsSnapshot = run.failure !== undefined || isAborted(this.sweeping);
  }

  private published(run: SnapshotRun): void {
    this.witness.trace(`snapshot of entry ${run.index} is durable`);
    this.witness.saved(run.index);
    removeOlder(this.disk, DIRECTORY, run.index);
    if (this.kept !== undefined) this.drops.push(run.index);
  }

  // ---------------------------------------------------------------- end

  /** SHUTDOWN: what was accepted is written and synced. */
  close(): void {
    this.witness.trace('shutdown');
    // What is not attached holds nothing.
    this.opening = undefined;
    if (this.kept !== undefined) this.drain(this.kept);
  }
}
