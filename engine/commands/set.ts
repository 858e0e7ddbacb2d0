/**
 * The set commands on one set, and SMOVE. Handlers run under the locks of their keys' shards; SADD, SREM, SISMEMBER and SPOP
 * of one member allocate nothing outside the arena. What a set is made of: types/set.ts; unions and the like: set-combine.ts.
 */
import { canHold } from '../alloc.ts';
import type { Arena, Offset } from '../arena.ts';
import { WORD_SEED0, WORD_SEED1 } from '../arena.ts';
import type { Call } from '../call.ts';
import { COPIES, type CommandRow, DENYOOM, FAST, GROWS, MOVABLE_KEYS, READONLY, WRITE } from '../command.ts';
import { ERR } from '../errors.ts';
import { deleteRecord, lookupRead, lookupWrite } from '../keyspace.ts';
import { HEAD_EXPIRY, recordExpiry, TYPE_SET } from '../record.ts';
import { MemberList } from '../types/member-list.ts';
import { MemberWalk } from '../types/member-walk.ts';
import { membersCost } from '../types/members.ts';
import {
  areIntegers,
  createSet,
  isSet,
  setAdd,
  setCost,
  setHas,
  setRemove,
  setRemoveReached,
  setSize,
  setStore,
} from '../types/set.ts';
import { drawsTooMany, parseSampleCount, replySample } from './member-sample.ts';
import { scanMembers } from './member-scan.ts';
import { ALL_KEYS, NO_KEYS, ONE_KEY, rowMaker, TWO_KEYS } from './rows.ts';
import { sdiff, sdiffstore, sinter, sintercard, sinterstore, sunion, sunionstore } from './set-combine.ts';
import { keysAfterCount } from './zset-combine.ts';

const walk = new MemberWalk();

/** Below this many bytes the room that every command finds is enough. */
const UNCHECKED_BYTES = 512 * 1024;

function sadd(c: Call): void {
  let record = lookupWrite(c, 1);
  const a = c.arena;
  if (record !== 0 && !isSet(a, record)) return c.reply.error(ERR.WRONGTYPE);
  const last = c.argc - 1;
  const cost = membersCost(c.argc - 2, c.off[last] + c.len[last] - c.off[1]);
  if (cost >= UNCHECKED_BYTES && !canHold(a, cost)) return c.reply.error(ERR.ARENA_FULL);
  const before = c.dirty;
  if (record === 0) {
    record = createSet(c, 1, 2, c.argc);
    c.dirty += setSize(a, record);
  }
  for (let i = 2; i < c.argc; i++) {
    const to = setAdd(c, record, c.buf, c.off[i], c.len[i]);
    if (to === 0) continue;
    record = to;
    c.dirty++;
  }
  c.reply.int(c.dirty - before);
}

function srem(c: Call): void {
  let record = lookupWrite(c, 1);
  if (record === 0) return c.reply.int(0);
  const a = c.arena;
  if (!isSet(a, record)) return c.reply.error(ERR.WRONGTYPE);
  let removed = 0;
  for (let i = 2; i < c.argc; i++) {
    const to = setRemove(a, record, c.buf, c.off[i], c.len[i]);
    if (to === 0) continue;
    removed++;
    record = to;
    if (setSize(a, record) > 0) continue;
    deleteRecord(a, record);
    break;
  }
  c.dirty += removed;
  c.reply.int(removed);
}

/** Looks the set in argument 1 up for a read: 0 when there is none, -1 after an error reply. */
function lookupSet(c: Call): Offset {
  const record = lookupRead(c, 1);
  if (record === 0 || isSet(c.arena, record)) return record;
  c.reply.error(ERR.WRONGTYPE);
  return -1;
}

function sismember(c: Call): void {
  const record = lookupSet(c);
  if (record >= 0) replyHas(c, record, 2);
}

function smismember(c: Call): void {
  const record = lookupSet(c);
  if (record < 0) return;
  c.reply.arrayHeader(c.argc - 2);
  for (let i = 2; i < c.argc; i++) replyHas(c, record, i);
}

/** Replies whether argument i is in the set at `record` (0: no set). */
function replyHas(c: Call, record: Offset, i: number): void {
  c.reply.int(record !== 0 && setHas(c.arena, record, c.buf, c.off[i], c.len[i]) ? 1 : 0);
}

function scard(c: Call): void {
  const record = lookupSet(c);
  if (record >= 0) c.reply.int(record === 0 ? 0 : setSize(c.arena, record));
}

function smembers(c: Call): void {
  const record = lookupSet(c);
  if (record < 0) return;
  c.reply.setHeader(record === 0 ? 0 : setSize(c.arena, record));
  if (record === 0) return;
  for (walk.start(c.arena, record); walk.next(c.arena); ) replyMember(c, walk);
}

function replyMember(c: Call, at: MemberWalk): void {
  c.reply.bulk(at.buf, at.at, at.length);
}

function smove(c: Call): void {
  const source = lookupWrite(c, 1);
  const a = c.arena;
  const target = lookupWrite(c, 2);
  const b = c.arena;
  if (source === 0) return c.reply.int(0);
  if (!isSet(a, source) || (target !== 0 && !isSet(b, target))) return c.reply.error(ERR.WRONGTYPE);
  if (!setHas(a, source, c.buf, c.off[3], c.len[3])) return c.reply.int(0);
  if (source === target && a === b) return c.reply.int(1);
  // Added before it is taken away, so that nothing has changed if there is no room to add it.
  const added = setAdd(c, target === 0 ? createSet(c, 2, 3, 4) : target, c.buf, c.off[3], c.len[3]);
  c.dirty += target === 0 || added !== 0 ? 2 : 1;
  const left = setRemove(a, source, c.buf, c.off[3], c.len[3]);
  if (setSize(a, left) === 0) deleteRecord(a, left);
  c.reply.int(1);
}

function spop(c: Call): void {
  if (c.argc > 2) return popMany(c);
  const record = lookupWrite(c, 1);
  if (record === 0) return c.reply.nil();
  const a = c.arena;
  if (!isSet(a, record)) return c.reply.error(ERR.WRONGTYPE);
  c.effect?.begin('SREM');
  c.effect?.add(c.buf, c.off[1], c.len[1]);
  walk.draw(a, record, c.random);
  popReached(c, walk);
  if (setSize(a, record) === 1) deleteRecord(a, record);
  else setRemoveReached(a, record, walk);
  c.dirty++;
}

/** Replies with a member that is popped, and notes it for the log. */
function popReached(c: Call, at: MemberWalk): void {
  replyMember(c, at);
  c.effect?.add(at.buf, at.at, at.length);
}

/** While a sixth of the members or more stays, they are popped one by one; below, those that stay are moved away. */
const POP_SHARE = 5;

function popMany(c: Call): void {
  if (c.argc > 3) return c.reply.error(ERR.SYNTAX);
  if (!c.long(2) || c.num < 0) return c.reply.error(ERR.NOT_POSITIVE);
  const wanted = c.num;
  const record = lookupWrite(c, 1);
  if (record === 0) return c.reply.setHeader(0);
  const a = c.arena;
  if (!isSet(a, record)) return c.reply.error(ERR.WRONGTYPE);
  if (wanted === 0) return c.reply.setHeader(0);
  const size = setSize(a, record);
  const count = Math.min(wanted, size);
  c.reply.setHeader(count);
  c.dirty += count;
  c.effect?.begin(count === size ? 'UNLINK' : 'SREM');
  c.effect?.add(c.buf, c.off[1], c.len[1]);
  if (count === size) {
    for (walk.start(a, record); walk.next(a); ) replyMember(c, walk);
    return deleteRecord(a, record);
  }
  const stay = size - count;
  if (stay * POP_SHARE <= count && keepOnly(c, a, record, stay, size)) return;
  let at = record;
  for (let i = 0; i < count; i++) {
    walk.draw(a, at, c.random);
    popReached(c, walk);
    at = setRemoveReached(a, at, walk);
  }
}

/** The members that stay, and which of the old set's they are. */
const stayers = new MemberList();
const stayerPlaces = new Set<number>();

function stayMember(_: Call, at: MemberWalk): void {
  stayers.push(at.buf, at.at, at.length, 0);
  stayerPlaces.add(at.place);
}

/**
 * Replies with all members of the set in argument 1 but `stay` drawn at random, which become its value, in the form that
 * suits them. False, with nothing done, when there is no room for the new value.
 */
function keepOnly(c: Call, a: Arena, record: Offset, stay: number, size: number): boolean {
  stayers.clear(a.u32[WORD_SEED0], a.u32[WORD_SEED1]);
  replySample(c, a, record, walk, stay, size, stayMember);
  const fits = canHold(a, setCost(stayers));
  if (fits) {
    for (walk.start(a, record); walk.next(a); ) if (!stayerPlaces.has(walk.place)) popReached(c, walk);
    const expireAtMs = (a.u32[record >>> 2] & HEAD_EXPIRY) === 0 ? 0 : recordExpiry(a, record);
    setStore(c, 1, stayers, areIntegers(c, stayers), expireAtMs);
  }
  stayers.clear(0, 0);
  stayerPlaces.clear();
  return fits;
}

function srandmember(c: Call): void {
  if (c.argc > 2) return drawMany(c);
  const record = lookupSet(c);
  if (record < 0) return;
  if (record === 0) return c.reply.nil();
  walk.draw(c.arena, record, c.random);
  replyMember(c, walk);
}

function drawMany(c: Call): void {
  if (c.argc > 3) return c.reply.error(ERR.SYNTAX);
  if (!parseSampleCount(c, 2)) return;
  const wanted = c.num;
  const record = lookupSet(c);
  if (record < 0) return;
  if (record === 0) return c.reply.arrayHeader(0);
  const size = setSize(c.arena, record);
  const count = Math.min(wanted, size);
  if (drawsTooMany(c, count)) return;
  c.reply.arrayHeader(Math.abs(count));
  replySample(c, c.arena, record, walk, count, size, replyMember);
}

function sscan(c: Call): void {
  scanMembers(c, TYPE_SET);
}

const row = rowMaker('set');
const W = WRITE | DENYOOM;
const INTER = 'O(N*M) for M sets, the smallest of N members';
const SUM = 'O(N) for N members in all sets';
const EACH = 'O(1) for every call, O(N) for a whole scan of N members';

export const setRows: CommandRow[] = [
  row('sadd', -3, W | FAST, ONE_KEY, '1.0.0', 'O(N) for N members added', 'Adds members to a set', sadd),
  row('scard', 2, READONLY | FAST, ONE_KEY, '1.0.0', 'O(1)', 'Counts the members of a set', scard),
  row('sdiff', -2, READONLY, ALL_KEYS, '1.0.0', SUM, 'Returns what is in the first set and in no other', sdiff),
  row(
    'sdiffstore',
    -3,
    W | COPIES,
    ALL_KEYS,
    '1.0.0',
    SUM,
    'Stores what is in the first set and in no other',
    sdiffstore,
  ),
  row('sinter', -2, READONLY, ALL_KEYS, '1.0.0', INTER, 'Returns what is in every set', sinter),
  {
    ...row(
      'sintercard',
      -3,
      READONLY | MOVABLE_KEYS,
      NO_KEYS,
      '7.0.0',
      INTER,
      'Counts what is in every set',
      sintercard,
    ),
    keys: keysAfterCount,
  },
  row('sinterstore', -3, W | COPIES, ALL_KEYS, '1.0.0', INTER, 'Stores what is in every set', sinterstore),
  row('sismember', 3, READONLY | FAST, ONE_KEY, '1.0.0', 'O(1)', 'Tells whether something is a member', sismember),
  row('smembers', 2, READONLY, ONE_KEY, '1.0.0', 'O(N) for N members', 'Returns all members of a set', smembers),
  row(
    'smismember',
    -3,
    READONLY | FAST,
    ONE_KEY,
    '6.2.0',
    'O(N) for N members asked for',
    'Tells which of some things are members',
    smismember,
  ),
  row('smove', 4, WRITE | FAST | GROWS, TWO_KEYS, '1.0.0', 'O(1)', 'Moves a member from one set to another', smove),
  row('spop', -2, WRITE | FAST, ONE_KEY, '1.0.0', 'O(N) for N members popped', 'Removes random members', spop),
  row('srandmember', -2, READONLY, ONE_KEY, '1.0.0', 'O(N) for N members drawn', 'Draws random members', srandmember),
  row('srem', -3, WRITE | FAST, ONE_KEY, '1.0.0', 'O(N) for N members removed', 'Removes members from a set', srem),
  row('sscan', -3, READONLY, ONE_KEY, '2.8.0', EACH, 'Returns the members of a set, some at a time', sscan),
  row('sunion', -2, READONLY, ALL_KEYS, '1.0.0', SUM, 'Returns what is in any set', sunion),
  row('sunionstore', -3, W | COPIES, ALL_KEYS, '1.0.0', SUM, 'Stores what is in any set', sunionstore),
];
