/**
 * The sorted set commands on single members: adding, removing, scores and ranks, and the list of all rows of the group.
 * Ranges are in zset-range.ts, pops in zset-pop.ts, unions and the like in zset-combine.ts, ZRANDMEMBER and ZSCAN in
 * zset-sample.ts. Handlers run under the locks of their keys' shards; ZADD of one member, ZREM, ZSCORE and ZRANK allocate
 * nothing outside the arena.
 */
import { canHold } from '../alloc.ts';
import type { Call } from '../call.ts';
import { COPIES, type CommandRow, DENYOOM, FAST, MOVABLE_KEYS, READONLY, WRITE } from '../command.ts';
import { ERR } from '../errors.ts';
import { deleteRecord, lookupRead, lookupWrite } from '../keyspace.ts';
import { valueWord } from '../record.ts';
import {
  ADD_GT,
  ADD_INCR,
  ADD_LT,
  ADD_NX,
  ADD_XX,
  change,
  isZset,
  OUT_ADDED,
  OUT_NAN,
  OUT_REFUSED,
  OUT_UPDATED,
  zsetAdd,
  zsetCostBytes,
  zsetRank,
  zsetRemove,
  zsetScore,
  zsetSize,
} from '../types/zset.ts';
import { hasRoot } from '../values.ts';
import { NO_KEYS, ONE_KEY, rowMaker, TWO_KEYS } from './rows.ts';
import {
  keysAfterCount,
  storeKeysAfterCount,
  zdiff,
  zdiffstore,
  zinter,
  zintercard,
  zinterstore,
  zunion,
  zunionstore,
} from './zset-combine.ts';
import { zmpop, zpopmax, zpopmin } from './zset-pop.ts';
import {
  zcount,
  zlexcount,
  zrange,
  zrangebylex,
  zrangebyscore,
  zrangestore,
  zremrangebylex,
  zremrangebyrank,
  zremrangebyscore,
  zrevrange,
  zrevrangebylex,
  zrevrangebyscore,
} from './zset-range.ts';
import { zrandmember, zscan } from './zset-sample.ts';

/** The scores of the ZADD or GEOADD at hand: all are read before the first member is added. */
let scores = new Float64Array(64);

/** Where `addMembers` takes `count` scores from. */
export function scoresFor(count: number): Float64Array {
  if (count > scores.length) scores = new Float64Array(count * 2);
  return scores;
}

/** Below this many bytes the dispatcher's own headroom is enough. */
const UNCHECKED_BYTES = 512 * 1024;

function zadd(c: Call): void {
  add(c, 0);
}

function zincrby(c: Call): void {
  add(c, ADD_INCR);
}

/** ZADD, and ZINCRBY, which Redis too reads as a ZADD whose options happen to be missing. */
function add(c: Call, implied: number): void {
  let conditions = implied;
  let changed = false;
  let first = 2;
  for (; first < c.argc; first++) {
    if (c.is(first, 'NX')) conditions |= ADD_NX;
    else if (c.is(first, 'XX')) conditions |= ADD_XX;
    else if (c.is(first, 'CH')) changed = true;
    else if (c.is(first, 'INCR')) conditions |= ADD_INCR;
    else if (c.is(first, 'GT')) conditions |= ADD_GT;
    else if (c.is(first, 'LT')) conditions |= ADD_LT;
    else break;
  }
  const error = checkConditions(conditions, c.argc - first);
  if (error !== '') return c.reply.error(error);
  if (!parseScores(c, first)) return c.reply.error(ERR.NOT_FLOAT);
  if ((conditions & ADD_INCR) !== 0) return increment(c, first, conditions);
  addMembers(c, first + 1, 2, (c.argc - first) >>> 1, conditions, changed);
}

/**
 * Adds `count` members, arguments `first`, `first + step`, …, with the scores in `scoresFor` to the key in argument 1, and
 * replies how many were added or, if `changed`, added or changed: ZADD and GEOADD after their arguments are read.
 */
export function addMembers(
  c: Call,
  first: number,
  step: number,
  count: number,
  conditions: number,
  changed: boolean,
): void {
  const record = lookupWrite(c, 1);
  if (record !== 0 && !isZset(c.arena, record)) return c.reply.error(ERR.WRONGTYPE);
  if (!hasRoomFor(c, record, count)) return c.reply.error(ERR.ARENA_FULL);
  let added = 0;
  let updated = 0;
  change.record = record;
  if (record !== 0 || (conditions & ADD_XX) === 0) {
    for (let i = 0; i < count; i++) {
      zsetAdd(c, 1, change.record, first + i * step, scores[i], conditions);
      if (change.outcome === OUT_ADDED) added++;
      else if (change.outcome === OUT_UPDATED) updated++;
      else continue;
      c.dirty++;
    }
  }
  c.reply.int(changed ? added + updated : added);
}

function increment(c: Call, first: number, conditions: number): void {
  const record = lookupWrite(c, 1);
  if (record !== 0 && !isZset(c.arena, record)) return c.reply.error(ERR.WRONGTYPE);
  if (!hasRoomFor(c, record, 1)) return c.reply.error(ERR.ARENA_FULL);
  if (record === 0 && (conditions & ADD_XX) !== 0) return c.reply.nil();
  zsetAdd(c, 1, record, first + 1, scores[0], conditions);
  if (change.outcome === OUT_NAN) return c.reply.error(ERR.SCORE_NAN);
  if (change.outcome === OUT_REFUSED) return c.reply.nil();
  if (change.outcome === OUT_ADDED || change.outcome === OUT_UPDATED) c.dirty++;
  c.reply.double(change.score);
}

/** The error that ZADD's options make, '' for none. */
function checkConditions(conditions: number, args: number): string {
  if (args === 0 || (args & 1) !== 0) return ERR.SYNTAX;
  if ((conditions & ADD_NX) !== 0 && (conditions & ADD_XX) !== 0) return ERR.NX_AND_XX;
  const exclusive = conditions & (ADD_NX | ADD_GT | ADD_LT);
  if ((exclusive & (exclusive - 1)) !== 0) return ERR.GT_LT_NX;
  return (conditions & ADD_INCR) !== 0 && args > 2 ? ERR.INCR_ONE_PAIR : '';
}

/** Reads the scores in arguments `first`, `first + 2`, …; false when one is not a number. */
function parseScores(c: Call, first: number): boolean {
  const pairs = (c.argc - first) >>> 1;
  scoresFor(pairs);
  for (let i = 0; i < pairs; i++) {
    const score = c.double(first + i * 2);
    if (Number.isNaN(score)) return false;
    scores[i] = score;
  }
  return true;
}

/** Whether the arena has room for so many members, and for turning a packed set into a big one on the way. */
function hasRoomFor(c: Call, record: number, members: number): boolean {
  const a = c.arena;
  const last = c.argc - 1;
  let bytes = zsetCostBytes(members, c.off[last] + c.len[last] - c.off[0]);
  if (record !== 0 && !hasRoot(a, record)) bytes += zsetCostBytes(zsetSize(a, record), valueWord(a, record));
  return bytes < UNCHECKED_BYTES || canHold(a, bytes);
}

function zrem(c: Call): void {
  let record = lookupWrite(c, 1);
  if (record === 0) return c.reply.int(0);
  const a = c.arena;
  if (!isZset(a, record)) return c.reply.error(ERR.WRONGTYPE);
  let removed = 0;
  for (let i = 2; i < c.argc; i++) {
    if (!zsetRemove(a, record, c.buf, c.off[i], c.len[i])) continue;
    record = change.record;
    removed++;
    if (zsetSize(a, record) === 0) {
      deleteRecord(a, record);
      break;
    }
  }
  c.dirty += removed;
  c.reply.int(removed);
}

function zcard(c: Call): void {
  const record = lookupRead(c, 1);
  if (record === 0) return c.reply.int(0);
  if (!isZset(c.arena, record)) return c.reply.error(ERR.WRONGTYPE);
  c.reply.int(zsetSize(c.arena, record));
}

function zscore(c: Call): void {
  const record = lookupRead(c, 1);
  if (record !== 0 && !isZset(c.arena, record)) return c.reply.error(ERR.WRONGTYPE);
  replyScore(c, record, 2);
}

function zmscore(c: Call): void {
  const record = lookupRead(c, 1);
  if (record !== 0 && !isZset(c.arena, record)) return c.reply.error(ERR.WRONGTYPE);
  c.reply.arrayHeader(c.argc - 2);
  for (let i = 2; i < c.argc; i++) replyScore(c, record, i);
}

function replyScore(c: Call, record: number, i: number): void {
  const score = record === 0 ? Number.NaN : zsetScore(c.arena, record, c.buf, c.off[i], c.len[i]);
  if (Number.isNaN(score)) c.reply.nil();
  else c.reply.double(score);
}

function zrank(c: Call): void {
  rank(c, false);
}

function zrevrank(c: Call): void {
  rank(c, true);
}

function rank(c: Call, reverse: boolean): void {
  const record = lookupRead(c, 1);
  if (record === 0) return c.reply.nil();
  const a = c.arena;
  if (!isZset(a, record)) return c.reply.error(ERR.WRONGTYPE);
  const index = zsetRank(a, record, c.buf, c.off[2], c.len[2]);
  if (index < 0) c.reply.nil();
  else c.reply.int(reverse ? zsetSize(a, record) - 1 - index : index);
}

const make = rowMaker('sorted-set');
const W = WRITE | DENYOOM;
const R = READONLY;
const LOG = 'O(log n) for a set of n members';
const LOG_EACH = 'O(m log n) for m members and a set of n';
const RANGE = 'O(log n + m) for a set of n members, m of them in the reply';
const REMOVED = 'O(m log n) for a set of n members, m of them removed';
const UNION = 'O(n + m log m) for n members in all sets and m in the result';
const INTER = 'O(n k + m log m) for the smallest set of n members, k sets and m members in the result';

/** A row of a command on one key. */
function row(
  name: string,
  arity: number,
  flags: number,
  since: string,
  complexity: string,
  summary: string,
  run: (call: Call) => void,
): CommandRow {
  return make(name, arity, flags, ONE_KEY, since, complexity, summary, run);
}

/** A row of a command that takes a number of keys and then the keys, after a destination if it stores. */
function counted(
  name: string,
  arity: number,
  flags: number,
  since: string,
  complexity: string,
  summary: string,
  run: (call: Call) => void,
): CommandRow {
  const stores = name.endsWith('store');
  const made = make(name, arity, flags | MOVABLE_KEYS, stores ? ONE_KEY : NO_KEYS, since, complexity, summary, run);
  return { ...made, keys: stores ? storeKeysAfterCount : keysAfterCount };
}

export const zsetRows: CommandRow[] = [
  row('zadd', -4, W | FAST, '1.2.0', LOG_EACH, 'Adds members to a sorted set or changes their scores', zadd),
  row('zcard', 2, R | FAST, '1.2.0', 'O(1)', 'Counts the members of a sorted set', zcard),
  row('zcount', 4, R | FAST, '2.0.0', LOG, 'Counts the members with scores in a range', zcount),
  counted('zdiff', -3, R, '6.2.0', UNION, 'Returns the members of a sorted set that others do not have', zdiff),
  counted(
    'zdiffstore',
    -4,
    W | COPIES,
    '6.2.0',
    UNION,
    'Stores the members of a sorted set that others do not have',
    zdiffstore,
  ),
  row('zincrby', 4, W | FAST, '1.2.0', LOG, 'Adds to the score of a member', zincrby),
  counted('zinter', -3, R, '6.2.0', INTER, 'Returns the members that all of several sorted sets have', zinter),
  counted('zintercard', -3, R, '7.0.0', INTER, 'Counts the members that all of several sorted sets have', zintercard),
  counted(
    'zinterstore',
    -4,
    W | COPIES,
    '2.0.0',
    INTER,
    'Stores the members that all of several sorted sets have',
    zinterstore,
  ),
  row('zlexcount', 4, R | FAST, '2.8.9', LOG, 'Counts the members in a lexicographic range', zlexcount),
  counted(
    'zmpop',
    -4,
    WRITE,
    '7.0.0',
    LOG_EACH,
    'Takes members off an end of the first sorted set that has any',
    zmpop,
  ),
  row('zmscore', -3, R | FAST, '6.2.0', 'O(m) for m members asked for', 'Returns the scores of members', zmscore),
  row('zpopmax', -2, WRITE | FAST, '5.0.0', LOG_EACH, 'Takes off the members with the highest scores', zpopmax),
  row('zpopmin', -2, WRITE | FAST, '5.0.0', LOG_EACH, 'Takes off the members with the lowest scores', zpopmin),
  row('zrandmember', -2, R, '6.2.0', 'O(m) for m members returned', 'Returns members drawn at random', zrandmember),
  row('zrange', -4, R, '1.2.0', RANGE, 'Returns the members in a range of ranks, scores or members', zrange),
  row('zrangebylex', -4, R, '2.8.9', RANGE, 'Returns the members in a lexicographic range', zrangebylex),
  row('zrangebyscore', -4, R, '1.0.5', RANGE, 'Returns the members with scores in a range', zrangebyscore),
  make(
    'zrangestore',
    -5,
    W | COPIES,
    TWO_KEYS,
    '6.2.0',
    RANGE,
    'Stores the members in a range of another sorted set',
    zrangestore,
  ),
  row('zrank', 3, R | FAST, '2.0.0', LOG, 'Returns the rank of a member, counted from the lowest score', zrank),
  row('zrem', -3, WRITE | FAST, '1.2.0', LOG_EACH, 'Removes members from a sorted set', zrem),
  row('zremrangebylex', 4, WRITE, '2.8.9', REMOVED, 'Removes the members in a lexicographic range', zremrangebylex),
  row('zremrangebyrank', 4, WRITE, '2.0.0', REMOVED, 'Removes the members in a range of ranks', zremrangebyrank),
  row('zremrangebyscore', 4, WRITE, '1.2.0', REMOVED, 'Removes the members with scores in a range', zremrangebyscore),
  row('zrevrange', -4, R, '1.2.0', RANGE, 'Returns the members in a range of ranks from the highest score', zrevrange),
  row('zrevrangebylex', -4, R, '2.8.9', RANGE, 'Returns a lexicographic range, last member first', zrevrangebylex),
  row('zrevrangebyscore', -4, R, '2.2.0', RANGE, 'Returns a range of scores, highest first', zrevrangebyscore),
  row('zrevrank', 3, R | FAST, '2.0.0', LOG, 'Returns the rank of a member, counted from the highest score', zrevrank),
  row('zscan', -3, R, '2.8.0', 'O(1) for every call', 'Returns the members of a sorted set, some at a time', zscan),
  row('zscore', 3, R | FAST, '1.2.0', 'O(1)', 'Returns the score of a member', zscore),
  counted('zunion', -3, R, '6.2.0', UNION, 'Returns the members that any of several sorted sets has', zunion),
  counted(
    'zunionstore',
    -4,
    W | COPIES,
    '2.0.0',
    UNION,
    'Stores the members that any of several sorted sets has',
    zunionstore,
  ),
];
