/**
 * The log as its users see it: numbered entries of opaque bytes, per group, kept on disk (segmentlog.ts) or in memory
 * (memorylog.ts). One thread owns a log and makes all calls; they are synchronous, and those that reach the disk block.
 *
 * An entry is appended at the index behind the last one. An index at or below the last replaces that entry and drops all
 * behind it, as Raft demands of a follower whose entries conflict with its leader's. The first entry of a group may have
 * any index; later ones leave no gap, except behind `restartAt`.
 */

/** A whole number from 1 to 2^53 - 1, counting the entries of one group. */
export type LogIndex = number;

/** The largest payload, in bytes: the longest request that a client may send (client-query-buffer-limit), and what goes with it. */
export const PAYLOAD_LIMIT = (1024 + 16) * 1024 * 1024;

/** One record, as a reused object: payload is bytes[start, start + length), valid until the next record is asked for. */
export interface LogRecord {
  group: number;
  term: number;
  index: LogIndex;
  /** One of the types in record.ts. */
  type: number;
  /** What its user said the entry is: 0 to 255. */
  kind: number;
  bytes: Uint8Array;
  start: number;
  length: number;
}

export interface Log {
  /**
   * Takes over bytes[start, start + length), as a copy (but see memorylog.ts); nothing is written yet. Group and term are whole numbers, 0 allowed;
   * `kind` (0 to 255, 0 when it is left out) is kept with the entry and means nothing to the log.
   */
  append(
    group: number,
    term: number,
    index: LogIndex,
    bytes: Uint8Array,
    start: number,
    length: number,
    kind?: number,
  ): void;
  /** Writes what was appended. A failed call leaves everything as it was and may be made again. */
  flush(): void;
  /** Makes everything appended durable. */
  sync(): void;
  /** The next entry of the group will have this index, whatever comes before: entries below it are void. */
  restartAt(group: number, index: LogIndex): void;
  /** The first entry there is; lastIndex + 1 when there is none, 1 for a group never heard of. */
  firstIndex(group: number): LogIndex;
  /** The last entry; 0 for a group never heard of. */
  lastIndex(group: number): LogIndex;
  /** The term of an entry, of the last one even when it was dropped; -1 when it is not known. */
  termAt(group: number, index: LogIndex): number;
  /** Hands the entries [from, to) to `visit`, in order, until it returns false. Appended ones are written first. */
  read(group: number, from: LogIndex, to: LogIndex, visit: (record: LogRecord) => boolean): void;
  /** Entries of the group up to `index` are not needed any more, and go when it is convenient. */
  dropThrough(group: number, index: LogIndex): void;
  /** Syncs and ends: no call may follow. */
  close(): void;
}
