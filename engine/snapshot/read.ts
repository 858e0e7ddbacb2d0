/** What the readers of snapshots have in common. */
import type { DecodedHeader, SnapshotFooter } from './file.ts';

/** A chunk as it was handed to the writer: whole RDB items. */
export interface SnapshotChunk {
  bytes: Uint8Array;
  keys: number;
}

/** Where chunks come from. */
export interface ChunkSource {
  readonly file: string;
  readonly header: DecodedHeader;
  readonly footer: SnapshotFooter;
  /** Progress: bytes of the file whose chunks have been given out, and bytes of the file. */
  readonly bytesDone: number;
  readonly bytesAll: number;
  /** The next chunk, verified; undefined after the last, when all that the footer says has been seen to be true. */
  next(): Promise<SnapshotChunk | undefined> | SnapshotChunk | undefined;
  close(): Promise<void> | void;
}
