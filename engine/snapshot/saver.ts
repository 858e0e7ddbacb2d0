/**
 * Saves records for the snapshot under way: encodes them as items of an RDB file (rdb/encode.ts) into chunks, and hands full
 * chunks out. One per thread, in the `saver` field of all its arenas; called under the lock of the record's shard, by the
 * writes of the thread (`preserve`) and by its sweep. Costs what encoding costs: under 0.3 us for a short string.
 *
 * A chunk is a sequence of items that stands by itself: it begins with a SELECTDB. Chunks of all threads in any order, each
 * key exactly once, are the snapshot. Their bytes lie in shared memory, so that they reach the thread that writes the file
 * without a copy.
 */
import {
  type Arena,
  type Offset,
  SNAPSHOT_AT,
  SNAPSHOT_MAP_OFFSET,
  WORD_DATABASES,
  WORD_SNAPSHOT,
  WORD_SNAPSHOT_STATE,
} from '../arena.ts';
import { expiringCount, keyCount } from '../keyspace.ts';
import { encodePair } from '../rdb/encode.ts';
import { RDB_OPCODE_RESIZEDB, RDB_OPCODE_SELECTDB } from '../rdb/opcodes.ts';
import { RdbOutput } from '../rdb/output.ts';
import { HEAD_EPOCH, recordExpiry, recordKeyspace } from '../record.ts';
import { ChunkBuffers, releaseBuffer } from './chunk.ts';
import { SNAPSHOT_SWEEPING } from './epoch.ts';

/** Opcodes, and three numbers of up to nine bytes. */
const SIZE_BYTES = 32;
/** A chunk that has come to this many bytes is handed out. One value that is larger makes a larger chunk. */
export const CHUNK_BYTES = 128 * 1024;
/**
 * Bytes pending above which sweeps pause: some ms of work for the thread that writes. What writes save is handed out all the
 * same.
 */
export const PENDING_PAUSE_BYTES = 6 * CHUNK_BYTES;

/** Takes a chunk with `keys` keys of the snapshot with this number. Whoever is done with it calls `releaseChunk`. */
export type EmitChunk = (chunk: Uint8Array, keys: number, snapshot: number) => void;

export class Saver {
  /** Keys and bytes that this thread has saved since it began: for progress, and to bound the steps of a sweep. */
  savedKeys = 0;
  savedBytes = 0;
  private readonly emit: EmitChunk;
  /** Word 0: bytes handed out by all threads and not yet released. */
  private readonly pending: Int32Array;
  private readonly buffers = new ChunkBuffers();
  /** What the output began in; it grows out of it for a large value. */
  private buffer: Uint8Array = new Uint8Array(0);
  private out = new RdbOutput(this.buffer);
  /** The snapshot that the chunk at hand belongs to, the keys in it, and the database of the last of them. */
  private snapshot = 0;
  private keys = 0;
  private db = -1;

  constructor(emit: EmitChunk, pending: Int32Array) {
    this.emit = emit;
    this.pending = pending;
  }

  /** Has the memory for chunks at hand, so that no write or sweep waits for it. 2 MiB. */
  reserve(): void {
    this.buffers.reserve();
  }

  /** Whether the file is so far behind that sweeps should wait. */
  get isBehind(): boolean {
    return Atomics.load(this.pending, 0) > PENDING_PAUSE_BYTES;
  }

  /** Marks a record that is not saved yet, and saves it unless the snapshot is aborted or the key had expired before. */
  save(a: Arena, record: Offset): void {
    a.u32[record >>> 2] ^= HEAD_EPOCH;
    if (a.i32[WORD_SNAPSHOT_STATE] !== SNAPSHOT_SWEEPING || recordExpiry(a, record) <= a.f64[SNAPSHOT_AT]) return;
    if (a.u32[WORD_SNAPSHOT] !== this.snapshot) this.restart(a.u32[WORD_SNAPSHOT]);
    if (this.out.u8.length === 0) {
      this.buffer = this.buffers.take();
      this.out = new RdbOutput(this.buffer);
    }
    const out = this.out;
    const before = out.length;
    const keyspace = recordKeyspace(a, record);
    const db = a.u16[(SNAPSHOT_MAP_OFFSET >>> 1) + keyspace] ^ keyspace;
    if (db !== this.db) {
      out.byte(RDB_OPCODE_SELECTDB);
      out.lengthOf(db);
      this.db = db;
    }
    encodePair(a, record, out);
    this.keys++;
    this.savedKeys++;
    this.savedBytes += out.length - before;
    if (out.length >= CHUNK_BYTES) this.flush(this.snapshot);
  }

  /** Drops what is left of an aborted snapshot. */
  private restart(snapshot: number): void {
    this.snapshot = snapshot;
    this.out.length = 0;
    this.keys = 0;
    this.db = -1;
  }

  /**
   * Hands out what there is of this snapshot; what is left of an aborted one stays until it is dropped. The thread calls it
   * last when the sweeps of all shards are over: nobody saves after that.
   */
  flush(snapshot: number): void {
    if (this.keys === 0 || this.snapshot !== snapshot) return;
    if (this.out.u8 !== this.buffer) releaseBuffer(this.buffer);
    const chunk = this.out.u8.subarray(0, this.out.length);
    const { keys } = this;
    this.out = new RdbOutput(new Uint8Array(0));
    this.restart(snapshot);
    Atomics.add(this.pending, 0, chunk.length);
    this.emit(chunk, keys, snapshot);
  }
}

/**
 * A chunk without keys for the beginning of a snapshot: how many keys each database has, so that whoever loads it makes its
 * tables large enough at once. Under all locks.
 */
export function sizesChunk(arenas: readonly Arena[]): Uint8Array {
  const databases = arenas[0].u32[WORD_DATABASES];
  const out = new RdbOutput(new Uint8Array(new SharedArrayBuffer(databases * SIZE_BYTES)));
  for (let db = 0; db < databases; db++) {
    let keys = 0;
    let expiring = 0;
    for (const a of arenas) {
      keys += keyCount(a, db);
      expiring += expiringCount(a, db);
    }
    if (keys === 0) continue;
    out.byte(RDB_OPCODE_SELECTDB);
    out.lengthOf(db);
    out.byte(RDB_OPCODE_RESIZEDB);
    out.lengthOf(keys);
    out.lengthOf(expiring);
  }
  return out.u8.subarray(0, out.length);
}
