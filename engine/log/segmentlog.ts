/**
 * The log on disk. One thread owns it and makes all calls, which block: the writer thread of a node, or the only thread of
 * a test. `append` copies into a buffer (about 0.1 us and the checksum), `flush` is one write, `sync` one write and one
 * fdatasync however many entries there are. It begins with `openLog` (recover.ts), which reads what is there.
 *
 * A directory of segments (segment.ts), numbered without gaps, each a header and records (record.ts). Records go to the
 * last one. Ahead of them lie zeros, `reserveBytes` or more, partly in the draft of the next segment: so a full disk shows
 * while there is still room for what is under way, and a sync has no new size to make durable.
 *
 * ```
 * 0000000000000004.log  [header, sealed][record][record].......[record]
 * 0000000000000005.log  [header][record][record][record]|0000000000000000
 * segment.log.tmp       0000000000                      ^ written, of that a part synced
 * ```
 *
 * Where the power may go, and what recovery makes of it. The order of syncs is what matters: nothing is relied on that was
 * not synced before the step that relies on it.
 *
 * - While records are written: any of their sectors may be there. They are not acknowledged. Recovery takes whole records
 *   up to the first that is not, and cuts there: nothing behind it can prove by its watermark that it was synced.
 * - While zeros are written ahead, or the file grows: the file may be longer or shorter; records end where they end.
 * - Between a sync and its acknowledgement: the records are there, which a client that got no answer has to expect.
 * - Rotation: 1. the next segment's draft gets its header and is synced; 2. the old segment is synced, 3. sealed and synced
 *   again; 4. the draft is renamed and the directory synced; 5. the old file loses its spare zeros. Records go into the new
 *   one only then. Before 3 the old one is the last, as if nothing had happened. From 3 on it ends at the seal, and whether
 *   the name of 4 was durable or not, all records are in sealed segments. A draft that remains is thrown away.
 * - Recovery does not append behind what it finds. It writes again what no watermark proves, syncs and seals the last
 *   segment where its good records end, which makes durable what a killed process had only handed to the system, or could
 *   not sync; then it begins a new one by steps 1 and 4. If the power goes in between, the next recovery finds the same
 *   records, or the seal. A last segment without records is replaced by the new one under the same number.
 * - Dropping: the oldest segment gets another name and the directory is synced, one by one, so that no gap can remain. What has
 *   such a name is of no log; its space is given back later (dropped.ts).
 * - Closing: sync, seal, sync. Before the seal is durable it was no clean stop, and nothing is lost.
 *
 * Damage, as opposed to a torn tail, is never cut away on the way (`--repair`, repair.ts): a bad record in a sealed segment,
 * or below a proven watermark, a missing segment, a bad header or seal.
 */
import { AppendBuffer, type Rotation } from './appendbuffer.ts';
import { type Disk, DiskError, unlinkIfThere } from './disk.ts';
import { DroppedSegments } from './dropped.ts';
import { fromDisk, LogError, syncFailed } from './errors.ts';
import { type Log, type LogIndex, type LogRecord, PAYLOAD_LIMIT } from './log.ts';
import { LogReader } from './reader.ts';
import { recordBytes } from './record.ts';
import { draftPath, encodeHeader, segmentSeed } from './segment.ts';
import type { LogState } from './state.ts';
import { WritableSegment } from './writablesegment.ts';

export interface LogOptions {
  /** A segment that would grow beyond this ends; one record may be larger, and then has a segment to itself. */
  segmentBytes: number;
  /** Zeros kept ahead of the records. */
  reserveBytes: number;
}

export const DEFAULT_LOG_OPTIONS: LogOptions = { segmentBytes: 64 * 1024 * 1024, reserveBytes: 4 * 1024 * 1024 };

export class SegmentLog implements Log {
  /** Why the reserve is smaller than it should be; writes still succeed while it lasts. */
  trouble: LogError | undefined = undefined;
  private readonly disk: Disk;
  private readonly directory: string;
  private readonly options: LogOptions;
  private readonly state: LogState;
  /** Its number, never 0: all its segments have it. */
  readonly logNumber: number;
  private active: WritableSegment;
  private draft: WritableSegment | undefined = undefined;
  private readonly dropped: DroppedSegments;
  private readonly buffer = new AppendBuffer();
  private reader: LogReader | undefined = undefined;
  /** The failed sync after which nothing is tried any more. */
  private failure: LogError | undefined = undefined;
  private isClosed = false;

  /** Begins segment `segment` of log `log` behind what `state` knows of; only recovery calls this. */
  constructor(disk: Disk, directory: string, options: LogOptions, state: LogState, log: number, segment: number) {
    this.disk = disk;
    this.directory = directory;
    this.options = options;
    this.state = state;
    this.logNumber = log;
    const header = encodeHeader(log, segment, state.base());
    try {
      this.dropped = new DroppedSegments(disk, directory);
      this.active = new WritableSegment(disk, directory);
      this.active.begin(log, segment, header);
      this.fill();
      this.syncing(() => this.active.sync());
      this.active.name();
      this.syncing(() => disk.syncDirectory(directory));
    } catch (error) {
      throw fromDisk(error);
    }
    state.beginSegment(segment, 0);
    this.buffer.enter(segment, this.active.seed, header.length);
  }

  append(
    group: number,
    term: number,
    index: LogIndex,
    bytes: Uint8Array,
    start: number,
    length: number,
    kind = 0,
  ): void {
    this.check();
    const type = this.state.typeFor(group, index);
    if (type === 0) {
      throw new Error(`log: entry ${index} of group ${group} cannot follow entry ${this.state.lastIndex(group)}`);
    }
    if (!Number.isSafeInteger(index) || index < 1) throw new Error(`log: ${index} is not an index`);
    if (!Number.isSafeInteger(term) || term < 0) throw new Error(`log: ${term} is not a term`);
    if (kind < 0 || kind > 255) throw new Error(`log: ${kind} is not a kind`);
    if (length > PAYLOAD_LIMIT) throw new Error(`log: a payload of ${length} bytes is too large`);
    const { buffer } = this;
    if (!buffer.hasRoom(length)) {
      const text = `log: ${buffer.used} bytes wait to be written to ${this.directory}`;
      throw new LogError('BUFFER_FULL', text, this.directory);
    }
    const isFirst = buffer.offset === buffer.headerBytes;
    if (!isFirst && buffer.offset + recordBytes(length) > this.options.segmentBytes) this.planRotation();
    const watermark = buffer.rotations.length === 0 ? this.active.synced : buffer.headerBytes;
    buffer.add(group, term, index, type, kind, watermark, bytes, start, length);
    this.state.add(group, term, index, type);
  }

  /** What comes next begins a new segment. */
  private planRotation(): void {
    const { buffer } = this;
    const { segments } = this.state;
    segments[segments.length - 1].sizeBytes = buffer.offset;
    const segment = buffer.segment + 1;
    buffer.rotate(
      segment,
      segmentSeed(this.logNumber, segment),
      encodeHeader(this.logNumber, segment, this.state.base()),
    );
    this.state.beginSegment(segment, 0);
  }

  flush(): void {
    this.check();
    this.writeOut();
    this.fill();
  }

  sync(): void {
    this.check();
    this.writeOut();
    const { active } = this;
    if (active.synced < active.written) this.syncing(() => active.sync());
    this.fill();
  }

  /** Writes the buffer, beginning segments where they were planned. What was done before an error is not done again. */
  private writeOut(): void {
    const { buffer } = this;
    const { rotations } = buffer;
    try {
      for (;;) {
        const rotation = rotations[0];
        const end = rotation === undefined ? buffer.used : rotation.at;
        if (end > buffer.taken) this.active.write(buffer.u8, buffer.taken, end - buffer.taken);
        buffer.taken = end;
        if (rotation === undefined) break;
        this.rotate(rotation);
        rotations.shift();
      }
    } catch (error) {
      throw fromDisk(error);
    }
    buffer.clear();
  }

  /** The steps of the opening comment; after an error they go on where it happened. */
  private rotate({ segment, header }: Rotation): void {
    const old = this.active;
    if (this.draft === undefined) this.draft = new WritableSegment(this.disk, this.directory);
    const { draft } = this;
    if (draft.segment !== segment) draft.begin(this.logNumber, segment, header);
    if (draft.synced === 0) this.syncing(() => draft.sync());
    if (old.synced < old.written) this.syncing(() => old.sync());
    if (!old.isSealed) {
      old.seal();
      this.syncing(() => old.sync());
    }
    if (!draft.isNamed) draft.name();
    this.syncing(() => this.disk.syncDirectory(this.directory));
    this.active = draft;
    this.draft = undefined;
    old.trim();
    old.close();
  }

  /** Keeps the zeros ahead. Never fails: what is missing is `trouble`, and tried again at the next flush. */
  private fill(): void {
    const { active } = this;
    const { reserveBytes, segmentBytes } = this.options;
    const target = active.written + reserveBytes;
    // What the end of the segment leaves no room for lies in the next one.
    const beyond = Math.min(target - segmentBytes, reserveBytes, segmentBytes);
    try {
      active.fillTo(Math.min(target, segmentBytes), segmentBytes);
      if (beyond > 0) {
        if (this.draft === undefined) this.draft = new WritableSegment(this.disk, this.directory);
        this.draft.fillTo(beyond, segmentBytes);
      }
      this.trouble = undefined;
    } catch (error) {
      const trouble = fromDisk(error);
      if (!(trouble instanceof LogError)) throw error;
      this.trouble = trouble;
    }
  }

  private syncing(sync: () => void): void {
    try {
      sync();
    } catch (error) {
      if (!(error instanceof DiskError)) throw error;
      this.failure = syncFailed(error);
      throw this.failure;
    }
  }

  private check(): void {
    if (this.failure !== undefined) throw this.failure;
    if (this.isClosed) throw new Error('log: it is closed');
  }

  /** Bytes appended and not yet written. */
  get bufferedBytes(): number {
    return this.buffer.used - this.buffer.taken;
  }

  /** Where the log ends as written: a LogReader may read up to there. */
  get writtenSegment(): number {
    return this.active.segment;
  }

  get writtenOffset(): number {
    return this.active.written;
  }

  /** Where it ends as synced, in the segment `writtenSegment`: everything before is durable. */
  get durableOffset(): number {
    return Math.max(this.active.synced, this.active.headerBytes);
  }

  get segmentCount(): number {
    return this.state.segments.length - this.buffer.rotations.length;
  }

  /** Bytes of all segments, without the zeros ahead. */
  get sizeBytes(): number {
    let bytes = this.active.written;
    for (const { segment, sizeBytes } of this.state.segments) if (segment < this.active.segment) bytes += sizeBytes;
    return bytes;
  }

  restartAt(group: number, index: LogIndex): void {
    this.check();
    this.state.restartAt(group, index);
  }

  firstIndex(group: number): LogIndex {
    return this.state.firstIndex(group);
  }

  lastIndex(group: number): LogIndex {
    return this.state.lastIndex(group);
  }

  termAt(group: number, index: LogIndex): number {
    return this.state.termAt(group, index);
  }

  read(group: number, from: LogIndex, to: LogIndex, visit: (record: LogRecord) => boolean): void {
    if (from >= to) return;
    if (to > this.lastIndex(group) + 1) throw new Error(`log: entry ${to - 1} of group ${group} is not there yet`);
    if (from < this.firstIndex(group)) {
      const text = `log: entry ${from} of group ${group} was dropped from ${this.directory}`;
      throw new LogError('COMPACTED', text, this.directory);
    }
    this.readerUpToEnd().read(group, from, to, visit);
  }

  /** One of several steps before `read` from an entry that may be far back (LogReader.prepare); true when it was the last. */
  prepareRead(group: number, from: LogIndex, budgetBytes: number): boolean {
    return this.readerUpToEnd().prepare(group, from, budgetBytes);
  }

  private readerUpToEnd(): LogReader {
    this.flush();
    if (this.reader === undefined) this.reader = new LogReader(this.disk, this.directory);
    this.reader.setEnd(this.active.segment, this.active.written);
    return this.reader;
  }

  /** Takes segments out of the log, from the oldest on, while nothing in them is needed; costs a sync each, rarely. */
  dropThrough(group: number, index: LogIndex): void {
    this.check();
    const state = this.state.find(group);
    if (state === undefined) return;
    // Where the group began anew behind `index`, nothing explains its entries yet, and those before are needed (opening.ts).
    if (index < state.firstIndex - 1) return;
    if (index > state.droppable) state.droppable = index;
    if (!this.canDropOldest()) return;
    // What makes the oldest entries needless may itself be only in the buffer.
    this.sync();
    try {
      while (this.canDropOldest()) {
        this.dropped.add(this.state.segments[0].segment);
        this.syncing(() => this.disk.syncDirectory(this.directory));
        this.state.dropOldest();
      }
    } catch (error) {
      throw fromDisk(error);
    }
  }

  /** Gives back about a MiB of what was dropped, in 0.2 ms; false when there is nothing left to give back. */
  reclaim(): boolean {
    this.check();
    if (this.dropped.isEmpty) return false;
    this.dropped.step();
    return true;
  }

  private canDropOldest(): boolean {
    const { segment, last } = this.state.segments[0];
    if (segment >= this.active.segment) return false;
    for (const [group, index] of last) if (index > this.state.groups.get(group)!.droppable) return false;
    return true;
  }

  /** After a failed sync it only lets go of its files. */
  close(): void {
    if (this.isClosed) return;
    if (this.failure === undefined) {
      this.sync();
      try {
        if (!this.active.isSealed) this.active.seal();
        this.syncing(() => this.active.sync());
        this.active.trim();
        if (this.draft !== undefined) unlinkIfThere(this.disk, draftPath(this.directory));
      } catch (error) {
        throw fromDisk(error);
      }
      for (let hasMore = true; hasMore; ) hasMore = this.reclaim();
    }
    this.isClosed = true;
    this.active.close();
    this.draft?.close();
    this.reader?.close();
  }
}
