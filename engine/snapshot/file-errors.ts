/**
 * What can be wrong with a snapshot file: bytes that are not what was written, or trouble of the disk while writing.
 * Every message names the file, and the offset where there is one; `plain` and `fromPlain` carry an error from a thread
 * of the pool to the main thread, where structured cloning would drop the class and its fields.
 */

import { DiskError } from '../log/disk.ts';

/** Codes a caller may act on. */
export type SnapshotErrorCode =
  /** Bytes are missing, changed, out of order, or of another file. */
  | 'DAMAGED'
  /** Not a snapshot, or of a format version that this program does not read. */
  | 'VERSION'
  /** Compressed in a way that this Node cannot read. */
  | 'CODEC'
  /** The disk or its quota is full. */
  | 'NO_SPACE'
  /** The file system may not be written. */
  | 'READ_ONLY'
  /** The process may not do this here. */
  | 'DENIED'
  /** Any other trouble of reading or writing. */
  | 'IO'
  /** fdatasync failed: what was written may be gone, though the disk seems to work. Never tried again. */
  | 'SYNC_FAILED'
  /** The thread that wrote or read has died. */
  | 'THREAD'
  /** Stopped on request. */
  | 'ABORTED';

export interface PlainSnapshotError {
  code: SnapshotErrorCode;
  message: string;
  file: string;
  offset: number;
}

export class SnapshotError extends Error {
  override readonly name = 'SnapshotError';
  readonly code: SnapshotErrorCode;
  readonly file: string;
  /** Offset in the file, in bytes; -1 when the trouble has no place. */
  readonly offset: number;

  constructor(code: SnapshotErrorCode, message: string, file: string, offset = -1, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.code = code;
    this.file = file;
    this.offset = offset;
  }

  plain(): PlainSnapshotError {
    return { code: this.code, message: this.message, file: this.file, offset: this.offset };
  }

  static fromPlain(plain: PlainSnapshotError): SnapshotError {
    return new SnapshotError(plain.code, plain.message, plain.file, plain.offset);
  }
}

export function damaged(file: string, offset: number, what: string): SnapshotError {
  return new SnapshotError('DAMAGED', `snapshot ${file} is damaged at offset ${offset}: ${what}`, file, offset);
}

/** Trouble of the disk in a snapshot's terms; whatever else was thrown stays as it is. */
export function fromDisk(error: unknown): unknown {
  if (!(error instanceof DiskError)) return error;
  const { code } = error;
  const isKnown = code === 'NO_SPACE' || code === 'READ_ONLY' || code === 'DENIED';
  return new SnapshotError(isKnown ? code : 'IO', `snapshot: ${error.message}`, error.file, error.offset, error);
}

/** Runs something that uses the disk, and throws its trouble as a SnapshotError. */
export function onDisk<T>(work: () => T): T {
  try {
    return work();
  } catch (error) {
    throw fromDisk(error);
  }
}
