/**
 * Sets: what commands do with one whatever its form. Small sets of integers are a sorted array (intset.ts), other small
 * sets are packed (pack.ts), both in their key's record; big ones are a table of records (members.ts). Runs under the
 * shard's lock.
 *
 * Redis 7.0 has no packed sets, so OBJECT ENCODING calls them `hashtable`. A set goes from integers to packed to table, and
 * never back, as in Redis, until it is deleted or stored over. Members are given as byte ranges outside the arena. No
 * function here deletes the key of a set that has become empty. To walk over one: member-walk.ts.
 */
import type { Arena, Offset } from '../arena.ts';
import type { Call } from '../call.ts';
import { createRecord, lookupWrite, overwriteRecord } from '../keyspace.ts';
import {
  ENC_INLINE,
  ENC_INTSET,
  ENC_ROOT,
  recordEncoding,
  recordType,
  setRecordEncoding,
  TYPE_SET,
  valueWord,
} from '../record.ts';
import { Request } from '../request.ts';
import { settingIndex } from '../settings.ts';
import { tableCount, tableCreate } from '../table.ts';
import { hasRoot, registerValueOps } from '../values.ts';
import { growValue, shrinkValue } from './inline.ts';
import {
  highOf,
  INTEGER_TEXT_BYTES,
  integerText,
  intsetAdd,
  intsetBytes,
  intsetCount,
  intsetFind,
  intsetHigh,
  intsetInit,
  intsetLow,
  intsetRemove,
  lowOf,
  wideIntsetBytes,
} from './intset.ts';
import type { MemberList } from './member-list.ts';
import type { MemberWalk } from './member-walk.ts';
import {
  createBig,
  linkTable,
  memberAdd,
  memberDrop,
  memberFind,
  memberOps,
  memberRemove,
  membersCost,
  spill,
} from './members.ts';
import {
  EMPTY_PACK_BYTES,
  entryBytes,
  nextEntry,
  packAppend,
  packCount,
  packFind,
  packInit,
  packRemove,
} from './pack.ts';

const MAX_INTEGERS = settingIndex('set-max-intset-entries');
/** A packed set is scanned, at 4 ns per member, so it is kept so small that hashing would be hardly faster. */
const MAX_PACK_ENTRIES = 32;
const MAX_PACK_MEMBER_BYTES = 64;

export function isSet(a: Arena, record: Offset): boolean {
  return recordType(a, record) === TYPE_SET;
}

export function setSize(a: Arena, record: Offset): number {
  const encoding = recordEncoding(a, record);
  if (encoding >= ENC_ROOT) return tableCount(a, valueWord(a, record));
  return encoding === ENC_INTSET ? intsetCount(a, record) : packCount(a, record);
}

/** What OBJECT ENCODING says. */
export function encodingName(a: Arena, record: Offset): string {
  return recordEncoding(a, record) === ENC_INTSET ? 'intset' : 'hashtable';
}

/** Reads the members that may be integers. */
const number = new Request();

function isInteger(buf: Uint8Array, start: number, length: number): boolean {
  return number.longAt(buf, start, length);
}

export function setHas(a: Arena, record: Offset, buf: Uint8Array, start: number, length: number): boolean {
  const encoding = recordEncoding(a, record);
  if (encoding >= ENC_ROOT) return memberFind(a, valueWord(a, record), buf, start, length) !== 0;
  if (encoding !== ENC_INTSET) return packFind(a, record, false, buf, start, length) !== 0;
  return isInteger(buf, start, length) && intsetFind(a, record, highOf(number), lowOf(number)) >= 0;
}

/** Whether a set has the member that a walk over another one has reached. */
export function setHasReached(a: Arena, record: Offset, reached: MemberWalk): boolean {
  if (reached.integers && recordEncoding(a, record) === ENC_INTSET) {
    return intsetFind(a, record, reached.high, reached.low) >= 0;
  }
  return setHas(a, record, reached.buf, reached.at, reached.length);
}

/**
 * Makes the key of the call's last lookup, argument i, a set of the form that suits the member in argument `from`: empty with
 * room for those up to argument `to`, or a big one with that member.
 */
export function createSet(c: Call, i: number, from: number, to: number): Offset {
  const a = c.arena;
  if (isInteger(c.buf, c.off[from], c.len[from])) {
    const record = createRecord(c, i, TYPE_SET, intsetBytes(to - from));
    setRecordEncoding(a, record, ENC_INTSET);
    intsetInit(a, record);
    return record;
  }
  if (!fitsPack(to - from, c.len[from])) return createBig(c, i, TYPE_SET, from, 0);
  let bytes = EMPTY_PACK_BYTES;
  for (let k = from; k < to; k++) bytes += entryBytes(Math.min(c.len[k], MAX_PACK_MEMBER_BYTES));
  const record = createRecord(c, i, TYPE_SET, bytes);
  packInit(a, record);
  return record;
}

function fitsPack(count: number, longest: number): boolean {
  return count <= MAX_PACK_ENTRIES && longest <= MAX_PACK_MEMBER_BYTES;
}

/** Adds a member. Returns the record, which may have moved; 0 when the set had the member already. */
export function setAdd(c: Call, record: Offset, buf: Uint8Array, start: number, length: number): Offset {
  const a = c.arena;
  const encoding = recordEncoding(a, record);
  if (encoding >= ENC_ROOT) return memberAdd(a, valueWord(a, record), buf, start, length) ? record : 0;
  if (encoding === ENC_INTSET) {
    if (!isInteger(buf, start, length)) return append(a, leaveIntegers(a, record, length), buf, start, length);
    const to = intsetAdd(a, record, highOf(number), lowOf(number));
    return to === 0 || intsetCount(a, to) <= c.settings.f64[MAX_INTEGERS] ? to : leaveIntegers(a, to, 0);
  }
  if (packFind(a, record, false, buf, start, length) !== 0) return 0;
  if (!fitsPack(packCount(a, record) + 1, length)) record = spill(a, record);
  return append(a, record, buf, start, length);
}

/** Adds a member that the set, which is packed or a table, does not have. Returns the record, which may have moved. */
function append(a: Arena, record: Offset, buf: Uint8Array, start: number, length: number): Offset {
  if (!hasRoot(a, record)) return packAppend(a, record, buf, start, length);
  memberAdd(a, valueWord(a, record), buf, start, length);
  return record;
}

/** The halves of the integers that become entries of a pack. */
const halves = new Int32Array(2 * MAX_PACK_ENTRIES);
const text = new Uint8Array(INTEGER_TEXT_BYTES);

/** Gives a set of integers the form that suits one member more, of this length. Returns the record, which may have moved. */
function leaveIntegers(a: Arena, record: Offset, length: number): Offset {
  const count = intsetCount(a, record);
  if (!fitsPack(count + 1, length)) return spill(a, record);
  let bytes = EMPTY_PACK_BYTES;
  for (let i = 0; i < count; i++) {
    halves[2 * i] = intsetHigh(a, record, i);
    halves[2 * i + 1] = intsetLow(a, record, i);
    bytes += entryBytes(INTEGER_TEXT_BYTES - integerText(halves[2 * i], halves[2 * i + 1], text));
  }
  // All the room at once: nothing is lost if there is none.
  if (bytes > valueWord(a, record)) record = growValue(a, record, bytes);
  setRecordEncoding(a, record, ENC_INLINE);
  packInit(a, record);
  for (let i = 0; i < count; i++) {
    const at = integerText(halves[2 * i], halves[2 * i + 1], text);
    record = packAppend(a, record, text, at, INTEGER_TEXT_BYTES - at);
  }
  return record;
}

/** Takes a member out. Returns the record, which may have moved; 0 when there is no such member. */
export function setRemove(a: Arena, record: Offset, buf: Uint8Array, start: number, length: number): Offset {
  const encoding = recordEncoding(a, record);
  if (encoding >= ENC_ROOT) return memberRemove(a, valueWord(a, record), buf, start, length) ? record : 0;
  if (encoding !== ENC_INTSET) {
    const entry = packFind(a, record, false, buf, start, length);
    return entry === 0 ? 0 : packRemove(a, record, entry, nextEntry(a, entry), 1);
  }
  if (!isInteger(buf, start, length)) return 0;
  const index = intsetFind(a, record, highOf(number), lowOf(number));
  return index < 0 ? 0 : intsetRemove(a, record, index);
}

/** Takes out the member that a walk has reached, which is over then. Returns the record, which may have moved. */
export function setRemoveReached(a: Arena, record: Offset, reached: MemberWalk): Offset {
  const { place } = reached;
  if (reached.integers) return intsetRemove(a, record, place);
  if (!hasRoot(a, record)) return packRemove(a, record, place, nextEntry(a, place), 1);
  memberDrop(a, valueWord(a, record), place);
  return record;
}

/** Whether Redis would store these members as integers; their scores are their values then. */
export function areIntegers(c: Call, list: MemberList): boolean {
  if (list.count > c.settings.f64[MAX_INTEGERS]) return false;
  for (let i = 0; i < list.count; i++) {
    if (!isInteger(list.bytes, list.starts[i], list.lengths[i])) return false;
    list.scores[i] = number.num;
  }
  return true;
}

/** What storing a list may take, generously. */
export function setCost(list: MemberList): number {
  return membersCost(list.count, list.used);
}

/**
 * Makes the key in argument i a set of the list's members, which are distinct and at least one, in place of whatever the
 * key held; as integers if the caller says so, who also has made sure that there is room (`setCost`).
 */
export function setStore(c: Call, i: number, list: MemberList, integers: boolean, expireAtMs: number): void {
  let longest = 0;
  let bytes = EMPTY_PACK_BYTES;
  for (let k = 0; k < list.count; k++) {
    longest = Math.max(longest, list.lengths[k]);
    bytes += entryBytes(list.lengths[k]);
  }
  const packed = !integers && fitsPack(list.count, longest);
  if (integers) bytes = wideIntsetBytes(list.count);
  else if (!packed) bytes = 0;
  const old = lookupWrite(c, i);
  const a = c.arena;
  const t = integers || packed ? 0 : buildTable(a, list);
  let record = old === 0 ? createRecord(c, i, TYPE_SET, bytes) : overwriteRecord(c, old, TYPE_SET, bytes, expireAtMs);
  if (t !== 0) {
    linkTable(a, record, t);
  } else if (packed) {
    packInit(a, record);
    for (let k = 0; k < list.count; k++) record = packAppend(a, record, list.bytes, list.starts[k], list.lengths[k]);
  } else {
    setRecordEncoding(a, record, ENC_INTSET);
    intsetInit(a, record);
    for (let k = 0; k < list.count; k++) {
      number.longAt(list.bytes, list.starts[k], list.lengths[k]);
      record = intsetAdd(a, record, highOf(number), lowOf(number));
    }
    shrinkValue(a, record, valueWord(a, record));
  }
}

function buildTable(a: Arena, list: MemberList): Offset {
  const t = tableCreate(a, false);
  for (let k = 0; k < list.count; k++) memberAdd(a, t, list.bytes, list.starts[k], list.lengths[k]);
  return t;
}

registerValueOps(TYPE_SET, memberOps);
