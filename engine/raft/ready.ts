/**
 * What a replica wants done, collected since it was last asked. The caller, in this order:
 *
 * 1. sends `messages`; they need not wait for the disk;
 * 2. with `batch` not 0: writes `hardState`, installs `snapshot` in place of the log and the state, appends `entries` (the first may
 *    replace what has its index), all as one step behind the batches before it; syncs; then sends `afterWrite`, then calls
 *    `persisted(batch)`. Batches may be under way together, and share a sync, but they end in order;
 * 3. applies entries [committedFrom, committedTo), behind the snapshot if there is one; then calls `applied`. If there are any it
 *    proposes what it has, and calls `ready` again, before it applies them or after: the others hear of the commit with that;
 * 4. answers `readStates` once their index is applied, serves `fetches` and `snapshots`.
 *
 * The object is reused by the next `ready()`; its arrays are the caller's.
 */
import type { Entry, HardState, LogIndex, ReplicaId, SnapshotMeta } from './entry.ts';
import type { Message } from './message.ts';

/** A read may be served from state that has applied `index`; 0 when it failed and is to be asked for again. */
export interface ReadState {
  readonly token: number;
  readonly index: LogIndex;
}

/** Asks for entries from `from`, before `to`, up to about `maxBytes`, from the storage: `fetched(replica, entries)`, whatever comes of it. */
export interface Fetch {
  readonly replica: ReplicaId;
  readonly from: LogIndex;
  readonly to: LogIndex;
  readonly maxBytes: number;
}

/**
 * Asks for the newest snapshot, which ends at `atLeast` or later, to be streamed to a replica and there to be stepped in as a
 * SNAPSHOT message of this term; then `snapshotSent(replica, index)` or `snapshotFailed(replica)`.
 */
export interface SnapshotRequest {
  readonly replica: ReplicaId;
  readonly atLeast: LogIndex;
}

export const NONE: readonly never[] = [];

export class Ready {
  messages: readonly Message[] = NONE;
  batch = 0;
  /** Null when neither term nor vote have changed. */
  hardState: HardState | null = null;
  snapshot: SnapshotMeta | null = null;
  entries: readonly Entry[] = NONE;
  afterWrite: readonly Message[] = NONE;
  committedFrom: LogIndex = 0;
  committedTo: LogIndex = 0;
  readStates: readonly ReadState[] = NONE;
  fetches: readonly Fetch[] = NONE;
  snapshots: readonly SnapshotRequest[] = NONE;

  /** Whether the batch has something to write; otherwise it only keeps its messages behind earlier batches. */
  get mustSync(): boolean {
    return this.hardState !== null || this.snapshot !== null || this.entries.length > 0;
  }
}
