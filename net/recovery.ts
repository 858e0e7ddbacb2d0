/**
 * How a node gets its data back at start: the newest whole snapshot (or, where there is none, an RDB file), then the log
 * behind it. Main thread, in slices, so that clients hear -LOADING and INFO tells how far it is.
 */
import { closeSync, existsSync, openSync, readSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { ArenaFullError } from '../engine/alloc.ts';
import { WORD_DATABASES } from '../engine/arena.ts';
import type { Call } from '../engine/call.ts';
import type { CommandTable } from '../engine/command.ts';
import { flushDatabase } from '../engine/keyspace.ts';
import { PIECE_HEADER_BYTES } from '../engine/log/link.ts';
import { realDisk } from '../engine/log/realdisk.ts';
import { NO_ROOM_TEXT, RdbError } from '../engine/rdb/errors.ts';
import { RDB_OPCODE_AUX } from '../engine/rdb/opcodes.ts';
import { openRdbSource, RdbFile } from '../engine/rdb/read.ts';
import { LOG_INDEX_FACT } from '../engine/rdb/write.ts';
import type { SnapshotHeader } from '../engine/snapshot/file.ts';
import { SnapshotError } from '../engine/snapshot/file-errors.ts';
import type { BackgroundPool } from '../engine/snapshot/pool.ts';
import { ADVICE, listSnapshots, newestWhole, removeTemporary, type WholeSnapshot } from '../engine/snapshot/retain.ts';
import type { Logger } from './log.ts';
import type { LogPiece, LogWriter } from './logwriter.ts';
import { Progress } from './progress.ts';
import { Replayer } from './replay.ts';

/** How long the main thread loads between two turns of the event loop. */
const SLICE_MS = 10;
/** How often it is looked how far other threads are. */
const WATCH_MS = 50;
/** Entries between two looks at the clock. */
const ENTRIES_PER_LOOK = 16;

/** What INFO tells while it loads. */
export interface Loading {
  startedMs: number;
  bytesDone: number;
  bytesAll: number;
}

export interface Loaded {
  /** The last entry of the log that the data set contains. */
  index: number;
  /** No command may be given an earlier time. */
  lastMs: number;
  keys: number;
  expiredKeys: number;
  /** Whether it came from an RDB file: then a log needs a snapshot of our own before it can be cut. */
  fromRdb: boolean;
  /** The snapshot that it came from, if any. */
  snapshot?: { path: string; header: SnapshotHeader };
}

export class Recovery {
  readonly loading: Loading = { startedMs: Date.now(), bytesDone: 0, bytesAll: 0 };
  private readonly call: Call;
  private readonly table: CommandTable;
  private readonly pool: BackgroundPool;
  private readonly log: Logger;
  /** Takes all locks again: a turn of the event loop lets go of them. */
  private readonly lockAll: () => void;

  constructor(call: Call, table: CommandTable, pool: BackgroundPool, log: Logger, lockAll: () => void) {
    this.call = call;
    this.table = table;
    this.pool = pool;
    this.log = log;
    this.lockAll = lockAll;
  }

  /**
   * Loads the newest snapshot of `directory`, or `rdbFile` in it; `replays`: a log may follow. Rejects with the error that an
   * operator should read.
   */
  async loadBase(directory: string, rdbFile: string, replays: boolean): Promise<Loaded> {
    this.tidy(directory);
    const newest = newestWhole(realDisk, directory);
    const path = join(directory, rdbFile);
    const rdbIndex = existsSync(path) ? logIndexOf(path) : undefined;
    if (newest !== undefined && newest.index >= (rdbIndex ?? 0)) return this.loadSnapshot(newest.path, newest.whole);
    if (rdbIndex !== undefined) return this.loadRdb(path, rdbIndex, !replays);
    return { index: 0, lastMs: 0, keys: 0, expiredKeys: 0, fromRdb: false };
  }

  /**
   * At start, before anything is read: removes what snapshots that never ended have left, if it may, and makes the names of
   * the others durable.
   */
  tidy(directory: string): void {
    try {
      const left = removeTemporary(realDisk, directory);
      if (left > 0) this.log.write('notice', `Removed ${left} unfinished snapshot${left === 1 ? '' : 's'}`);
    } catch (error) {
      if (!(error instanceof SnapshotError) || (error.code !== 'READ_ONLY' && error.code !== 'DENIED')) throw error;
      this.log.write('warning', `Unfinished snapshots are left: ${error.message}`);
    }
  }

  /** Empties all shards. */
  clear(): void {
    this.lockAll();
    for (const arena of this.call.shards.arenas) {
      for (let db = 0; db < arena.u32[WORD_DATABASES]; db++) flushDatabase(arena, db);
    }
  }

  /** The newest whole snapshot of `directory` in place of what there is; undefined when there is none. */
  async loadNewest(directory: string): Promise<Loaded | undefined> {
    const newest = newestWhole(realDisk, directory);
    return newest === undefined ? undefined : this.loadSnapshot(newest.path, newest.whole);
  }

  /** The whole snapshot of that name in place of what there is; undefined when it is not there. */
  async loadOf(directory: string, path: string): Promise<Loaded | undefined> {
    const entry = listSnapshots(realDisk, directory).find((each) => each.path === path);
    if (entry?.error !== undefined) throw unloadable(entry.error);
    return entry?.whole === undefined ? undefined : this.loadSnapshot(path, entry.whole);
  }

  /** Threads of the pool load it, each its share of the shards. */
  private async loadSnapshot(path: string, { header, footer }: WholeSnapshot['whole']): Promise<Loaded> {
    const startedAt = performance.now();
    const { shards, settings } = this.call;
    const count = shards.arenas.length;
    const threads = Math.min(availableParallelism(), count);
    const done = new Float64Array(new SharedArrayBuffer(threads * 8));
    const share = (thread: number): number => Math.floor((thread * count) / threads);
    this.loading.bytesAll = footer.offset;
    const watching = this.watch('Loading the snapshot', done);
    this.lockAll();
    const outcomes = await Promise.all(
      Array.from({ length: threads }, (_, slot) =>
        this.pool.run(
          'loadSnapshotShare',
          {
            path,
            arenas: shards.arenas.map((arena) => arena.buffer),
            settings: settings.buffer,
            from: share(slot),
            to: share(slot + 1),
            nowMs: header.timeMs,
            progress: done.buffer,
            slot,
          },
          [],
        ),
      ),
    ).finally(() => watching.end());
    let keys = 0;
    for (const outcome of outcomes) {
      if ('error' in outcome) throw unloadable(SnapshotError.fromPlain(outcome.error));
      keys += outcome.keys;
    }
    if (keys !== footer.keys) throw new Error(`the snapshot ${path} has ${footer.keys} keys, and ${keys} were loaded`);
    this.log.write('notice', `Snapshot ${path}: ${keys} keys loaded in ${seconds(startedAt)} s`);
    const { index } = header.groups[0];
    return { index, lastMs: header.timeMs, keys, expiredKeys: 0, fromRdb: false, snapshot: { path, header } };
  }

  /** Shows how far the slowest of several threads is. */
  private watch(title: string, done: Float64Array): { end(): void } {
    const progress = new Progress(title);
    const timer = setInterval(() => {
      this.loading.bytesDone = Math.min(...done);
      progress.show(this.loading.bytesDone, this.loading.bytesAll);
      this.lockAll();
    }, WATCH_MS);
    return {
      end: () => {
        clearInterval(timer);
        progress.end();
      },
    };
  }

  /** `dropExpired` is for files that no log follows: it may have made a key last longer than its file says. */
  private async loadRdb(path: string, index: number, dropExpired: boolean): Promise<Loaded> {
    const startedAt = performance.now();
    const file = explained(path, () => new RdbFile(openRdbSource(path), { dropExpired }));
    const { report } = file;
    const progress = new Progress('Loading the RDB file');
    this.call.setClock(Date.now());
    try {
      for (;;) {
        this.lockAll();
        const more = explained(path, () => file.step(this.call, SLICE_MS));
        this.loading.bytesDone = file.doneBytes;
        this.loading.bytesAll = file.sizeBytes;
        if (!more) break;
        progress.show(file.doneBytes, file.sizeBytes, `${report.keys} keys`);
        await new Promise(setImmediate);
      }
    } finally {
      file.close();
      progress.end();
    }
    this.log.write(
      'notice',
      `RDB file ${path} (version ${file.version}): ${report.keys} keys loaded in ${seconds(startedAt)} s`,
    );
    const left: [number, string][] = [
      [report.expired, 'expired keys'],
      [report.emptyKeys, 'keys without elements'],
      [report.skippedGroups, 'consumer groups of streams, which this version does not have'],
      [report.skippedFunctions, 'libraries of functions'],
      [report.skippedModuleData, 'pieces of data of modules'],
    ];
    for (const [count, what] of left) if (count > 0) this.log.write('warning', `Left out of it: ${count} ${what}`);
    return { index, lastMs: 0, keys: report.keys, expiredKeys: report.expired, fromRdb: true };
  }

  /** Runs what the log holds behind `base`. */
  async replay(writer: LogWriter, base: Loaded): Promise<Loaded> {
    const startedAt = performance.now();
    const progress = new Progress('Reading the log');
    const replayer = new Replayer(this.call, this.table);
    let entries = 0;
    for (let piece = await writer.next(); piece !== undefined; piece = await writer.next()) {
      this.loading.bytesDone = piece.bytesDone;
      this.loading.bytesAll = piece.bytesAll;
      entries += await this.replayPiece(replayer, piece);
      progress.show(piece.bytesDone, piece.bytesAll, `${replayer.commands} commands`);
    }
    progress.end();
    for (const note of writer.opened.notes) this.log.write('warning', note);
    if (entries > 0) {
      this.log.write(
        'notice',
        `Log: ${replayer.commands} commands of ${entries} entries run again in ${seconds(startedAt)} s`,
      );
    }
    if (replayer.unexpected !== '') {
      this.log.write('warning', `A command of the log that had succeeded gives an error now: ${replayer.unexpected}`);
    }
    if (replayer.errors > 0) {
      this.log.write(
        'notice',
        `${replayer.errors} of them gave an error, as those do that gave one to their client; the first was ${replayer.firstError}`,
      );
    }
    return { ...base, index: writer.opened.lastIndex, lastMs: Math.max(base.lastMs, replayer.lastMs) };
  }

  private async replayPiece(replayer: Replayer, piece: LogPiece): Promise<number> {
    const { bytes } = piece;
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    let entries = 0;
    let sliceEnd = performance.now() + SLICE_MS;
    this.lockAll();
    for (let at = 0; at < bytes.length; entries++) {
      const length = view.getUint32(at, true);
      const start = at + PIECE_HEADER_BYTES;
      replayer.run(view.getFloat64(at + 4, true), bytes, start, start + length);
      at = start + length;
      if (entries % ENTRIES_PER_LOOK !== 0 || performance.now() < sliceEnd) continue;
      await new Promise(setImmediate);
      this.lockAll();
      sliceEnd = performance.now() + SLICE_MS;
    }
    return entries;
  }
}

/** What is wrong with the file's bytes the operator has to see to; for the rest the message says what to do. */
function unloadable(error: SnapshotError): SnapshotError {
  if (error.code !== 'DAMAGED') return error;
  return new SnapshotError(error.code, `${error.message}. ${ADVICE}`, error.file, error.offset, error);
}

/** What `act` gives; an error of the RDB file `path` says which file it is, and what to do. */
function explained<T>(path: string, act: () => T): T {
  try {
    return act();
  } catch (error) {
    if (error instanceof ArenaFullError) throw new Error(`${path}: ${NO_ROOM_TEXT}`);
    if (!(error instanceof RdbError)) throw error;
    throw new Error(`${path}: ${error.message}${error.code === 'BAD_DATABASE' ? '' : `. ${ADVICE}`}`);
  }
}

function seconds(startedAt: number): string {
  return ((performance.now() - startedAt) / 1000).toFixed(2);
}

/** The facts of an RDB file lie at its beginning. */
const FACTS_BYTES = 512;
/** `REDIS` and four digits. */
const RDB_MAGIC_BYTES = 9;

/** The last entry of the log that an RDB file contains, if we wrote it; 0 for one from elsewhere. */
export function logIndexOf(path: string): number {
  const bytes = Buffer.alloc(FACTS_BYTES);
  const file = openSync(path, 'r');
  const length = readSync(file, bytes, 0, FACTS_BYTES, 0);
  closeSync(file);
  const index = Number(factOf(bytes.subarray(0, length), LOG_INDEX_FACT) ?? 0);
  return Number.isSafeInteger(index) && index > 0 ? index : 0;
}

/** What an RDB file says about itself under this name. Only facts are looked at: a key may have the same name. */
function factOf(bytes: Buffer, name: string): string | undefined {
  let at = RDB_MAGIC_BYTES;
  /** The next string as it is, or of a number; undefined at the end, or for forms that nobody writes here. */
  const text = (): string | undefined => {
    const form = bytes[at++];
    if (form === undefined || form >= 0xc3 || (form & 0xc0) === 0x80) return undefined;
    if (form >= 0xc0) {
      const width = 1 << (form & 3);
      at += width;
      return at > bytes.length ? undefined : `${bytes.readIntLE(at - width, width)}`;
    }
    const length = form < 0x40 ? form : ((form & 0x3f) << 8) | bytes[at++];
    at += length;
    return at > bytes.length ? undefined : bytes.toString('latin1', at - length, at);
  };
  while (bytes[at] === RDB_OPCODE_AUX) {
    at++;
    const key = text();
    const value = text();
    if (key === undefined || value === undefined) return undefined;
    if (key === name) return value;
  }
  return undefined;
}
