/**
 * A file that appears under its name only when it is whole and durable. It is written under a temporary name beside it,
 * from beginning to end; `publish` syncs it, renames it and syncs the directory. So a crash at any moment, as well as any
 * error, leaves under the name what was there before, or all of the new:
 *
 * - before the rename: the old file; the temporary one is removed at the next start (`removeTemporary` in retain.ts);
 * - after the rename, before the directory is synced: either, each of them whole;
 * - after that: the new one.
 *
 * Every few MiB are synced as they are written: the disk works while the next ones are compressed, and the last sync is
 * short. One sync of a gigabyte at the end would hold up the log, which syncs on the same disk.
 */
import { dirname } from 'node:path';
import { type Disk, DiskError, type DiskFile, unlinkIfThere, writeAll } from '../log/disk.ts';
import { onDisk, SnapshotError } from './file-errors.ts';

/** What is appended to a name while the file is written. */
export const TEMPORARY_SUFFIX = '.millrace-tmp';

const SYNC_BYTES = 8 * 1024 * 1024;
/** A long write goes in pieces of this size, so that it can be stopped. */
const PIECE_BYTES = 4 * 1024 * 1024;

export class TemporaryFile {
  /** The name it will have. */
  readonly path: string;
  /** Bytes written so far. */
  size = 0;
  private readonly disk: Disk;
  private readonly temporary: string;
  private readonly file: DiskFile;
  private readonly stopped: () => boolean;
  private synced = 0;
  private isOpen = true;

  /** While `stopped` says so, nothing is written: `append` and `publish` throw ABORTED. */
  constructor(disk: Disk, path: string, stopped: () => boolean) {
    this.stopped = stopped;
    this.disk = disk;
    this.path = path;
    this.temporary = path + TEMPORARY_SUFFIX;
    this.file = onDisk(() => {
      // One may be left of an attempt whose discarding failed.
      unlinkIfThere(disk, this.temporary);
      return disk.create(this.temporary);
    });
  }

  append(bytes: Uint8Array): void {
    for (let start = 0; start < bytes.length; start += PIECE_BYTES) {
      this.check();
      const length = Math.min(bytes.length - start, PIECE_BYTES);
      onDisk(() => writeAll(this.file, bytes, start, length, this.size));
      this.size += length;
      if (this.size - this.synced >= SYNC_BYTES) this.sync();
    }
  }

  /** Gives the file its name, durably. */
  publish(): void {
    this.check();
    this.sync();
    this.file.close();
    this.isOpen = false;
    onDisk(() => this.disk.rename(this.temporary, this.path));
    try {
      this.disk.syncDirectory(dirname(this.path));
    } catch (error) {
      throw syncFailed(error, this.path, 'the new file may lose its name when the system stops');
    }
  }

  /** Closes and removes the temporary file. What cannot be removed now is removed at the next start. */
  discard(): void {
    if (this.isOpen) this.file.close();
    this.isOpen = false;
    try {
      unlinkIfThere(this.disk, this.temporary);
    } catch (error) {
      if (!(error instanceof DiskError)) throw error;
    }
  }

  private check(): void {
    if (this.stopped()) throw new SnapshotError('ABORTED', `writing ${this.path} was stopped`, this.path);
  }

  private sync(): void {
    try {
      this.file.sync();
    } catch (error) {
      throw syncFailed(error, this.path, 'what had this name before is untouched');
    }
    this.synced = this.size;
  }
}

function syncFailed(error: unknown, path: string, state: string): unknown {
  if (!(error instanceof DiskError)) return error;
  return new SnapshotError('SYNC_FAILED', `snapshot ${path}: ${error.message}; ${state}`, path, -1, error);
}
