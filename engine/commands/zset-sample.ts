/**
 * ZRANDMEMBER and ZSCAN: members of a sorted set in no particular order. Handlers run under the lock of their key's
 * shard.
 */
import type { Arena, Offset } from '../arena.ts';
import type { Call } from '../call.ts';
import { ERR } from '../errors.ts';
import { globMatch } from '../glob.ts';
import { lookupRead } from '../keyspace.ts';
import { valueWord } from '../record.ts';
import { formatDouble } from '../reply.ts';
import { tableScan } from '../table.ts';
import { isZset, ZsetWalk, zsetSize } from '../types/zset.ts';
import { memberLength, memberScore, memberStart } from '../types/zset-member.ts';
import { hasRoot } from '../values.ts';
import { isPairCountTooLarge, parseSampleCount } from './member-sample.ts';
import { parseCursor, parseScanOptions, scanOptions } from './scan.ts';

/** The most members that one ZRANDMEMBER draws with repetition; Redis would go on until its memory is full. */
const MAX_DRAWS = 2 ** 24;

const walk = new ZsetWalk();

export function zrandmember(c: Call): void {
  if (c.argc > 2) return drawMany(c);
  const record = lookupRead(c, 1);
  if (record === 0) return c.reply.nil();
  const a = c.arena;
  if (!isZset(a, record)) return c.reply.error(ERR.WRONGTYPE);
  replyAt(c, a, record, c.random.below(zsetSize(a, record)), false);
}

function drawMany(c: Call): void {
  if (!parseSampleCount(c, 2)) return;
  const count = c.num;
  const withScores = c.argc === 4 && c.is(3, 'WITHSCORES');
  if (c.argc > 4 || (c.argc === 4 && !withScores)) return c.reply.error(ERR.SYNTAX);
  if (withScores && isPairCountTooLarge(c)) return c.reply.error(ERR.OUT_OF_RANGE);
  const record = lookupRead(c, 1);
  if (record === 0) return c.reply.arrayHeader(0);
  const a = c.arena;
  if (!isZset(a, record)) return c.reply.error(ERR.WRONGTYPE);
  if (count < 0) drawRepeating(c, a, record, -count, withScores);
  else drawDistinct(c, a, record, Math.min(count, zsetSize(a, record)), withScores);
}

function drawRepeating(c: Call, a: Arena, record: Offset, count: number, withScores: boolean): void {
  if (count > MAX_DRAWS) return c.reply.error(ERR.OUT_OF_RANGE);
  replyHeader(c, count, withScores);
  const size = zsetSize(a, record);
  for (let i = 0; i < count; i++) replyAt(c, a, record, c.random.below(size), withScores);
}

/** A third of the set or more is drawn on one walk over all of it, fewer members one by one. */
const WALK_SHARE = 3;

function drawDistinct(c: Call, a: Arena, record: Offset, count: number, withScores: boolean): void {
  const size = zsetSize(a, record);
  replyHeader(c, count, withScores);
  if (count * WALK_SHARE < size) {
    // Floyd's sampling: each round adds one of the ranks up to `last`, or `last` itself when that one is taken.
    const ranks = new Set<number>();
    for (let last = size - count; last < size; last++) {
      const rank = c.random.below(last + 1);
      ranks.add(ranks.has(rank) ? last : rank);
    }
    for (const rank of ranks) replyAt(c, a, record, rank, withScores);
    return;
  }
  // Selection sampling (Knuth, TAOCP 3.4.2, algorithm S).
  walk.start(a, record, 0, false);
  for (let left = size; count > 0; left--) {
    walk.next(a);
    if (c.random.below(left) >= count) continue;
    replyMember(c, a, withScores);
    count--;
  }
}

function replyHeader(c: Call, count: number, withScores: boolean): void {
  c.reply.arrayHeader(withScores && c.reply.protocol === 2 ? count * 2 : count);
}

function replyAt(c: Call, a: Arena, record: Offset, rank: number, withScores: boolean): void {
  walk.start(a, record, rank, false);
  walk.next(a);
  replyMember(c, a, withScores);
}

/** Replies with the member that the walk has reached. */
function replyMember(c: Call, a: Arena, withScores: boolean): void {
  if (withScores && c.reply.protocol === 3) c.reply.arrayHeader(2);
  c.reply.bulk(a.u8, walk.at, walk.length);
  if (withScores) c.reply.double(walk.score);
}

const BUCKETS_PER_COUNT = 10;
const found: Offset[] = [];

/** A scan of a packed set gives all of it at once, as Redis does. */
export function zscan(c: Call): void {
  let cursor = parseCursor(c, 2);
  if (cursor < 0) return;
  const record = lookupRead(c, 1);
  if (record !== 0 && !isZset(c.arena, record)) return c.reply.error(ERR.WRONGTYPE);
  if (record !== 0 && !parseScanOptions(c, 3, false)) return;
  const a = c.arena;
  found.length = 0;
  const big = record !== 0 && hasRoot(a, record);
  if (big) {
    const { count } = scanOptions;
    let buckets = count * BUCKETS_PER_COUNT;
    // The table's cursors have 32 bits; any other is none of ours, and its scan is over.
    do cursor = cursor < 2 ** 32 ? tableScan(a, valueWord(a, record), cursor, found) : 0;
    while (cursor !== 0 && found.length < count && --buckets > 0);
  } else {
    cursor = 0;
  }
  c.reply.arrayHeader(2);
  c.reply.bulkInt(cursor);
  const mark = c.reply.open();
  let replied = 0;
  for (let i = 0; i < found.length; i++) {
    const score = formatDouble(memberScore(a, found[i]));
    if (replyMatch(c, a, memberStart(found[i]), memberLength(a, found[i]), score)) replied++;
  }
  if (record !== 0 && !big) {
    walk.start(a, record, 0, false);
    while (walk.next(a)) if (replyMatch(c, a, walk.at, walk.length, packedScore(walk.score))) replied++;
  }
  c.reply.closeArray(mark, replied * 2);
}

/** Replies with a member and its score if the member matches the pattern; whether it did. */
function replyMatch(c: Call, a: Arena, start: Offset, length: number, score: string): boolean {
  const { pattern } = scanOptions;
  if (pattern !== 0 && !globMatch(c.buf, c.off[pattern], c.len[pattern], a.u8, start, length)) return false;
  c.reply.bulk(a.u8, start, length);
  c.reply.bulkString(score);
  return true;
}

/** A score as a listpack keeps it, and ZSCAN shows: whole numbers as integers, whatever their size. */
function packedScore(score: number): string {
  const whole = Number.isInteger(score) && Math.abs(score) <= 2 ** 62;
  return whole ? BigInt(score).toString() : formatDouble(score);
}
