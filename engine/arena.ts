/**
 * The memory of one shard: one SharedArrayBuffer and the views through which every thread reads it.
 *
 * Everything a shard knows lies inside, and every pointer is a byte offset from its start, so an arena can
 * be copied, moved or mapped by another thread as it is. Offset 0 is "none" (the header lies there).
 * Any thread may hold an `Arena` object for any shard; only the thread that holds the lock word may touch
 * anything but the lock word and the counters.
 *
 * ```
 * page 0 (16 KiB), the header; little-endian
 *   +0     u32 magic | +4 i32 lock (0 free, else thread number + 1) | +8 u32 shard | +12 u32 pages reserved
 *   +16    u32 hash seed 0 | +20 u32 hash seed 1 | +24 u32 databases | +28 u32 next database to expire in
 *   +32    u32 snapshots begun | +36 i32 snapshot's state (snapshot/epoch.ts) | +40 u32 epoch: HEAD_EPOCH or 0
 *   +44    u32 keyspace and +48 u32 bucket that the snapshot's sweep has come to
 *   +32    u32 of snapshots, +52 i32 fenced and +56 u32 first buried table: in the order of WORD_*
 *   +64    f64 counters, one each 8 bytes, in the order of COUNTER_* | +144 f64 time of the last snapshot, ms since 1970
 *   +2048  the allocator's own state (alloc.ts)
 *   +12288 u32 per keyspace: offset of its table (0 = never used); a database's keyspace is its own number until SWAPDB
 *   +14336 u16 per database: its keyspace's number xor its own
 *   +15360 u16 per keyspace: the database that had it when the last snapshot began, xor its own number
 * page 1.. the allocator's page descriptors, then the pages it hands out
 * ```
 */

/** A byte offset into an arena. 0 means none. */
export type Offset = number;

export const ARENA_MAGIC = 0x4d_69_6c_31;
export const PAGE_SHIFT = 14;
/** Bytes in a page, the unit in which the allocator takes memory. */
export const PAGE_BYTES = 1 << PAGE_SHIFT;

export const WORD_MAGIC = 0;
export const WORD_LOCK = 1;
export const WORD_SHARD = 2;
export const WORD_PAGES = 3;
export const WORD_SEED0 = 4;
export const WORD_SEED1 = 5;
export const WORD_DATABASES = 6;
export const WORD_EXPIRE_DB = 7;
/** How many snapshots were begun: the number of the last one. */
export const WORD_SNAPSHOT = 8;
export const WORD_SNAPSHOT_STATE = 9;
/** The bit that a record has which the snapshot under way need not save (any more); in the place of HEAD_EPOCH. */
export const WORD_EPOCH = 10;
export const WORD_SWEEP_KEYSPACE = 11;
export const WORD_SWEEP_BUCKET = 12;
/** 1 while another thread's queue has a write for this shard and others: keys must not expire by times that are after it. */
export const WORD_FENCED = 13;
/** The table whose members are being freed bit by bit (lazyfree.ts), the first of a chain; 0 for none. */
export const WORD_BURIED = 14;

/** Indexes into `f64` of the counters in the header. Written under the lock; read by anyone, for INFO. */
export const COUNTER_USED_BYTES = 8;
export const COUNTER_HITS = 9;
export const COUNTER_MISSES = 10;
export const COUNTER_EXPIRED = 11;
export const COUNTER_EVICTED = 12;
export const COUNTER_KEYS = 13;
export const COUNTER_EXPIRING_KEYS = 14;
/** Milliseconds since 1970 at which the earliest key of the shard may expire; +Infinity for none. May be early, never late. */
export const COUNTER_NEXT_EXPIRY = 15;
export const COUNTER_EXPIRE_LAG = 16;
export const COUNTER_DIRTY = 17;
/** Index into `f64`: the clock when the last snapshot began. */
export const SNAPSHOT_AT = 18;
/** Values that wait to be freed bit by bit, and how many were. */
export const COUNTER_BURIED = 19;
export const COUNTER_LAZY_FREED = 20;
/** How often all databases were flushed; of shard 0. */
export const COUNTER_FLUSHES = 21;

export const ALLOC_STATE_OFFSET = 2048;
/** createArena and resetArena zero the page from here to its end. */
export const DATABASE_DIRECTORY_OFFSET = 12288;
export const DATABASE_MAP_OFFSET = 14336;
export const SNAPSHOT_MAP_OFFSET = 15360;
/** The most databases the header has room for. */
export const MAX_DATABASES = (DATABASE_MAP_OFFSET - DATABASE_DIRECTORY_OFFSET) >>> 2;
/** The largest arena, in bytes: offsets stay below 2^31, so that they are small integers to the compiler. */
export const MAX_ARENA_BYTES = 2 ** 31;

/** Saves a record for the snapshot under way, before it changes for the first time (snapshot/saver.ts). */
export interface RecordSaver {
  save(a: Arena, record: Offset): void;
}

/** What an arena has until its thread takes part in snapshots. */
const NO_SAVER: RecordSaver = {
  save(a) {
    throw new Error(`arena: a snapshot of shard ${a.shard} is under way, and this thread cannot save records`);
  },
};

export class Arena {
  readonly buffer: SharedArrayBuffer;
  readonly u8: Uint8Array;
  readonly u16: Uint16Array;
  readonly u32: Uint32Array;
  readonly i32: Int32Array;
  readonly f64: Float64Array;
  /** For words at any byte offset; little-endian must be asked for. */
  readonly view: DataView;
  readonly shard: number;
  /** This thread's own; set once, before the first snapshot begins. */
  saver: RecordSaver = NO_SAVER;

  /** Attaches to an arena that `createArena` formatted, on this or another thread. */
  constructor(buffer: SharedArrayBuffer) {
    this.buffer = buffer;
    this.u8 = new Uint8Array(buffer);
    this.u16 = new Uint16Array(buffer);
    this.u32 = new Uint32Array(buffer);
    this.i32 = new Int32Array(buffer);
    this.f64 = new Float64Array(buffer);
    this.view = new DataView(buffer);
    this.shard = this.u32[WORD_SHARD];
  }

  /** Takes the lock for thread number `thread` if it is free. About 15 ns; never waits. */
  tryLock(thread: number): boolean {
    return Atomics.compareExchange(this.i32, WORD_LOCK, 0, thread + 1) === 0;
  }

  /** Gives the lock back and wakes one sleeper in `Atomics.wait` on it, if there may be one. */
  unlock(): void {
    Atomics.store(this.i32, WORD_LOCK, 0);
  }

  lockedBy(thread: number): boolean {
    return this.i32[WORD_LOCK] === thread + 1;
  }
}
