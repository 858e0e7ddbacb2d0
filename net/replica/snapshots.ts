/**
 * A group's snapshots, coming and going: what one taken here covers, to whom the newest is sent, and how a leader's takes the
 * place of the state. Main thread.
 *
 * ```
 * taken here:  cover ─> saved (net/saving.ts) ─> published: the log before it goes, members that waited for it get it
 * a leader's:  received ─> named ─> the core relies on it ─> install: nothing else runs, loaded ─> replica.installed
 * ```
 */
import { renameSync } from 'node:fs';
import { join } from 'node:path';
import { realDisk } from '../../engine/log/realdisk.ts';
import type { LogIndex, ReplicaId, SnapshotMeta } from '../../engine/raft/entry.ts';
import type { Message } from '../../engine/raft/message.ts';
import type { ReplicaStorage } from '../../engine/raft/storage.ts';
import type { SnapshotHeader } from '../../engine/snapshot/file.ts';
import { listSnapshots, snapshotName } from '../../engine/snapshot/retain.ts';
import type { Peers } from '../peer/peers.ts';
import type { Loaded, Recovery } from '../recovery.ts';
import { type GroupSnapshots, OvertakenError } from '../saving.ts';
import type { Covered } from '../snapshotter.ts';
import type { GroupParts } from './group.ts';
import type { Replica } from './replica.ts';
import { GROUP } from './self.ts';
import type { GroupState } from './state.ts';

const LATE_SNAPSHOT_RETRY_MS = 1000;
/** What is left of a former life; one file at most. */
const FORMER_NAME = 'former-snapshot.mrs';

export class Snapshots implements GroupSnapshots {
  logBytes = 0;
  private readonly parts: GroupParts;
  private readonly state: GroupState;
  private readonly recovery: Recovery;
  private readonly directory: string;
  private replica!: Replica;
  private peers!: Peers;
  private storage!: ReplicaStorage;
  /** The newest native snapshot of this node. */
  private newest: { path: string; meta: SnapshotMeta } | undefined = undefined;
  /** Members that wait for a snapshot newer than that. */
  private readonly wantedBy = new Map<ReplicaId, LogIndex>();
  /** The snapshot that is to replace the state, while one does. */
  private wanted: SnapshotMeta | undefined = undefined;

  constructor(parts: GroupParts, state: GroupState, recovery: Recovery, directory: string) {
    this.parts = parts;
    this.state = state;
    this.recovery = recovery;
    this.directory = directory;
  }

  /** Before the replica begins: loads the newest snapshot that is there, which its log then begins behind. */
  async load(): Promise<{ loaded: Loaded; meta: SnapshotMeta } | undefined> {
    // A snapshot whose name may not be durable yet is not relied on before it is.
    this.recovery.tidy(this.directory);
    const loaded = await this.recovery.loadNewest(this.directory);
    if (loaded?.snapshot === undefined) return undefined;
    return { loaded, meta: this.adopt(loaded.snapshot.path, loaded.snapshot.header) };
  }

  /** The replica begins anew under another id: the snapshots of its former life are not its own. The newest is kept, under another name. */
  setAside(): void {
    const { newest, directory } = this;
    if (newest === undefined) return;
    this.newest = undefined;
    const kept = join(directory, FORMER_NAME);
    realDisk.rename(newest.path, kept);
    for (const { path } of listSnapshots(realDisk, directory)) realDisk.unlink(path);
    realDisk.syncDirectory(directory);
    this.parts.log.write('notice', `The snapshot that it had is kept as ${kept}, of no use to the group`);
  }

  private adopt(path: string, { groups, config }: SnapshotHeader): SnapshotMeta {
    const [{ index, term }] = groups;
    const meta = this.state.decode(config, index, term);
    this.newest = { path, meta };
    return meta;
  }

  /** The replica begins. */
  serve(replica: Replica, peers: Peers, storage: ReplicaStorage): void {
    this.replica = replica;
    this.peers = peers;
    this.storage = storage;
  }

  // ---------------------------------------------------------------- taken here

  cover(): Covered {
    const { core, applier } = this.replica;
    if (this.isOvertaken(applier.appliedIndex)) throw new OvertakenError("the leader's snapshot comes in its place");
    const meta = core.snapshotAt(applier.appliedIndex);
    return { index: meta.index, timeMs: applier.nowMs, term: meta.term, config: this.state.encode(meta) };
  }

  published(path: string, covered: Covered): void {
    const { core } = this.replica;
    if (this.isOvertaken(covered.index)) return;
    const meta = core.snapshotAt(covered.index);
    this.newest = { path, meta };
    this.logBytes = 0;
    core.compact(covered.index);
    this.storage.compact(covered.index);
    for (const [replica, atLeast] of [...this.wantedBy]) {
      this.wantedBy.delete(replica);
      this.send(replica, atLeast);
    }
  }

  /** Whether one that the leader sent has begun to take the place of a state that ends at `index`. */
  private isOvertaken(index: LogIndex): boolean {
    return index < this.replica.core.state.log.baseIndex;
  }

  /** A member lacks what the log no longer has: it gets a snapshot that ends at `atLeast` or later, a new one if need be. */
  send(to: ReplicaId, atLeast: LogIndex): void {
    const { replica } = this;
    if (this.newest !== undefined && this.newest.meta.index >= atLeast) {
      this.peers.sendSnapshot(to, replica.core.state.term, this.newest.meta, this.newest.path);
      return;
    }
    this.wantedBy.set(to, atLeast);
    const { saving, log } = this.parts;
    saving.begin('rewrite', true);
    void saving.finished('rewrite').then((error) => {
      if (error === '' || !this.wantedBy.delete(to)) return;
      log.write('warning', `No snapshot for replica ${to}: ${error}`);
      setTimeout(() => this.failed(to), LATE_SNAPSHOT_RETRY_MS);
    });
  }

  sent(to: ReplicaId, index: LogIndex): void {
    this.replica.core.snapshotSent(to, index);
    this.replica.drive();
  }

  failed(to: ReplicaId): void {
    this.replica.core.snapshotFailed(to);
    this.replica.drive();
  }

  /** This node does not lead any more: who does sees to the members. */
  stopSending(): void {
    this.peers.stopSnapshots();
    this.wantedBy.clear();
  }

  // ---------------------------------------------------------------- a leader's

  /** It has arrived whole. It gets its name first, so that it is there when the replica relies on it. */
  received(m: Message, path: string): void {
    const meta = m.snapshot as SnapshotMeta;
    const { replica } = this;
    if (meta.index <= replica.core.state.commit) {
      realDisk.unlink(path);
      replica.step(m);
    } else {
      const name = this.pathOf(meta);
      renameSync(path, name);
      realDisk.syncDirectory(this.directory);
      replica.step(m);
      // Of a leader that is none any more.
      if (replica.core.state.commit < meta.index) realDisk.unlink(name);
    }
    replica.drive();
  }

  private pathOf({ index, term }: SnapshotMeta): string {
    return join(this.directory, snapshotName([{ group: GROUP, index, term }]));
  }

  /** The state is replaced by that of the snapshot that was received; again, if another comes meanwhile. */
  async install(meta: SnapshotMeta): Promise<void> {
    const isUnderWay = this.wanted !== undefined;
    this.wanted = meta;
    if (isUnderWay) return;
    const { dispatcher, saving, log, die } = this.parts;
    try {
      while (saving.running !== undefined) await saving.finished(saving.running);
      await dispatcher.exclusive.beginReplacing('LOADING A snapshot of the group is loaded');
      let header = await this.loadReceived();
      while (header.groups[0].index < this.wanted.index) header = await this.loadReceived();
      const { index } = header.groups[0];
      this.wanted = undefined;
      dispatcher.exclusive.endReplacing();
      this.logBytes = 0;
      log.write('notice', `The state is that of a snapshot of entry ${index} now`);
      this.replica.installed(index, header.timeMs);
      void saving.removeOlder(index);
    } catch (error) {
      die(`a snapshot of the group cannot be loaded: ${(error as Error).message}`);
    }
  }

  private async loadReceived(): Promise<SnapshotHeader> {
    const path = this.pathOf(this.wanted as SnapshotMeta);
    this.recovery.clear();
    // That one and no other: the entries to be applied are those behind it.
    const snapshot = (await this.recovery.loadOf(this.directory, path))?.snapshot;
    if (snapshot === undefined) throw new Error(`the snapshot ${path} is not there`);
    this.adopt(snapshot.path, snapshot.header);
    return snapshot.header;
  }
}
