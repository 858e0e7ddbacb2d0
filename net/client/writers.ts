/**
 * The names under which the client writes. A write is sent as `ONCE <writer> <seq> <command …>`: the cluster keeps each
 * writer's last number and answer, so a write that comes again is answered again and not done again. That needs writers to have one
 * write under way at most; several writers make several at once.
 *
 * A writer is used for its next number only after an answer to its last one. One whose write ended in doubt is never used
 * again, neither is one that has rested for long: the cluster forgets writers that it has not heard of for an hour.
 */
import { randomBytes } from 'node:crypto';

/** Writes under way at once; more wait for their turn. */
const MOST_WRITERS = 16;
const REST_MS = 600_000;

export interface Writer {
  readonly id: string;
  /** The number of its write under way, or of its next one. From 1. */
  seq: number;
  usedAtMs: number;
}

export class Writers {
  private readonly resting: Writer[] = [];
  private working = 0;
  private readonly waiting: ((writer: Writer) => void)[] = [];

  /** A writer for one write; `done`, `refused`, `unused` or `lose` must follow. */
  take(): Promise<Writer> {
    if (this.working < MOST_WRITERS) {
      this.working++;
      return Promise.resolve(this.next());
    }
    return new Promise((resolve) => this.waiting.push(resolve));
  }

  /** Its write was answered. */
  done(writer: Writer): void {
    writer.seq++;
    writer.usedAtMs = performance.now();
    this.resting.push(writer);
    this.free();
  }

  /** Its write was answered with an error, which does not tell whether the number is used up. */
  refused(writer: Writer): void {
    // The cluster knows a writer by its first number, and then takes any later one.
    if (writer.seq > 1) this.done(writer);
    else this.free();
  }

  /** The cluster has forgotten it: another one in its place. */
  replace(): Writer {
    this.resting.length = 0;
    return this.next();
  }

  /** Nothing was done under its number. */
  unused(writer: Writer): void {
    this.resting.push(writer);
    this.free();
  }

  /** Its write ended in doubt: it writes no more. */
  lose(): void {
    this.free();
  }

  private free(): void {
    const waiter = this.waiting.shift();
    if (waiter === undefined) this.working--;
    else waiter(this.next());
  }

  private next(): Writer {
    const rested = this.resting.pop();
    if (rested !== undefined && performance.now() - rested.usedAtMs < REST_MS) return rested;
    // Those below it have rested longer.
    this.resting.length = 0;
    return { id: randomBytes(12).toString('hex'), seq: 1, usedAtMs: performance.now() };
  }
}
