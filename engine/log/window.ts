/**
 * A part of a file in memory, moved along as it is read: large reads, small looks. Any thread, one user. Where a window
 * begins in the file is a multiple of 8, so records in it are aligned as in the file and can be read by words.
 */
import type { DiskFile } from './disk.ts';
import { fromDisk } from './errors.ts';

/** Memory is taken in steps of this. */
const ALLOCATED_BYTES = 4096;

export class FileWindow {
  u8 = new Uint8Array(0);
  u32 = new Uint32Array(0);
  /** What is read at once, when no more is needed. */
  private readonly pieceBytes: number;
  private file: DiskFile | undefined = undefined;
  /** The window holds [base, base + count) of the file. */
  private base = 0;
  private count = 0;

  constructor(pieceBytes: number) {
    this.pieceBytes = pieceBytes;
  }

  /** Forgets what it holds, and reads this file from now on. */
  attach(file: DiskFile): void {
    this.file = file;
    this.base = 0;
    this.count = 0;
    // One large record must not keep its memory for good.
    if (this.u8.length > this.pieceBytes + ALLOCATED_BYTES) this.allocate(this.pieceBytes);
  }

  /**
   * Where the byte at `offset` lies in `u8`, with `length` bytes from there on; -1 when the file ends before. `offset` is
   * a multiple of 8; `until` is where reading ahead ends.
   */
  at(offset: number, length: number, until: number): number {
    if (offset < this.base || offset + length > this.base + this.count) {
      if (!this.load(offset, length, until)) return -1;
    }
    return offset - this.base;
  }

  private load(offset: number, length: number, until: number): boolean {
    const wanted = Math.max(length, Math.min(this.pieceBytes, until - offset));
    if (wanted > this.u8.length) this.allocate(wanted);
    try {
      this.count = this.file!.read(this.u8, 0, wanted, offset);
    } catch (error) {
      this.count = 0;
      throw fromDisk(error);
    }
    this.base = offset;
    return this.count >= length;
  }

  private allocate(bytes: number): void {
    this.u8 = new Uint8Array(Math.ceil(bytes / ALLOCATED_BYTES) * ALLOCATED_BYTES);
    this.u32 = new Uint32Array(this.u8.buffer);
    this.count = 0;
  }
}
