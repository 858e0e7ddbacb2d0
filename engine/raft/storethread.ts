/**
 * The entry of the thread that owns a replica's RaftStore. It takes batches from a ring (storelink.ts) and writes them:
 * everything that waits is one write, and one sync where appendfsync is `always`; a new term or vote is synced at once, whatever it is.
 * Then it says up to which batch it has come. Between two writes it answers what came by the port.
 *
 * Trouble of the disk does not end it: batches stay where they are, the same bytes are tried again every RETRY_MS, and the
 * main thread hears of it. A sync that fails is the end: what was written may be gone, and only a start from what the
 * disk has can tell.
 */
import { type MessagePort, receiveMessageOnPort, workerData } from 'node:worker_threads';
import { LogError } from '../log/errors.ts';
import {
  BELL,
  NUMBER_BYTES,
  NUMBER_DURABLE,
  NUMBER_LAST_SYNC_MS,
  NUMBER_LONGEST_SYNC_MS,
  NUMBER_SEGMENTS,
  NUMBER_SYNCS,
  NUMBER_WRITTEN,
  POLICY,
  POLICY_ALWAYS,
  POLICY_EVERYSEC,
  SLEEPS,
  STATUS,
  STATUS_FAILING,
  STATUS_OK,
  STOP,
  WAITED,
} from '../log/link.ts';
import { realDisk } from '../log/realdisk.ts';
import { receiveBytes } from '../portbytes.ts';
import { Ring } from '../ring.ts';
import type { LogIndex } from './entry.ts';
import { RaftStore } from './store.ts';
import { ENTRY_HEADER_BYTES, HAS_HARD_STATE, HAS_SNAPSHOT, PERSISTED, RECORD_BATCH } from './storelink.ts';
import {
  failureOf,
  packEntries,
  type StoreFailure,
  type StoreMessage,
  type StoreRequest,
  type StoreThreadData,
} from './storemessages.ts';

/** How much is written between two looks at the ring. */
const ROUND_BYTES = 4 * 1024 * 1024;
/** How much of the log is looked through for what was asked for, between two looks at the ring. */
const SEARCHED_BYTES = 8 * 1024 * 1024;
const SYNC_EVERY_MS = 1000;
const RETRY_MS = 100;
/** Between two steps of giving back the space of old segments, while there is nothing else to do. */
const RECLAIM_REST_MS = 1;

class StoreThread {
  private readonly data: StoreThreadData;
  private readonly ring: Ring;
  private readonly words: Int32Array;
  private readonly numbers: Float64Array;
  private readonly mainBell: Int32Array;
  private readonly store: RaftStore;
  private isOpen = false;
  /** The batch that is being taken, and how many of its entries are still to come. */
  private batch = 0;
  private missing = 0;
  /** The last batch taken whole, and the last that was told to be persisted. */
  private taken = 0;
  private persisted = 0;
  /** The last entry taken. */
  private lastIndex: LogIndex = 0;
  /** Entries were taken and not written; written and not synced. */
  private isUnwritten = false;
  private isUnsynced = false;
  private syncedAt = performance.now();
  /** The question that is not answered yet. */
  private question: StoreRequest | undefined = undefined;
  /** Why the hard state that comes next could not be written. */
  private refusal: LogError | undefined = undefined;

  constructor(data: StoreThreadData) {
    this.data = data;
    this.ring = Ring.reader(data.memory.ring);
    this.words = new Int32Array(data.memory.words);
    this.numbers = new Float64Array(data.memory.numbers);
    this.mainBell = new Int32Array(data.mainBell);
    this.store = RaftStore.open(realDisk, data.directory);
    const { identity, incarnation } = this.store;
    tell(data.port, { kind: 'life', identity, incarnation });
  }

  run(): void {
    const { words } = this;
    for (;;) {
      const bell = Atomics.load(words, BELL);
      const stop = Atomics.load(words, STOP) === 1;
      const took = this.take();
      const isWritten = this.write();
      // The disk comes first: a question may wait for it, the group must not wait for a question.
      if (isWritten) this.answer();
      const hasReclaimed = this.store.reclaim();
      if (took && isWritten) continue;
      if (stop) break;
      this.sleep(bell, isWritten, hasReclaimed);
    }
    this.store.close();
  }

  /** Until there may be something to do. */
  private sleep(bell: number, isWritten: boolean, hasReclaimed: boolean): void {
    const { words } = this;
    let timeout = Number.POSITIVE_INFINITY;
    if (hasReclaimed) timeout = RECLAIM_REST_MS;
    else if (!isWritten) timeout = RETRY_MS;
    else if (this.isUnsynced && words[POLICY] === POLICY_EVERYSEC)
      timeout = Math.max(1, this.syncedAt + SYNC_EVERY_MS - performance.now());
    Atomics.store(words, SLEEPS, 1);
    Atomics.wait(words, BELL, bell, timeout);
    Atomics.store(words, SLEEPS, 0);
  }

  // ---------------------------------------------------------------- batches

  /** Takes over what the ring has, up to ROUND_BYTES; whether there was anything. */
  private take(): boolean {
    // After a write that failed the same bytes come first.
    if (!this.isOpen || (this.isUnwritten && this.store.bufferedBytes > 0)) return false;
    const { ring } = this;
    let bytes = 0;
    let count = 0;
    for (let at = ring.peek(); at !== 0 && bytes < ROUND_BYTES; at = ring.peek()) {
      const what = ring.u32[(at >>> 2) + 1];
      if ((what & 0xff) === RECORD_BATCH) {
        if (!this.takeBatch(at, what)) break;
      } else {
        bytes += this.takeEntry(at, what >>> 8);
      }
      ring.release(at);
      count++;
    }
    if (Atomics.exchange(this.words, WAITED, 0) === 1) this.ringMain();
    return count > 0;
  }

  /** False when the disk does not take its hard state: it stays where it is. */
  private takeBatch(at: number, what: number): boolean {
    const { u32, f64 } = this.ring;
    if ((what & HAS_HARD_STATE) !== 0) {
      try {
        this.store.saveHardState({ term: f64[(at + 16) >>> 3], vote: u32[(at + 32) >>> 2] });
        this.refusal = undefined;
      } catch (error) {
        this.refusal = retriable(error);
        return false;
      }
    }
    if ((what & HAS_SNAPSHOT) !== 0) this.store.restartBehind(f64[(at + 24) >>> 3]);
    this.batch = f64[(at + 8) >>> 3];
    this.missing = u32[(at + 36) >>> 2];
    if (this.missing === 0) this.taken = this.batch;
    return true;
  }

  private takeEntry(at: number, kind: number): number {
    const { u8, u32, f64 } = this.ring;
    const index = f64[(at + 8) >>> 3];
    const term = f64[(at + 16) >>> 3];
    const length = u32[(at + 24) >>> 2];
    if (ENTRY_HEADER_BYTES + length > this.ring.maxRecord) {
      this.store.append(index, term, kind, receiveBytes(this.data.entryPort), 0, length);
    } else {
      this.store.append(index, term, kind, u8, at + ENTRY_HEADER_BYTES, length);
    }
    this.lastIndex = index;
    this.isUnwritten = true;
    if (--this.missing === 0) this.taken = this.batch;
    return length + ENTRY_HEADER_BYTES;
  }

  /** Writes what was taken, and syncs it if it is time; false when the disk does not take it. */
  private write(): boolean {
    if (!this.isOpen) return true;
    const policy = this.words[POLICY];
    const isDue = performance.now() - this.syncedAt >= SYNC_EVERY_MS;
    const mustSync = policy === POLICY_ALWAYS || (policy === POLICY_EVERYSEC && isDue);
    try {
      if (mustSync && (this.isUnwritten || this.isUnsynced)) {
        this.sync();
      } else if (this.isUnwritten || this.store.trouble !== undefined) {
        this.store.flush();
        this.isUnsynced ||= this.isUnwritten;
      }
      this.isUnwritten = false;
      this.numbers[NUMBER_WRITTEN] = this.lastIndex;
      this.tellPersisted();
      // What was taken is written, but there may be no room for much more.
      const trouble = this.refusal ?? this.store.trouble;
      this.report(trouble);
      return trouble === undefined;
    } catch (error) {
      this.report(retriable(error));
      return false;
    }
  }

  private sync(): void {
    const { numbers } = this;
    const startedAt = performance.now();
    this.store.sync();
    this.syncedAt = performance.now();
    this.isUnsynced = false;
    const ms = this.syncedAt - startedAt;
    numbers[NUMBER_DURABLE] = this.lastIndex;
    numbers[NUMBER_SYNCS]++;
    numbers[NUMBER_LAST_SYNC_MS] = ms;
    numbers[NUMBER_LONGEST_SYNC_MS] = Math.max(numbers[NUMBER_LONGEST_SYNC_MS], ms);
  }

  private tellPersisted(): void {
    if (this.persisted === this.taken) return;
    this.persisted = this.taken;
    this.measure();
    Atomics.store(this.words, PERSISTED, this.taken | 0);
    this.ringMain();
  }

  /** Tells when trouble with the disk begins, and when it is over. */
  private report(trouble: LogError | undefined): void {
    const status = trouble === undefined ? STATUS_OK : STATUS_FAILING;
    if (status === this.words[STATUS]) return;
    Atomics.store(this.words, STATUS, status);
    tell(this.data.port, { kind: 'trouble', text: trouble === undefined ? '' : trouble.message });
  }

  private measure(): void {
    this.numbers[NUMBER_BYTES] = this.store.sizeBytes;
    this.numbers[NUMBER_SEGMENTS] = this.store.segmentCount;
  }

  private ringMain(): void {
    Atomics.add(this.mainBell, 0, 1);
    Atomics.notify(this.mainBell, 0);
  }

  // ---------------------------------------------------------------- questions

  /** Answers one question, or does a step towards it, and comes back to the ring. */
  private answer(): void {
    const request = this.question ?? (receiveMessageOnPort(this.data.port)?.message as StoreRequest | undefined);
    if (request === undefined) return;
    // There may be more to do: no sleep before.
    Atomics.add(this.words, BELL, 1);
    this.question = undefined;
    try {
      if (request.kind === 'fetch' && this.isOpen && !this.store.prepareRead(request.from, SEARCHED_BYTES)) {
        this.question = request;
      } else {
        this.serve(request);
      }
    } catch (error) {
      const failure = retriableOrRefusal(error, request);
      if (request.kind !== 'compact') tell(this.data.port, { kind: 'refused', id: request.id, failure });
    }
  }

  private serve(request: StoreRequest): void {
    const { port } = this.data;
    switch (request.kind) {
      case 'begin':
        this.store.begin(request.identity);
        tell(port, { kind: 'begun', id: request.id });
        return;
      case 'open': {
        const opened = this.store.open(request.snapshotIndex, request.snapshotTerm);
        this.isOpen = !opened.isLost;
        this.lastIndex = opened.lastIndex;
        this.numbers[NUMBER_WRITTEN] = opened.lastIndex;
        this.numbers[NUMBER_DURABLE] = opened.lastIndex;
        if (this.isOpen) this.measure();
        tell(port, { kind: 'opened', id: request.id, opened, notes: this.store.notes });
        return;
      }
      case 'fetch': {
        const { id, from, to, maxBytes } = request;
        tell(port, { kind: 'fetched', id, bytes: packEntries(this.isOpen ? this.store.read(from, to, maxBytes) : []) });
        return;
      }
      case 'compact':
        // What cannot be removed now goes with the next snapshot.
        if (!this.isOpen) return;
        this.store.compact(request.through);
        this.measure();
    }
  }
}

/** The error, if the same call may be made again; what else was thrown is thrown. */
function retriable(error: unknown): LogError {
  if (!(error instanceof LogError) || error.code === 'SYNC_FAILED' || error.code === 'CORRUPT') throw error;
  return error;
}

/** What is damaged when the log is opened is for the operator to read; behind that, it is the end. */
function retriableOrRefusal(error: unknown, request: StoreRequest): StoreFailure {
  const isRefusal = error instanceof LogError && request.kind === 'open' && error.code !== 'SYNC_FAILED';
  return failureOf(isRefusal ? error : retriable(error));
}

function tell(port: MessagePort, message: StoreMessage): void {
  port.postMessage(message, message.kind === 'fetched' ? [message.bytes.buffer] : []);
}

function main(data: StoreThreadData): void {
  try {
    new StoreThread(data).run();
  } catch (error) {
    if (!(error instanceof LogError)) throw error;
    tell(data.port, { kind: 'fatal', failure: failureOf(error) });
  }
}

main(workerData as StoreThreadData);
