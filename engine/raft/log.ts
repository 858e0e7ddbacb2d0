/**
 * A replica's view of its log: the terms of all entries, as runs, and the newest entries themselves, up to a number of
 * bytes. It does no I/O: older entries are read by whoever owns the storage, when the replica asks (`Ready.fetches`).
 *
 * ```
 *   baseIndex        keptFirst                lastIndex
 *      |  on disk only   |  on disk and in memory |
 *   snapshot ends here (its term is known)
 * ```
 * Appending costs a push; the term of an entry a step or two back through the runs.
 */
import type { Entry, LogIndex, Term } from './entry.ts';
import { must } from './errors.ts';

/** Entries released in front are cut off the array when they are this many and half of it. */
const CUT_AT = 512;

export class RaftLog {
  /** Entries up to here are compacted; its term is still known. */
  baseIndex: LogIndex;
  lastIndex: LogIndex;
  /** From termFrom[i] on the term is terms[i]; termFrom[0] = baseIndex. */
  private readonly termFrom: LogIndex[];
  private readonly terms: Term[];
  /** kept[head + i] is entry keptFirst + i. */
  private kept: Entry[] = [];
  private head = 0;
  keptFirst: LogIndex;
  keptBytes = 0;

  constructor(baseIndex: LogIndex, baseTerm: Term) {
    this.baseIndex = baseIndex;
    this.lastIndex = baseIndex;
    this.termFrom = [baseIndex];
    this.terms = [baseTerm];
    this.keptFirst = baseIndex + 1;
  }

  get lastTerm(): Term {
    return this.terms[this.terms.length - 1];
  }

  /** -1 when it is not known: compacted, or not there yet. */
  termAt(index: LogIndex): Term {
    if (index > this.lastIndex) return -1;
    for (let i = this.termFrom.length - 1; i >= 0; i--) if (this.termFrom[i] <= index) return this.terms[i];
    return -1;
  }

  /** The last entry at or before `index` whose term is at most `term`; below baseIndex when there is none known. */
  lastWithin(index: LogIndex, term: Term): LogIndex {
    let at = index;
    for (let i = this.termFrom.length - 1; i >= 0; i--) {
      if (this.termFrom[i] > at) continue;
      if (this.terms[i] <= term) return at;
      at = this.termFrom[i] - 1;
    }
    return at;
  }

  append(entry: Entry): void {
    this.follow(entry.index, entry.term);
    this.kept.push(entry);
    this.keptBytes += entry.length;
  }

  /** An entry that is in the storage already; replaces what has its index. */
  restore(index: LogIndex, term: Term): void {
    if (index <= this.lastIndex) this.truncateFrom(index);
    this.follow(index, term);
    this.keptFirst = index + 1;
  }

  private follow(index: LogIndex, term: Term): void {
    must(index === this.lastIndex + 1, 'entries follow each other');
    must(term >= this.lastTerm, 'terms do not go back');
    if (term !== this.lastTerm) {
      this.termFrom.push(index);
      this.terms.push(term);
    }
    this.lastIndex = index;
  }

  /** Entries from `index` on are replaced by what is appended next. */
  truncateFrom(index: LogIndex): void {
    must(index > this.baseIndex, 'a compacted entry is never replaced');
    while (this.termFrom[this.termFrom.length - 1] >= index) {
      this.termFrom.pop();
      this.terms.pop();
    }
    while (this.lastIndex >= index && this.lastIndex >= this.keptFirst) {
      this.keptBytes -= this.kept.pop()!.length;
      this.lastIndex--;
    }
    this.lastIndex = index - 1;
    if (this.keptFirst > index) this.keptFirst = index;
  }

  /** The entry, or undefined when it is only in the storage, or not there. */
  entryAt(index: LogIndex): Entry | undefined {
    return index < this.keptFirst ? undefined : this.kept[this.head + index - this.keptFirst];
  }

  /** Entries from `from` on, from memory: at least one, and no more than fit into `maxBytes`. */
  slice(from: LogIndex, maxBytes: number): Entry[] {
    must(from >= this.keptFirst && from <= this.lastIndex, 'only what is in memory');
    const first = this.head + from - this.keptFirst;
    let bytes = this.kept[first].length;
    let end = first + 1;
    while (end < this.kept.length && bytes + this.kept[end].length <= maxBytes) bytes += this.kept[end++].length;
    return this.kept.slice(first, end);
  }

  /** Lets go of entries up to `upTo`, oldest first, while more than `keepBytes` are in memory. */
  release(upTo: LogIndex, keepBytes: number): void {
    while (this.keptFirst <= upTo && this.keptBytes > keepBytes) this.releaseFirst();
    this.cut();
  }

  private releaseFirst(): void {
    this.keptBytes -= this.kept[this.head++].length;
    this.keptFirst++;
  }

  private cut(): void {
    if (this.head < CUT_AT || this.head * 2 < this.kept.length) return;
    this.kept = this.kept.slice(this.head);
    this.head = 0;
  }

  /** Entries up to `index` go; its term stays known. */
  compactTo(index: LogIndex): void {
    must(index <= this.lastIndex, 'only what is there');
    if (index <= this.baseIndex) return;
    while (this.keptFirst <= index && this.head < this.kept.length) this.releaseFirst();
    if (this.keptFirst <= index) this.keptFirst = index + 1;
    this.cut();
    let gone = 0;
    while (gone + 1 < this.termFrom.length && this.termFrom[gone + 1] <= index) gone++;
    this.termFrom.splice(0, gone);
    this.terms.splice(0, gone);
    this.termFrom[0] = index;
    this.baseIndex = index;
  }

  /** Everything goes, for a snapshot that ends with this entry. */
  restart(index: LogIndex, term: Term): void {
    this.baseIndex = index;
    this.lastIndex = index;
    this.termFrom.length = 0;
    this.terms.length = 0;
    this.termFrom.push(index);
    this.terms.push(term);
    this.kept = [];
    this.head = 0;
    this.keptFirst = index + 1;
    this.keptBytes = 0;
  }

  /** Everything that must hold; for tests. */
  verify(): void {
    let bytes = 0;
    for (let i = this.head; i < this.kept.length; i++) {
      must(this.kept[i].index === this.keptFirst + i - this.head, 'kept entries are where their index says');
      must(this.kept[i].term === this.termAt(this.kept[i].index), 'terms as the runs say');
      bytes += this.kept[i].length;
    }
    must(bytes === this.keptBytes, 'kept bytes are counted');
    must(this.keptFirst + this.kept.length - this.head === this.lastIndex + 1, 'kept entries reach to the last');
    must(this.termFrom[0] === this.baseIndex, 'the base has a term');
  }
}
