/**
 * A replica's log, term, vote and identity on a disk. One thread owns it and makes all calls, which block: the storage
 * thread of a node (storethread.ts), or the only thread of a simulation. Entries cost what the log's cost (segmentlog.ts); a
 * new term or vote costs two syncs, at once, whatever `appendfsync` says.
 *
 * A directory holds `raft.state` (storestate.ts) and the segments of one log, with one group in it; its entries carry Raft's
 * index, term and kind. The snapshot is not kept here: `restore` is told which one there is.
 *
 * Where a crash may come, and what `restore` makes of it:
 *
 * - While the state file is written: there is the old one or the new one. Nobody was told of the new one.
 * - Behind it, before its entries are written: the term is known and the entries are not, as if they had not arrived.
 *   The other way round cannot be; should entries be of a later term than the state's all the same, that is
 *   the term, and no vote was given in it.
 * - While entries are written: the log ends with the last whole one. Entries that one of them was to replace may come back:
 *   the answer that spoke of the replacement has not left.
 * - Between a snapshot's arrival and the log's restart behind it: the log ends before the snapshot, or has another entry
 *   where it ends. All of the log is void then.
 * - In `begin`: with the new identity durable, no log is named, and whatever segments there are get put aside.
 * - Between a log's first segment and its number in the state file: the same. Nothing was promised on it.
 * - In `compact`: see segmentlog.ts. Older segments than needed remain.
 */
import type { Disk } from '../log/disk.ts';
import { fromDisk, LogError } from '../log/errors.ts';
import type { Log } from '../log/log.ts';
import { GROUP, tornNote } from '../log/opening.ts';
import { openLog } from '../log/recover.ts';
import { listSegments, putAside } from '../log/segment.ts';
import { DEFAULT_LOG_OPTIONS, type LogOptions, type SegmentLog } from '../log/segmentlog.ts';
import { Entry, type HardState, type LogIndex, type SnapshotMeta, type Term } from './entry.ts';
import type { Restored } from './options.ts';
import type { Identity } from './storage.ts';
import { behind, lost, type OpenedLog, readConfigs, restoredFrom } from './storeopened.ts';
import { StateFile } from './storestate.ts';

export class RaftStore {
  /** What an operator should know of what `restore` found. */
  readonly notes: string[] = [];
  private readonly disk: Disk;
  private readonly directory: string;
  private readonly options: LogOptions;
  private readonly file: StateFile;
  private log: SegmentLog | undefined = undefined;

  private constructor(disk: Disk, directory: string, options: LogOptions) {
    this.disk = disk;
    this.directory = directory;
    this.options = options;
    this.file = new StateFile(disk, directory);
  }

  /** Begins a life of the replica whose directory this is. Throws the LogError that an operator should read. */
  static open(disk: Disk, directory: string, options: LogOptions = DEFAULT_LOG_OPTIONS): RaftStore {
    return new RaftStore(disk, directory, options);
  }

  /** Undefined in a directory that no replica has used. */
  get identity(): Identity | undefined {
    return this.file.identity;
  }

  /** Larger at each start of this directory; durable, unless no replica has used it. */
  get incarnation(): number {
    return this.file.incarnation;
  }

  /**
   * The directory is this replica's from now on: a log, a term and a vote that it had are void, and what segments there are
   * stay beside the log as `*.unused`. Before `restore`, or after one that found the replica lost.
   */
  begin(identity: Identity): void {
    if (this.log !== undefined) throw new Error('raft: a replica that has its log stays who it is');
    this.file.begin(identity, false);
  }

  /** Opens the log, and gives back what it holds behind this snapshot. Once, unless the replica is lost and begins anew. */
  restore(snapshot: SnapshotMeta): Restored {
    return restoredFrom(snapshot, this.open(snapshot.index, snapshot.term));
  }

  /** The same as plain data, for `restoredFrom` in another thread. */
  open(snapshotIndex: LogIndex, snapshotTerm: Term): OpenedLog {
    const { state } = this.file;
    if (this.log !== undefined) throw new Error('raft: the log is restored already');
    if (state.isInMemory || state.isGivenUp) return lost(state.hardState, snapshotIndex);
    if (state.logNumber === 0) this.clear();
    const scan = openLog(this.disk, this.directory, this.options);
    const configs = readConfigs(scan);
    if (state.logNumber !== 0 && scan.logNumber !== state.logNumber) {
      scan.stop();
      return lost(state.hardState, snapshotIndex);
    }
    if (scan.firstIndex(GROUP) > snapshotIndex + 1 && scan.lastIndex(GROUP) > snapshotIndex) {
      scan.stop();
      throw missing(this.directory, snapshotIndex, scan.firstIndex(GROUP));
    }
    const log = scan.finish();
    if (scan.torn !== undefined) this.notes.push(tornNote(scan.torn));
    if (state.logNumber === 0) this.file.update({ logNumber: log.logNumber });
    this.log = log;
    return behind(log, snapshotIndex, snapshotTerm, state.hardState, configs);
  }

  /** What lies here is another replica's log, or that of a node without a group. */
  private clear(): void {
    try {
      const count = listSegments(this.disk, this.directory).length;
      if (count === 0) return;
      putAside(this.disk, this.directory, 0);
      this.notes.push(
        `${count} segments of a log that is not this replica's were put aside, as *.unused in ${this.directory}`,
      );
    } catch (error) {
      throw fromDisk(error);
    }
  }

  // ---------------------------------------------------------------- work

  private get opened(): SegmentLog {
    if (this.log === undefined) throw new Error('raft: nothing is written or read before the log is restored');
    return this.log;
  }

  /**
   * A batch of Ready: the hard state is durable on return; entries are taken over, and written by `flush`. When it throws, the disk
   * refused the hard state, and nothing was done.
   */
  write(hardState: HardState | null, snapshot: SnapshotMeta | null, entries: readonly Entry[]): void {
    if (hardState !== null) this.saveHardState(hardState);
    if (snapshot !== null) this.restartBehind(snapshot.index);
    for (let i = 0; i < entries.length; i++) {
      const { index, term, kind, bytes, start, length } = entries[i];
      this.append(index, term, kind, bytes, start, length);
    }
  }

  saveHardState(hardState: HardState): void {
    if (this.log === undefined) throw new Error('raft: nothing is promised before the log is restored');
    this.file.update({ hardState });
  }

  /** A snapshot that ends with this entry takes the place of the whole log. */
  restartBehind(index: LogIndex): void {
    this.opened.restartAt(GROUP, index + 1);
  }

  append(index: LogIndex, term: Term, kind: number, bytes: Uint8Array, start: number, length: number): void {
    this.opened.append(GROUP, term, index, bytes, start, length, kind);
  }

  /** Writes the entries taken over. A failed call leaves everything as it was and may be made again. */
  flush(): void {
    this.opened.flush();
  }

  /** Makes durable what was taken over. SYNC_FAILED is the end: only a new start can tell what the disk has. */
  sync(): void {
    this.opened.sync();
  }

  /** One of several steps before `read` from an entry that may be far back, of about as many bytes; true when it was the last. */
  prepareRead(from: LogIndex, budgetBytes: number): boolean {
    const log = this.opened;
    if (from < log.firstIndex(GROUP) || from > log.lastIndex(GROUP)) return true;
    return log.prepareRead(GROUP, from, budgetBytes);
  }

  /** Entries [from, to) as far as they are there, at least one and up to about `maxBytes`; none when `from` is not there. */
  read(from: LogIndex, to: LogIndex, maxBytes: number): Entry[] {
    return readEntries(this.opened, from, to, maxBytes);
  }

  /** A durable snapshot covers the entries up to this one: segments with nothing else go. */
  compact(through: LogIndex): void {
    this.opened.dropThrough(GROUP, through);
  }

  /** Gives back about a MiB of the segments that went; false when there is nothing left to give back. */
  reclaim(): boolean {
    return this.log?.reclaim() ?? false;
  }

  get firstIndex(): LogIndex {
    return this.opened.firstIndex(GROUP);
  }

  get lastIndex(): LogIndex {
    return this.opened.lastIndex(GROUP);
  }

  /** Entries taken over and not written. */
  get bufferedBytes(): number {
    return this.opened.bufferedBytes;
  }

  get sizeBytes(): number {
    return this.opened.sizeBytes;
  }

  get segmentCount(): number {
    return this.opened.segmentCount;
  }

  /** The disk still takes entries, and soon will not. */
  get trouble(): LogError | undefined {
    return this.opened.trouble;
  }

  /** Writes and syncs what it was given, and ends. */
  close(): void {
    this.log?.close();
    this.log = undefined;
  }
}

/** Of a log with one group. */
export function readEntries(log: Log, from: LogIndex, to: LogIndex, maxBytes: number): Entry[] {
  const entries: Entry[] = [];
  const end = Math.min(to, log.lastIndex(GROUP) + 1);
  if (from < log.firstIndex(GROUP) || from >= end) return entries;
  let bytes = 0;
  log.read(GROUP, from, end, ({ index, term, kind, bytes: payload, start, length }) => {
    if (entries.length > 0 && bytes + length > maxBytes) return false;
    bytes += length;
    entries.push(new Entry(index, term, kind, payload.slice(start, start + length), 0, length));
    return bytes < maxBytes;
  });
  return entries;
}

function missing(directory: string, last: LogIndex, first: LogIndex): LogError {
  const text =
    `the replica's log begins with entry ${first}, and the newest snapshot ends with entry ${last}: the one that covers what is ` +
    `between is missing. Nothing was changed. Put the snapshot back, or move ${directory} away and let the node join again`;
  return new LogError('CORRUPT', text, directory);
}
