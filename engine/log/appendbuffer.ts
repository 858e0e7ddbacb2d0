/**
 * Records on their way to the disk: encoded as they will lie in the file, one behind the other, until they are written
 * at once. The thread that owns the log. Since a record's checksum holds the place where it will lie, it is decided here
 * into which segment it goes: a *rotation* marks where in the buffer a new segment begins.
 */
import { type LogIndex, type LogRecord, PAYLOAD_LIMIT } from './log.ts';
import { emptyRecord, RECORD_HEADER_BYTES, recordBytes, sealRecord } from './record.ts';

/** What may wait here; `hasRoom` tells. */
export const BUFFER_LIMIT = 2 * PAYLOAD_LIMIT;
const FIRST_BYTES = 256 * 1024;
/** A buffer that had to grow beyond this is given back when it is empty. */
const KEPT_BYTES = 16 * 1024 * 1024;
/** Up to this a loop copies as fast as a call, and makes no object. */
const SHORT_BYTES = 64;

/** A place in the buffer from which on records belong to a new segment. */
export interface Rotation {
  at: number;
  segment: number;
  header: Uint8Array;
}

export class AppendBuffer {
  u8 = new Uint8Array(FIRST_BYTES);
  /** Records that are not yet written: u8[taken, used). */
  taken = 0;
  used = 0;
  readonly rotations: Rotation[] = [];
  /** Where the next record will lie: a segment, where its records begin, and the offset. */
  segment = 0;
  headerBytes = 0;
  offset = 0;
  private u32 = new Uint32Array(this.u8.buffer);
  private seed = 0;
  private readonly record: LogRecord = emptyRecord();

  /** Records go into this segment from now on. */
  enter(segment: number, seed: number, headerBytes: number): void {
    this.segment = segment;
    this.seed = seed;
    this.headerBytes = headerBytes;
    this.offset = headerBytes;
  }

  rotate(segment: number, seed: number, header: Uint8Array): void {
    this.rotations.push({ at: this.used, segment, header });
    this.enter(segment, seed, header.length);
  }

  hasRoom(payloadBytes: number): boolean {
    return this.used + recordBytes(payloadBytes) <= BUFFER_LIMIT;
  }

  add(
    group: number,
    term: number,
    index: LogIndex,
    type: number,
    kind: number,
    watermark: number,
    bytes: Uint8Array,
    start: number,
    length: number,
  ): void {
    const size = recordBytes(length);
    if (this.used + size > this.u8.length) this.grow(this.used + size);
    const at = this.used;
    const { u8, u32, record } = this;
    // The padding; the payload covers the rest of the last words.
    u32[(at + size - 8) >>> 2] = 0;
    u32[(at + size - 4) >>> 2] = 0;
    const to = at + RECORD_HEADER_BYTES;
    if (length <= SHORT_BYTES) for (let i = 0; i < length; i++) u8[to + i] = bytes[start + i];
    else u8.set(bytes.subarray(start, start + length), to);
    record.group = group;
    record.term = term;
    record.index = index;
    record.type = type;
    record.kind = kind;
    record.length = length;
    sealRecord(u32, at, record, watermark, this.seed, this.offset);
    this.used += size;
    this.offset += size;
  }

  private grow(needed: number): void {
    const bytes = Math.ceil(Math.max(needed, Math.min(this.u8.length * 2, BUFFER_LIMIT)) / 4096) * 4096;
    const grown = new Uint8Array(bytes);
    grown.set(this.u8.subarray(0, this.used));
    this.u8 = grown;
    this.u32 = new Uint32Array(grown.buffer);
  }

  /** Everything is written. */
  clear(): void {
    this.taken = 0;
    this.used = 0;
    if (this.u8.length <= KEPT_BYTES) return;
    this.u8 = new Uint8Array(FIRST_BYTES);
    this.u32 = new Uint32Array(this.u8.buffer);
  }
}
