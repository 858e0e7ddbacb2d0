/**
 * The storage of a replica that keeps its log in memory. The main thread; a write costs a copy of its entries. Who the replica is
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
  onPersisted: (batch: number) => void = () => {};
  /** Memory gives none. */
  onTrouble: (text: string) => void = () => {};
  private readonly file: StateFile;
  private readonly log = new MemoryLog();
  private hasBegun = false;
  /** The newest batch, and whether its `onPersisted` is still to come. */
  private batch = 0;
  private isDue = false;
  private readonly report = () => {
    this.isDue = false;
    this.onPersisted(this.batch);
  };

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

  write(batch: number, _hardState: HardState | null, snapshot: SnapshotMeta | null, entries: readonly Entry[]): void {
    if (snapshot !== null) this.log.restartAt(GROUP, snapshot.index + 1);
    for (let i = 0; i < entries.length; i++) {
      const { index, term, kind, bytes, start, length } = entries[i];
      this.log.append(GROUP, term, index, bytes, start, length, kind);
    }
    this.batch = batch;
    if (this.isDue) return;
    this.isDue = true;
    queueMicrotask(this.report);
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
