/**
 * Reads entries of a log that another thread is appending to, without asking it: opens the segments itself, read-only. Any
 * thread, one user; blocks while it reads. The caller says how far the log is written (`setEnd`), so nothing half written
 * is ever looked at.
 *
 * Where entries lie is kept in a sparse index: for each group a *point* (index, segment, offset) at every 64th of its
 * records, at its first in each segment, and wherever entries were replaced. It grows by hopping from header to header; the
 * first read of a group begins it at the youngest segment that can hold the entry, a later read of older ones anew from there.
 *
 * Points ascend in index and in place. Between two of them, records of the group follow each other: an entry that was
 * replaced has the point of its replacement at or before its index, and is never looked for behind an older point.
 */
import { type Disk, DiskError, type DiskFile } from './disk.ts';
import { corrupt, fromDisk, LogError } from './errors.ts';
import type { LogIndex, LogRecord } from './log.ts';
import {
  decodeRecord,
  emptyRecord,
  isIntact,
  isPlausible,
  RECORD_HEADER_BYTES,
  recordBytes,
  TYPE_RESTART,
} from './record.ts';
import { listSegments, readHeader, type SegmentHeader, segmentPath, segmentSeed } from './segment.ts';
import { FileWindow } from './window.ts';

const RECORDS_PER_POINT = 64;
/** Headers are read in pieces of this, and payloads with them: smaller pieces would only pay for payloads above it. */
const HOP_BYTES = 256 * 1024;
const READ_BYTES = 256 * 1024;

/** The points of one group, in parallel arrays. */
class Points {
  readonly indexes: LogIndex[] = [];
  readonly segments: number[] = [];
  readonly offsets: number[] = [];
  /** The last record there is, and how many since the last point. */
  last: LogIndex = 0;
  since = 0;

  add(index: LogIndex, type: number, segment: number, offset: number): void {
    const { indexes, segments } = this;
    if (type === TYPE_RESTART) {
      this.cut(0);
    } else if (index <= this.last) {
      let keep = indexes.length;
      while (keep > 0 && indexes[keep - 1] >= index) keep--;
      this.cut(keep);
    } else if (++this.since < RECORDS_PER_POINT && segments[segments.length - 1] === segment) {
      this.last = index;
      return;
    }
    indexes.push(index);
    segments.push(segment);
    this.offsets.push(offset);
    this.last = index;
    this.since = 0;
  }

  private cut(length: number): void {
    this.indexes.length = length;
    this.segments.length = length;
    this.offsets.length = length;
  }

  /** The last point at or before an index; -1 when there is none. */
  find(index: LogIndex): number {
    let low = 0;
    let high = this.indexes.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.indexes[middle] <= index) low = middle + 1;
      else high = middle;
    }
    return low - 1;
  }
}

/** A segment that is open for reading. */
class OpenSegment {
  readonly segment: number;
  readonly path: string;
  readonly header: SegmentHeader;
  readonly seed: number;
  readonly window: FileWindow;
  private readonly file: DiskFile;

  constructor(disk: Disk, directory: string, segment: number, window: FileWindow) {
    this.segment = segment;
    this.path = segmentPath(directory, segment);
    this.window = window;
    try {
      this.file = disk.open(this.path, 'read');
    } catch (error) {
      if (error instanceof DiskError && error.code === 'NOT_FOUND') throw compacted(this.path, error);
      throw fromDisk(error);
    }
    try {
      this.header = readHeader(this.file, directory, segment);
    } catch (error) {
      this.file.close();
      throw error;
    }
    this.seed = segmentSeed(this.header.log, segment);
    window.attach(this.file);
  }

  close(): void {
    this.file.close();
  }
}

export class LogReader {
  private readonly disk: Disk;
  private readonly directory: string;
  private readonly groups = new Map<number, Points>();
  /** The index holds the records from `first` on up to `hop`, the segment, and `hopOffset` in it. */
  private first = 0;
  private hop: OpenSegment | undefined = undefined;
  private hopOffset = 0;
  private readonly hopWindow = new FileWindow(HOP_BYTES);
  /** The segment that entries were read from last. */
  private open: OpenSegment | undefined = undefined;
  private readonly readWindow = new FileWindow(READ_BYTES);
  private endSegment = 0;
  private endOffset = 0;
  private readonly record: LogRecord = emptyRecord();

  constructor(disk: Disk, directory: string) {
    this.disk = disk;
    this.directory = directory;
  }

  /** The log is written up to here: `writtenSegment` and `writtenOffset` or `durableOffset` of the SegmentLog. Never goes back. */
  setEnd(segment: number, offset: number): void {
    this.endSegment = segment;
    this.endOffset = offset;
  }

  /** Hands the entries [from, to) to `visit`, in order, until it returns false. COMPACTED when `from` is not there any more. */
  read(group: number, from: LogIndex, to: LogIndex, visit: (record: LogRecord) => boolean): void {
    if (from >= to) return;
    const points = this.pointsFor(group, from);
    if (to > points.last + 1) throw new Error(`log: entry ${to - 1} of group ${group} is not there yet`);
    const { record } = this;
    let point = points.find(from);
    let open = this.openAt(points.segments[point]);
    let offset = points.offsets[point];
    for (let index = from; index < to; ) {
      const at = this.headerAt(open, offset);
      decodeRecord(open.window.u8, open.window.u32, at, record);
      const size = recordBytes(record.length);
      if (record.group !== group || record.index !== index) {
        offset += size;
        continue;
      }
      this.complete(open, offset, size);
      if (!visit(record)) return;
      index++;
      offset += size;
      if (point + 1 < points.indexes.length && points.indexes[point + 1] === index && index < to) {
        point++;
        open = this.openAt(points.segments[point]);
        offset = points.offsets[point];
      }
    }
  }

  /** Reads and checks the whole of the record at `offset` into `record`. */
  private complete(open: OpenSegment, offset: number, size: number): void {
    const { window } = open;
    const at = window.at(offset, size, this.limitOf(open));
    if (at < 0 || !isIntact(window.u32, at, open.seed, offset)) throw this.damage(open, offset);
    decodeRecord(window.u8, window.u32, at, this.record);
  }

  private damage(open: OpenSegment, offset: number): LogError {
    return corrupt(open.path, offset, 'a record does not match its checksum');
  }

  /** Where in the window the header at `offset` is. */
  private headerAt(open: OpenSegment, offset: number): number {
    const limit = this.limitOf(open);
    const at = limit - offset < RECORD_HEADER_BYTES ? -1 : open.window.at(offset, RECORD_HEADER_BYTES, limit);
    if (at < 0 || !isPlausible(open.window.u32, at, limit - offset, offset)) throw this.damage(open, offset);
    return at;
  }

  /** Where the records of a segment end, as far as they may be read. */
  private limitOf(open: OpenSegment): number {
    if (open.segment === this.endSegment) return this.endOffset;
    if (open.header.end <= 0)
      throw corrupt(open.path, 512, 'the segment has no good seal, although another follows it');
    return open.header.end;
  }

  private openAt(segment: number): OpenSegment {
    // One opened before it was sealed does not know its end.
    const { open } = this;
    if (open !== undefined && open.segment === segment && (open.header.end !== 0 || segment === this.endSegment))
      return open;
    this.closeOpen();
    this.open = new OpenSegment(this.disk, this.directory, segment, this.readWindow);
    return this.open;
  }

  private closeOpen(): void {
    this.open?.close();
    this.open = undefined;
  }

  /** The points of a group, complete up to the end, with one at or before `from`. */
  private pointsFor(group: number, from: LogIndex): Points {
    this.prepare(group, from, Number.POSITIVE_INFINITY);
    const points = this.groups.get(group);
    if (points === undefined || points.find(from) < 0) throw compacted(this.directory);
    return points;
  }

  /**
   * Takes the next `budgetBytes` of the log or so into the index; true when `read` from there has nothing left to do before it
   * reads entries. For a thread that has other work: where nothing is in memory, a first read would last as long as the
   * disk takes for all that was written since `from`. COMPACTED when `from` is not there any more.
   */
  prepare(group: number, from: LogIndex, budgetBytes: number): boolean {
    try {
      if (!this.extend(budgetBytes)) return false;
    } catch (error) {
      // The segment where the index ended is gone: it begins anew below.
      if (!(error instanceof LogError) || error.code !== 'COMPACTED') throw error;
      this.forget();
    }
    const points = this.groups.get(group);
    if (points !== undefined && points.find(from) >= 0) return true;
    const first = this.firstSegmentFor(group, from);
    if (first >= this.first && this.hop !== undefined) throw compacted(this.directory);
    this.forget();
    this.first = first;
    this.enter(first);
    return this.extend(budgetBytes);
  }

  private forget(): void {
    this.groups.clear();
    this.closeHop();
  }

  /** The youngest segment before which the group ended below `from`: what `from` is now was written there or later. */
  private firstSegmentFor(group: number, from: LogIndex): number {
    const segments = listSegments(this.disk, this.directory).filter((segment) => segment <= this.endSegment);
    for (let i = segments.length - 1; i > 0; i--) {
      const open = new OpenSegment(this.disk, this.directory, segments[i], this.readWindow);
      open.close();
      const base = open.header.base.find((entry) => entry.group === group);
      if (base === undefined || base.lastIndex < from) return segments[i];
    }
    if (segments.length === 0) throw compacted(this.directory);
    return segments[0];
  }

  /** Takes into the index what was written since the last time, as far as the budget goes; whether that is all. */
  private extend(budgetBytes: number): boolean {
    let { hop } = this;
    if (hop === undefined) return true;
    let left = budgetBytes;
    // Opened before it was sealed, it does not know its end.
    if (hop.segment !== this.endSegment && hop.header.end === 0) hop = this.enter(hop.segment, this.hopOffset);
    for (;;) {
      const limit = this.limitOf(hop);
      while (this.hopOffset < limit) {
        if (left <= 0) return false;
        left -= this.hopOver(hop);
      }
      if (hop.segment === this.endSegment) return true;
      hop = this.enter(hop.segment + 1);
    }
  }

  private hopOver(hop: OpenSegment): number {
    const at = this.headerAt(hop, this.hopOffset);
    decodeRecord(hop.window.u8, hop.window.u32, at, this.record);
    const { group, index, type, length } = this.record;
    let points = this.groups.get(group);
    if (points === undefined) {
      points = new Points();
      this.groups.set(group, points);
    }
    points.add(index, type, hop.segment, this.hopOffset);
    const size = recordBytes(length);
    this.hopOffset += size;
    return size;
  }

  private enter(segment: number, offset = 0): OpenSegment {
    this.closeHop();
    try {
      this.hop = new OpenSegment(this.disk, this.directory, segment, this.hopWindow);
    } catch (error) {
      // An index that nothing extends any more would pass for complete.
      this.forget();
      throw error;
    }
    this.hopOffset = offset === 0 ? this.hop.header.headerBytes : offset;
    return this.hop;
  }

  private closeHop(): void {
    this.hop?.close();
    this.hop = undefined;
  }

  close(): void {
    this.closeOpen();
    this.closeHop();
  }
}

function compacted(where: string, cause?: unknown): LogError {
  return new LogError('COMPACTED', `log: the entries asked for were dropped (${where})`, where, -1, cause);
}
