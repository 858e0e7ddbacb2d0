/**
 * Reads the records of one segment from its first on, checking each, and judges what it finds where they end: the end, a
 * torn tail, or damage. For recovery and repair, which know what comes before and after. Blocks while it reads; up to the
 * speed of the checksum.
 */
import { type Disk, type DiskFile, writeAll } from './disk.ts';
import { fromDisk } from './errors.ts';
import type { LogRecord } from './log.ts';
import { decodeRecord, isIntact, isPlausible, RECORD_HEADER_BYTES, recordBytesAt, watermarkAt } from './record.ts';
import { readHeader, type SegmentHeader, segmentPath, segmentSeed } from './segment.ts';
import type { FileWindow } from './window.ts';

const REWRITTEN_BYTES = 1024 * 1024;

/** How the records of a segment end. */
export interface Ending {
  /** `end`: where the seal says, or in zeros. `torn`: bytes that were never synced. `damaged`: bytes are gone that were. */
  kind: 'end' | 'torn' | 'damaged';
  /** Behind the last good record. */
  offset: number;
  /** Bytes of a torn tail. */
  bytes: number;
  /** What is wrong, for `damaged`. */
  what: string;
}

export class SegmentScanner {
  readonly file: DiskFile;
  readonly path: string;
  readonly header: SegmentHeader;
  readonly sizeBytes: number;
  /** Behind the last record read. */
  offset: number;
  /** Everything below was synced: the last record read says so. */
  proven: number;
  private readonly window: FileWindow;
  private readonly seed: number;
  /** Records end here at the latest. */
  private readonly limit: number;

  /** Opens a segment and checks its header; `window` is used until the scanner is done with. */
  constructor(disk: Disk, directory: string, segment: number, window: FileWindow, mode: 'read' | 'write') {
    this.path = segmentPath(directory, segment);
    this.window = window;
    try {
      this.file = disk.open(this.path, mode);
      this.sizeBytes = this.file.size();
    } catch (error) {
      throw fromDisk(error);
    }
    try {
      this.header = readHeader(this.file, directory, segment);
    } catch (error) {
      this.file.close();
      throw error;
    }
    this.seed = segmentSeed(this.header.log, segment);
    this.offset = this.header.headerBytes;
    this.proven = this.header.headerBytes;
    this.limit = this.header.end <= 0 ? this.sizeBytes : Math.min(this.header.end, this.sizeBytes);
    window.attach(this.file);
  }

  /** Reads the next record into `into`; false when there is no good one at `offset`. */
  next(into: LogRecord): boolean {
    const { window, offset } = this;
    const room = this.limit - offset;
    if (room < RECORD_HEADER_BYTES) return false;
    let at = window.at(offset, RECORD_HEADER_BYTES, this.limit);
    if (at < 0 || !isPlausible(window.u32, at, room, offset)) return false;
    const size = recordBytesAt(window.u32, at);
    at = window.at(offset, size, this.limit);
    if (at < 0 || !isIntact(window.u32, at, this.seed, offset)) return false;
    decodeRecord(window.u8, window.u32, at, into);
    this.proven = watermarkAt(window.u32, at);
    this.offset += size;
    return true;
  }

  /** What the records ended with, once `next` has given false; `isLast`: no segment follows this one. */
  ending(isLast: boolean): Ending {
    const { offset, header } = this;
    if (header.end < 0)
      return { kind: 'damaged', offset, bytes: 0, what: 'the seal in the header does not match its checksum' };
    if (header.end !== 0) {
      if (offset === header.end) return { kind: 'end', offset, bytes: 0, what: '' };
      const what =
        header.end > this.sizeBytes
          ? `the file has ${this.sizeBytes} of ${header.end} bytes`
          : 'a record does not match its checksum';
      return { kind: 'damaged', offset, bytes: 0, what };
    }
    if (!isLast) {
      return { kind: 'damaged', offset, bytes: 0, what: 'the segment has no seal, although another follows it' };
    }
    const proof = this.findProof();
    if (proof !== 0) {
      const what = `a record does not match its checksum, and the one at ${proof} shows that it had been written durably`;
      return { kind: 'damaged', offset, bytes: 0, what };
    }
    const bytes = this.tailBytes();
    return { kind: bytes === 0 ? 'end' : 'torn', offset, bytes, what: '' };
  }

  /**
   * The offset of a good record behind `offset` that was written when the bytes at `offset` were already synced; 0 when
   * there is none. Looks at every place where one could be. Payloads full of what looks like headers make this slow, not
   * wrong.
   */
  private findProof(): number {
    return this.findRecord(this.offset + 8, this.offset);
  }

  /** The offset of the first good record at or behind `from` with a watermark above `above`; 0 when there is none. */
  findRecord(from: number, above: number): number {
    const { window, limit } = this;
    for (let offset = from; offset + RECORD_HEADER_BYTES <= limit; offset += 8) {
      let at = window.at(offset, RECORD_HEADER_BYTES, limit);
      if (at < 0) return 0;
      if (!isPlausible(window.u32, at, limit - offset, offset) || watermarkAt(window.u32, at) <= above) continue;
      at = window.at(offset, recordBytesAt(window.u32, at), limit);
      if (at >= 0 && isIntact(window.u32, at, this.seed, offset)) return offset;
    }
    return 0;
  }

  /** Bytes from `offset` to the last one that is not zero. */
  tailBytes(): number {
    const { window, limit } = this;
    let last = this.offset - 1;
    for (let offset = this.offset; offset < limit; offset += 8) {
      const length = Math.min(8, limit - offset);
      const at = window.at(offset, length, limit);
      for (let i = length - 1; at >= 0 && i >= 0; i--) {
        if (window.u8[at + i] === 0) continue;
        last = offset + i;
        break;
      }
    }
    return last + 1 - this.offset;
  }

  /** Writes again what no record proves to have been synced. */
  rewriteUnproven(): void {
    const { window } = this;
    for (let offset = this.proven; offset < this.offset; offset += REWRITTEN_BYTES) {
      const length = Math.min(REWRITTEN_BYTES, this.offset - offset);
      const at = window.at(offset, length, this.offset);
      writeAll(this.file, window.u8, at, length, offset);
    }
  }

  close(): void {
    this.file.close();
  }
}
