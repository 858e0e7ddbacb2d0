/**
 * What a simulated replica keeps on its simulated disk: the real RaftStore, and snapshot files beside it. Batches of Ready wait
 * here until the replica's disk gets round to them; what would survive a loss of power at any moment is written down as well
 * (`Durable`), for the watch, and compared with what a start finds.
 */
import { type Disk, unlinkIfThere, writeAll } from '../../../engine/log/disk.ts';
import type { Entry, HardState, LogIndex, ReplicaId, SnapshotMeta, Term } from '../../../engine/raft/entry.ts';
import type { Message } from '../../../engine/raft/message.ts';
import { firstStart, type Restored } from '../../../engine/raft/options.ts';
import { RaftStore } from '../../../engine/raft/store.ts';
import { SimDisk } from '../simdisk.ts';
import { Broken } from './broken.ts';
import type { Chance } from './chance.ts';
import { decodeSnapshot, type SnapshotContent } from './snapshotbytes.ts';

const LOG_DIRECTORY = '/node/log';
const SNAPSHOT_DIRECTORY = '/node/snapshots';
/** Small, so that a run has many segments: a header takes 4 KiB. */
const LOG_OPTIONS = { segmentBytes: 6 * 1024, reserveBytes: 1024 };
const CLUSTER = 'c'.repeat(32);

/** What Ready wants written, as one step. */
export interface Batch {
  readonly number: number;
  readonly hardState: HardState | null;
  readonly snapshot: SnapshotMeta | null;
  readonly entries: readonly Entry[];
  readonly messages: readonly Message[];
}

/** What is durable on one disk: the terms of entries, by index; everything up to `base` is in a snapshot. */
export class Durable {
  base: LogIndex = 0;
  baseTerm: Term = 0;
  terms: Term[] = [0];
  hardState: HardState = { term: 0, vote: 0 };

  has(index: LogIndex, term: Term): boolean {
    return index <= this.base || this.terms[index] === term;
  }

  /** True when entries were replaced. */
  take({ snapshot, entries }: Batch): boolean {
    if (snapshot !== null) this.restart(snapshot.index, snapshot.term);
    const isCut = entries.length > 0 && entries[0].index < this.terms.length;
    for (const { index, term } of entries) {
      this.terms.length = index;
      this.terms.push(term);
    }
    return isCut;
  }

  restart(index: LogIndex, term: Term): void {
    this.base = index;
    this.baseTerm = term;
    this.terms.length = index;
    this.terms[index] = term;
  }
}

/** What a start finds. */
export interface Opened {
  readonly restored: Restored;
  readonly content: SnapshotContent | undefined;
}

export class ReplicaDisk {
  readonly disk: SimDisk;
  /** Given out by the core, not written. */
  waiting: Batch[] = [];
  /** Written, not synced. */
  written: Batch[] = [];
  durable = new Durable();
  /** How often durable entries were replaced by others. */
  cuts = 0;
  /** The newest snapshot that is published. */
  newest: { meta: SnapshotMeta; bytes: Uint8Array } | undefined = undefined;
  /** Received and not published, by index. */
  private readonly received = new Map<LogIndex, Uint8Array>();
  private readonly id: ReplicaId;
  private readonly first: SnapshotMeta;
  private store: RaftStore | undefined = undefined;

  /** The disk of a replica that begins with this configuration. */
  constructor(id: ReplicaId, chance: Chance, config = firstStart().snapshot.config) {
    this.id = id;
    this.disk = new SimDisk(chance.random);
    this.first = { index: 0, term: 0, config, configIndex: 0 };
  }

  /** Larger at each start. */
  get incarnation(): number {
    return this.store!.incarnation;
  }

  // ---------------------------------------------------------------- start

  open(): Opened {
    this.store = undefined;
    const store = RaftStore.open(this.disk, LOG_DIRECTORY, LOG_OPTIONS);
    if (store.identity === undefined) {
      store.begin({ clusterId: CLUSTER, nodeId: this.id.toString(16).padStart(32, '0'), replica: this.id });
    }
    const content = this.loadNewest();
    const restored = store.restore(content?.meta ?? this.first);
    this.compare(restored);
    this.store = store;
    this.waiting = [];
    this.written = [];
    this.received.clear();
    return { restored, content };
  }

  private loadNewest(): SnapshotContent | undefined {
    const { disk } = this;
    disk.makeDirectory(SNAPSHOT_DIRECTORY);
    // The process may have died between a snapshot's renaming and its sync: what is relied on from here on has to stay.
    disk.syncDirectory(SNAPSHOT_DIRECTORY);
    this.newest = undefined;
    let content: SnapshotContent | undefined;
    for (const name of disk.list(SNAPSHOT_DIRECTORY).reverse()) {
      const path = `${SNAPSHOT_DIRECTORY}/${name}`;
      if (content !== undefined || !name.endsWith('.snapshot')) {
        disk.unlink(path);
        continue;
      }
      const bytes = readWhole(disk, path);
      content = decodeSnapshot(bytes);
      if (content === undefined)
        throw new Broken('D', `the snapshot ${name} of replica ${this.id} was published damaged`);
      this.newest = { meta: content.meta, bytes };
    }
    return content;
  }

  /** What was durable must be there, unless writes that were under way have replaced it. */
  private compare({ log, hardState, isLost, snapshot }: Restored): void {
    const { durable, id } = this;
    if (isLost) throw new Broken('D', `replica ${id} finds itself lost, and its disk has kept everything`);
    let safe = Number.POSITIVE_INFINITY;
    for (const { snapshot: replaced, entries } of [...this.written, ...this.waiting]) {
      // A snapshot under way is published before the log is restarted.
      if (replaced !== null) safe = 0;
      if (entries.length > 0 && entries[0].index < safe) safe = entries[0].index;
    }
    for (let i = snapshot.index + 1; i < durable.terms.length && i < safe; i++) {
      if (i > durable.base && log.termAt(i) !== durable.terms[i]) {
        throw new Broken('D', `replica ${id} had entry ${i} of term ${durable.terms[i]}, and finds ${log.termAt(i)}`);
      }
    }
    if (snapshot.index < durable.base) {
      throw new Broken('D', `replica ${id} had a snapshot of entry ${durable.base}, and finds ${snapshot.index}`);
    }
    const had = durable.hardState;
    if (hardState.term < had.term || (hardState.term === had.term && had.vote !== 0 && hardState.vote !== had.vote)) {
      throw new Broken('E', `replica ${id} promised ${JSON.stringify(had)}, and finds ${JSON.stringify(hardState)}`);
    }
    durable.restart(snapshot.index, snapshot.term);
    for (let i = snapshot.index + 1; i <= log.lastIndex; i++) durable.terms[i] = log.termAt(i);
    durable.hardState = hardState;
  }

  // ---------------------------------------------------------------- batches

  /** Writes the oldest of the waiting batches, up to `count` of them. What was done before an error is not done again. */
  write(count: number): void {
    const store = this.store!;
    for (let left = Math.min(count, this.waiting.length); left > 0; left--) {
      const batch = this.waiting[0];
      const { snapshot, hardState, entries } = batch;
      if (snapshot !== null) {
        // What the snapshot replaces must not come back behind it.
        this.publish(snapshot, this.received.get(snapshot.index)!);
      }
      store.write(hardState, snapshot, entries);
      if (snapshot !== null) this.forgetReceived(snapshot.index);
      if (hardState !== null) this.durable.hardState = hardState;
      this.written.push(batch);
      this.waiting.shift();
    }
    store.flush();
  }

  /** Makes durable what was written; the batches that this ends. */
  sync(): Batch[] {
    this.store!.sync();
    const done = this.written;
    this.written = [];
    for (const batch of done) if (this.durable.take(batch)) this.cuts++;
    return done;
  }

  /** Entries [from, to), or less; none when they are not there. */
  read(from: LogIndex, to: LogIndex, maxBytes: number): Entry[] {
    return this.store!.read(from, to, maxBytes);
  }

  // ---------------------------------------------------------------- snapshots

  /** A snapshot that was received whole: in a temporary file, durable, until Ready says that it counts. */
  keepReceived(index: LogIndex, bytes: Uint8Array): void {
    this.writeFile(`${SNAPSHOT_DIRECTORY}/received.tmp`, bytes);
    this.received.set(index, bytes);
  }

  /** A snapshot of the own state; false when a newer one is there or on its way. */
  publishOwn(meta: SnapshotMeta, bytes: Uint8Array): boolean {
    const isOld = this.newest !== undefined && this.newest.meta.index >= meta.index;
    if (isOld || [...this.waiting, ...this.written].some((batch) => batch.snapshot !== null)) return false;
    this.publish(meta, bytes);
    return true;
  }

  private forgetReceived(through: LogIndex): void {
    for (const index of this.received.keys()) if (index <= through) this.received.delete(index);
  }

  private publish(meta: SnapshotMeta, bytes: Uint8Array): void {
    const { disk } = this;
    const name = `${SNAPSHOT_DIRECTORY}/${String(meta.index).padStart(12, '0')}`;
    this.writeFile(`${name}.tmp`, bytes);
    disk.rename(`${name}.tmp`, `${name}.snapshot`);
    disk.syncDirectory(SNAPSHOT_DIRECTORY);
    const before = this.newest;
    this.newest = { meta, bytes };
    if (before === undefined || before.meta.index === meta.index) return;
    unlinkIfThere(disk, `${SNAPSHOT_DIRECTORY}/${String(before.meta.index).padStart(12, '0')}.snapshot`);
    disk.syncDirectory(SNAPSHOT_DIRECTORY);
  }

  private writeFile(path: string, bytes: Uint8Array): void {
    const { disk } = this;
    unlinkIfThere(disk, path);
    const file = disk.create(path);
    writeAll(file, bytes, 0, bytes.length, 0);
    file.sync();
    file.close();
  }

  compact(through: LogIndex): void {
    this.store!.compact(through);
    this.store!.reclaim();
  }
}

function readWhole(disk: Disk, path: string): Uint8Array {
  const file = disk.open(path, 'read');
  const bytes = new Uint8Array(file.size());
  for (let at = 0; at < bytes.length; ) at += file.read(bytes, at, bytes.length - at, at);
  file.close();
  return bytes;
}
