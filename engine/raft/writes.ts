/**
 * Which part of the log is durable, while writes are under way. The caller writes batches in the order in which it was given
 * them, and says when they are durable, in that order too.
 *
 * A finished write must not vouch for entries that a later one has replaced, even when a third has put the same term there
 * again: while the second is under way, a crash may still bring out its entries. So replacing an entry takes it away from
 * all batches under way, which is why a finished batch is known by its number and not by term and index.
 */
import type { LogIndex, Term } from './entry.ts';
import { must } from './errors.ts';

interface Batch {
  readonly number: number;
  /** The term in which it was begun; it makes that term and the vote in it durable. */
  readonly term: Term;
  /** Makes entries up to here durable. */
  upTo: LogIndex;
  /** The tick in which it was begun. */
  readonly since: number;
}

export class Writes {
  /** Entries up to here are durable. */
  durable: LogIndex;
  /** The term that is known to be durable, and with it the vote. */
  durableTerm: Term;
  /** The next entry to write. */
  next: LogIndex;
  private readonly underWay: Batch[] = [];
  private lastNumber = 0;

  constructor(lastIndex: LogIndex, term: Term) {
    this.durable = lastIndex;
    this.durableTerm = term;
    this.next = lastIndex + 1;
  }

  get isIdle(): boolean {
    return this.underWay.length === 0;
  }

  /** The tick since which the oldest write has been waiting; `now` when none does. */
  waitingSince(now: number): number {
    return this.underWay.length === 0 ? now : this.underWay[0].since;
  }

  begin(term: Term, upTo: LogIndex, now: number): number {
    this.underWay.push({ number: ++this.lastNumber, term, upTo, since: now });
    this.next = upTo + 1;
    return this.lastNumber;
  }

  finish(number: number): void {
    must(number <= this.lastNumber, 'only what was begun is finished');
    while (this.underWay.length > 0 && this.underWay[0].number <= number) {
      const batch = this.underWay.shift()!;
      if (batch.upTo > this.durable) this.durable = batch.upTo;
      this.durableTerm = batch.term;
    }
  }

  /** Entries from `index` on are being replaced. */
  truncateFrom(index: LogIndex): void {
    for (const batch of this.underWay) batch.upTo = Math.min(batch.upTo, index - 1);
    this.durable = Math.min(this.durable, index - 1);
    this.next = Math.min(this.next, index);
  }
}
