/**
 * A record of the log, as bytes. Any thread; encoding and checking cost the checksum (crc32c.ts) and a few ns.
 *
 * ```
 * record, 8-aligned, little-endian, offsets in bytes
 * +0  crc u32        CRC-32C of everything behind it, padding included, begun with the segment's seed ^ (offset / 8)
 * +4  length u32     of the payload
 * +8  type u8        1 = entry, 2 = entry that begins its group or follows a declared gap; 0 = here ends what was written
 * +9  kind u8        of the entry, its user's business; 0 where there is only one
 * +10 zero u16
 * +12 group u32
 * +16 index u64      whole numbers below 2^53
 * +24 term u64
 * +32 watermark u64  everything in this segment below this offset was synced when this record was written
 * +40 payload, then zeros up to the next multiple of 8
 * ```
 *
 * The seed comes from the log's and the segment's number (segment.ts), so a record is valid at one offset of one file only:
 * bytes of another segment, of an earlier file in the same blocks, or a log that somebody stored as a value never pass.
 *
 * The watermark tells damage from a torn tail. Only what was not synced may be torn by a loss of power; a bad record
 * below the watermark of a valid one was synced, so it is damage, and cutting there would lose what was acknowledged.
 *
 * An example: entry 7 of group 0 in term 3, payload "abc", at offset 4096 of segment 1 of log 5, all before it synced:
 * ```
 * 34 4c a9 68  crc: 68a94c34
 * 03 00 00 00  three bytes of payload
 * 01 00 00 00  an entry, of kind 0
 * 00 00 00 00  group 0
 * 07 00 00 00 00 00 00 00  index 7
 * 03 00 00 00 00 00 00 00  term 3
 * 00 10 00 00 00 00 00 00  synced up to 4096, which is here
 * 61 62 63 00 00 00 00 00  "abc" and padding: 48 bytes in all
 * ```
 */
import { crc32cWords } from './crc32c.ts';
import { type LogRecord, PAYLOAD_LIMIT } from './log.ts';

export const RECORD_HEADER_BYTES = 40;
export const TYPE_ENTRY = 1;
/** An entry that need not follow the one before it: the first of its group, or the first behind `restartAt`. */
export const TYPE_RESTART = 2;

const WORD = 4294967296;
const LARGEST_HIGH_WORD = 2 ** 21 - 1;
const LARGEST_TYPE_WORD = 0xffff;

/** What a record takes in the file. */
export function recordBytes(payloadBytes: number): number {
  // Without bit operations: header and payload together may pass 2^31 in sums over many records.
  return RECORD_HEADER_BYTES + payloadBytes + ((8 - (payloadBytes & 7)) & 7);
}

/** Writes a record's header and checksum around a payload that already lies at at + RECORD_HEADER_BYTES, padding included. */
export function sealRecord(
  u32: Uint32Array,
  at: number,
  record: LogRecord,
  watermark: number,
  seed: number,
  offset: number,
): void {
  const w = at >>> 2;
  u32[w + 1] = record.length;
  u32[w + 2] = record.type | (record.kind << 8);
  u32[w + 3] = record.group;
  u32[w + 4] = record.index;
  u32[w + 5] = record.index / WORD;
  u32[w + 6] = record.term;
  u32[w + 7] = record.term / WORD;
  u32[w + 8] = watermark;
  u32[w + 9] = watermark / WORD;
  u32[w] = crc32cWords(u32, at + 4, recordBytes(record.length) - 4, seed ^ (offset / 8));
}

/** Whether the header at `at` could be one: its record would be at most `room` bytes and belong at `offset`. Checks no checksum. */
export function isPlausible(u32: Uint32Array, at: number, room: number, offset: number): boolean {
  const w = at >>> 2;
  const type = u32[w + 2] & 0xff;
  const length = u32[w + 1];
  return (
    (type === TYPE_ENTRY || type === TYPE_RESTART) &&
    u32[w + 2] <= LARGEST_TYPE_WORD &&
    length <= PAYLOAD_LIMIT &&
    recordBytes(length) <= room &&
    (u32[w + 4] !== 0 || u32[w + 5] !== 0) &&
    u32[w + 5] <= LARGEST_HIGH_WORD &&
    u32[w + 7] <= LARGEST_HIGH_WORD &&
    watermarkAt(u32, at) <= offset
  );
}

/** Whether the whole record at `at` carries its own checksum. */
export function isIntact(u32: Uint32Array, at: number, seed: number, offset: number): boolean {
  const size = recordBytes(u32[(at >>> 2) + 1]);
  return u32[at >>> 2] === crc32cWords(u32, at + 4, size - 4, seed ^ (offset / 8));
}

export function watermarkAt(u32: Uint32Array, at: number): number {
  const w = at >>> 2;
  return u32[w + 8] + u32[w + 9] * WORD;
}

/** What the record at `at` takes in the file. */
export function recordBytesAt(u32: Uint32Array, at: number): number {
  return recordBytes(u32[(at >>> 2) + 1]);
}

/** Fills `into` from the header at `at`. */
export function decodeRecord(u8: Uint8Array, u32: Uint32Array, at: number, into: LogRecord): void {
  const w = at >>> 2;
  into.length = u32[w + 1];
  into.type = u32[w + 2] & 0xff;
  into.kind = u32[w + 2] >>> 8;
  into.group = u32[w + 3];
  into.index = u32[w + 4] + u32[w + 5] * WORD;
  into.term = u32[w + 6] + u32[w + 7] * WORD;
  into.bytes = u8;
  into.start = at + RECORD_HEADER_BYTES;
}

export function emptyRecord(): LogRecord {
  return { group: 0, term: 0, index: 0, type: 0, kind: 0, bytes: new Uint8Array(0), start: 0, length: 0 };
}
