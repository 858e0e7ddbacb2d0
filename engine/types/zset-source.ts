/**
 * What ZUNION and its kin read from: sorted sets, and sets, whose members count as having score 1. Runs under the locks
 * of the sources' shards.
 */
import type { Arena, Offset } from '../arena.ts';
import { MemberWalk } from './member-walk.ts';
import { isSet, setHas, setSize } from './set.ts';
import { isZset, ZsetWalk, zsetScore, zsetSize } from './zset.ts';

const SET_SCORE = 1;

export function isSource(a: Arena, record: Offset): boolean {
  return isZset(a, record) || isSet(a, record);
}

export function sourceSize(a: Arena, record: Offset): number {
  return isZset(a, record) ? zsetSize(a, record) : setSize(a, record);
}

/** The member's score in the source, NaN when it is not in it. */
export function sourceScore(a: Arena, record: Offset, buf: Uint8Array, start: number, length: number): number {
  if (isZset(a, record)) return zsetScore(a, record, buf, start, length);
  return setHas(a, record, buf, start, length) ? SET_SCORE : Number.NaN;
}

/** A walk over the members of a source: `start`, then `next` until it is false; a member is `length` bytes of `buf` at `at`. */
export class SourceWalk {
  score = 0.5;
  buf: Uint8Array = new Uint8Array(0);
  at = 0;
  length = 0;
  private scored = false;
  private readonly zset = new ZsetWalk();
  private readonly set = new MemberWalk();

  start(a: Arena, record: Offset): void {
    this.scored = isZset(a, record);
    if (this.scored) this.zset.start(a, record, 0, false);
    else this.set.start(a, record);
  }

  next(a: Arena): boolean {
    const { zset, set } = this;
    if (this.scored) {
      if (!zset.next(a)) return false;
      this.score = zset.score;
      this.buf = a.u8;
      this.at = zset.at;
      this.length = zset.length;
      return true;
    }
    if (!set.next(a)) return false;
    this.score = SET_SCORE;
    this.buf = set.buf;
    this.at = set.at;
    this.length = set.length;
    return true;
  }
}
