/**
 * What goes between the thread that accepts writes and the log's writer thread: sealed entries one way, over a ring; the
 * other way, in shared words, how far they are written and synced and whether the disk takes them.
 *
 * ```
 * ring record: +0 u32 length | +4 u32 payload bytes | +8 f64 index | +16 payload
 *              (an entry too large for the ring comes by the port instead: then its payload is not in the record)
 * words:       i32 BELL (counts the calls for the writer) | i32 SLEEPS | i32 STOP | i32 POLICY | i32 STATUS | i32 WAITED
 * numbers:     f64, see NUMBER_*
 * ```
 */
import type { MessagePort } from 'node:worker_threads';
import { sendBytes } from '../portbytes.ts';
import { Ring } from '../ring.ts';

export const BELL = 0;
/** 1 while the writer sleeps until it is called. */
export const SLEEPS = 1;
export const STOP = 2;
/** appendfsync, as POLICY_*. */
export const POLICY = 3;
export const STATUS = 4;
/** 1 while the other side waits for room in the ring. */
export const WAITED = 5;
const WORDS = 16;

export const POLICY_ALWAYS = 0;
export const POLICY_EVERYSEC = 1;
export const POLICY_NO = 2;

/** The disk takes what is written. */
export const STATUS_OK = 0;
/** It does not, for now: the writer tries again. Its text came by the port. */
export const STATUS_FAILING = 1;

/** Indexes into the numbers. The last entry that is written, and the last that is synced. */
export const NUMBER_WRITTEN = 0;
export const NUMBER_DURABLE = 1;
/** Bytes in all segments, and in what has been written since the writer started. */
export const NUMBER_BYTES = 2;
export const NUMBER_SEGMENTS = 3;
/** Syncs made, and the milliseconds the last and the longest took. */
export const NUMBER_SYNCS = 4;
export const NUMBER_LAST_SYNC_MS = 5;
export const NUMBER_LONGEST_SYNC_MS = 6;
const NUMBERS = 8;

export const ENTRY_BYTES = 16;
/** Before each entry that is read back: u32 length of its payload, f64 index. */
export const PIECE_HEADER_BYTES = 12;
const RING_BYTES = 16 * 1024 * 1024;

export interface LogMemory {
  ring: SharedArrayBuffer;
  words: SharedArrayBuffer;
  numbers: SharedArrayBuffer;
}

export function allocateLogMemory(ringBytes = RING_BYTES): LogMemory {
  return {
    ring: Ring.allocate(ringBytes),
    words: new SharedArrayBuffer(WORDS * 4),
    numbers: new SharedArrayBuffer(NUMBERS * 8),
  };
}

/** The accepting thread's end. */
export class LogLink {
  readonly words: Int32Array;
  readonly numbers: Float64Array;
  private readonly ring: Ring;
  private readonly port: MessagePort;

  constructor(memory: LogMemory, port: MessagePort) {
    this.words = new Int32Array(memory.words);
    this.numbers = new Float64Array(memory.numbers);
    this.ring = Ring.writer(memory.ring);
    this.port = port;
  }

  /** Hands over an entry, bytes[0, length); false when there is no room now: the writer will say when (WAITED). */
  send(index: number, bytes: Uint8Array, length: number): boolean {
    const isLarge = ENTRY_BYTES + length > this.ring.maxRecord;
    let at = this.ring.reserve(ENTRY_BYTES + (isLarge ? 0 : length));
    if (at === 0) {
      Atomics.store(this.words, WAITED, 1);
      // The writer may have made room before it could see that somebody waits.
      at = this.ring.reserve(ENTRY_BYTES + (isLarge ? 0 : length));
      if (at === 0) return false;
    }
    this.ring.u32[(at >>> 2) + 1] = length;
    this.ring.f64[(at + 8) >>> 3] = index;
    if (isLarge) {
      sendBytes(this.port, bytes.subarray(0, length));
    } else {
      this.ring.u8.set(bytes.subarray(0, length), at + ENTRY_BYTES);
    }
    this.ring.publish();
    return true;
  }

  /** Calls the writer if it sleeps: a system call then, else two atomic operations. */
  call(): void {
    Atomics.add(this.words, BELL, 1);
    if (Atomics.load(this.words, SLEEPS) === 1) Atomics.notify(this.words, BELL);
  }
}
