/**
 * The storage of a replica that keeps its log in memory. The main thread; entries are kept where they are. Who the replica is
 * lies on the disk (storestate.ts), and that its log does not: the next life of the directory knows that it
 * has lost what it had promised, term and vote included, and can only begin again as another replica.
 */
import type { Disk } from '../log/disk.ts';
import { MemoryLog } from '../log/memorylog.ts';
import { GROUP } from '../log/opening.ts';
import type { Entry, HardState, LogIndex, SnapshotMeta } from './entry.ts';
import { Restored } from './options.ts';
import type { Identity, ReplicaStorage } from './storage.ts';
import { readEntries } from './store.ts';
import { StateFile } from './storestate.ts';

export class MemoryStorage implements ReplicaStorage {
  /** Every write is over at once. */
  onPersisted: (batch: number) => void = () => {};
  /** Memory gives none. */
  onTrouble: (text: string) => void = () => {};
  private readonly file: StateFile;
  private readonly log = new MemoryLog();
  private hasBegun = false;

  /** Begins a life of the replica whose directory this is; two syncs. Throws the LogError that an operator should read. */
  constructor(disk: Disk, directory: string) {
    this.file = new StateFile(disk, directory);
  }

  get identity(): Identity | undefined {
    return this.file.identity;
  }

  get incarnation(): number {
    return this.file.incarnation;
  }

  async begin(identity: Identity): Promise<void> {
    this.file.begin(identity, true);
    this.hasBegun = true;
  }

  async restore(snapshot: SnapshotMeta): Promise<Restored> {
    const hardState = { term: Math.max(snapshot.term, this.file.state.hardState.term), vote: 0 };
    this.log.restartAt(GROUP, snapshot.index + 1);
    return new Restored(snapshot, hardState, !this.hasBegun);
  }

  write(
    _batch: number,
    _hardState: HardState | null,
    snapshot: SnapshotMeta | null,
    entries: readonly Entry[],
  ): boolean {
    if (snapshot !== null) this.log.restartAt(GROUP, snapshot.index + 1);
    for (let i = 0; i < entries.length; i++) {
      const { index, term, kind, bytes, start, length } = entries[i];
      this.log.append(GROUP, term, index, bytes, start, length, kind);
    }
    return true;
  }

  async fetch(from: LogIndex, to: LogIndex, maxBytes: number): Promise<readonly Entry[]> {
    return readEntries(this.log, from, to, maxBytes);
  }

  compact(through: LogIndex): void {
    this.log.dropThrough(GROUP, through);
  }

  async close(): Promise<void> {
    this.log.close();
  }
}
