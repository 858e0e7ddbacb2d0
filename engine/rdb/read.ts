/**
 * Reads a whole dump.rdb, of any size, in pieces: `step` loads keys for some milliseconds and says whether there is more, so
 * that whoever calls it can answer clients meanwhile and show how far it is. On a thread that holds the locks of all
 * shards during a step.
 *
 * The buffer always begins with an item that is not loaded yet. When the bytes end within an item, the item is begun anew
 * once more of the file is there; the buffer grows to the item's size, and no further than the file's rest. Small items are
 * so never split, and a value of 512 MiB is decoded twice at most, as its string says how long it is.
 *
 * ```
 * "REDIS" + four digits of version | items (decode.ts) | EOF | crc64 u64, little-endian, 0 = none (since version 5)
 * ```
 * Example, a file without keys: `52 45 44 49 53 30 30 30 36 | ff | dc b3 43 f0 5a dc f2 56`.
 */
import { closeSync, fstatSync, openSync, readSync } from 'node:fs';
import type { Call } from '../call.ts';
import { Crc64 } from './crc64.ts';
import { ItemLoader, type LoadOptions, type LoadReport } from './decode.ts';
import { RdbError } from './errors.ts';
import { RdbInput } from './input.ts';
import { RDB_MAGIC, RDB_VERSION_NEWEST } from './opcodes.ts';

/** How much is read at once. */
const PIECE_BYTES = 4 * 1024 * 1024;
/** The clock is looked at after so many items. */
const ITEMS_PER_LOOK = 64;
/** Type, an empty name, an empty string. */
const LEAST_KEY_BYTES = 3;
const HEADER_BYTES = 9;
const CHECKSUM_BYTES = 8;
const FIRST_CHECKSUM_VERSION = 5;

/** Where the bytes come from. */
export interface RdbSource {
  readonly sizeBytes: number;
  /** Reads up to `length` bytes from `position` on to `to[start..]`; returns how many, 0 at the end. */
  read(to: Uint8Array, start: number, length: number, position: number): number;
  close(): void;
}

/** A file of the local disk. Errors of the system come as they are. */
export function openRdbSource(path: string): RdbSource {
  const file = openSync(path, 'r');
  return {
    sizeBytes: fstatSync(file).size,
    read: (to, start, length, position) => readSync(file, to, start, length, position),
    close: () => closeSync(file),
  };
}

export class RdbFile {
  readonly version: number;
  readonly report: LoadReport;
  private readonly source: RdbSource;
  private readonly loader: ItemLoader;
  private readonly crc = new Crc64();
  private input = new RdbInput(new Uint8Array(0));
  /** The database of the next key; a step sets the call to it. */
  private db = 0;

  /** Takes the source over, which it closes if it throws, and reads the header. */
  constructor(source: RdbSource, options: LoadOptions = {}) {
    this.source = source;
    this.loader = new ItemLoader({ ...options, mostKeys: Math.floor(source.sizeBytes / LEAST_KEY_BYTES) });
    this.report = this.loader.report;
    try {
      this.fill(PIECE_BYTES);
      this.version = this.readHeader();
    } catch (error) {
      source.close();
      throw error;
    }
  }

  /** How much of the file has been loaded. */
  get doneBytes(): number {
    return this.input.base + this.input.at;
  }

  get sizeBytes(): number {
    return this.source.sizeBytes;
  }

  close(): void {
    this.source.close();
  }

  private readHeader(): number {
    const { input } = this;
    if (input.end < HEADER_BYTES) throw input.error('NOT_RDB', 'the file is too short for an RDB file');
    let header = '';
    for (let i = 0; i < HEADER_BYTES; i++) header += String.fromCharCode(input.u8[i]);
    const digits = header.slice(RDB_MAGIC.length);
    if (!header.startsWith(RDB_MAGIC) || !/^\d{4}$/.test(digits)) {
      throw input.error('NOT_RDB', 'the file does not begin as an RDB file does');
    }
    const version = Number(digits);
    if (version < 1 || version > RDB_VERSION_NEWEST) {
      throw input.error('VERSION', `RDB version ${version}; up to ${RDB_VERSION_NEWEST} can be read`);
    }
    input.at += HEADER_BYTES;
    return version;
  }

  /** Loads items for about `budgetMs`; returns whether there are more. */
  step(c: Call, budgetMs: number): boolean {
    if (this.loader.isEnded) return false;
    const until = performance.now() + budgetMs;
    c.db = this.db;
    do {
      for (let i = 0; i < ITEMS_PER_LOOK && !this.loader.isEnded; i++) this.item(c);
    } while (!this.loader.isEnded && performance.now() < until);
    this.db = c.db;
    if (this.loader.isEnded) this.finish();
    return !this.loader.isEnded;
  }

  /** Loads one item; reads on and begins it anew as often as its bytes end too early. */
  private item(c: Call): void {
    for (;;) {
      const { input } = this;
      const start = input.at;
      try {
        this.loader.load(c, input);
        return;
      } catch (error) {
        if (!(error instanceof RdbError) || error.code !== 'TRUNCATED') throw error;
        const missing = error.offset + error.wanted - this.bufferedEnd;
        if (missing > this.source.sizeBytes - this.bufferedEnd) throw error;
        input.at = start;
        // An item of many parts does not know its size, and should not be begun anew for each of them.
        this.fill(Math.max(missing, PIECE_BYTES, input.end - start));
      }
    }
  }

  /** Where in the file the buffer ends. */
  private get bufferedEnd(): number {
    return this.input.base + this.input.end;
  }

  /** Drops what is loaded, which goes into the checksum, and reads up to `bytes` more behind what is not. */
  private fill(bytes: number): void {
    const { input, source } = this;
    this.crc.update(input.u8, 0, input.at);
    const kept = input.end - input.at;
    const more = Math.min(bytes, source.sizeBytes - this.bufferedEnd);
    const u8 = new Uint8Array(kept + more);
    u8.set(input.u8.subarray(input.at, input.end));
    let end = kept;
    for (let got = 1; end < u8.length && got > 0; end += got) {
      got = source.read(u8, end, u8.length - end, this.bufferedEnd + end - kept);
    }
    const next = new RdbInput(u8, 0, end);
    next.base = input.base + input.at;
    this.input = next;
    if (end < u8.length) throw next.error('TRUNCATED', 'the file has become shorter while it was read');
  }

  /** Compares the checksum behind EOF. */
  private finish(): void {
    if (this.version < FIRST_CHECKSUM_VERSION) return;
    if (this.input.end - this.input.at < CHECKSUM_BYTES) this.fill(CHECKSUM_BYTES);
    const { input, crc } = this;
    crc.update(input.u8, 0, input.at);
    const low = input.int32();
    const high = input.int32();
    if ((low | high) === 0 || (low === (crc.low | 0) && high === (crc.high | 0))) return;
    throw input.error('CHECKSUM', 'the checksum at the end is not that of the file, which has been damaged');
  }
}
