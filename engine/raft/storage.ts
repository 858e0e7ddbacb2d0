/**
 * What keeps a replica's log, term and vote, as its node sees it from the main thread. Two implementations: on disk, behind
 * a thread that writes and syncs (net/raftstorage.ts), and in memory (memorystorage.ts), where only who the replica is gets kept
 * on disk, so that after a restart it knows that it has lost what it had promised.
 */
import type { Entry, HardState, LogIndex, ReplicaId, SnapshotMeta } from './entry.ts';
import type { Restored } from './options.ts';

/** Who a directory belongs to. Ids of clusters and nodes are 32 hexadecimal digits. */
export interface Identity {
  readonly clusterId: string;
  readonly nodeId: string;
  readonly replica: ReplicaId;
}

export interface ReplicaStorage {
  /** Undefined in a directory that no replica has used. */
  readonly identity: Identity | undefined;
  /** Larger at each start of this directory, durably; 1 at the first. */
  readonly incarnation: number;
  /** Called when all batches up to this one are as durable as `appendfsync` asks. Never from within `write`. */
  onPersisted: (batch: number) => void;
  /** Called when the disk does not take what is written, and with '' when it does again. */
  onTrouble: (text: string) => void;

  /**
   * The directory is this replica's from now on, durably; what it has of a log, a term and a vote of another replica is void.
   * For a first start and for one that joins again under a new id. Before `restore`; or after one that found the replica
   * lost, and then `restore` follows once more.
   */
  begin(identity: Identity): Promise<void>;
  /** What the log holds behind this snapshot; once. Rejects with the LogError that an operator should read. */
  restore(snapshot: SnapshotMeta): Promise<Restored>;
  /**
   * A batch of Ready, in order (ready.ts, step 2): what it says of a snapshot is that it replaces the log; its file is there already.
   * True when the batch is persisted already, and `onPersisted` will not be called for it.
   */
  write(batch: number, hardState: HardState | null, snapshot: SnapshotMeta | null, entries: readonly Entry[]): boolean;
  /**
   * Entries [from, to) of what was written, at least one and up to about `maxBytes`; none when they are not there (any more).
   * Waits while the disk does not take what is written.
   */
  fetch(from: LogIndex, to: LogIndex, maxBytes: number): Promise<readonly Entry[]>;
  /** A durable snapshot covers the entries up to this one. */
  compact(through: LogIndex): void;
  /** Writes and syncs what it has been given, and ends. */
  close(): Promise<void>;
}
