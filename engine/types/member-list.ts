/**
 * Members with scores outside any arena: what ZUNION and its kin compute before they reply or store. One per thread,
 * reused; its memory is kept between commands up to a limit. The bytes are copies, so that sources may lie in any
 * arena, or be the key that is stored over.
 *
 * `push` appends; `find` looks a member up by hash and makes the list a map, for unions; `sort` makes `order` list the
 * entries by score and member.
 */

import { hashBytes } from '../hash.ts';
import { copyBytes } from '../keyspace.ts';
import { compareBytes } from './zset-member.ts';

/** A list that grew beyond this many bytes or entries gives its memory back when it is next emptied. */
const KEPT_BYTES = 1024 * 1024;
const KEPT_ENTRIES = 65536;
const FIRST_BYTES = 4096;
const FIRST_ENTRIES = 256;

/** Any number; the fraction of the golden ratio. */
const SALT = 0x9e3779b9;

export class MemberList {
  count = 0;
  bytes = new Uint8Array(FIRST_BYTES);
  starts = new Uint32Array(FIRST_ENTRIES);
  lengths = new Uint32Array(FIRST_ENTRIES);
  scores = new Float64Array(FIRST_ENTRIES);
  /** The entries by score and member, after `sort`. */
  order = new Uint32Array(FIRST_ENTRIES);
  /** Bytes of all members. */
  used = 0;
  /** Open addressing: entry + 1, or 0; empty until `find` is first asked. Twice as many places as there is room for entries. */
  private places = new Uint32Array(0);
  private hashed = false;
  private seed0 = 0;
  private seed1 = 0;

  /**
   * Empties the list; the seeds are those of an arena, so that nobody can choose members that collide. Not as they are: members that
   * come in the order of the arena's hashes would fill the places as one run, and each would be looked for along all of it.
   */
  clear(seed0: number, seed1: number): void {
    this.count = 0;
    this.used = 0;
    this.hashed = false;
    this.seed0 = seed0 ^ SALT;
    this.seed1 = seed1 ^ SALT;
    if (this.bytes.length > KEPT_BYTES) this.bytes = new Uint8Array(FIRST_BYTES);
    if (this.starts.length > KEPT_ENTRIES) {
      this.resize(FIRST_ENTRIES);
      this.places = new Uint32Array(0);
    }
  }

  private resize(capacity: number): void {
    const kept = Math.min(this.count, capacity);
    const starts = new Uint32Array(capacity);
    const lengths = new Uint32Array(capacity);
    const scores = new Float64Array(capacity);
    starts.set(this.starts.subarray(0, kept));
    lengths.set(this.lengths.subarray(0, kept));
    scores.set(this.scores.subarray(0, kept));
    this.starts = starts;
    this.lengths = lengths;
    this.scores = scores;
    this.order = new Uint32Array(capacity);
  }

  /** Appends a member. With `find` in use, it is one that `find` has just not found. */
  push(buf: Uint8Array, start: number, length: number, score: number): void {
    const entry = this.count;
    if (entry === this.starts.length) {
      this.resize(entry * 2);
      if (this.hashed) this.rehash();
    }
    if (this.used + length > this.bytes.length) this.growBytes(this.used + length);
    copyBytes(this.bytes, this.used, buf, start, length);
    this.starts[entry] = this.used;
    this.lengths[entry] = length;
    this.scores[entry] = score;
    this.used += length;
    this.count++;
    if (this.hashed) this.places[this.placeOf(buf, start, length)] = entry + 1;
  }

  private growBytes(need: number): void {
    let capacity = this.bytes.length * 2;
    while (capacity < need) capacity *= 2;
    const grown = new Uint8Array(capacity);
    grown.set(this.bytes.subarray(0, this.used));
    this.bytes = grown;
  }

  /** The entry of a member, -1 when it is not in the list. */
  find(buf: Uint8Array, start: number, length: number): number {
    if (!this.hashed) this.rehash();
    return this.places[this.placeOf(buf, start, length)] - 1;
  }

  /** The place that holds this member's entry, or where it would go. */
  private placeOf(buf: Uint8Array, start: number, length: number): number {
    const mask = this.places.length - 1;
    let place = hashBytes(this.seed0, this.seed1, buf, start, length) & mask;
    for (;;) {
      const entry = this.places[place] - 1;
      if (entry < 0) return place;
      if (compareBytes(this.bytes, this.starts[entry], this.lengths[entry], buf, start, length) === 0) return place;
      place = (place + 1) & mask;
    }
  }

  private rehash(): void {
    const size = this.starts.length * 2;
    if (this.places.length === size) this.places.fill(0);
    else this.places = new Uint32Array(size);
    this.hashed = true;
    for (let entry = 0; entry < this.count; entry++) {
      this.places[this.placeOf(this.bytes, this.starts[entry], this.lengths[entry])] = entry + 1;
    }
  }

  /** Takes out the entries that are 1 in `gone`; those behind them move up. */
  drop(gone: Uint8Array): void {
    let kept = 0;
    for (let entry = 0; entry < this.count; entry++) {
      if (gone[entry] === 1) continue;
      this.starts[kept] = this.starts[entry];
      this.lengths[kept] = this.lengths[entry];
      this.scores[kept] = this.scores[entry];
      kept++;
    }
    this.count = kept;
    this.hashed = false;
  }

  /** Sets `order`. O(n) when the entries come in order, or in the opposite one. */
  sort(): void {
    const { count } = this;
    const order = this.order.subarray(0, count);
    let rising = true;
    let falling = true;
    for (let i = 1; i < count && (rising || falling); i++) {
      if (this.compare(i - 1, i) < 0) falling = false;
      else rising = false;
    }
    for (let i = 0; i < count; i++) order[i] = rising ? i : count - 1 - i;
    if (!rising && !falling) order.sort((x, y) => this.compare(x, y));
  }

  private compare(x: number, y: number): number {
    const { bytes, starts, lengths, scores } = this;
    if (scores[x] !== scores[y]) return scores[x] < scores[y] ? -1 : 1;
    return compareBytes(bytes, starts[x], lengths[x], bytes, starts[y], lengths[y]);
  }
}
