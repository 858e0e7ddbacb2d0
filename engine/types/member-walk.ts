/**
 * Members of a set, or fields of a hash with their values, one after the other or drawn at random, whatever form the key
 * has: integers (intset.ts), packed (pack.ts) or a table of records (members.ts). Runs under the shard's lock.
 *
 * `start`, then `next` until it is false; or `draw`. The member at hand is `length` bytes of `buf` at `at`, and a field's
 * value `valueLength` bytes of the arena at `valueAt`. Reused; the key must not change between calls.
 */
import type { Arena, Offset } from '../arena.ts';
import type { Random } from '../random.ts';
import {
  ENC_INTSET,
  ENC_ROOT,
  keyLength,
  RECORD_HEADER_BYTES,
  recordEncoding,
  recordType,
  TYPE_HASH,
  valueWord,
} from '../record.ts';
import { TableWalk, tableRandom } from '../table.ts';
import { INTEGER_TEXT_BYTES, integerText, intsetCount, intsetHigh, intsetLow } from './intset.ts';
import { entryLength, entryStart, nextEntry, packCount, packEnd, packEntry, packStart } from './pack.ts';

export class MemberWalk {
  buf: Uint8Array = new Uint8Array(0);
  at = 0;
  length = 0;
  valueAt: Offset = 0;
  valueLength = 0;
  /** Which of them it is: the member's record, the entry in the pack, or the index among the integers. */
  place = 0;
  /** Whether the set is one of integers; then the halves of the member at hand are in `high` and `low`. */
  integers = false;
  high = 0;
  low = 0;
  private encoding = 0;
  private pairs = false;
  private record: Offset = 0;
  /** Of a pack: the next entry; of integers: the index of the next. */
  private coming = 0;
  private end = 0;
  private readonly table = new TableWalk();
  private readonly text = new Uint8Array(INTEGER_TEXT_BYTES);

  start(a: Arena, record: Offset): void {
    this.open(a, record);
    if (this.encoding >= ENC_ROOT) {
      this.table.start();
    } else if (this.integers) {
      this.coming = 0;
      this.end = intsetCount(a, record);
    } else {
      this.coming = packStart(a, record);
      this.end = packEnd(a, record);
    }
  }

  private open(a: Arena, record: Offset): void {
    this.record = record;
    this.encoding = recordEncoding(a, record);
    this.integers = this.encoding === ENC_INTSET;
    this.pairs = recordType(a, record) === TYPE_HASH;
    this.valueLength = 0;
  }

  next(a: Arena): boolean {
    if (this.encoding >= ENC_ROOT) {
      const member = this.table.next(a, valueWord(a, this.record));
      if (member === 0) return false;
      this.reachRecord(a, member);
      return true;
    }
    if (this.coming === this.end) return false;
    if (this.integers) {
      this.reachInteger(a, this.coming);
      this.coming++;
    } else {
      this.coming = this.reachEntry(a, this.coming);
    }
    return true;
  }

  /** Goes to a member of a key that is not empty, drawn evenly. */
  draw(a: Arena, record: Offset, random: Random): void {
    this.open(a, record);
    if (this.encoding >= ENC_ROOT) {
      this.reachRecord(a, tableRandom(a, valueWord(a, record), random));
    } else if (this.integers) {
      this.reachInteger(a, random.below(intsetCount(a, record)));
    } else {
      const step = this.pairs ? 2 : 1;
      this.reachEntry(a, packEntry(a, record, random.below(packCount(a, record) / step) * step));
    }
  }

  private reachRecord(a: Arena, member: Offset): void {
    this.place = member;
    this.buf = a.u8;
    this.at = member + RECORD_HEADER_BYTES;
    this.length = keyLength(a, member);
    this.valueAt = this.at + this.length;
    this.valueLength = valueWord(a, member);
  }

  private reachInteger(a: Arena, index: number): void {
    this.place = index;
    this.high = intsetHigh(a, this.record, index);
    this.low = intsetLow(a, this.record, index);
    this.buf = this.text;
    this.at = integerText(this.high, this.low, this.text);
    this.length = INTEGER_TEXT_BYTES - this.at;
  }

  /** Goes to an entry of a pack; returns where the next member's begins. */
  private reachEntry(a: Arena, entry: Offset): Offset {
    this.place = entry;
    this.buf = a.u8;
    this.at = entryStart(a, entry);
    this.length = entryLength(a, entry);
    const following = this.at + this.length;
    if (!this.pairs) return following;
    this.valueAt = entryStart(a, following);
    this.valueLength = entryLength(a, following);
    return nextEntry(a, following);
  }
}
