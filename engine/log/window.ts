/**
 * A part of a file in memory, moved along as it is read: large reads, small looks. Any thread, one user. Where a window
 * begins in the file is a multiple of 8, so records in it are aligned as in the file and can be read by words.
 */
import type { DiskFile } from './disk.ts';
import { fromDisk } from './errors.ts';

export class FileWindow {
  u8: Uint8Array;
  u32: Uint32Array;
  /** What is read at once, when no more is needed. */
  private readonly pieceBytes: number;
  private file: DiskFile | undefined = undefined;
  /** The window holds [base, base + count) of the file. */
  private base = 0;
  private count = 0;

  constructor(pieceBytes: number) {
    this.pieceBytes = pieceBytes;
    this.u8 = new Uint8Array(pieceBytes);
    this.u32 = new Uint32Array(this.u8.buffer);
  }

  /** Forgets what it holds, and reads this file from now on. */
  attach(file: DiskFile): void {
    this.file = file;
    this.base = 0;
    this.count = 0;
    if (this.u8.length > this.pieceBytes) this.allocate(this.pieceBytes);
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
    if (length > this.u8.length) this.allocate(Math.ceil(length / this.pieceBytes) * this.pieceBytes);
    const wanted = Math.max(length, Math.min(this.u8.length, until - offset));
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
    this.u8 = new Uint8Array(bytes);
    this.u32 = new Uint32Array(this.u8.buffer);
    this.count = 0;
  }
}
