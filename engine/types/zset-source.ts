/**
 * What ZUNION and its kin read from: sorted sets, and sets, whose members count as having score 1. Runs under the locks
 * of the sources' shards.
 */
import type { Arena, Offset } from '../arena.ts';
import { isZset, ZsetWalk, zsetScore, zsetSize } from './zset.ts';

export function isSource(a: Arena, record: Offset): boolean {
  return isZset(a, record);
}

export function sourceSize(a: Arena, record: Offset): number {
  return zsetSize(a, record);
}

/** The member's score in the source, NaN when it is not in it. */
export function sourceScore(a: Arena, record: Offset, buf: Uint8Array, start: number, length: number): number {
  return zsetScore(a, record, buf, start, length);
}

/** A walk over the members of a source: `length` bytes of `buf` at `at`. */
export class SourceWalk {
  score = 0.5;
  buf: Uint8Array = new Uint8Array(0);
  at = 0;
  length = 0;
  private readonly zset = new ZsetWalk();

  start(a: Arena, record: Offset): void {
    this.zset.start(a, record, 0, false);
  }

  next(a: Arena): boolean {
    const { zset } = this;
    if (!zset.next(a)) return false;
    this.score = zset.score;
    this.buf = a.u8;
    this.at = zset.at;
    this.length = zset.length;
    return true;
  }
}
