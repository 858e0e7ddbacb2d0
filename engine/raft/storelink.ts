/**
 * What goes between a replica's main thread and the thread of its storage: batches one way, over a ring; the other way, in
 * shared words, how far they are persisted. Sending a batch costs a copy of its entries and two or three atomic operations.
 *
 * ```
 * ring record: +0 u32 length of the record | +4 u32 what, then
 *   a batch (RECORD_BATCH | flags): +8 f64 batch | +16 f64 term | +24 f64 snapshot's index | +32 u32 vote | +36 u32 entries that follow
 *   an entry (RECORD_ENTRY | kind << 8): +8 f64 index | +16 f64 term | +24 u32 payload bytes | +28 u32 zero | +32 payload
 *              (one too large for the ring comes by a port instead: then its payload is not in the record)
 * words, numbers: as of the log of a node without a group (engine/log/link.ts), and PERSISTED
 * ```
 *
 * Progress is a batch, not an entry: indexes are given again when entries are replaced, and a batch that is done must
 * not vouch for those of a later one.
 */
import type { MessagePort } from 'node:worker_threads';
import { BELL, type LogMemory, SLEEPS, WAITED } from '../log/link.ts';
import { sendBytes } from '../portbytes.ts';
import { Ring } from '../ring.ts';
import type { Entry, HardState, SnapshotMeta } from './entry.ts';

/** A word: the last batch that is as durable as was asked, modulo 2^32. */
export const PERSISTED = 6;

export const RECORD_BATCH = 1;
export const RECORD_ENTRY = 2;
/** In a batch's word: what of its record counts. */
export const HAS_HARD_STATE = 0x100;
export const HAS_SNAPSHOT = 0x200;
export const BATCH_BYTES = 40;
export const ENTRY_HEADER_BYTES = 32;
/** The main thread's end. */
export class StoreLink {
  readonly words: Int32Array;
  readonly numbers: Float64Array;
  private readonly ring: Ring;
  private readonly port: MessagePort;

  /** `port` takes the entries that are too large for the ring. */
  constructor(memory: LogMemory, port: MessagePort) {
    this.words = new Int32Array(memory.words);
    this.numbers = new Float64Array(memory.numbers);
    this.ring = Ring.writer(memory.ring);
    this.port = port;
  }

  /** The head of a batch; false when there is no room now: the thread will say when. */
  sendBatch(batch: number, hardState: HardState | null, snapshot: SnapshotMeta | null, entryCount: number): boolean {
    const at = this.reserve(BATCH_BYTES);
    if (at === 0) return false;
    const { u32, f64 } = this.ring;
    const w = at >>> 2;
    u32[w + 1] = RECORD_BATCH | (hardState !== null ? HAS_HARD_STATE : 0) | (snapshot !== null ? HAS_SNAPSHOT : 0);
    f64[(at + 8) >>> 3] = batch;
    f64[(at + 16) >>> 3] = hardState !== null ? hardState.term : 0;
    f64[(at + 24) >>> 3] = snapshot !== null ? snapshot.index : 0;
    u32[w + 8] = hardState !== null ? hardState.vote : 0;
    u32[w + 9] = entryCount;
    this.ring.publish();
    return true;
  }

  sendEntry(entry: Entry): boolean {
    const { length } = entry;
    const isLarge = ENTRY_HEADER_BYTES + length > this.ring.maxRecord;
    const at = this.reserve(ENTRY_HEADER_BYTES + (isLarge ? 0 : length));
    if (at === 0) return false;
    const { u8, u32, f64 } = this.ring;
    const w = at >>> 2;
    u32[w + 1] = RECORD_ENTRY | (entry.kind << 8);
    f64[(at + 8) >>> 3] = entry.index;
    f64[(at + 16) >>> 3] = entry.term;
    u32[w + 6] = length;
    u32[w + 7] = 0;
    const payload = entry.bytes.subarray(entry.start, entry.start + length);
    if (isLarge) {
      sendBytes(this.port, payload);
    } else {
      u8.set(payload, at + ENTRY_HEADER_BYTES);
    }
    this.ring.publish();
    return true;
  }

  private reserve(bytes: number): number {
    const at = this.ring.reserve(bytes);
    if (at !== 0) return at;
    Atomics.store(this.words, WAITED, 1);
    // The thread may have made room before it could see that somebody waits.
    return this.ring.reserve(bytes);
  }

  /** Calls the thread if it sleeps: a system call then, else two atomic operations. */
  call(): void {
    Atomics.add(this.words, BELL, 1);
    if (Atomics.load(this.words, SLEEPS) === 1) Atomics.notify(this.words, BELL);
  }

  /** The last persisted batch, given one that was. */
  persistedSince(batch: number): number {
    return batch + ((Atomics.load(this.words, PERSISTED) - (batch | 0)) | 0);
  }
}
