/**
 * SORT and SORT_RO: the elements of a list, set or sorted set in order, or what other keys hold for them. Handlers of
 * scope all, since BY and GET may name keys of any shard. O(n log n) for n elements, which are copied out of the arena,
 * so the result may be stored over the key it came from.
 *
 * Text is compared byte by byte, as Redis does in the C locale. Elements that compare as equal keep their order.
 */
import { canHold } from '../alloc.ts';
import type { Arena, Offset } from '../arena.ts';
import type { Call } from '../call.ts';
import { COPIES, type CommandRow, DENYOOM, MOVABLE_KEYS, READONLY, SCOPE_ALL, WRITE } from '../command.ts';
import { ERR } from '../errors.ts';
import type { Footprint } from '../footprint.ts';
import { deleteRecord, lookupRead, lookupWrite } from '../keyspace.ts';
import type { Request } from '../request.ts';
import { parseDouble } from '../request.ts';
import { createListOf, isList, ListWalk, listFill, listPush } from '../types/list.ts';
import { MemberList } from '../types/member-list.ts';
import { MemberWalk } from '../types/member-walk.ts';
import { isSet } from '../types/set.ts';
import { isZset, ZsetWalk } from '../types/zset.ts';
import { compareBytes } from '../types/zset-member.ts';
import { ONE_KEY, rowMaker } from './rows.ts';
import { found, hasStar, lookupPattern } from './sort-pattern.ts';

/** Bytes that a stored element may need in a list beside its own. */
const ELEMENT_BYTES = 16;
const ROOM_BYTES = 256 * 1024;

/** The options, as `parseOptions` leaves them; patterns and the target are argument indexes, 0 for none. */
let descending = false;
let alpha = false;
let limitStart = 0;
let limitCount = -1;
let by = 0;
/** A BY without `*`, whatever other BY there is, asks for no order at all. */
let unordered = false;
let target = 0;
const gets: number[] = [];

/** The elements; `scores` are their weights and `order` the result. */
const elements = new MemberList();
/** With BY and ALPHA: the text that stands for each element; score 1, or 0 where there is none. */
const weights = new MemberList();
/** What is stored. */
const output = new MemberList();
const listWalk = new ListWalk();
const zsetWalk = new ZsetWalk();
const memberWalk = new MemberWalk();

function sort(c: Call): void {
  sortKey(c, true);
}

function sortRo(c: Call): void {
  sortKey(c, false);
}

/** Whether elements of equal weight are ordered by themselves. */
let breaksTies = false;

function sortKey(c: Call, mayStore: boolean): void {
  if (!parseOptions(c, mayStore)) return;
  if (arrangeKey(c)) {
    if (target === 0) reply(c);
    else store(c);
  }
  clear();
}

function clear(): void {
  elements.clear(0, 0);
  weights.clear(0, 0);
  output.clear(0, 0);
}

/** What patterns find may be far more than what is sorted: as much as is stored. Sorts, as the command does; with writes ahead it may be any number. */
function addSorted(c: Call, ahead: number, to: Footprint): void {
  const { reply } = c;
  const { errors, length } = reply;
  if (parseOptions(c, true) && target !== 0 && gets.length > 0) {
    if (ahead > 0) to.addUnsure(Number.POSITIVE_INFINITY, 0);
    else if (arrangeKey(c)) {
      collect(c);
      let longest = 0;
      for (let i = 0; i < output.count; i++) longest = Math.max(longest, output.lengths[i]);
      to.addUnsure(roomForOutput(), longest);
    }
  }
  clear();
  reply.errors = errors;
  reply.rewind(length);
}

/** Puts what the key in argument 1 has into the order asked for; false after an error reply. */
function arrangeKey(c: Call): boolean {
  const record = lookupRead(c, 1);
  let sorts = !unordered;
  // The order of a set's members is not the same on every node, so what is stored must not depend on it.
  breaksTies = target !== 0 && record !== 0 && isSet(c.arena, record);
  // A set has no order of its own that could be stored.
  if (unordered && target !== 0 && record !== 0 && isSet(c.arena, record)) {
    sorts = true;
    alpha = true;
    by = 0;
  }
  if (record !== 0 && !load(c.arena, record)) {
    c.reply.error(ERR.WRONGTYPE);
    return false;
  }
  if (sorts && !weigh(c)) {
    c.reply.error("ERR One or more scores can't be converted into double");
    return false;
  }
  arrange(sorts);
  return true;
}

/** Reads the options; false after an error reply. */
function parseOptions(c: Call, mayStore: boolean): boolean {
  descending = false;
  alpha = false;
  limitStart = 0;
  limitCount = -1;
  by = 0;
  unordered = false;
  target = 0;
  gets.length = 0;
  for (let i = 2; i < c.argc; i++) {
    const left = c.argc - i - 1;
    if (c.is(i, 'ASC')) descending = false;
    else if (c.is(i, 'DESC')) descending = true;
    else if (c.is(i, 'ALPHA')) alpha = true;
    else if (c.is(i, 'LIMIT') && left >= 2) {
      if (!parseLimit(c, i + 1)) return false;
      i += 2;
    } else if (c.is(i, 'STORE') && left >= 1 && mayStore) target = ++i;
    else if (c.is(i, 'BY') && left >= 1) {
      by = ++i;
      if (!hasStar(c, by)) unordered = true;
    } else if (c.is(i, 'GET') && left >= 1) gets.push(++i);
    else {
      c.reply.error(ERR.SYNTAX);
      return false;
    }
  }
  return true;
}

function parseLimit(c: Call, i: number): boolean {
  if (c.long(i)) {
    limitStart = c.num;
    if (c.long(i + 1)) {
      limitCount = c.num;
      return true;
    }
  }
  c.reply.error(ERR.NOT_INTEGER);
  return false;
}

/** Copies the elements of what is at the key, in its own order; false when that has none. */
function load(a: Arena, record: Offset): boolean {
  elements.clear(0, 0);
  if (isList(a, record)) {
    listWalk.start(a, record);
    while (listWalk.next(a)) elements.push(a.u8, listWalk.elementStart, listWalk.elementLength, 0);
  } else if (isZset(a, record)) {
    zsetWalk.start(a, record, 0, false);
    while (zsetWalk.next(a)) elements.push(a.u8, zsetWalk.at, zsetWalk.length, 0);
  } else if (isSet(a, record)) {
    memberWalk.start(a, record);
    while (memberWalk.next(a)) elements.push(memberWalk.buf, memberWalk.at, memberWalk.length, 0);
  } else return false;
  return true;
}

/** Finds what each element is compared by; false when that is to be a number and is not. */
function weigh(c: Call): boolean {
  const { bytes, starts, lengths, scores } = elements;
  let valid = true;
  for (let i = 0; i < elements.count; i++) {
    if (by === 0) {
      if (!alpha) valid = setWeight(i, bytes, starts[i], lengths[i]) && valid;
      continue;
    }
    const exists = lookupPattern(c, by, bytes, starts[i], lengths[i]);
    if (alpha) weights.push(found.buf, found.start, exists ? found.length : 0, exists ? 1 : 0);
    else if (exists) valid = setWeight(i, found.buf, found.start, found.length) && valid;
    else scores[i] = 0;
  }
  return valid;
}

/** Reads a weight as C's strtod does: white space before it is allowed, a NUL byte ends it, nothing at all is 0. */
function setWeight(element: number, buf: Uint8Array, start: number, length: number): boolean {
  let end = 0;
  while (end < length && buf[start + end] !== 0) end++;
  let skipped = 0;
  while (skipped < end && isSpace(buf[start + skipped])) skipped++;
  const weight = end === 0 ? 0 : parseDouble(buf, start + skipped, end - skipped);
  elements.scores[element] = weight;
  return !Number.isNaN(weight);
}

function isSpace(byte: number): boolean {
  return byte === 32 || (byte >= 9 && byte <= 13);
}

/** Puts the elements into the order asked for, or leaves them in their own; DESC turns either round. */
function arrange(sorts: boolean): void {
  const order = elements.order.subarray(0, elements.count);
  if (sorts && !alpha) {
    elements.sort();
  } else {
    for (let i = 0; i < order.length; i++) order[i] = i;
    if (sorts) {
      const compare = by === 0 ? compareElements : compareWeights;
      order.sort(descending ? (x, y) => compare(y, x) : compare);
      return;
    }
  }
  if (descending) order.reverse();
}

function compareElements(x: number, y: number): number {
  const { bytes, starts, lengths } = elements;
  return compareBytes(bytes, starts[x], lengths[x], bytes, starts[y], lengths[y]);
}

/** Elements without a weight come first. */
function compareWeights(x: number, y: number): number {
  const { bytes, starts, lengths, scores } = weights;
  if (scores[x] !== scores[y]) return scores[x] - scores[y];
  const difference = compareBytes(bytes, starts[x], lengths[x], bytes, starts[y], lengths[y]);
  return difference === 0 && breaksTies ? compareElements(x, y) : difference;
}

/** How many elements LIMIT leaves; the first of them is `limitStart`, clipped to what there is. */
function limited(): number {
  const total = elements.count;
  limitStart = Math.min(Math.max(limitStart, 0), total);
  return limitCount < 0 ? total - limitStart : Math.min(limitCount, total - limitStart);
}

function reply(c: Call): void {
  const count = limited();
  const { bytes, starts, lengths, order } = elements;
  c.reply.arrayHeader(count * Math.max(1, gets.length));
  for (let i = limitStart; i < limitStart + count; i++) {
    const element = order[i];
    if (gets.length === 0) c.reply.bulk(bytes, starts[element], lengths[element]);
    for (const get of gets) {
      if (!lookupPattern(c, get, bytes, starts[element], lengths[element])) c.reply.nil();
      else c.reply.bulk(found.buf, found.start, found.length);
    }
  }
}

/** What is stored: what is not found as nothing. */
function collect(c: Call): void {
  const count = limited();
  const { bytes, starts, lengths, order } = elements;
  for (let i = limitStart; i < limitStart + count; i++) {
    const element = order[i];
    if (gets.length === 0) output.push(bytes, starts[element], lengths[element], 0);
    for (const get of gets) {
      const exists = lookupPattern(c, get, bytes, starts[element], lengths[element]);
      output.push(found.buf, found.start, exists ? found.length : 0, 0);
    }
  }
}

function roomForOutput(): number {
  return output.used * 2 + output.count * ELEMENT_BYTES + ROOM_BYTES;
}

/** Stores the result as a list. An empty one deletes the key. */
function store(c: Call): void {
  collect(c);
  const old = lookupWrite(c, target);
  if (!canHold(c.arena, roomForOutput())) return c.reply.error(ERR.ARENA_FULL);
  if (old !== 0) deleteRecord(c.arena, old);
  if (output.count > 0) storeList(c);
  c.dirty += output.count > 0 ? output.count : old === 0 ? 0 : 1;
  c.reply.int(output.count);
}

function storeList(c: Call): void {
  const { bytes, starts, lengths } = output;
  const fill = listFill(c);
  let record = createListOf(c, target, bytes, starts[0], lengths[0]);
  for (let i = 1; i < output.count; i++) record = listPush(c.arena, record, false, bytes, starts[i], lengths[i], fill);
}

/** The keys of SORT: the one sorted and the target of the last STORE. Those that patterns name are not known before. */
function sortKeys(request: Request, out: number[]): boolean {
  out.push(1);
  let stored = 0;
  for (let i = 2; i < request.argc; i++) {
    if (request.is(i, 'LIMIT')) i += 2;
    else if (request.is(i, 'GET') || request.is(i, 'BY')) i++;
    else if (request.is(i, 'STORE') && i + 1 < request.argc) stored = ++i;
  }
  if (stored !== 0) out.push(stored);
  return true;
}

function sortRoKeys(_request: Request, out: number[]): boolean {
  out.push(1);
  return true;
}

const COST = 'O(n + m log m) for n elements, m of them returned';
const CATEGORIES = ['set', 'sortedset', 'list', 'dangerous'];
const row = rowMaker('generic', CATEGORIES, SCOPE_ALL);

export const sortRows: CommandRow[] = [
  {
    ...row(
      'sort',
      -2,
      WRITE | DENYOOM | COPIES | MOVABLE_KEYS,
      ONE_KEY,
      '1.0.0',
      COST,
      'Sorts elements, or stores them sorted',
      sort,
    ),
    keys: sortKeys,
    makes: addSorted,
  },
  {
    ...row('sort_ro', -2, READONLY | MOVABLE_KEYS, ONE_KEY, '7.0.0', COST, 'Returns elements sorted', sortRo),
    keys: sortRoKeys,
  },
];
