/**
 * Hashes: what commands do with one whatever its form. Small ones are packed in their key's record, field and value by
 * turns in the order in which the fields came (pack.ts); big ones are a table of records (members.ts). Runs under the
 * shard's lock.
 *
 * A hash that has become big stays so, as in Redis, until it is deleted. Fields and values are given as byte ranges outside
 * the arena. No function here deletes the key of a hash that has become empty. To walk over one: member-walk.ts.
 */
import type { Arena, Offset } from '../arena.ts';
import type { Call } from '../call.ts';
import { createRecord } from '../keyspace.ts';
import { recordType, TYPE_HASH, valueWord } from '../record.ts';
import { settingIndex } from '../settings.ts';
import { tableCount } from '../table.ts';
import { hasRoot, registerValueOps } from '../values.ts';
import { createBig, memberFind, memberOps, memberRemove, memberSet, memberValue, spill } from './members.ts';
import {
  EMPTY_PACK_BYTES,
  entryBytes,
  entryLength,
  entryStart,
  nextEntry,
  packAppendPair,
  packCount,
  packFind,
  packInit,
  packRemove,
  packReplace,
} from './pack.ts';

const MAX_PACK_ENTRIES = settingIndex('hash-max-listpack-entries');
const MAX_PACK_VALUE = settingIndex('hash-max-listpack-value');

/** The value that `hashFind` has found last: `length` bytes of the arena at `start`. */
export const value = { start: 0, length: 0 };

export function isHash(a: Arena, record: Offset): boolean {
  return recordType(a, record) === TYPE_HASH;
}

export function hashSize(a: Arena, record: Offset): number {
  return hasRoot(a, record) ? tableCount(a, valueWord(a, record)) : packCount(a, record) >>> 1;
}

/** What OBJECT ENCODING says. */
export function encodingName(a: Arena, record: Offset): string {
  return hasRoot(a, record) ? 'hashtable' : 'listpack';
}

/** Finds a field and leaves its value in `value`; false when the hash has no such field. */
export function hashFind(a: Arena, record: Offset, buf: Uint8Array, start: number, length: number): boolean {
  if (hasRoot(a, record)) {
    const member = memberFind(a, valueWord(a, record), buf, start, length);
    if (member === 0) return false;
    value.start = memberValue(a, member);
    value.length = valueWord(a, member);
    return true;
  }
  const field = packFind(a, record, true, buf, start, length);
  if (field === 0) return false;
  const entry = nextEntry(a, field);
  value.start = entryStart(a, entry);
  value.length = entryLength(a, entry);
  return true;
}

/**
 * Makes the key of the call's last lookup, argument 1, a hash of the form that suits the fields and values in the arguments
 * from `from` up to `to`: empty with room for them, or a big one with the first of them.
 */
export function createHash(c: Call, from: number, to: number): Offset {
  if (!fitPack(c, from, to)) return createBig(c, 1, TYPE_HASH, from, from + 1);
  let bytes = EMPTY_PACK_BYTES;
  for (let i = from; i < to; i++) bytes += entryBytes(c.len[i]);
  const record = createRecord(c, 1, TYPE_HASH, bytes);
  packInit(c.arena, record);
  return record;
}

/** Whether none of these arguments is too long for a pack. */
function fitPack(c: Call, from: number, to: number): boolean {
  const longest = c.settings.f64[MAX_PACK_VALUE];
  for (let i = from; i < to; i++) if (c.len[i] > longest) return false;
  return true;
}

/**
 * Sets a field, in argument `field`, to a value anywhere outside the arena, and makes a packed hash a big one when it has
 * become too large. Returns the record, which may have moved.
 */
export function hashSet(
  c: Call,
  record: Offset,
  field: number,
  valueBuf: Uint8Array,
  valueStart: number,
  valueLength: number,
): Offset {
  const a = c.arena;
  const { buf } = c;
  const start = c.off[field];
  const length = c.len[field];
  const isLong = Math.max(length, valueLength) > c.settings.f64[MAX_PACK_VALUE];
  if (isLong && !hasRoot(a, record)) record = spill(a, record);
  if (hasRoot(a, record)) {
    memberSet(a, valueWord(a, record), buf, start, length, valueBuf, valueStart, valueLength);
    return record;
  }
  const found = packFind(a, record, true, buf, start, length);
  const to =
    found === 0
      ? packAppendPair(a, record, buf, start, length, valueBuf, valueStart, valueLength)
      : packReplace(a, record, nextEntry(a, found), valueBuf, valueStart, valueLength);
  return packCount(a, to) > c.settings.f64[MAX_PACK_ENTRIES] * 2 ? spill(a, to) : to;
}

/** Takes out a field. Returns the record, which may have moved; 0 when there is no such field. */
export function hashRemove(a: Arena, record: Offset, buf: Uint8Array, start: number, length: number): Offset {
  if (hasRoot(a, record)) return memberRemove(a, valueWord(a, record), buf, start, length) ? record : 0;
  const field = packFind(a, record, true, buf, start, length);
  if (field === 0) return 0;
  return packRemove(a, record, field, nextEntry(a, nextEntry(a, field)), 2);
}

registerValueOps(TYPE_HASH, memberOps);
