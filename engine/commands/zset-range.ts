/**
 * The sorted set commands on ranges, of ranks, scores or members: reading, counting, removing and storing them. All of
 * them turn their range into ranks (zset-bounds.ts). Handlers run under the locks of their keys' shards.
 */
import { canHold } from '../alloc.ts';
import { type Arena, type Offset, WORD_SEED0, WORD_SEED1 } from '../arena.ts';
import type { Call } from '../call.ts';
import { ERR } from '../errors.ts';
import { deleteRecord, lookupRead, lookupWrite } from '../keyspace.ts';
import { MemberList } from '../types/member-list.ts';
import { fitsPack, isZset, ZsetWalk, zsetCostBytes, zsetRemoveRange, zsetSize, zsetStore } from '../types/zset.ts';
import { LexBounds, RankRange, ScoreBounds } from '../types/zset-bounds.ts';

/** What a range is of; ZRANGE and ZRANGESTORE say so in their options. */
const BY_ANY = 0;
const BY_RANK = 1;
const BY_SCORE = 2;
const BY_LEX = 3;

const range = new RankRange();
const scoreBounds = new ScoreBounds();
const lexBounds = new LexBounds();
const walk = new ZsetWalk();

/** The options of the range command at hand. */
const options = {
  by: BY_ANY,
  reverse: false,
  withScores: false,
  offset: 0,
  /** Negative: no limit. */
  limit: -1,
  /** The bounds, as far as they are ranks. */
  first: 0,
  last: 0,
};

export function zrange(c: Call): void {
  readRange(c, BY_ANY, false);
}

export function zrevrange(c: Call): void {
  readRange(c, BY_RANK, true);
}

export function zrangebyscore(c: Call): void {
  readRange(c, BY_SCORE, false);
}

export function zrevrangebyscore(c: Call): void {
  readRange(c, BY_SCORE, true);
}

export function zrangebylex(c: Call): void {
  readRange(c, BY_LEX, false);
}

export function zrevrangebylex(c: Call): void {
  readRange(c, BY_LEX, true);
}

function readRange(c: Call, by: number, reverse: boolean): void {
  if (!parseRange(c, 1, by, reverse, false)) return;
  const record = lookupRead(c, 1);
  if (record === 0) return c.reply.arrayHeader(0);
  if (!isZset(c.arena, record)) return c.reply.error(ERR.WRONGTYPE);
  findRange(c.arena, record);
  replyRange(c, c.arena, record);
}

export function zrangestore(c: Call): void {
  if (!parseRange(c, 2, BY_ANY, false, true)) return;
  const record = lookupRead(c, 2);
  const a = c.arena;
  list.clear(a.u32[WORD_SEED0], a.u32[WORD_SEED1]);
  if (record !== 0) {
    if (!isZset(a, record)) return c.reply.error(ERR.WRONGTYPE);
    findRange(a, record);
    collectRange(c, a, record);
    list.sort();
  }
  storeList(c, 1, list);
}

/** The members on their way to a destination key. */
const list = new MemberList();

/**
 * Copies the range to `list`, in the order in which Redis adds it to a set that is packed as long as it can be: until then
 * a score of -0 becomes 0.
 */
function collectRange(c: Call, a: Arena, record: Offset): void {
  const { reverse } = options;
  const count = Math.max(0, range.to - range.from);
  if (count === 0) return;
  let packed = options.by !== BY_RANK || fitsPack(c, count, 0);
  walk.start(a, record, reverse ? range.to - 1 : range.from, reverse);
  for (let i = 0; i < count; i++) {
    walk.next(a);
    packed &&= fitsPack(c, i + 1, walk.length);
    list.push(a.u8, walk.at, walk.length, packed ? walk.score + 0 : walk.score);
  }
}

/** Makes the key in argument i a sorted set of the list, which is sorted, or deletes it for an empty one; replies how many. */
export function storeList(c: Call, i: number, members: MemberList): void {
  if (members.count === 0) {
    const record = lookupWrite(c, i);
    if (record !== 0) {
      deleteRecord(c.arena, record);
      c.dirty++;
    }
    return c.reply.int(0);
  }
  c.hashKey(i);
  if (!canHold(c.arena, zsetCostBytes(members.count, members.used))) return c.reply.error(ERR.ARENA_FULL);
  zsetStore(c, i, members);
  c.dirty++;
  c.reply.int(members.count);
}

/**
 * Reads the bounds and options of a range command whose key is argument `key` into `options` and the bounds' own places;
 * false after an error reply.
 */
function parseRange(c: Call, key: number, by: number, reverse: boolean, store: boolean): boolean {
  resetOptions(by, reverse);
  let error = parseOptions(c, key + 3, by, store);
  if (options.by === BY_ANY) options.by = BY_RANK;
  if (error === '' && options.limit !== -1 && options.by === BY_RANK) error = ERR.LIMIT_NEEDS_BY;
  if (error === '' && options.withScores && options.by === BY_LEX) error = ERR.WITHSCORES_BYLEX;
  if (error === '') error = parseBounds(c, key + 1, key + 2);
  if (error !== '') c.reply.error(error);
  return error === '';
}

/** `parseRange` for the commands that have a key, two bounds and no options. */
function parsePlainRange(c: Call, by: number): boolean {
  resetOptions(by, false);
  const error = parseBounds(c, 2, 3);
  if (error !== '') c.reply.error(error);
  return error === '';
}

function resetOptions(by: number, reverse: boolean): void {
  options.by = by;
  options.reverse = reverse;
  options.withScores = false;
  options.offset = 0;
  options.limit = -1;
}

/** The error in the options from argument `from` on, '' for none. */
function parseOptions(c: Call, from: number, by: number, store: boolean): string {
  for (let i = from; i < c.argc; i++) {
    if (!store && c.is(i, 'WITHSCORES')) {
      options.withScores = true;
    } else if (c.is(i, 'LIMIT') && i + 2 < c.argc) {
      if (!c.long(i + 1)) return ERR.NOT_INTEGER;
      options.offset = c.num;
      if (!c.long(i + 2)) return ERR.NOT_INTEGER;
      options.limit = c.num;
      i += 2;
    } else if (by === BY_ANY && !options.reverse && c.is(i, 'REV')) {
      options.reverse = true;
    } else if (options.by === BY_ANY && c.is(i, 'BYLEX')) {
      options.by = BY_LEX;
    } else if (options.by === BY_ANY && c.is(i, 'BYSCORE')) {
      options.by = BY_SCORE;
    } else {
      return ERR.SYNTAX;
    }
  }
  return '';
}

/** Reads the two bounds; scores and members are given highest first when the order is reversed. */
function parseBounds(c: Call, one: number, other: number): string {
  const min = options.reverse ? other : one;
  const max = options.reverse ? one : other;
  if (options.by === BY_SCORE) return scoreBounds.parse(c, min, max) ? '' : ERR.MIN_MAX_FLOAT;
  if (options.by === BY_LEX) return lexBounds.parse(c, min, max) ? '' : ERR.MIN_MAX_RANGE;
  if (!c.long(one)) return ERR.NOT_INTEGER;
  options.first = c.num;
  if (!c.long(other)) return ERR.NOT_INTEGER;
  options.last = c.num;
  return '';
}

/** Sets `range` to the ranks, from the lowest score, that the command at hand means. */
function findRange(a: Arena, record: Offset): void {
  if (options.by === BY_RANK) {
    const size = zsetSize(a, record);
    range.setRanks(size, options.first, options.last);
    if (options.reverse) range.mirror(size);
    return;
  }
  if (options.by === BY_SCORE) scoreBounds.ranks(a, record, range);
  else lexBounds.ranks(a, record, range);
  range.limit(options.offset, options.limit, options.reverse);
}

function replyRange(c: Call, a: Arena, record: Offset): void {
  const { reply } = c;
  const { reverse, withScores } = options;
  const count = Math.max(0, range.to - range.from);
  const nested = withScores && reply.protocol === 3;
  reply.arrayHeader(withScores && !nested ? count * 2 : count);
  if (count === 0) return;
  walk.start(a, record, reverse ? range.to - 1 : range.from, reverse);
  for (let i = 0; i < count; i++) {
    walk.next(a);
    if (nested) reply.arrayHeader(2);
    reply.bulk(a.u8, walk.at, walk.length);
    if (withScores) reply.double(walk.score);
  }
}

export function zcount(c: Call): void {
  countRange(c, BY_SCORE);
}

export function zlexcount(c: Call): void {
  countRange(c, BY_LEX);
}

function countRange(c: Call, by: number): void {
  if (!parsePlainRange(c, by)) return;
  const record = lookupRead(c, 1);
  if (record === 0) return c.reply.int(0);
  if (!isZset(c.arena, record)) return c.reply.error(ERR.WRONGTYPE);
  findRange(c.arena, record);
  c.reply.int(Math.max(0, range.to - range.from));
}

export function zremrangebyrank(c: Call): void {
  removeRange(c, BY_RANK);
}

export function zremrangebyscore(c: Call): void {
  removeRange(c, BY_SCORE);
}

export function zremrangebylex(c: Call): void {
  removeRange(c, BY_LEX);
}

function removeRange(c: Call, by: number): void {
  if (!parsePlainRange(c, by)) return;
  const record = lookupWrite(c, 1);
  if (record === 0) return c.reply.int(0);
  const a = c.arena;
  if (!isZset(a, record)) return c.reply.error(ERR.WRONGTYPE);
  findRange(a, record);
  const removed = Math.max(0, range.to - range.from);
  if (removed === zsetSize(a, record)) deleteRecord(a, record);
  else zsetRemoveRange(a, record, range.from, range.to);
  c.dirty += removed;
  c.reply.int(removed);
}
