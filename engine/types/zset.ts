/**
 * Sorted sets: what commands do with one whatever its form. Small ones are packed in their key's record (zset-pack.ts);
 * big ones are a table of member records (zset-member.ts, for scores by member) with a tree over them (tree.ts, for
 * order and ranks), whose root block is the table's header. Runs under the shard's lock.
 *
 * A set that has become big stays so, as in Redis, until it is deleted or stored over. Members are given as byte ranges;
 * those of ranges are read with a `ZsetWalk`. No function here deletes the key of a set that has become empty.
 */
import { free, KIND_ZSET_MEMBER, registerRelocator, usableSize } from '../alloc.ts';
import type { Arena, Offset } from '../arena.ts';
import type { Call } from '../call.ts';
import { createRecord, dropInline, lookupWrite, overwriteRecord } from '../keyspace.ts';
import { bury, isLarge } from '../lazyfree.ts';
import { ENC_ROOT, recordType, setRecordEncoding, setValueWord, TYPE_ZSET, valueWord } from '../record.ts';
import { settingIndex } from '../settings.ts';
import {
  keyHash,
  recordHash,
  tableBytes,
  tableCount,
  tableCreate,
  tableFind,
  tableFree,
  tableInsert,
  tableRemove,
  tableReplace,
  tableVerify,
} from '../table.ts';
import { hasRoot, registerValueOps } from '../values.ts';
import type { MemberList } from './member-list.ts';
import { treeBytes, treeCreate, treeFree, treeInsert, treeMemberMoved, treeRemove, treeSetScore } from './tree.ts';
import { TreeCursor, treeCountToScore, treeRank } from './tree-read.ts';
import { treeVerify } from './tree-verify.ts';
import {
  memberCreate,
  memberLeaf,
  memberLength,
  memberScore,
  memberStart,
  memberTable,
  setMemberScore,
} from './zset-member.ts';
import {
  EMPTY_PACK_BYTES,
  entryBytes,
  entryMemberLength,
  entryMemberStart,
  entryScore,
  nextEntry,
  packCount,
  packCountToScore,
  packEnd,
  packEntry,
  packFind,
  packIndex,
  packInsert,
  packRemove,
  packSetScore,
  packStart,
  setPackCount,
  writeEntry,
} from './zset-pack.ts';

export { ZsetWalk } from './zset-walk.ts';

const MAX_PACK_ENTRIES = settingIndex('zset-max-listpack-entries');
const MAX_PACK_VALUE = settingIndex('zset-max-listpack-value');

/** Conditions of `zsetAdd`, to be or-ed. */
export const ADD_NX = 1;
export const ADD_XX = 2;
export const ADD_GT = 4;
export const ADD_LT = 8;
/** The score is an increment. */
export const ADD_INCR = 16;

/** Outcomes of `zsetAdd`: a condition did not hold; added; got another score; had that score; the sum is not a number. */
export const OUT_REFUSED = 0;
export const OUT_ADDED = 1;
export const OUT_UPDATED = 2;
export const OUT_SAME = 3;
export const OUT_NAN = 4;

/** What the last `zsetAdd` or `zsetRemove` of this thread did. Overwritten by the next. */
class ZsetChange {
  /** Where the key's record lies now. */
  record: Offset = 0;
  outcome = OUT_REFUSED;
  /** The member's score, unless it was refused. Set to a fraction first so that the engine keeps a double here. */
  score = 0.5;
}
export const change = new ZsetChange();

const cursor = new TreeCursor();

export function isZset(a: Arena, record: Offset): boolean {
  return recordType(a, record) === TYPE_ZSET;
}

export function zsetSize(a: Arena, record: Offset): number {
  return hasRoot(a, record) ? tableCount(a, valueWord(a, record)) : packCount(a, record);
}

/** What OBJECT ENCODING says. */
export function encodingName(a: Arena, record: Offset): string {
  return hasRoot(a, record) ? 'skiplist' : 'listpack';
}

function findMember(a: Arena, t: Offset, buf: Uint8Array, start: number, length: number): Offset {
  return tableFind(a, t, keyHash(a, buf, start, length), buf, start, length);
}

/** The member's score; NaN, which no member has, when it is not in the set. */
export function zsetScore(a: Arena, record: Offset, buf: Uint8Array, start: number, length: number): number {
  if (hasRoot(a, record)) {
    const member = findMember(a, valueWord(a, record), buf, start, length);
    return member === 0 ? Number.NaN : memberScore(a, member);
  }
  const entry = packFind(a, record, buf, start, length);
  return entry === 0 ? Number.NaN : entryScore(a, entry);
}

/** How many members come before this one, -1 when it is not in the set. */
export function zsetRank(a: Arena, record: Offset, buf: Uint8Array, start: number, length: number): number {
  if (hasRoot(a, record)) {
    const member = findMember(a, valueWord(a, record), buf, start, length);
    return member === 0 ? -1 : treeRank(a, member);
  }
  const entry = packFind(a, record, buf, start, length);
  return entry === 0 ? -1 : packIndex(a, record, entry);
}

/** How many members have a score below `score`, or up to it when `inclusive`. */
export function zsetCountToScore(a: Arena, record: Offset, score: number, inclusive: boolean): number {
  return hasRoot(a, record)
    ? treeCountToScore(a, valueWord(a, record), score, inclusive)
    : packCountToScore(a, record, score, inclusive);
}

/**
 * Adds argument `member` of the call to the set at `record`, or changes its score, under conditions (ADD_*). `record` 0
 * makes the key of the call's last lookup, argument i, which must not be asked with ADD_XX. The result is in `change`.
 */
export function zsetAdd(c: Call, i: number, record: Offset, member: number, score: number, conditions: number): void {
  const a = c.arena;
  const { buf } = c;
  const start = c.off[member];
  const length = c.len[member];
  change.record = record;
  if (record === 0) {
    change.record = createZset(c, i, buf, start, length, score);
    change.outcome = OUT_ADDED;
    change.score = score;
    return;
  }
  if (!hasRoot(a, record)) {
    const entry = packFind(a, record, buf, start, length);
    if (entry !== 0) {
      if (decide(entryScore(a, entry), score, conditions))
        packSetScore(a, record, entry, change.score, buf, start, length);
      return;
    }
    if ((conditions & ADD_XX) !== 0) {
      change.outcome = OUT_REFUSED;
      return;
    }
    if (!fitsPack(c, packCount(a, record) + 1, length)) record = unpack(a, record);
  }
  change.record = record;
  if (hasRoot(a, record)) {
    addBig(a, valueWord(a, record), buf, start, length, score, conditions);
    return;
  }
  change.record = packInsert(a, record, score, buf, start, length);
  change.outcome = OUT_ADDED;
  change.score = score;
}

/** Whether a set of so many members, the longest of so many bytes, is packed. */
export function fitsPack(c: Call, count: number, longest: number): boolean {
  return count <= c.settings.f64[MAX_PACK_ENTRIES] && longest <= c.settings.f64[MAX_PACK_VALUE];
}

/** Makes the key in argument i a set of one member, in the form that suits it. */
function createZset(c: Call, i: number, buf: Uint8Array, start: number, length: number, score: number): Offset {
  const a = c.arena;
  if (fitsPack(c, 1, length)) {
    const record = createRecord(c, i, TYPE_ZSET, EMPTY_PACK_BYTES + entryBytes(length));
    setPackCount(a, record, 1);
    writeEntry(a, packStart(a, record), score, buf, start, length);
    return record;
  }
  const t = createBig(a);
  insertBig(a, t, keyHash(a, buf, start, length), buf, start, length, score);
  const record = createRecord(c, i, TYPE_ZSET, 0);
  linkBig(a, record, t);
  return record;
}

/** Whether a member that has `current` is to get another score, which is then in `change` with the outcome. */
function decide(current: number, score: number, conditions: number): boolean {
  change.outcome = OUT_REFUSED;
  if ((conditions & ADD_NX) !== 0) return false;
  if ((conditions & ADD_INCR) !== 0) {
    score += current;
    if (Number.isNaN(score)) {
      change.outcome = OUT_NAN;
      return false;
    }
  }
  if ((conditions & ADD_LT) !== 0 && score >= current) return false;
  if ((conditions & ADD_GT) !== 0 && score <= current) return false;
  change.score = score;
  change.outcome = score === current ? OUT_SAME : OUT_UPDATED;
  return score !== current;
}

function addBig(
  a: Arena,
  t: Offset,
  buf: Uint8Array,
  start: number,
  length: number,
  score: number,
  conditions: number,
): void {
  const hash = keyHash(a, buf, start, length);
  const member = tableFind(a, t, hash, buf, start, length);
  if (member !== 0) {
    if (decide(memberScore(a, member), score, conditions)) treeSetScore(a, t, member, change.score);
    return;
  }
  change.outcome = OUT_REFUSED;
  if ((conditions & ADD_XX) !== 0) return;
  insertBig(a, t, hash, buf, start, length, score);
  change.outcome = OUT_ADDED;
  change.score = score;
}

function createBig(a: Arena): Offset {
  const t = tableCreate(a, false);
  treeCreate(a, t);
  return t;
}

function linkBig(a: Arena, record: Offset, t: Offset): void {
  setRecordEncoding(a, record, ENC_ROOT);
  setValueWord(a, record, t);
}

function insertBig(
  a: Arena,
  t: Offset,
  hash: number,
  buf: Uint8Array,
  start: number,
  length: number,
  score: number,
): void {
  const member = memberCreate(a, t, buf, start, length);
  setMemberScore(a, member, score);
  try {
    treeInsert(a, t, member);
    tableInsert(a, t, hash, member);
  } catch (error) {
    if (memberLeaf(a, member) !== 0) treeRemove(a, t, member);
    free(a, member);
    throw error;
  }
}

/** Turns a packed set into table and tree. Returns the record, which may have moved; nothing has changed if it throws. */
function unpack(a: Arena, record: Offset): Offset {
  const t = createBig(a);
  let to = record;
  try {
    const end = packEnd(a, record);
    for (let entry = packStart(a, record); entry < end; entry = nextEntry(a, entry)) {
      const start = entryMemberStart(a, entry);
      const length = entryMemberLength(a, entry);
      insertBig(a, t, keyHash(a, a.u8, start, length), a.u8, start, length, entryScore(a, entry));
    }
    to = dropInline(a, record);
  } catch (error) {
    freeBig(a, t);
    throw error;
  }
  linkBig(a, to, t);
  return to;
}

/** Frees table, tree and members. */
function freeBig(a: Arena, t: Offset): void {
  for (let member = cursor.seek(a, t, 0); member !== 0; ) {
    const next = cursor.next(a);
    free(a, member);
    member = next;
  }
  treeFree(a, t);
  tableFree(a, t);
}

/** Takes a member out; false when the set has no such member. `change.record` is where the record lies now. */
export function zsetRemove(a: Arena, record: Offset, buf: Uint8Array, start: number, length: number): boolean {
  change.record = record;
  if (hasRoot(a, record)) {
    const t = valueWord(a, record);
    const hash = keyHash(a, buf, start, length);
    const member = tableFind(a, t, hash, buf, start, length);
    if (member === 0) return false;
    removeBig(a, t, hash, member);
    return true;
  }
  const entry = packFind(a, record, buf, start, length);
  if (entry === 0) return false;
  change.record = packRemove(a, record, entry, nextEntry(a, entry), 1);
  return true;
}

function removeBig(a: Arena, t: Offset, hash: number, member: Offset): void {
  treeRemove(a, t, member);
  tableRemove(a, t, hash, member);
  free(a, member);
}

/** Members taken out of a tree at a time by `zsetRemoveRange`. */
const doomed = new Uint32Array(256);

/** Takes out the members of ranks `from` up to `to`; returns the record, which may have moved. O(log n) for each. */
export function zsetRemoveRange(a: Arena, record: Offset, from: number, to: number): Offset {
  if (from >= to) return record;
  if (!hasRoot(a, record)) {
    const first = packEntry(a, record, from);
    let end = first;
    for (let i = from; i < to; i++) end = nextEntry(a, end);
    return packRemove(a, record, first, end, to - from);
  }
  const t = valueWord(a, record);
  let left = to - from;
  while (left > 0) {
    const count = Math.min(left, doomed.length);
    let member = cursor.seek(a, t, from);
    for (let i = 0; i < count; i++) {
      doomed[i] = member;
      member = cursor.next(a);
    }
    for (let i = 0; i < count; i++) removeBig(a, t, recordHash(a, doomed[i]), doomed[i]);
    left -= count;
  }
  return record;
}

/**
 * Makes the key in argument i a sorted set of the list's members, which is sorted and not empty, in place of whatever
 * the key held. The caller has made sure that there is room (`zsetCostBytes`).
 */
export function zsetStore(c: Call, i: number, list: MemberList): void {
  let longest = 0;
  let bytes = EMPTY_PACK_BYTES;
  for (let k = 0; k < list.count; k++) {
    const length = list.lengths[k];
    if (length > longest) longest = length;
    bytes += entryBytes(length);
  }
  let record = lookupWrite(c, i);
  const a = c.arena;
  const packed = fitsPack(c, list.count, longest);
  const t = packed ? 0 : buildBig(a, list);
  const inlineBytes = packed ? bytes : 0;
  if (record === 0) record = createRecord(c, i, TYPE_ZSET, inlineBytes);
  else record = overwriteRecord(c, record, TYPE_ZSET, inlineBytes, 0);
  if (!packed) {
    linkBig(a, record, t);
    return;
  }
  setPackCount(a, record, list.count);
  let at = packStart(a, record);
  for (let k = 0; k < list.count; k++) {
    const entry = list.order[k];
    at = writeEntry(a, at, list.scores[entry], list.bytes, list.starts[entry], list.lengths[entry]);
  }
}

function buildBig(a: Arena, list: MemberList): Offset {
  const t = createBig(a);
  for (let k = 0; k < list.count; k++) {
    const entry = list.order[k];
    const start = list.starts[entry];
    const length = list.lengths[entry];
    insertBig(a, t, keyHash(a, list.bytes, start, length), list.bytes, start, length, list.scores[entry]);
  }
  return t;
}

/** Bytes of member header, allocator's rounding, tree entry and table place that a member costs beside its own, at most. */
const MEMBER_COST_BYTES = 96;

/** What a set of `count` members with `bytes` bytes in all may take, generously. */
export function zsetCostBytes(count: number, bytes: number): number {
  return count * MEMBER_COST_BYTES + bytes + (bytes >>> 2);
}

registerRelocator(KIND_ZSET_MEMBER, (a, from, to) => {
  tableReplace(a, memberTable(a, to), recordHash(a, to), from, to);
  treeMemberMoved(a, from, to);
});

registerValueOps(TYPE_ZSET, {
  free(a, t) {
    if (isLarge(a, t)) bury(a, t);
    else freeBig(a, t);
  },
  bytes(a, t) {
    let bytes = tableBytes(a, t) + treeBytes(a, t);
    for (let member = cursor.seek(a, t, 0); member !== 0; member = cursor.next(a)) bytes += usableSize(a, member);
    return bytes;
  },
  verify(a, t) {
    tableVerify(a, t);
    treeVerify(a, t);
    for (let member = cursor.seek(a, t, 0); member !== 0; member = cursor.next(a)) {
      const found = findMember(a, t, a.u8, memberStart(member), memberLength(a, member));
      if (found !== member) throw new Error(`zset: the table has ${found} for member ${member}`);
    }
  },
  copy(from, t, to) {
    const copy = createBig(to);
    for (let member = cursor.seek(from, t, 0); member !== 0; member = cursor.next(from)) {
      const start = memberStart(member);
      const length = memberLength(from, member);
      insertBig(to, copy, keyHash(to, from.u8, start, length), from.u8, start, length, memberScore(from, member));
    }
    return copy;
  },
});
