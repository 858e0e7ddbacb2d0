/**
 * The bytes of a snapshot file `snapshot-<index, 16 digits>.mrs`: pure functions from plain data to bytes and back, for
 * the thread that writes (write-file.ts) and the thread that reads (read-file.ts). Whoever decodes is told of every bit
 * that differs from what was encoded: the numbers in a header, a frame or the footer by their own CRC32C, the contents of
 * a frame by the CRC32C in its header, frames lost or exchanged by their numbers, frames of another snapshot by `owner`
 * (the header's CRC, which covers a random id), a file cut short by the footer that is missing.
 *
 * A snapshot is a sequence of *chunks*: items of RDB (SELECTDB included), opaque here, about 128 KiB each (1 MiB in files of former versions) or
 * one large value. A chunk is stored as one or more *frames* of at most 4 MiB before compression, so that nobody has to hold a
 * value of 1 GiB twice, and an abort need not wait for it. All numbers are little-endian; offsets in bytes.
 *
 * ```
 * file    header | frame | frame | ... | footer
 *
 * header  +0 magic "MRSNAP\r\n" | +8 version u32 (1) | +12 size u32, of the whole header
 *         +16 id, 16 bytes | +32 time u64, ms since 1970
 *         +40 groups u32 | +44 creatorSize u32 | +48 configSize u32 | +52 zero u32
 *         +56 per group of the log: group u32, zero u32, index u64, term u64
 *         ... creator (UTF-8: name and version) | configuration of the groups, opaque | CRC32C u32 of all before it
 *
 * frame   +0 magic "MRFR" | +4 owner u32 | +8 number u32, from 0 | +12 rest u32, bytes of the chunk from here on
 *         +16 raw u32 | +20 stored u32 | +24 keys u32, those of the chunk, in its first frame, else 0
 *         +28 CRC32C u32 of the stored bytes | +32 codec u8 (0 as it is, 1 zstd, 2 deflate-raw), 3 zeros
 *         +36 CRC32C u32 of the 36 bytes before it | +40 the stored bytes
 *
 * footer  +0 magic "MREN" | +4 owner u32 | +8 chunks u32 | +12 frames u32 | +16 keys u64 | +24 raw bytes u64
 *         +32 offset u64, of the footer itself | +40 CRC32C u32 over all frame headers
 *         +44 CRC32C u32 of the 44 bytes before it | +48 end magic "MRSNEND\n"
 * ```
 *
 * The only frame of a snapshot whose header has the checksum acd94f14: a chunk of two strings, too short to shrink.
 *
 * ```
 * 4d 52 46 52 | 14 4f d9 ac | 00 00 00 00 | 1b 00 00 00   "MRFR", owner, frame 0, 27 bytes of the chunk from here on
 * 1b 00 00 00 | 1b 00 00 00 | 02 00 00 00 | 89 d4 14 cb   27 bytes raw, 27 stored, 2 keys, their checksum
 * 00 00 00 00 | 84 b8 e1 81                               as it is; checksum of the 36 bytes above
 * fe 00                                                   SELECTDB 0
 * 00 01 61 05 68 65 6c 6c 6f                              a string: key "a", value "hello"
 * 00 02 62 62 0b 6d 69 6c 6c 72 61 63 65 20 6f 6b         another: key "bb", value "millrace ok"
 * ```
 */
import { crc32c } from '../log/crc32c.ts';
import { damaged, SnapshotError } from './file-errors.ts';

export const FORMAT_VERSION = 1;
/** The part of a header whose size is known beforehand. */
export const HEADER_START = 56;
/** Larger headers are refused: a size read from a damaged file reserves no memory beyond it. */
export const MAX_HEADER_BYTES = 64 * 1024 * 1024;
export const FRAME_HEADER = 40;
/** Most bytes of a chunk in one frame. */
export const FRAME_BYTES = 4 * 1024 * 1024;
/** A larger chunk has no place in `rest`; the largest value of a shard is smaller. */
export const MAX_CHUNK_BYTES = 0xffffffff;
export const FOOTER_BYTES = 56;

export const CODEC = { NONE: 0, ZSTD: 1, DEFLATE: 2 } as const;

const MAGIC = Buffer.from('MRSNAP\r\n', 'latin1');
const END_MAGIC = Buffer.from('MRSNEND\n', 'latin1');
const FRAME_MAGIC = Buffer.from('MRFR', 'latin1').readUInt32LE(0);
const FOOTER_MAGIC = Buffer.from('MREN', 'latin1').readUInt32LE(0);
const GROUP_BYTES = 24;

/** How far a group's log is contained in a snapshot. */
export interface GroupPosition {
  group: number;
  index: number;
  term: number;
}

export interface SnapshotHeader {
  /** UUID, in its text form. */
  id: string;
  /** The moment whose state this is, ms since 1970. */
  timeMs: number;
  groups: readonly GroupPosition[];
  /** Program and version that wrote the file. */
  creator: string;
  /** The groups' members, as Raft encodes them; empty without Raft. */
  config: Uint8Array;
}

/** What `header` names, and what the frames need of it. */
export interface DecodedHeader extends SnapshotHeader {
  /** Its own checksum, by which frames and footer name the file they belong to. */
  owner: number;
  /** The offset of the first frame. */
  sizeBytes: number;
}

/** One frame header; reused for each. */
export class Frame {
  number = 0;
  /** Bytes of the chunk from this frame on: `raw` in the chunk's last frame. */
  rest = 0;
  raw = 0;
  stored = 0;
  keys = 0;
  crc = 0;
  codec = 0;
}

export interface SnapshotFooter {
  chunks: number;
  frames: number;
  keys: number;
  rawBytes: number;
  /** Where the footer begins. */
  offset: number;
  /** CRC32C over all frame headers. */
  framesCrc: number;
}

/** The number in the file's name: for one group the index of its last entry, for several the sum of theirs. */
export function positionOf(groups: readonly GroupPosition[]): number {
  let sum = 0;
  for (const group of groups) sum += group.index;
  return sum;
}

export function encodeHeader(header: SnapshotHeader): Buffer {
  const creator = Buffer.from(header.creator, 'utf8');
  const id = Buffer.from(header.id.replaceAll('-', ''), 'hex');
  if (id.length !== 16) throw new Error(`snapshot: ${header.id} is not a UUID`);
  const sizeBytes = HEADER_START + header.groups.length * GROUP_BYTES + creator.length + header.config.length + 4;
  if (sizeBytes > MAX_HEADER_BYTES) throw new Error(`snapshot: a header of ${sizeBytes} bytes`);
  const b = Buffer.alloc(sizeBytes);
  MAGIC.copy(b, 0);
  b.writeUInt32LE(FORMAT_VERSION, 8);
  b.writeUInt32LE(sizeBytes, 12);
  id.copy(b, 16);
  writeU64(b, header.timeMs, 32);
  b.writeUInt32LE(header.groups.length, 40);
  b.writeUInt32LE(creator.length, 44);
  b.writeUInt32LE(header.config.length, 48);
  let at = HEADER_START;
  for (const { group, index, term } of header.groups) {
    b.writeUInt32LE(group, at);
    writeU64(b, index, at + 8);
    writeU64(b, term, at + 16);
    at += GROUP_BYTES;
  }
  creator.copy(b, at);
  b.set(header.config, at + creator.length);
  b.writeUInt32LE(crc32c(b, 0, sizeBytes - 4), sizeBytes - 4);
  return b;
}

/** The checksum of an encoded header, by which frames and footer name their file. */
export function headerOwner(header: Buffer): number {
  return header.readUInt32LE(header.length - 4);
}

/** The size of a whole header, from its first `HEADER_START` bytes (fewer, when the file is shorter). */
export function headerSize(file: string, start: Buffer): number {
  const foreign = start.length < MAGIC.length || start.compare(MAGIC, 0, MAGIC.length, 0, MAGIC.length) !== 0;
  if (foreign) throw damaged(file, 0, 'it does not begin as a snapshot does');
  if (start.length < HEADER_START) throw damaged(file, start.length, 'the file ends within its header');
  const version = start.readUInt32LE(8);
  const sizeBytes = start.readUInt32LE(12);
  // A version far from ours is more likely a flipped bit than a program of the far future: both refuse the file.
  if (version !== FORMAT_VERSION)
    throw new SnapshotError(
      'VERSION',
      `snapshot ${file} has format version ${version}; this program reads version ${FORMAT_VERSION}`,
      file,
      8,
    );
  if (sizeBytes < HEADER_START + 4 || sizeBytes > MAX_HEADER_BYTES)
    throw damaged(file, 12, `a header of ${sizeBytes} bytes`);
  return sizeBytes;
}

/** Decodes a header of which `b` holds `headerSize` bytes, or what the file has of them. */
export function decodeHeader(file: string, b: Buffer): DecodedHeader {
  const sizeBytes = headerSize(file, b);
  if (b.length < sizeBytes) throw damaged(file, b.length, 'the file ends within its header');
  const owner = headerOwner(b.subarray(0, sizeBytes));
  if (owner !== crc32c(b, 0, sizeBytes - 4)) throw damaged(file, 0, 'the header does not match its checksum');
  const groupCount = b.readUInt32LE(40);
  const creatorSize = b.readUInt32LE(44);
  const configSize = b.readUInt32LE(48);
  if (HEADER_START + groupCount * GROUP_BYTES + creatorSize + configSize + 4 !== sizeBytes)
    throw damaged(file, 40, 'the parts of the header do not add up to its size');
  const groups: GroupPosition[] = [];
  let at = HEADER_START;
  for (let i = 0; i < groupCount; i++, at += GROUP_BYTES)
    groups.push({ group: b.readUInt32LE(at), index: readU64(file, b, at + 8), term: readU64(file, b, at + 16) });
  const hex = b.toString('hex', 16, 32);
  return {
    id: hex.replace(/^(.{8})(.{4})(.{4})(.{4})/, '$1-$2-$3-$4-'),
    timeMs: readU64(file, b, 32),
    groups,
    creator: b.toString('utf8', at, at + creatorSize),
    config: Uint8Array.from(b.subarray(at + creatorSize, at + creatorSize + configSize)),
    owner,
    sizeBytes,
  };
}

export function encodeFrame(frame: Frame, owner: number): Buffer {
  const b = Buffer.alloc(FRAME_HEADER);
  b.writeUInt32LE(FRAME_MAGIC, 0);
  b.writeUInt32LE(owner, 4);
  b.writeUInt32LE(frame.number, 8);
  b.writeUInt32LE(frame.rest, 12);
  b.writeUInt32LE(frame.raw, 16);
  b.writeUInt32LE(frame.stored, 20);
  b.writeUInt32LE(frame.keys, 24);
  b.writeUInt32LE(frame.crc, 28);
  b.writeUInt32LE(frame.codec, 32);
  b.writeUInt32LE(crc32c(b, 0, 36), 36);
  return b;
}

/**
 * Decodes the frame header in `b`, which lies at `offset` of the file, into `frame`. `number` is the frame's expected one;
 * `rest` what the frame before it left of its chunk, 0 when this one begins a chunk.
 */
export function decodeFrame(
  file: string,
  offset: number,
  b: Buffer,
  frame: Frame,
  owner: number,
  number: number,
  rest: number,
): void {
  if (b.readUInt32LE(0) !== FRAME_MAGIC) throw damaged(file, offset, 'no frame begins here');
  if (b.readUInt32LE(36) !== crc32c(b, 0, 36))
    throw damaged(file, offset, 'the header of a frame does not match its checksum');
  if (b.readUInt32LE(4) !== owner) throw damaged(file, offset, 'a frame of another snapshot');
  frame.number = b.readUInt32LE(8);
  frame.rest = b.readUInt32LE(12);
  frame.raw = b.readUInt32LE(16);
  frame.stored = b.readUInt32LE(20);
  frame.keys = b.readUInt32LE(24);
  frame.crc = b.readUInt32LE(28);
  frame.codec = b.readUInt32LE(32);
  if (frame.number !== number) throw damaged(file, offset, `frame ${frame.number} where frame ${number} belongs`);
  const sound =
    frame.raw > 0 &&
    frame.raw <= FRAME_BYTES &&
    frame.raw <= frame.rest &&
    (rest === 0 || frame.rest === rest) &&
    // What does not shrink is stored as it is.
    (frame.codec === CODEC.NONE ? frame.stored === frame.raw : frame.stored < frame.raw);
  if (!sound) throw damaged(file, offset, 'the sizes of a frame contradict each other');
}

export function encodeFooter(footer: SnapshotFooter, owner: number): Buffer {
  const b = Buffer.alloc(FOOTER_BYTES);
  b.writeUInt32LE(FOOTER_MAGIC, 0);
  b.writeUInt32LE(owner, 4);
  b.writeUInt32LE(footer.chunks, 8);
  b.writeUInt32LE(footer.frames, 12);
  writeU64(b, footer.keys, 16);
  writeU64(b, footer.rawBytes, 24);
  writeU64(b, footer.offset, 32);
  b.writeUInt32LE(footer.framesCrc, 40);
  b.writeUInt32LE(crc32c(b, 0, 44), 44);
  END_MAGIC.copy(b, 48);
  return b;
}

/** Decodes the last `FOOTER_BYTES` of a file, which lie at `offset`. */
export function decodeFooter(file: string, offset: number, b: Buffer, owner: number): SnapshotFooter {
  if (b.length !== FOOTER_BYTES || b.compare(END_MAGIC, 0, 8, 48, 56) !== 0)
    throw damaged(file, offset, 'the file does not end as a snapshot does; it may have been cut short');
  if (b.readUInt32LE(0) !== FOOTER_MAGIC || b.readUInt32LE(44) !== crc32c(b, 0, 44))
    throw damaged(file, offset, 'the footer does not match its checksum');
  if (b.readUInt32LE(4) !== owner) throw damaged(file, offset, 'the footer of another snapshot');
  const footer = {
    chunks: b.readUInt32LE(8),
    frames: b.readUInt32LE(12),
    keys: readU64(file, b, 16),
    rawBytes: readU64(file, b, 24),
    offset: readU64(file, b, 32),
    framesCrc: b.readUInt32LE(40),
  };
  if (footer.offset !== offset) throw damaged(file, offset, `the footer belongs at offset ${footer.offset}`);
  return footer;
}

function writeU64(b: Buffer, value: number, at: number): void {
  if (!Number.isSafeInteger(value) || value < 0) throw new Error(`snapshot: ${value} is not a whole number`);
  b.writeBigUInt64LE(BigInt(value), at);
}

function readU64(file: string, b: Buffer, at: number): number {
  const value = Number(b.readBigUInt64LE(at));
  if (!Number.isSafeInteger(value)) throw damaged(file, at, `${value} is no number of ours`);
  return value;
}
