/**
 * A snapshot file being written, in either format, behind one interface: chunks in, and at the end a file that is durable
 * under its name, or none. Synchronous, over any `Disk`; used by the thread that writes (task.ts) and by tests.
 */
import type { Disk } from '../log/disk.ts';
import type { RdbFacts } from '../rdb/write.ts';
import type { SnapshotHeader } from './file.ts';
import { ChunkFile } from './write-chunks.ts';
import { RdbTarget } from './write-rdb.ts';
import { TemporaryFile } from './write-temp.ts';

/** What to write, and where; plain data, so that it can go to another thread. */
export type SnapshotTarget =
  | { format: 'mrs'; path: string; header: SnapshotHeader }
  | { format: 'rdb'; path: string; facts: RdbFacts };

export interface Summary {
  path: string;
  keys: number;
  chunks: number;
  /** Bytes of the chunks, before compression. */
  rawBytes: number;
  /** Bytes of the file. */
  fileBytes: number;
}

export interface TargetFile {
  /** Bytes of the file written so far. */
  readonly bytesWritten: number;
  /** Writes a chunk of whole RDB items with this many keys. */
  chunk(bytes: Uint8Array, keys: number): void;
  /** Makes the file durable under its name. Nothing may be called after it. */
  publish(): Summary;
  /** Gives the file up: closes and removes what there is under the temporary name. Never throws. */
  discard(): void;
}

/** Begins a file. Every call throws ABORTED soon after `stopped` says so; after any error only `discard` is left. */
export function openTarget(disk: Disk, target: SnapshotTarget, stopped: () => boolean = () => false): TargetFile {
  const file = new TemporaryFile(disk, target.path, stopped);
  try {
    return target.format === 'mrs' ? new ChunkFile(file, target.header) : new RdbTarget(file, target.facts);
  } catch (error) {
    file.discard();
    throw error;
  }
}
