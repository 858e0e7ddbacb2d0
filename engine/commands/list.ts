/**
 * The list commands that do not block. Handlers run under the locks of their keys' shards; pushes, pops, LLEN, LINDEX
 * and LRANGE allocate nothing outside the arena. What a list is made of: types/list.ts.
 */
import type { Arena, Offset } from '../arena.ts';
import type { Call } from '../call.ts';
import { type CommandRow, DENYOOM, FAST, MOVABLE_KEYS, READONLY, WRITE } from '../command.ts';
import { ERR, wrongArity } from '../errors.ts';
import { deleteRecord, lookupRead, lookupWrite } from '../keyspace.ts';
import type { Request } from '../request.ts';
import {
  canPush,
  createList,
  createListOf,
  isList,
  ListWalk,
  listDropOne,
  listEnd,
  listEntry,
  listFill,
  listInsert,
  listLength,
  listPush,
  listRemove,
  listSet,
  listTrim,
  replyEntry,
  replyRange,
} from '../types/list.ts';
import { entryIs, entryLength, entryNext, entryStart } from '../types/list-entry.ts';
import { NO_KEYS, ONE_KEY, rowMaker, TWO_KEYS } from './rows.ts';

const INT64_MIN = -9223372036854775808n;

/** Scratch of the handlers that look at elements one by one. */
const walk = new ListWalk();

function lpush(c: Call): void {
  push(c, true, false);
}

function rpush(c: Call): void {
  push(c, false, false);
}

function lpushx(c: Call): void {
  push(c, true, true);
}

function rpushx(c: Call): void {
  push(c, false, true);
}

function push(c: Call, front: boolean, onlyExisting: boolean): void {
  let record = lookupWrite(c, 1);
  if (record === 0) {
    if (onlyExisting) return c.reply.int(0);
    createList(c, 1, front, 2);
    c.dirty += c.argc - 2;
    return c.reply.int(c.argc - 2);
  }
  const a = c.arena;
  if (!isList(a, record)) return c.reply.error(ERR.WRONGTYPE);
  const fill = listFill(c);
  let i = 2;
  try {
    for (; i < c.argc; i++) record = listPush(a, record, front, c.buf, c.off[i], c.len[i], fill);
  } catch (error) {
    // No room for one of them: none is pushed. The record may have moved.
    record = lookupWrite(c, 1);
    while (i-- > 2) record = listDropOne(a, record, front);
    throw error;
  }
  c.dirty += c.argc - 2;
  c.reply.int(listLength(a, record));
}

function lpop(c: Call): void {
  pop(c, true);
}

function rpop(c: Call): void {
  pop(c, false);
}

function pop(c: Call, front: boolean): void {
  const counted = c.argc > 2;
  if (c.argc > 3) return c.reply.error(wrongArity(front ? 'lpop' : 'rpop'));
  if (counted && (!c.long(2) || c.num < 0)) return c.reply.error(ERR.NOT_POSITIVE);
  const count = counted ? c.num : 1;
  const record = lookupWrite(c, 1);
  if (record === 0) return counted ? c.reply.nilArray() : c.reply.nil();
  const a = c.arena;
  if (!isList(a, record)) return c.reply.error(ERR.WRONGTYPE);
  if (counted) return popMany(c, record, front, count);
  replyEntry(a, listEnd(a, record, front), c.reply);
  removeEnd(a, record, front);
  c.dirty++;
}

/** Removes one element; deletes the key when it was the last. */
export function removeEnd(a: Arena, record: Offset, front: boolean): void {
  if (listLength(a, record) === 1) deleteRecord(a, record);
  else listDropOne(a, record, front);
}

/** Replies with an array of up to `count` elements from one end, and removes them. */
function popMany(c: Call, record: Offset, front: boolean, count: number): void {
  const a = c.arena;
  const length = listLength(a, record);
  const taken = Math.min(count, length);
  c.reply.arrayHeader(taken);
  if (taken === 0) return;
  if (front) {
    replyRange(a, record, 0, taken, c.reply);
  } else {
    walk.start(a, record, true);
    for (let i = 0; i < taken; i++) {
      walk.next(a);
      c.reply.bulk(a.u8, walk.elementStart, walk.elementLength);
    }
  }
  if (taken === length) deleteRecord(a, record);
  else listTrim(a, record, front ? taken : 0, front ? 0 : taken);
  c.dirty += taken;
}

function llen(c: Call): void {
  const record = lookupRead(c, 1);
  if (record === 0) return c.reply.int(0);
  if (!isList(c.arena, record)) return c.reply.error(ERR.WRONGTYPE);
  c.reply.int(listLength(c.arena, record));
}

function lindex(c: Call): void {
  const record = lookupRead(c, 1);
  if (record === 0) return c.reply.nil();
  const a = c.arena;
  if (!isList(a, record)) return c.reply.error(ERR.WRONGTYPE);
  if (!c.long(2)) return c.reply.error(ERR.NOT_INTEGER);
  const length = listLength(a, record);
  const index = c.num < 0 ? c.num + length : c.num;
  if (index < 0 || index >= length) return c.reply.nil();
  replyEntry(a, listEntry(a, record, index), c.reply);
}

function lset(c: Call): void {
  const record = lookupWrite(c, 1);
  if (record === 0) return c.reply.error(ERR.NO_SUCH_KEY);
  const a = c.arena;
  if (!isList(a, record)) return c.reply.error(ERR.WRONGTYPE);
  if (!c.long(2)) return c.reply.error(ERR.NOT_INTEGER);
  const length = listLength(a, record);
  const index = c.num < 0 ? c.num + length : c.num;
  if (index < 0 || index >= length) return c.reply.error(ERR.INDEX_OUT_OF_RANGE);
  listSet(a, record, index, c.buf, c.off[3], c.len[3], listFill(c));
  c.dirty++;
  c.reply.ok();
}

function linsert(c: Call): void {
  const after = c.is(2, 'AFTER');
  if (!after && !c.is(2, 'BEFORE')) return c.reply.error(ERR.SYNTAX);
  const record = lookupWrite(c, 1);
  if (record === 0) return c.reply.int(0);
  const a = c.arena;
  if (!isList(a, record)) return c.reply.error(ERR.WRONGTYPE);
  walk.start(a, record);
  do {
    if (!walk.next(a)) return c.reply.int(-1);
  } while (!entryIs(a.u8, walk.at, c.buf, c.off[3], c.len[3]));
  const at = after ? entryNext(a.u8, walk.at) : walk.at;
  const changed = listInsert(a, record, walk.run.node, at, c.buf, c.off[4], c.len[4], listFill(c));
  c.dirty++;
  c.reply.int(listLength(a, changed));
}

/** The range that arguments 2 and 3 name, made to fit a list of `length`: `rangeFirst` to `rangeLast`, which may be empty. */
let rangeFirst = 0;
let rangeLast = 0;

function parseRange(c: Call): boolean {
  if (!c.long(2)) return false;
  rangeFirst = c.num;
  if (!c.long(3)) return false;
  rangeLast = c.num;
  return true;
}

function clampRange(length: number): void {
  if (rangeFirst < 0) rangeFirst = Math.max(0, rangeFirst + length);
  if (rangeLast < 0) rangeLast += length;
  if (rangeLast >= length) rangeLast = length - 1;
}

function lrange(c: Call): void {
  if (!parseRange(c)) return c.reply.error(ERR.NOT_INTEGER);
  const record = lookupRead(c, 1);
  if (record === 0) return c.reply.arrayHeader(0);
  const a = c.arena;
  if (!isList(a, record)) return c.reply.error(ERR.WRONGTYPE);
  clampRange(listLength(a, record));
  const count = rangeLast - rangeFirst + 1;
  if (count <= 0) return c.reply.arrayHeader(0);
  c.reply.arrayHeader(count);
  replyRange(a, record, rangeFirst, count, c.reply);
}

function ltrim(c: Call): void {
  if (!parseRange(c)) return c.reply.error(ERR.NOT_INTEGER);
  const record = lookupWrite(c, 1);
  if (record === 0) return c.reply.ok();
  const a = c.arena;
  if (!isList(a, record)) return c.reply.error(ERR.WRONGTYPE);
  const length = listLength(a, record);
  clampRange(length);
  const kept = Math.max(0, rangeLast - rangeFirst + 1);
  if (kept === 0) deleteRecord(a, record);
  else if (kept < length) listTrim(a, record, rangeFirst, length - 1 - rangeLast);
  c.dirty += length - kept;
  c.reply.ok();
}

function lrem(c: Call): void {
  if (!c.long(2)) return c.reply.error(ERR.NOT_INTEGER);
  const limit = c.num === 0 ? Number.POSITIVE_INFINITY : Math.abs(c.num);
  const fromBack = c.num < 0;
  const record = lookupWrite(c, 1);
  if (record === 0) return c.reply.int(0);
  const a = c.arena;
  if (!isList(a, record)) return c.reply.error(ERR.WRONGTYPE);
  const length = listLength(a, record);
  const changed = listRemove(a, record, fromBack, limit, c.buf, c.off[3], c.len[3], listFill(c));
  const left = listLength(a, changed);
  if (left === 0) deleteRecord(a, changed);
  c.dirty += length - left;
  c.reply.int(length - left);
}

/** The options of LPOS as last parsed. `lposCount` -1: no COUNT; 0: all matches. `lposMaxLen` 0: no limit. */
let lposRank = 1;
let lposCount = -1;
let lposMaxLen = 0;

/** Parses the options; undefined when they are good, else the error. */
function parseLposOptions(c: Call): string | undefined {
  lposRank = 1;
  lposCount = -1;
  lposMaxLen = 0;
  let isLeast = false;
  for (let i = 3; i < c.argc; i += 2) {
    if (i + 1 === c.argc) return ERR.SYNTAX;
    if (c.is(i, 'RANK')) {
      if (!c.long(i + 1)) return ERR.NOT_INTEGER;
      if (c.num === 0) return ERR.RANK_ZERO;
      lposRank = c.num;
      isLeast = !c.exact && c.big === INT64_MIN;
    } else if (c.is(i, 'COUNT')) {
      if (!c.long(i + 1) || c.num < 0) return ERR.COUNT_NEGATIVE;
      lposCount = c.num;
    } else if (c.is(i, 'MAXLEN')) {
      if (!c.long(i + 1) || c.num < 0) return ERR.MAXLEN_NEGATIVE;
      lposMaxLen = c.num;
    } else {
      return ERR.SYNTAX;
    }
  }
  if (isLeast) {
    // Redis 7.0 negates the least integer, which overflows: the rank is reached at once, and COUNT never is.
    lposRank = -1;
    if (lposCount > 0) lposCount = 0;
  }
  return undefined;
}

function lpos(c: Call): void {
  const mistake = parseLposOptions(c);
  if (mistake !== undefined) return c.reply.error(mistake);
  const record = lookupRead(c, 1);
  const many = lposCount >= 0;
  if (record === 0) return many ? c.reply.arrayHeader(0) : c.reply.nil();
  const a = c.arena;
  if (!isList(a, record)) return c.reply.error(ERR.WRONGTYPE);
  const length = listLength(a, record);
  const fromBack = lposRank < 0;
  const limit = lposMaxLen === 0 ? length : Math.min(length, lposMaxLen);
  const mark = c.reply.open();
  let toSkip = Math.abs(lposRank) - 1;
  let found = 0;
  walk.start(a, record, fromBack);
  for (let i = 0; i < limit && walk.next(a); i++) {
    if (!entryIs(a.u8, walk.at, c.buf, c.off[2], c.len[2]) || toSkip-- > 0) continue;
    const index = fromBack ? length - 1 - i : i;
    c.reply.int(index);
    if (!many) return;
    if (++found === lposCount) break;
  }
  if (many) c.reply.closeArray(mark, found);
  else c.reply.nil();
}

/** 1 for LEFT, 0 for RIGHT, -1 for anything else. */
export function parseEnd(c: Call, i: number): number {
  return c.is(i, 'LEFT') ? 1 : c.is(i, 'RIGHT') ? 0 : -1;
}

function lmove(c: Call): void {
  const from = parseEnd(c, 3);
  const to = parseEnd(c, 4);
  if (from < 0 || to < 0) return c.reply.error(ERR.SYNTAX);
  moveElement(c, from === 1, to === 1);
}

function rpoplpush(c: Call): void {
  moveElement(c, false, true);
}

/**
 * Moves an element from one end of the list in argument 1 to one end of the list in argument 2, which may be the same
 * list. The element goes by way of the reply, where its bytes stay put while blocks move; and it is pushed before it is
 * taken away, so that nothing has changed if there is no room to push it.
 */
export function moveElement(c: Call, fromFront: boolean, toFront: boolean): void {
  const source = lookupWrite(c, 1);
  const a = c.arena;
  if (source === 0) return c.reply.nil();
  if (!isList(a, source)) return c.reply.error(ERR.WRONGTYPE);
  const target = lookupWrite(c, 2);
  const b = c.arena;
  if (target !== 0 && !isList(b, target)) return c.reply.error(ERR.WRONGTYPE);
  const entry = listEnd(a, source, fromFront);
  const length = entryLength(a.u8, entry);
  if (!canPush(b, length)) return c.reply.error(ERR.ARENA_FULL);
  c.reply.bulk(a.u8, entryStart(a.u8, entry), length);
  const bytes = c.reply.u8;
  const start = c.reply.length - 2 - length;
  if (target === 0) createListOf(c, 2, bytes, start, length);
  const pushed = target === 0 ? 0 : listPush(b, target, toFront, bytes, start, length, listFill(c));
  const isSame = target === source && a === b;
  // Taking from the end just pushed to takes the same element away again, as if it had gone and come back.
  removeEnd(a, isSame ? pushed : source, fromFront);
  c.dirty++;
}

/** The keys of LMPOP, for the dispatcher; false when the handler will answer with an error without touching a key. */
function lmpopKeys(request: Request, out: number[]): boolean {
  if (!request.long(1) || request.num < 1 || request.num > request.argc - 2) return false;
  const count = request.num;
  for (let i = 2; i < 2 + count; i++) out.push(i);
  return true;
}

function lmpop(c: Call): void {
  if (parseListPop(c, 1) && !popFirstList(c)) c.reply.nilArray();
}

/** The arguments of LMPOP or BLMPOP as last parsed: where the keys are, the end, and how many elements. */
let popFirstKey = 0;
let popEndOfKeys = 0;
let popFront = false;
let popCount = 1;

/** Parses the arguments from the number of keys on, which is argument `numKeys`. False when it has replied an error. */
export function parseListPop(c: Call, numKeys: number): boolean {
  if (!c.long(numKeys) || c.num < 1) return fails(c, ERR.NUMKEYS_NOT_POSITIVE);
  const where = numKeys + 1 + c.num;
  if (where >= c.argc) return fails(c, ERR.SYNTAX);
  const end = parseEnd(c, where);
  if (end < 0) return fails(c, ERR.SYNTAX);
  popFirstKey = numKeys + 1;
  popEndOfKeys = where;
  popFront = end === 1;
  popCount = 1;
  if (where + 1 < c.argc) {
    if (!c.is(where + 1, 'COUNT') || where + 2 >= c.argc) return fails(c, ERR.SYNTAX);
    if (!c.long(where + 2) || c.num < 1) return fails(c, ERR.COUNT_NOT_POSITIVE);
    popCount = c.num;
    if (where + 3 < c.argc) return fails(c, ERR.SYNTAX);
  }
  return true;
}

/** Takes elements off the first list as parsed. False when none of the keys is there; then it has written no reply. */
export function popFirstList(c: Call): boolean {
  for (let i = popFirstKey; i < popEndOfKeys; i++) {
    const record = lookupWrite(c, i);
    if (record === 0) continue;
    if (!isList(c.arena, record)) {
      if (c.retried) continue;
      c.reply.error(ERR.WRONGTYPE);
      return true;
    }
    c.reply.arrayHeader(2);
    c.reply.bulk(c.buf, c.off[i], c.len[i]);
    popMany(c, record, popFront, popCount);
    return true;
  }
  return false;
}

function fails(c: Call, text: string): boolean {
  c.reply.error(text);
  return false;
}

const row = rowMaker('list');
const W = WRITE | DENYOOM;
const PUSHED = 'O(N) for N elements pushed';
const TAKEN = 'O(N) for N elements taken';
const WALKED = 'O(N) for N elements up to the nearer end';

export const listRows: CommandRow[] = [
  row('lindex', 3, READONLY, ONE_KEY, '1.0.0', WALKED, 'Reads the element at an index', lindex),
  row(
    'linsert',
    5,
    W,
    ONE_KEY,
    '2.2.0',
    'O(N) for N elements up to the pivot',
    'Adds an element beside another',
    linsert,
  ),
  row('llen', 2, READONLY | FAST, ONE_KEY, '1.0.0', 'O(1)', 'Counts the elements of a list', llen),
  row('lmove', 5, W, TWO_KEYS, '6.2.0', 'O(1)', 'Moves an element from an end of one list to an end of another', lmove),
  {
    ...row(
      'lmpop',
      -4,
      WRITE | MOVABLE_KEYS,
      NO_KEYS,
      '7.0.0',
      TAKEN,
      'Takes elements off the first list found',
      lmpop,
    ),
    keys: lmpopKeys,
  },
  row('lpop', -2, WRITE | FAST, ONE_KEY, '1.0.0', TAKEN, 'Takes elements off the head of a list', lpop),
  row('lpos', -3, READONLY, ONE_KEY, '6.0.6', 'O(N) for N elements looked at', 'Finds an element and says where', lpos),
  row('lpush', -3, W | FAST, ONE_KEY, '1.0.0', PUSHED, 'Adds elements at the head of a list', lpush),
  row('lpushx', -3, W | FAST, ONE_KEY, '2.2.0', PUSHED, 'Adds elements at the head of a list that exists', lpushx),
  row(
    'lrange',
    4,
    READONLY,
    ONE_KEY,
    '1.0.0',
    'O(S+N) for N elements, S from an end',
    'Reads a range of a list',
    lrange,
  ),
  row('lrem', 4, WRITE, ONE_KEY, '1.0.0', 'O(N) for a list of N elements', 'Removes elements equal to one given', lrem),
  row('lset', 4, W, ONE_KEY, '1.0.0', WALKED, 'Replaces the element at an index', lset),
  row('ltrim', 4, WRITE, ONE_KEY, '1.0.0', 'O(N) for N elements removed', 'Removes all but a range of a list', ltrim),
  row('rpop', -2, WRITE | FAST, ONE_KEY, '1.0.0', TAKEN, 'Takes elements off the tail of a list', rpop),
  row('rpoplpush', 3, W, TWO_KEYS, '1.2.0', 'O(1)', 'Moves the last element of a list to the head of one', rpoplpush),
  row('rpush', -3, W | FAST, ONE_KEY, '1.0.0', PUSHED, 'Adds elements at the tail of a list', rpush),
  row('rpushx', -3, W | FAST, ONE_KEY, '2.2.0', PUSHED, 'Adds elements at the tail of a list that exists', rpushx),
];
