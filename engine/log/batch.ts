/**
 * What an entry of the log holds: the writes of one turn of the event loop, in the order in which they were accepted, each
 * with what it needs to do the same again anywhere: its database, its clock and its randomness. Encoded by the thread
 * that accepts writes (about 0.1 us for a short SET), decoded when a log is replayed.
 *
 * ```
 * entry:   command after command
 * command: u8 flags | [f64 time, ms since 1970] | [varint database] | [u32 seed] | varint argument count
 *          | per argument: varint length, bytes
 * flags:   1 time follows, 2 database follows, 4 seed follows; else time and database are those of the command before
 * varint:  seven bits a byte, lowest first, the highest bit set in all but the last
 * ```
 * Example, `SET a 7` in database 0 at time 1: `03 | 00 00 00 00 00 00 f0 3f | 00 | 03 | 03 53 45 54 | 01 61 | 01 37`.
 *
 * Commands are kept by name, as the client sent them, not by number: a log outlives the version that wrote it.
 */
import type { Call } from '../call.ts';
import type { Request } from '../request.ts';

const HAS_TIME = 1;
const HAS_DB = 2;
const HAS_SEED = 4;

/** The seed of a command that drew nothing, changed something, and came to an error all the same: one that filled its shard. */
export const FAILED_SEED = 1;

/** Flags, time, database, seed and argument count take this much at most. */
const HEAD_BYTES = 1 + 8 + 2 + 4 + 5;
const VARINT_BYTES = 5;
/** Below this many bytes a loop is faster than making a view for `set`. */
const LOOP_BYTES = 64;

export class BatchWriter {
  u8: Uint8Array;
  view: DataView;
  length = 0;
  /** Commands in it. */
  count = 0;
  private readonly firstCapacity: number;
  private timeMs = 0;
  private db = 0;

  constructor(capacity = 64 * 1024) {
    this.firstCapacity = capacity;
    this.u8 = new Uint8Array(capacity);
    this.view = new DataView(this.u8.buffer);
  }

  /** Adds a request that ran at this time in this database; `seed` 0 when it drew nothing. */
  add(request: Request, nowMs: number, db: number, seed: number): void {
    const argc = request.argc;
    let bytes = HEAD_BYTES + argc * VARINT_BYTES;
    for (let i = 0; i < argc; i++) bytes += request.len[i];
    this.open(bytes, nowMs, db, seed, argc);
    const { buf, off, len } = request;
    for (let i = 0; i < argc; i++) this.argument(buf, off[i], len[i]);
  }

  /** Adds `UNLINK key`, for a key that the server itself takes away. */
  addUnlink(nowMs: number, db: number, from: Uint8Array, start: number, length: number): void {
    this.open(HEAD_BYTES + 2 * VARINT_BYTES + UNLINK.length + length, nowMs, db, 0, 2);
    this.argument(UNLINK, 0, UNLINK.length);
    this.argument(from, start, length);
  }

  private open(bytes: number, nowMs: number, db: number, seed: number, argc: number): void {
    if (this.length + bytes > this.u8.length) this.grow(bytes);
    const first = this.count === 0;
    const flags =
      (first || nowMs !== this.timeMs ? HAS_TIME : 0) |
      (first || db !== this.db ? HAS_DB : 0) |
      (seed !== 0 ? HAS_SEED : 0);
    this.count++;
    this.u8[this.length++] = flags;
    if ((flags & HAS_TIME) !== 0) {
      this.view.setFloat64(this.length, nowMs, true);
      this.length += 8;
      this.timeMs = nowMs;
    }
    if ((flags & HAS_DB) !== 0) {
      this.varint(db);
      this.db = db;
    }
    if ((flags & HAS_SEED) !== 0) {
      this.view.setInt32(this.length, seed, true);
      this.length += 4;
    }
    this.varint(argc);
  }

  private argument(from: Uint8Array, start: number, length: number): void {
    this.varint(length);
    const u8 = this.u8;
    const at = this.length;
    if (length <= LOOP_BYTES) for (let i = 0; i < length; i++) u8[at + i] = from[start + i];
    else u8.set(from.subarray(start, start + length), at);
    this.length = at + length;
  }

  private varint(n: number): void {
    while (n > 127) {
      this.u8[this.length++] = (n & 127) | 128;
      n >>>= 7;
    }
    this.u8[this.length++] = n;
  }

  private grow(extra: number): void {
    let capacity = this.u8.length * 2;
    while (capacity < this.length + extra) capacity *= 2;
    const grown = new Uint8Array(capacity);
    grown.set(this.u8.subarray(0, this.length));
    this.u8 = grown;
    this.view = new DataView(grown.buffer);
  }

  /** Empties it, and lets go of a buffer that one large value has made. */
  clear(): void {
    this.length = 0;
    this.count = 0;
    if (this.u8.length <= this.firstCapacity * 16) return;
    this.u8 = new Uint8Array(this.firstCapacity);
    this.view = new DataView(this.u8.buffer);
  }
}

const UNLINK = new TextEncoder().encode('UNLINK');

/** An entry whose checksum is right and which is no sequence of commands all the same. */
export class BatchError extends Error {}

export class BatchReader {
  private u8: Uint8Array = new Uint8Array(0);
  private view = new DataView(this.u8.buffer);
  private at = 0;
  private end = 0;
  private timeMs = 0;
  private db = 0;

  /** Begins with the entry bytes[start, end), which stay as they are until it is read. */
  open(bytes: Uint8Array, start: number, end: number): void {
    if (bytes !== this.u8) {
      this.u8 = bytes;
      this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    }
    this.at = start;
    this.end = end;
    this.db = 0;
  }

  /** Whether the command read last has a seed. */
  hasSeed = false;
  /** What it is, where it has one. */
  seed = 0;
  /** Where the command read last begins. */
  private lastAt = 0;

  /** The command read last comes again. */
  unread(): void {
    this.at = this.lastAt;
  }

  /** Sets `call` to the next command, with its database, clock and randomness; false at the end. Throws BatchError. */
  next(call: Call): boolean {
    if (this.at >= this.end) return false;
    this.lastAt = this.at;
    const flags = this.u8[this.at++];
    this.hasSeed = (flags & HAS_SEED) !== 0;
    if (flags > (HAS_TIME | HAS_DB | HAS_SEED)) throw new BatchError(`a command with flags ${flags}`);
    if ((flags & HAS_TIME) !== 0) {
      this.need(8);
      this.timeMs = this.view.getFloat64(this.at, true);
      this.at += 8;
    }
    if ((flags & HAS_DB) !== 0) this.db = this.varint();
    if ((flags & HAS_SEED) !== 0) {
      this.need(4);
      this.seed = this.view.getInt32(this.at, true);
      call.random.reseed(this.seed);
      this.at += 4;
    }
    const argc = this.varint();
    this.need(argc);
    if (argc === 0) throw new BatchError('a command without a name');
    call.reserveArgs(argc);
    call.argc = argc;
    call.buf = this.u8;
    for (let i = 0; i < argc; i++) {
      const length = this.varint();
      this.need(length);
      call.off[i] = this.at;
      call.len[i] = length;
      this.at += length;
    }
    call.db = this.db;
    if (call.nowMs !== this.timeMs) call.setClock(this.timeMs);
    return true;
  }

  private need(bytes: number): void {
    if (this.at + bytes > this.end) throw new BatchError('a command that goes on beyond its entry');
  }

  private varint(): number {
    // One byte is the usual case; the loop's multiplications cost more than all the rest of a short command.
    if (this.at < this.end && this.u8[this.at] < 128) return this.u8[this.at++];
    let n = 0;
    for (let shift = 0; shift < 35; shift += 7) {
      this.need(1);
      const byte = this.u8[this.at++];
      n += (byte & 127) * 2 ** shift;
      if (byte < 128) return n;
    }
    throw new BatchError('a length of more than five bytes');
  }
}
