/**
 * The entry of the log's writer thread. It owns the segments: reads them back at start, then takes entries from the ring
 * (link.ts) and writes them. Everything that waits is written in one go, and synced in one go where appendfsync is `always`.
 *
 * Trouble of the disk does not end it: entries stay in the ring, the same bytes are tried again every RETRY_MS, and the
 * status word tells the thread that accepts writes to refuse more. A sync that fails is the end: what was written may be
 * gone, and only a start from what the disk has can tell.
 */
import { type MessagePort, receiveMessageOnPort, workerData } from 'node:worker_threads';
import { receiveBytes } from '../portbytes.ts';
import { Ring } from '../ring.ts';
import { markBase } from './base.ts';
import { LogError } from './errors.ts';
import {
  BELL,
  ENTRY_BYTES,
  type LogMemory,
  NUMBER_BYTES,
  NUMBER_DURABLE,
  NUMBER_LAST_SYNC_MS,
  NUMBER_LONGEST_SYNC_MS,
  NUMBER_SEGMENTS,
  NUMBER_SYNCS,
  NUMBER_WRITTEN,
  PIECE_HEADER_BYTES,
  POLICY,
  POLICY_ALWAYS,
  POLICY_EVERYSEC,
  SLEEPS,
  STATUS,
  STATUS_FAILING,
  STATUS_OK,
  STOP,
  WAITED,
} from './link.ts';
import { GROUP, openBehind } from './opening.ts';
import { realDisk } from './realdisk.ts';
import { DEFAULT_LOG_OPTIONS, type SegmentLog } from './segmentlog.ts';

const TERM = 0;
/** What is read back goes to the main thread in pieces of this size, at most so many of them ahead of it. */
const PIECE_BYTES = 1024 * 1024;
const PIECES_AHEAD = 4;
/** How much is written between two looks at the ring. */
const ROUND_BYTES = 4 * 1024 * 1024;
const SYNC_EVERY_MS = 1000;
const RETRY_MS = 100;
/** Between two steps of giving back the space of old segments, while there is nothing else to do. */
const RECLAIM_REST_MS = 1;
/** While writes come and nobody waits for them, the ring is looked at this often instead of being called for each. */
const POLL_MS = 2;
/** Polls without an entry before it sleeps until it is called. */
const IDLE_POLLS = 50;

export interface LogThreadData {
  memory: LogMemory;
  /** Word 0: the bell of the main thread, which hears of progress by it. */
  mainBell: SharedArrayBuffer;
  directory: string;
  /** Entries up to this one are in the data set already. */
  afterIndex: number;
  /** The log begins anew behind `afterIndex`; what there is on disk is not read. */
  restarts: boolean;
  /** For messages: LogMessage one way, LogRequest the other. */
  port: MessagePort;
  /** For entries too large for the ring. */
  entryPort: MessagePort;
}

/** What the thread tells. Pieces: per entry u32 length, f64 index, payload. */
export type LogMessage =
  | { kind: 'entries'; bytes: Uint8Array; bytesDone: number; bytesAll: number }
  | { kind: 'opened'; lastIndex: number; notes: string[]; hasGap: boolean }
  /** The disk does not take what is written; '' when it does again. */
  | { kind: 'trouble'; text: string }
  | { kind: 'fatal'; code: string; text: string };

/** What it is asked: more pieces, or to drop entries that a snapshot covers. */
export type LogRequest = { kind: 'more' } | { kind: 'drop'; through: number };

class LogThread {
  private readonly data: LogThreadData;
  private readonly ring: Ring;
  private readonly words: Int32Array;
  private readonly numbers: Float64Array;
  private readonly mainBell: Int32Array;
  private log: SegmentLog | undefined = undefined;
  /** The last entry taken from the ring. */
  private taken = 0;
  private syncedAt = 0;
  /** The last entry before those that this thread writes. */
  private begunAt = 0;
  private credits = PIECES_AHEAD;

  constructor(data: LogThreadData) {
    this.data = data;
    this.ring = Ring.reader(data.memory.ring);
    this.words = new Int32Array(data.memory.words);
    this.numbers = new Float64Array(data.memory.numbers);
    this.mainBell = new Int32Array(data.mainBell);
  }

  run(): void {
    try {
      this.log = this.open();
      this.serve(this.log);
      this.log.close();
    } catch (error) {
      if (!(error instanceof LogError)) throw error;
      this.tell({ kind: 'fatal', code: error.code, text: error.message });
    }
    this.ringMain();
  }

  private tell(message: LogMessage): void {
    const transfer = message.kind === 'entries' ? [message.bytes.buffer as ArrayBuffer] : [];
    this.data.port.postMessage(message, transfer);
  }

  private ringMain(): void {
    Atomics.add(this.mainBell, 0, 1);
    Atomics.notify(this.mainBell, 0);
  }

  // ---------------------------------------------------------------- start

  private open(): SegmentLog {
    const { directory, afterIndex, restarts } = this.data;
    let piece = new PieceWriter();
    let bytesTotal = 0;
    const opened = openBehind(realDisk, directory, DEFAULT_LOG_OPTIONS, afterIndex, restarts, (record, scan) => {
      piece.add(record.index, record.bytes, record.start, record.length);
      bytesTotal = scan.bytesTotal;
      if (piece.length < PIECE_BYTES) return;
      this.send(piece, scan.bytesDone, bytesTotal);
      piece = new PieceWriter();
    });
    const { log, lastIndex, hasGap, notes } = opened;
    if (piece.length > 0) this.send(piece, bytesTotal, bytesTotal);
    this.taken = lastIndex;
    this.begunAt = lastIndex;
    this.numbers[NUMBER_WRITTEN] = lastIndex;
    this.numbers[NUMBER_DURABLE] = lastIndex;
    this.measure(log);
    this.tell({ kind: 'opened', lastIndex, notes, hasGap });
    return log;
  }

  private send(piece: PieceWriter, bytesDone: number, bytesAll: number): void {
    while (this.credits === 0) {
      const bell = Atomics.load(this.words, BELL);
      this.takeRequests();
      if (this.credits === 0) Atomics.wait(this.words, BELL, bell);
    }
    this.credits--;
    this.tell({ kind: 'entries', bytes: piece.bytes(), bytesDone, bytesAll });
  }

  private takeRequests(): void {
    for (let message = receiveMessageOnPort(this.data.port); message !== undefined; ) {
      const request = message.message as LogRequest;
      if (request.kind === 'more') this.credits++;
      else this.drop(request.through);
      message = receiveMessageOnPort(this.data.port);
    }
  }

  /** What cannot be removed, or noted, now goes with the next snapshot. */
  private drop(through: number): void {
    try {
      if (through >= this.begunAt) markBase(realDisk, this.data.directory);
      this.log?.dropThrough(GROUP, through);
    } catch (error) {
      if (!(error instanceof LogError) || error.code === 'SYNC_FAILED') throw error;
    }
  }

  // ---------------------------------------------------------------- work

  private serve(log: SegmentLog): void {
    const { words } = this;
    this.syncedAt = performance.now();
    let idle = 0;
    for (;;) {
      const bell = Atomics.load(words, BELL);
      const stop = Atomics.load(words, STOP) === 1;
      this.takeRequests();
      const took = this.take(log);
      const isWritten = this.write(log);
      const hasReclaimed = log.reclaim();
      if (!isWritten) {
        Atomics.wait(words, BELL, bell, hasReclaimed ? RECLAIM_REST_MS : RETRY_MS);
        if (stop) return;
        continue;
      }
      if (took) {
        idle = 0;
        continue;
      }
      if (stop) return;
      idle++;
      this.sleep(bell, idle, hasReclaimed);
    }
  }

  /** Until there may be something to do. */
  private sleep(bell: number, idle: number, hasReclaimed: boolean): void {
    const { words } = this;
    const policy = words[POLICY];
    if (policy !== POLICY_ALWAYS && idle < IDLE_POLLS) {
      Atomics.wait(words, BELL, bell, POLL_MS);
      return;
    }
    const isSynced = this.numbers[NUMBER_DURABLE] === this.taken;
    const untilSync = this.syncedAt + SYNC_EVERY_MS - performance.now();
    let timeout = Number.POSITIVE_INFINITY;
    if (hasReclaimed) timeout = RECLAIM_REST_MS;
    else if (!isSynced && policy === POLICY_EVERYSEC) timeout = Math.max(1, untilSync);
    Atomics.store(words, SLEEPS, 1);
    Atomics.wait(words, BELL, bell, timeout);
    Atomics.store(words, SLEEPS, 0);
  }

  /** Takes what the ring has into the log's buffer, up to ROUND_BYTES. */
  private take(log: SegmentLog): boolean {
    // After a write that failed the same bytes come first.
    if (log.bufferedBytes > 0) return false;
    let bytes = 0;
    for (let at = this.ring.peek(); at !== 0 && bytes < ROUND_BYTES; at = this.ring.peek()) {
      const length = this.ring.u32[(at >>> 2) + 1];
      const index = this.ring.f64[(at + 8) >>> 3];
      if (ENTRY_BYTES + length > this.ring.maxRecord) {
        log.append(GROUP, TERM, index, receiveBytes(this.data.entryPort), 0, length);
      } else {
        log.append(GROUP, TERM, index, this.ring.u8, at + ENTRY_BYTES, length);
      }
      this.taken = index;
      bytes += length;
      this.ring.release(at);
    }
    if (Atomics.exchange(this.words, WAITED, 0) === 1) this.ringMain();
    return bytes > 0;
  }

  /** Writes what was taken, and syncs it if it is time; false when the disk does not take it. */
  private write(log: SegmentLog): boolean {
    const policy = this.words[POLICY];
    const isDue = performance.now() - this.syncedAt >= SYNC_EVERY_MS;
    try {
      if (
        this.numbers[NUMBER_DURABLE] !== this.taken &&
        (policy === POLICY_ALWAYS || (policy === POLICY_EVERYSEC && isDue))
      ) {
        this.sync(log);
      } else if (this.numbers[NUMBER_WRITTEN] !== this.taken || log.trouble !== undefined) {
        log.flush();
      }
      this.numbers[NUMBER_WRITTEN] = this.taken;
      this.measure(log);
      // What was accepted is written, but there may be no room for much more.
      this.report(log.trouble);
      return log.trouble === undefined;
    } catch (error) {
      if (!(error instanceof LogError) || error.code === 'SYNC_FAILED') throw error;
      this.report(error);
      return false;
    }
  }

  /** Tells when trouble with the disk begins, and when it is over. */
  private report(trouble: LogError | undefined): void {
    const status = trouble === undefined ? STATUS_OK : STATUS_FAILING;
    if (status === this.words[STATUS]) return;
    Atomics.store(this.words, STATUS, status);
    this.tell({ kind: 'trouble', text: trouble === undefined ? '' : trouble.message });
    this.ringMain();
  }

  private sync(log: SegmentLog): void {
    const { numbers } = this;
    const startedAt = performance.now();
    log.sync();
    this.syncedAt = performance.now();
    const ms = this.syncedAt - startedAt;
    // Both before the bell: whoever waits for either is not called again.
    numbers[NUMBER_WRITTEN] = this.taken;
    numbers[NUMBER_DURABLE] = this.taken;
    numbers[NUMBER_SYNCS]++;
    numbers[NUMBER_LAST_SYNC_MS] = ms;
    numbers[NUMBER_LONGEST_SYNC_MS] = Math.max(numbers[NUMBER_LONGEST_SYNC_MS], ms);
    // Replies may wait for it, also when nothing new was taken: appendfsync may just have become `always`.
    this.ringMain();
  }

  private measure(log: SegmentLog): void {
    this.numbers[NUMBER_BYTES] = log.sizeBytes;
    this.numbers[NUMBER_SEGMENTS] = log.segmentCount;
  }
}

class PieceWriter {
  length = 0;
  private u8 = new Uint8Array(PIECE_BYTES + 64 * 1024);
  private view = new DataView(this.u8.buffer);

  add(index: number, bytes: Uint8Array, start: number, length: number): void {
    const need = this.length + PIECE_HEADER_BYTES + length;
    if (need > this.u8.length) {
      const grown = new Uint8Array(need + PIECE_BYTES);
      grown.set(this.u8.subarray(0, this.length));
      this.u8 = grown;
      this.view = new DataView(grown.buffer);
    }
    this.view.setUint32(this.length, length, true);
    this.view.setFloat64(this.length + 4, index, true);
    this.u8.set(bytes.subarray(start, start + length), this.length + PIECE_HEADER_BYTES);
    this.length = need;
  }

  bytes(): Uint8Array {
    return this.u8.subarray(0, this.length);
  }
}

new LogThread(workerData as LogThreadData).run();
