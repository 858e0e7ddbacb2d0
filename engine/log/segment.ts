/**
 * A segment: one file of the log, its name, header and seal. Any thread; cold code.
 *
 * ```
 * 0000000000000007.log, little-endian, offsets in bytes
 * +0    magic "MILLRLOG" | +8 version u32 | +12 crc u32 | +16 headerBytes u32 | +20 log u32 | +24 segment u64 | +32 groupCount u32
 * +512  the seal, all zero until the segment ends: magic "SEAL" | crc u32 | +520 end u64
 * +1024 base, one for each group: group u32 | zero u32 | lastIndex u64 | lastTerm u64, as they were when the segment began
 * then zeros up to headerBytes, a multiple of 4096; records (record.ts); zeros, written ahead
 * ```
 *
 * The header's checksum covers all of it but itself and the seal, which has its own and a sector of its own: writing it
 * cannot tear the header. A sealed segment ends at `end` exactly, whatever the file has behind it. Every segment but the last is
 * sealed, and the last too after a clean stop: then a record that cannot be read is damage, never a torn tail.
 *
 * The log's number is drawn when the log is made, and the same in all its segments: a file from elsewhere does not fit.
 */
import { crc32c } from './crc32c.ts';
import type { Disk, DiskFile } from './disk.ts';
import { corrupt, fromDisk, LogError } from './errors.ts';

export const FORMAT_VERSION = 1;
const MAGIC = Buffer.from('MILLRLOG');
const SEAL_MAGIC = Buffer.from('SEAL');
const SEAL_OFFSET = 512;
const BASE_OFFSET = 1024;
const BASE_BYTES = 24;
export const HEADER_STEP_BYTES = 4096;
const NAME = /^(\d{16})\.log$/;

/** Where a group stood when a segment began. */
export interface GroupBase {
  group: number;
  lastIndex: number;
  lastTerm: number;
}

export interface SegmentHeader {
  log: number;
  segment: number;
  /** Where the records begin. */
  headerBytes: number;
  base: GroupBase[];
  /** Where they end; 0 while the segment is not sealed, -1 when the seal is damaged. */
  end: number;
}

export function segmentPath(directory: string, segment: number): string {
  return `${directory}/${String(segment).padStart(16, '0')}.log`;
}

/** The name of a segment that is not yet one: whatever has it after a crash is worthless. */
export function draftPath(directory: string): string {
  return `${directory}/segment.log.tmp`;
}

/** The numbers of the segments in a directory, ascending; other files are none of the log's business. */
export function listSegments(disk: Disk, directory: string): number[] {
  const numbers: number[] = [];
  for (const name of listNames(disk, directory)) {
    const match = NAME.exec(name);
    if (match !== null) numbers.push(Number(match[1]));
  }
  return numbers.sort((a, b) => a - b);
}

function listNames(disk: Disk, directory: string): string[] {
  try {
    return disk.list(directory);
  } catch (error) {
    throw fromDisk(error);
  }
}

/**
 * Takes the segments from `first` on out of the log; they stay beside it as `*.unused`. From the newest on, each durably, so
 * that what is left is always a log.
 */
export function putAside(disk: Disk, directory: string, first: number): void {
  try {
    for (const segment of listSegments(disk, directory).reverse()) {
      if (segment < first) return;
      const path = segmentPath(directory, segment);
      const names = new Set(disk.list(directory).map((name) => `${directory}/${name}`));
      let aside = `${path}.unused`;
      for (let i = 2; names.has(aside); i++) aside = `${path}.${i}.unused`;
      disk.rename(path, aside);
      disk.syncDirectory(directory);
    }
  } catch (error) {
    throw fromDisk(error);
  }
}

/** What the checksums in a segment begin with. */
export function segmentSeed(log: number, segment: number): number {
  const b = Buffer.alloc(12);
  b.writeUInt32LE(log, 0);
  writeU64(b, segment, 4);
  return crc32c(b, 0, 12);
}

export function encodeHeader(log: number, segment: number, base: readonly GroupBase[]): Buffer {
  const needed = BASE_OFFSET + base.length * BASE_BYTES;
  const b = Buffer.alloc(alignedHeader(needed));
  MAGIC.copy(b, 0);
  b.writeUInt32LE(FORMAT_VERSION, 8);
  b.writeUInt32LE(b.length, 16);
  b.writeUInt32LE(log, 20);
  writeU64(b, segment, 24);
  b.writeUInt32LE(base.length, 32);
  base.forEach(({ group, lastIndex, lastTerm }, i) => {
    const at = BASE_OFFSET + i * BASE_BYTES;
    b.writeUInt32LE(group, at);
    writeU64(b, lastIndex, at + 8);
    writeU64(b, lastTerm, at + 16);
  });
  b.writeUInt32LE(headerChecksum(b), 12);
  return b;
}

/** The seal's sector, to be written at `SEAL_OFFSET`. */
function encodeSeal(seed: number, end: number): Buffer {
  const b = Buffer.alloc(BASE_OFFSET - SEAL_OFFSET);
  SEAL_MAGIC.copy(b, 0);
  writeU64(b, end, 8);
  b.writeUInt32LE(crc32c(b, 8, b.length - 8, seed), 4);
  return b;
}

/** Writes the seal. The records below `end` must be synced before, the seal is after the next sync. */
export function writeSeal(file: DiskFile, seed: number, end: number): void {
  const seal = encodeSeal(seed, end);
  // One sector: it is written or not.
  const taken = file.write(seal, 0, seal.length, SEAL_OFFSET);
  if (taken !== seal.length)
    throw new LogError('IO', `log: cannot seal ${file.path}: short write`, file.path, SEAL_OFFSET);
}

/** Reads and checks the header of a segment. */
export function readHeader(file: DiskFile, directory: string, segment: number): SegmentHeader {
  try {
    return decodeHeader(file, directory, segment);
  } catch (error) {
    throw fromDisk(error);
  }
}

function decodeHeader(file: DiskFile, directory: string, segment: number): SegmentHeader {
  const path = segmentPath(directory, segment);
  let b = Buffer.alloc(HEADER_STEP_BYTES);
  if (file.read(b, 0, b.length, 0) < b.length) throw corrupt(path, 0, 'the file is shorter than its header');
  if (!b.subarray(0, 8).equals(MAGIC)) throw corrupt(path, 0, 'the header does not begin as that of a segment');
  const version = b.readUInt32LE(8);
  // A header that fits once its version is put right was changed there; any other is of a format not known here.
  b.writeUInt32LE(FORMAT_VERSION, 8);
  const what = version === FORMAT_VERSION ? '' : `the header says format version ${version}`;
  const headerBytes = b.readUInt32LE(16);
  const groupCount = b.readUInt32LE(32);
  const needed = BASE_OFFSET + groupCount * BASE_BYTES;
  const isPossible = headerBytes === alignedHeader(needed) && headerBytes <= file.size();
  if (isPossible && headerBytes > b.length) {
    b = Buffer.alloc(headerBytes);
    if (file.read(b, 0, b.length, 0) < b.length) throw corrupt(path, 0, 'the file is shorter than its header');
    b.writeUInt32LE(FORMAT_VERSION, 8);
  }
  const isIntact = isPossible && b.readUInt32LE(12) === headerChecksum(b);
  if (what !== '' && !isIntact) {
    const text = `the log has format version ${version}, and this program reads version ${FORMAT_VERSION} (${path})`;
    throw new LogError('VERSION', text, path, 8);
  }
  if (what !== '') throw corrupt(path, 8, what);
  if (!isIntact) throw corrupt(path, 0, 'the header does not match its checksum');
  const log = b.readUInt32LE(20);
  const number = readU64(b, 24);
  if (number !== segment) throw corrupt(path, 24, `the header is that of segment ${number}`);
  const base: GroupBase[] = [];
  for (let at = BASE_OFFSET; at < needed; at += BASE_BYTES) {
    base.push({ group: b.readUInt32LE(at), lastIndex: readU64(b, at + 8), lastTerm: readU64(b, at + 16) });
  }
  return { log, segment, headerBytes, base, end: readSeal(b, segmentSeed(log, segment), headerBytes) };
}

function readSeal(b: Buffer, seed: number, headerBytes: number): number {
  const seal = b.subarray(SEAL_OFFSET, BASE_OFFSET);
  if (seal.every((byte) => byte === 0)) return 0;
  const end = readU64(seal, 8);
  if (!Number.isSafeInteger(end) || end < headerBytes) return -1;
  return seal.equals(encodeSeal(seed, end)) ? end : -1;
}

function alignedHeader(needed: number): number {
  return Math.ceil(needed / HEADER_STEP_BYTES) * HEADER_STEP_BYTES;
}

function headerChecksum(b: Buffer): number {
  const before = crc32c(b, 0, 12);
  return crc32c(b, BASE_OFFSET, b.length - BASE_OFFSET, crc32c(b, 16, SEAL_OFFSET - 16, before));
}

function writeU64(b: Buffer, value: number, at: number): void {
  b.writeUInt32LE(value % 4294967296, at);
  b.writeUInt32LE(Math.floor(value / 4294967296), at + 4);
}

/** A damaged number may be above 2^53: then it is wrong in any case, and the checksums say so. */
function readU64(b: Buffer, at: number): number {
  return b.readUInt32LE(at) + b.readUInt32LE(at + 4) * 4294967296;
}
