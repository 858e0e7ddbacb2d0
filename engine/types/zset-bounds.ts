/**
 * The bounds of ZRANGEBYSCORE, ZRANGEBYLEX and their kin: read from arguments, then turned into ranks. With ranks every
 * command on a range is the same: so many members from this one on. Runs under the shard's lock; O(log n), O(n) for
 * packed sets.
 */
import type { Arena, Offset } from '../arena.ts';
import type { Call } from '../call.ts';
import { valueWord } from '../record.ts';
import { parseDouble } from '../request.ts';
import { hasRoot } from '../values.ts';
import { treeCountToMember } from './tree-read.ts';
import { zsetCountToScore, zsetSize } from './zset.ts';
import { compareEntry, nextEntry, packEnd, packStart } from './zset-pack.ts';

const OPEN_PAREN = 40;
const PLUS = 43;
const MINUS = 45;
const OPEN_BRACKET = 91;

/** How a bound by member begins: at these bytes, behind these bytes, below everything, above everything. */
const INCLUSIVE = 0;
const EXCLUSIVE = 1;
const LOWEST = 2;
const HIGHEST = 3;

/** A range of ranks, `from` up to but without `to`; empty when from >= to. Reused by its owner. */
export class RankRange {
  from = 0;
  to = 0;

  /** Ranks as Redis counts them: negative ones from the end, `last` included. */
  setRanks(size: number, first: number, last: number): void {
    this.from = first < 0 ? Math.max(0, size + first) : first;
    this.to = last < 0 ? size + last + 1 : Math.min(last, size - 1) + 1;
  }

  /** Makes ranks counted from the highest score ranks counted from the lowest. */
  mirror(size: number): void {
    const { from } = this;
    this.from = size - this.to;
    this.to = size - from;
  }

  /** What is left of the range after LIMIT; a negative count is no limit, a negative offset leaves nothing. */
  limit(offset: number, count: number, reverse: boolean): void {
    const size = Math.max(0, this.to - this.from);
    const skipped = offset < 0 || offset > size ? size : offset;
    const kept = count < 0 || count > size - skipped ? size - skipped : count;
    if (reverse) this.from = this.to - skipped - kept;
    else this.from += skipped;
    this.to = this.from + kept;
  }
}

/** A range of scores, parsed before the key is looked up. Reused by its owner. */
export class ScoreBounds {
  private min = 0.5;
  private max = 0.5;
  private aboveMin = false;
  private belowMax = false;

  /** Reads the bounds in arguments `min` and `max`; false when one is not a number. */
  parse(c: Call, min: number, max: number): boolean {
    this.min = parseScoreBound(c, min);
    this.max = parseScoreBound(c, max);
    this.aboveMin = isExclusive(c, min);
    this.belowMax = isExclusive(c, max);
    return !Number.isNaN(this.min) && !Number.isNaN(this.max);
  }

  ranks(a: Arena, record: Offset, out: RankRange): void {
    const fromFirst = this.min === Number.NEGATIVE_INFINITY && !this.aboveMin;
    const toLast = this.max === Number.POSITIVE_INFINITY && !this.belowMax;
    out.from = fromFirst ? 0 : zsetCountToScore(a, record, this.min, this.aboveMin);
    out.to = toLast ? zsetSize(a, record) : zsetCountToScore(a, record, this.max, !this.belowMax);
  }
}

function isExclusive(c: Call, i: number): boolean {
  return c.len[i] > 0 && c.buf[c.off[i]] === OPEN_PAREN;
}

/**
 * The number in argument i behind an opening parenthesis, if there is one; NaN when it is none. Read as C's strtod reads
 * a string, which is laxer than scores are read: white space may come first, a NUL ends it, nothing at all is 0, and
 * what is too large is infinite.
 */
function parseScoreBound(c: Call, i: number): number {
  const { buf } = c;
  const skipped = isExclusive(c, i) ? 1 : 0;
  let start = c.off[i] + skipped;
  const limit = c.off[i] + c.len[i];
  let end = start;
  while (end < limit && buf[end] !== 0) end++;
  if (start === end) return 0;
  while (start < end && (buf[start] === 32 || (buf[start] >= 9 && buf[start] <= 13))) start++;
  return parseDouble(buf, start, end - start, true);
}

/** A range of members in a set whose scores are all equal. Its bytes lie in the request. Reused by its owner. */
export class LexBounds {
  private buf: Uint8Array = new Uint8Array(0);
  private minKind = LOWEST;
  private minStart = 0;
  private minLength = 0;
  private maxKind = HIGHEST;
  private maxStart = 0;
  private maxLength = 0;

  /** Reads the bounds in arguments `min` and `max`; false when one is malformed. */
  parse(c: Call, min: number, max: number): boolean {
    this.buf = c.buf;
    this.minKind = boundKind(c, min);
    this.minStart = c.off[min] + 1;
    this.minLength = c.len[min] - 1;
    this.maxKind = boundKind(c, max);
    this.maxStart = c.off[max] + 1;
    this.maxLength = c.len[max] - 1;
    return this.minKind >= 0 && this.maxKind >= 0;
  }

  ranks(a: Arena, record: Offset, out: RankRange): void {
    if (hasRoot(a, record)) {
      const size = zsetSize(a, record);
      out.from = this.countTo(a, record, size, this.minKind, this.minStart, this.minLength, EXCLUSIVE);
      out.to = this.countTo(a, record, size, this.maxKind, this.maxStart, this.maxLength, INCLUSIVE);
    } else {
      this.packRanks(a, record, out);
    }
  }

  /** How many members come before a bound; those equal to it too when it is of the kind `counting`. */
  private countTo(
    a: Arena,
    record: Offset,
    size: number,
    kind: number,
    start: number,
    length: number,
    counting: number,
  ): number {
    if (kind === LOWEST) return 0;
    if (kind === HIGHEST) return size;
    return treeCountToMember(a, valueWord(a, record), this.buf, start, length, kind === counting);
  }

  /** From the first member that is not too low up to the first that is too high. */
  private packRanks(a: Arena, record: Offset, out: RankRange): void {
    const end = packEnd(a, record);
    let entry = packStart(a, record);
    let rank = 0;
    for (; entry < end && this.isBelow(a, entry); entry = nextEntry(a, entry)) rank++;
    out.from = rank;
    for (; entry < end && !this.isAbove(a, entry); entry = nextEntry(a, entry)) rank++;
    out.to = rank;
  }

  private isBelow(a: Arena, entry: Offset): boolean {
    if (this.minKind >= LOWEST) return this.minKind === HIGHEST;
    const order = compareEntry(a, entry, this.buf, this.minStart, this.minLength);
    return order < 0 || (order === 0 && this.minKind === EXCLUSIVE);
  }

  private isAbove(a: Arena, entry: Offset): boolean {
    if (this.maxKind >= LOWEST) return this.maxKind === LOWEST;
    const order = compareEntry(a, entry, this.buf, this.maxStart, this.maxLength);
    return order > 0 || (order === 0 && this.maxKind === EXCLUSIVE);
  }
}

function boundKind(c: Call, i: number): number {
  const start = c.off[i];
  const first = c.len[i] === 0 ? 0 : c.buf[start];
  if (first === OPEN_PAREN) return EXCLUSIVE;
  if (first === OPEN_BRACKET) return INCLUSIVE;
  const alone = c.len[i] === 1 || (c.len[i] > 1 && c.buf[start + 1] === 0);
  if (first === PLUS && alone) return HIGHEST;
  return first === MINUS && alone ? LOWEST : -1;
}
