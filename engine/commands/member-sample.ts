/**
 * Random members of a set or fields of a hash, for SRANDMEMBER and HRANDFIELD: with repetition, or each at most once, by
 * the way that suits the share that is asked for. Draws come from the call. Runs under the lock of the key's shard.
 */
import type { Arena, Offset } from '../arena.ts';
import type { Call } from '../call.ts';
import { ERR } from '../errors.ts';
import type { MemberWalk } from '../types/member-walk.ts';
import { hasRoot } from '../values.ts';

/** The most members that one command draws with repetition; Redis would go on until its memory is full. */
const MAX_DRAWS = 2 ** 24;
/** A third of the members or more are drawn on one walk over all of them, fewer one by one. */
const WALK_SHARE = 3;
const INT64_MIN = -(2n ** 63n);
const MAX_PAIRS = 2n ** 62n - 1n;

/** Reads the count in argument i into `c.num`; false after an error reply. */
export function parseSampleCount(c: Call, i: number): boolean {
  if (!c.long(i)) c.reply.error(ERR.NOT_INTEGER);
  else if (!c.exact && c.big === INT64_MIN) c.reply.error(ERR.NOT_NEGATABLE);
  else return true;
  return false;
}

/** Whether the count that was read last is one of pairs whose elements a signed 64-bit number could not count. */
export function isPairCountTooLarge(c: Call): boolean {
  return !c.exact && (c.big > MAX_PAIRS || c.big < -MAX_PAIRS);
}

/** Whether a negative count is more than this server draws; after an error reply then. */
export function drawsTooMany(c: Call, count: number): boolean {
  if (count >= -MAX_DRAWS) return false;
  c.reply.error(ERR.OUT_OF_RANGE);
  return true;
}

/** The members already drawn. */
const drawn = new Set<number>();

/** Calls `reply` with `walk` at each of `count` members: negative with repetition, else distinct and at most `size`. */
export function replySample(
  c: Call,
  a: Arena,
  record: Offset,
  walk: MemberWalk,
  count: number,
  size: number,
  reply: (c: Call, walk: MemberWalk) => void,
): void {
  if (count < 0 || count === 1) {
    for (let left = Math.abs(count); left > 0; left--) {
      walk.draw(a, record, c.random);
      reply(c, walk);
    }
    return;
  }
  // Of a packed key every draw is a walk.
  if (count * WALK_SHARE < size && hasRoot(a, record)) {
    while (drawn.size < count) {
      walk.draw(a, record, c.random);
      if (drawn.has(walk.place)) continue;
      drawn.add(walk.place);
      reply(c, walk);
    }
    drawn.clear();
    return;
  }
  // Selection sampling (Knuth, TAOCP 3.4.2, algorithm S).
  walk.start(a, record);
  for (let left = size; count > 0; left--) {
    walk.next(a);
    if (c.random.below(left) >= count) continue;
    reply(c, walk);
    count--;
  }
}
