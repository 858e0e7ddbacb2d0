/**
 * The big form of hashes and sets: a table (table.ts) of records, one per field or member, with the value of a field
 * inline. The root of such a value is the table's header. Runs under the shard's lock.
 *
 * A record lies in a block of KIND_MEMBER, which compaction may move between commands: only the table points to it, and
 * the record says which table that is.
 *
 * ```
 * record.ts: +0 u32 TYPE_MEMBER | +4 u32 owner: the table | +8 u32 length of the key | +12 u32 length of the value
 *            +16 the field or member, then the value
 * ```
 * Example: field `ab` with value `7` in the table at 0x10040 is 19 bytes, in a block of 24:
 * `07 00 00 00 | 40 00 01 00 | 02 00 00 00 | 01 00 00 00 | 61 62 37`.
 */
import { alloc, free, KIND_MEMBER, registerRelocator, usableSize } from '../alloc.ts';
import type { Arena, Offset } from '../arena.ts';
import type { Call } from '../call.ts';
import { copyBytes, createRecord, dropInline } from '../keyspace.ts';
import { bury, isLarge } from '../lazyfree.ts';
import {
  ENC_ROOT,
  keyLength,
  RECORD_HEADER_BYTES,
  setRecordEncoding,
  setValueWord,
  TYPE_MEMBER,
  valueWord,
} from '../record.ts';
import {
  keyHash,
  recordHash,
  TableWalk,
  tableBytes,
  tableCreate,
  tableFind,
  tableFree,
  tableInsert,
  tableRemove,
  tableReplace,
  tableVerify,
} from '../table.ts';
import type { ValueOps } from '../values.ts';
import { MemberWalk } from './member-walk.ts';

/** A block is changed for a smaller one when a value leaves less than half of it in use, unless it is small anyway. */
const SMALL_BYTES = 64;

/** Bytes of a record beside its own, of the allocator's rounding and of the table that a member costs, at most. */
const MEMBER_COST_BYTES = 48;

/** What `count` members with `bytes` bytes in all, values included, may take, generously. */
export function membersCost(count: number, bytes: number): number {
  return count * MEMBER_COST_BYTES + bytes + (bytes >>> 2);
}

/** Where the bytes of the field or member begin. */
export function memberStart(member: Offset): Offset {
  return member + RECORD_HEADER_BYTES;
}

/** Where the value of a field begins; its length is the value word. */
export function memberValue(a: Arena, member: Offset): Offset {
  return member + RECORD_HEADER_BYTES + keyLength(a, member);
}

/** The record of a field or member, 0 when there is none. */
export function memberFind(a: Arena, t: Offset, buf: Uint8Array, start: number, length: number): Offset {
  return tableFind(a, t, keyHash(a, buf, start, length), buf, start, length);
}

/** A record with its key but not yet its value, not in the table. */
function memberCreate(
  a: Arena,
  t: Offset,
  buf: Uint8Array,
  start: number,
  length: number,
  valueLength: number,
): Offset {
  const member = alloc(a, RECORD_HEADER_BYTES + length + valueLength, KIND_MEMBER);
  const word = member >>> 2;
  a.u32[word] = TYPE_MEMBER;
  a.u32[word + 1] = t;
  a.u32[word + 2] = length;
  a.u32[word + 3] = valueLength;
  copyBytes(a.u8, member + RECORD_HEADER_BYTES, buf, start, length);
  return member;
}

/** Adds a member of a set; false when it was there already. */
export function memberAdd(a: Arena, t: Offset, buf: Uint8Array, start: number, length: number): boolean {
  const hash = keyHash(a, buf, start, length);
  if (tableFind(a, t, hash, buf, start, length) !== 0) return false;
  insert(a, t, hash, memberCreate(a, t, buf, start, length, 0));
  return true;
}

function insert(a: Arena, t: Offset, hash: number, member: Offset): void {
  try {
    tableInsert(a, t, hash, member);
  } catch (error) {
    free(a, member);
    throw error;
  }
}

/** Sets the value of a field of a hash, which it may have already. */
export function memberSet(
  a: Arena,
  t: Offset,
  buf: Uint8Array,
  start: number,
  length: number,
  valueBuf: Uint8Array,
  valueStart: number,
  valueLength: number,
): void {
  const hash = keyHash(a, buf, start, length);
  const found = tableFind(a, t, hash, buf, start, length);
  let member = found;
  if (found === 0 || !fits(a, found, length, valueLength)) {
    member = memberCreate(a, t, buf, start, length, valueLength);
    if (found === 0) {
      insert(a, t, hash, member);
    } else {
      tableReplace(a, t, hash, found, member);
      free(a, found);
    }
  }
  a.u32[(member >>> 2) + 3] = valueLength;
  copyBytes(a.u8, member + RECORD_HEADER_BYTES + length, valueBuf, valueStart, valueLength);
}

/** Whether a value of this length fits a record's block, and does not leave too much of it idle. */
function fits(a: Arena, member: Offset, length: number, valueLength: number): boolean {
  const need = RECORD_HEADER_BYTES + length + valueLength;
  const usable = usableSize(a, member);
  return need <= usable && (need * 2 >= usable || usable <= SMALL_BYTES);
}

/** Takes a field or member out; false when there is none. */
export function memberRemove(a: Arena, t: Offset, buf: Uint8Array, start: number, length: number): boolean {
  const hash = keyHash(a, buf, start, length);
  const member = tableFind(a, t, hash, buf, start, length);
  if (member === 0) return false;
  tableRemove(a, t, hash, member);
  free(a, member);
  return true;
}

/** Takes out a member of which the record is known. */
export function memberDrop(a: Arena, t: Offset, member: Offset): void {
  tableRemove(a, t, recordHash(a, member), member);
  free(a, member);
}

/**
 * Turns an inline hash or set into a table. Returns the record, which may have moved; nothing has changed when the arena
 * is full.
 */
export function spill(a: Arena, record: Offset): Offset {
  const t = tableCreate(a, false);
  let to = record;
  try {
    for (inline.start(a, record); inline.next(a); ) {
      const { buf, at, length, valueLength } = inline;
      const member = memberCreate(a, t, buf, at, length, valueLength);
      copyBytes(a.u8, memberValue(a, member), a.u8, inline.valueAt, valueLength);
      insert(a, t, keyHash(a, buf, at, length), member);
    }
    to = dropInline(a, record);
  } catch (error) {
    membersFree(a, t);
    throw error;
  }
  linkTable(a, to, t);
  return to;
}

/**
 * Makes the key of the call's last lookup, argument i, a big hash or set of one member, in argument `member`, with the value
 * in argument `value` (0: without). Nothing has changed when the arena is full.
 */
export function createBig(c: Call, i: number, type: number, member: number, value: number): Offset {
  const a = c.arena;
  const t = tableCreate(a, false);
  try {
    if (value === 0) memberAdd(a, t, c.buf, c.off[member], c.len[member]);
    else memberSet(a, t, c.buf, c.off[member], c.len[member], c.buf, c.off[value], c.len[value]);
    const record = createRecord(c, i, type, 0);
    linkTable(a, record, t);
    return record;
  } catch (error) {
    membersFree(a, t);
    throw error;
  }
}

/** Makes a table the value of a record, which has no inline value any more. */
export function linkTable(a: Arena, record: Offset, t: Offset): void {
  setRecordEncoding(a, record, ENC_ROOT);
  setValueWord(a, record, t);
}

const walk = new TableWalk();
const inline = new MemberWalk();

/** Frees the table and everything in it. */
export function membersFree(a: Arena, t: Offset): void {
  walk.start();
  for (let member = walk.next(a, t); member !== 0; member = walk.next(a, t)) free(a, member);
  tableFree(a, t);
}

registerRelocator(KIND_MEMBER, (a, from, to) => {
  tableReplace(a, a.u32[(to >>> 2) + 1], recordHash(a, to), from, to);
});

/** What the keyspace asks of a value in this form; the same for hashes and sets. */
export const memberOps: ValueOps = {
  free(a, t) {
    if (isLarge(a, t)) bury(a, t);
    else membersFree(a, t);
  },
  bytes(a, t) {
    let bytes = tableBytes(a, t);
    walk.start();
    for (let member = walk.next(a, t); member !== 0; member = walk.next(a, t)) bytes += usableSize(a, member);
    return bytes;
  },
  verify(a, t) {
    tableVerify(a, t);
    walk.start();
    for (let member = walk.next(a, t); member !== 0; member = walk.next(a, t)) {
      const [head, owner, length, valueLength] = a.u32.subarray(member >>> 2, (member >>> 2) + 4);
      if (head !== TYPE_MEMBER) throw new Error(`members: head ${head} of ${member}`);
      if (owner !== t) throw new Error(`members: ${member} belongs to ${owner}, not to ${t}`);
      if (RECORD_HEADER_BYTES + length + valueLength > usableSize(a, member))
        throw new Error(`members: ${member} is too long`);
      const found = memberFind(a, t, a.u8, memberStart(member), length);
      if (found !== member) throw new Error(`members: ${found} is found for ${member}`);
    }
  },
  copy(from, t, to) {
    const copy = tableCreate(to, false);
    walk.start();
    for (let member = walk.next(from, t); member !== 0; member = walk.next(from, t)) {
      const length = keyLength(from, member);
      const start = memberStart(member);
      const value = valueWord(from, member);
      const made = memberCreate(to, copy, from.u8, start, length, value);
      copyBytes(to.u8, memberValue(to, made), from.u8, start + length, value);
      tableInsert(to, copy, keyHash(to, from.u8, start, length), made);
    }
    return copy;
  },
};
