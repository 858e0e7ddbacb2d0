/**
 * The log as the thread sees it that accepts writes: commands go in, gather into one entry per turn of the event loop, and
 * are handed to the writer thread. Tells how far the disk has come, and whether writes may be accepted at all.
 *
 * Under `appendfsync always` replies wait until `durableIndex` has reached the entry of everything that they can have
 * seen (net/scheduler.ts). Nothing else waits for the disk: entries queue in the ring, and when that is full, writes
 * (not reads) wait until there is room. Under `always` they wait earlier: what is under way has to fit into what the log
 * keeps reserved, so that on a full disk it still gets its replies, and those of reads do not wait behind it.
 */
import type { Call } from '../call.ts';
import type { Request } from '../request.ts';
import { BatchWriter } from './batch.ts';
import { type LogLink, NUMBER_DURABLE, NUMBER_WRITTEN, POLICY, POLICY_ALWAYS, STATUS, STATUS_OK } from './link.ts';

/**
 * Under `appendfsync always`: what may be under way to the disk when another write is accepted. Half of what the log keeps
 * reserved (segmentlog.ts), since that write comes on top.
 */
const UNDER_WAY_BYTES = 2 * 1024 * 1024;

/** An entry is sealed before the turn ends when it has grown to this. */
const SEALED_BYTES = 256 * 1024;

export class LogFront {
  /** Whether a write may be accepted now; else it has to wait for `advance`. */
  isOpen = true;
  private readonly link: LogLink;
  private readonly batch = new BatchWriter();
  private sealedIndex: number;
  /** Entries that the ring had no room for, in order. Writes wait while there are any, so it is what one turn accepted. */
  private readonly unsent: { index: number; bytes: Uint8Array }[] = [];
  /**
   * Under `always`: entries that are not written yet, as far as `advance` knows, the index and bytes of each by turns; and
   * the bytes of all.
   */
  private underWay: number[] = [];
  private underWayBytes = 0;

  /** `lastIndex` is that of the last entry in the log. */
  constructor(link: LogLink, lastIndex: number) {
    this.link = link;
    this.sealedIndex = lastIndex;
    link.numbers[NUMBER_WRITTEN] = lastIndex;
    link.numbers[NUMBER_DURABLE] = lastIndex;
  }

  /** The entry of the last write accepted. */
  get lastIndex(): number {
    return this.batch.count === 0 ? this.sealedIndex : this.sealedIndex + 1;
  }

  /** The last entry that a loss of power would not take. */
  private get durableIndex(): number {
    return this.link.numbers[NUMBER_DURABLE];
  }

  /** The last entry whose replies may go out: any, once appendfsync is not `always` any more. */
  get releasedIndex(): number {
    return this.repliesWait ? this.durableIndex : Number.POSITIVE_INFINITY;
  }

  /** The entry that has to be durable before replies may go out; 0 for none. */
  get awaitedIndex(): number {
    if (!this.repliesWait) return 0;
    const last = this.lastIndex;
    return last > this.durableIndex ? last : 0;
  }

  /** Whether replies wait for the disk. */
  private get repliesWait(): boolean {
    return this.link.words[POLICY] === POLICY_ALWAYS;
  }

  /** Whether the disk takes what is written. */
  get isHealthy(): boolean {
    return this.link.words[STATUS] === STATUS_OK;
  }

  /** A write was accepted, in `call`'s database and at its time; `seed` is what it began to draw with, 0 for nothing. */
  append(request: Request, call: Call, seed: number): void {
    this.batch.add(request, call.nowMs, call.db, seed);
    if (this.batch.length >= SEALED_BYTES) this.seal();
  }

  /** A key that the server takes away by itself. */
  appendUnlink(nowMs: number, db: number, from: Uint8Array, start: number, length: number): void {
    this.batch.addUnlink(nowMs, db, from, start, length);
  }

  /** What was accepted so far becomes an entry: at the end of a turn, and where a snapshot begins. */
  seal(): void {
    if (this.batch.count === 0) return;
    this.sealedIndex++;
    const { u8, length } = this.batch;
    if (this.unsent.length === 0 && this.link.send(this.sealedIndex, u8, length)) this.link.call();
    else this.unsent.push({ index: this.sealedIndex, bytes: u8.slice(0, length) });
    if (this.repliesWait) {
      this.underWay.push(this.sealedIndex, length);
      this.underWayBytes += length;
    }
    this.updateOpen();
    this.batch.clear();
  }

  /** The writer has gone on. */
  advance(): void {
    if (this.isOpen && this.underWay.length === 0) return;
    const written = this.link.numbers[NUMBER_WRITTEN];
    let done = 0;
    for (; done < this.underWay.length && this.underWay[done] <= written; done += 2) {
      this.underWayBytes -= this.underWay[done + 1];
    }
    if (done === this.underWay.length) this.underWay.length = 0;
    else if (done > 0) this.underWay = this.underWay.slice(done);
    if (this.isOpen) return;
    while (this.unsent.length > 0) {
      const { index, bytes } = this.unsent[0];
      if (!this.link.send(index, bytes, bytes.length)) break;
      this.unsent.shift();
    }
    this.updateOpen();
    this.link.call();
  }

  private updateOpen(): void {
    this.isOpen = this.unsent.length === 0 && (!this.repliesWait || this.underWayBytes <= UNDER_WAY_BYTES);
  }
}
