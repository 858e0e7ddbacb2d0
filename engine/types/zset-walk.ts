/** Members of a sorted set in order, whatever its form. Runs under the shard's lock; a step is O(1). */
import type { Arena, Offset } from '../arena.ts';
import { valueWord } from '../record.ts';
import { hasRoot } from '../values.ts';
import { TreeCursor } from './tree-read.ts';
import { memberLength, memberScore, memberStart } from './zset-member.ts';
import { entryMemberLength, entryMemberStart, entryScore, nextEntry, packEnd, packStart } from './zset-pack.ts';

/**
 * A walk over members in order, from a rank on, forwards or backwards: `start`, then `next` until it is false. The
 * member at hand is `length` bytes of the arena at `at`. Reused; the set must not change meanwhile.
 */
export class ZsetWalk {
  score = 0.5;
  at: Offset = 0;
  length = 0;
  /** The next member record, or, of a packed set, the next entry; 0 at the end. */
  private coming: Offset = 0;
  private reverse = false;
  private packed = false;
  /** Where the entries of a packed set end. */
  private end: Offset = 0;
  /** The entries of a packed set that is walked backwards, and the index of the coming one. */
  private entries = new Uint32Array(128);
  private index = 0;
  private readonly cursor = new TreeCursor();

  /** `rank` counts from the lowest score in either direction; it is the rank of a member of the set. */
  start(a: Arena, record: Offset, rank: number, reverse: boolean): void {
    this.reverse = reverse;
    this.packed = !hasRoot(a, record);
    if (!this.packed) {
      this.coming = this.cursor.seek(a, valueWord(a, record), rank);
      return;
    }
    this.end = packEnd(a, record);
    if (reverse && rank >= this.entries.length) this.entries = new Uint32Array(rank * 2);
    let entry = packStart(a, record);
    for (let i = 0; i < rank; i++) {
      if (reverse) this.entries[i] = entry;
      entry = nextEntry(a, entry);
    }
    this.coming = entry;
    this.index = rank;
  }

  /** Goes to the next member, at first to the one at the rank; false when there is none. */
  next(a: Arena): boolean {
    const at = this.coming;
    if (at === 0) return false;
    if (this.packed) {
      this.score = entryScore(a, at);
      this.at = entryMemberStart(a, at);
      this.length = entryMemberLength(a, at);
      if (this.reverse) {
        this.coming = this.index === 0 ? 0 : this.entries[--this.index];
      } else {
        const following = this.at + this.length;
        this.coming = following < this.end ? following : 0;
      }
    } else {
      this.score = memberScore(a, at);
      this.at = memberStart(at);
      this.length = memberLength(a, at);
      this.coming = this.reverse ? this.cursor.previous(a) : this.cursor.next(a);
    }
    return true;
  }
}
