/**
 * The file that records are appended to: written, filled with zeros ahead, synced, sealed. The thread that owns the log
 * (segmentlog.ts). Errors are those of the disk; what failed may be called again, syncs excepted.
 *
 * It begins as a draft under a temporary name, so that a part of the reserve can lie in the segment to come.
 */
import { type Disk, DiskError, type DiskFile, unlinkIfThere, writeAll } from './disk.ts';
import { draftPath, segmentPath, segmentSeed, writeSeal } from './segment.ts';

/** Zeros are written ahead in steps of this: one in a hundred or more syncs has to make a new size durable, too. */
const FILL_STEP_BYTES = 1024 * 1024;
const ZEROS = new Uint8Array(FILL_STEP_BYTES);

export class WritableSegment {
  segment = 0;
  seed = 0;
  headerBytes = 0;
  /** Records end here, as far as they are written. */
  written = 0;
  /** The file has bytes up to here. */
  filled = 0;
  /** Everything below is synced. */
  synced = 0;
  isSealed = false;
  /** Whether it has its name, which is not durable before the directory is synced. */
  isNamed = false;
  private readonly file: DiskFile;
  private readonly disk: Disk;
  private readonly directory: string;

  /** A draft; one that a crash has left behind goes. */
  constructor(disk: Disk, directory: string) {
    this.disk = disk;
    this.directory = directory;
    const path = draftPath(directory);
    unlinkIfThere(disk, path);
    this.file = disk.create(path);
  }

  /** Writes the header that makes it a segment. */
  begin(log: number, segment: number, header: Uint8Array): void {
    writeAll(this.file, header, 0, header.length, 0);
    this.segment = segment;
    this.seed = segmentSeed(log, segment);
    this.headerBytes = header.length;
    this.written = header.length;
    if (this.filled < this.written) this.filled = this.written;
  }

  /** Gives it the name of its segment, in place of what may have it. */
  name(): void {
    const path = segmentPath(this.directory, this.segment);
    this.disk.rename(draftPath(this.directory), path);
    this.file.path = path;
    this.isNamed = true;
  }

  write(bytes: Uint8Array, start: number, length: number): void {
    writeAll(this.file, bytes, start, length, this.written);
    this.written += length;
    if (this.filled < this.written) this.filled = this.written;
  }

  /** Writes zeros until the file has at least `target` bytes, in whole steps as far as `limit` allows. */
  fillTo(target: number, limit: number): void {
    while (this.filled < target) {
      const length = Math.min(FILL_STEP_BYTES, limit - this.filled);
      writeAll(this.file, ZEROS, 0, length, this.filled);
      this.filled += length;
    }
  }

  sync(): void {
    const { written } = this;
    this.file.sync();
    this.synced = written;
  }

  /** Everything must be synced; the seal is with the next sync. */
  seal(): void {
    writeSeal(this.file, this.seed, this.written);
    this.isSealed = true;
  }

  /** Gives back what was filled and not used. A disk that refuses keeps it: nothing reads it. */
  trim(): void {
    try {
      if (this.filled > this.written) this.file.truncate(this.written);
    } catch (error) {
      if (!(error instanceof DiskError)) throw error;
    }
  }

  close(): void {
    this.file.close();
  }
}
