/**
 * Makes a key's hash from the fields and values of RDB bytes. Under the shard's lock. One that may fit a pack (types/pack.ts)
 * is read twice: to measure it, and to copy it; a larger one becomes a table as it is read.
 */
import type { Arena, Offset } from '../arena.ts';
import type { Call } from '../call.ts';
import { deleteRecord } from '../keyspace.ts';
import { TYPE_HASH, valueStart } from '../record.ts';
import { settingIndex } from '../settings.ts';
import { tableCount, tableCreate } from '../table.ts';
import { linkTable, memberSet } from '../types/members.ts';
import { EMPTY_PACK_BYTES, entryBytes, packAppendPair, packInit } from '../types/pack.ts';
import { distinct, element, MAX_PACKED_BYTES, type NewKey, newRecord, partner } from './decode-key.ts';
import type { Elements } from './elements.ts';
import type { RdbInput } from './input.ts';

const MAX_PACK_ENTRIES = settingIndex('hash-max-listpack-entries');
const MAX_PACK_VALUE = settingIndex('hash-max-listpack-value');

/** Makes a hash of elements, fields and values by turns, at least one of each. `wasPacked`: see MAX_PACKED_BYTES. */
export function makeHash(c: Call, key: NewKey, input: RdbInput, elements: Elements, wasPacked: boolean): Offset {
  const { count } = elements;
  if ((count & 1) === 1) throw input.error('BAD_VALUE', 'a hash whose last field has no value');
  const bytes = count <= c.settings.f64[MAX_PACK_ENTRIES] * 2 ? packBytes(c, elements, wasPacked) : 0;
  const record = newRecord(c, key, TYPE_HASH, bytes);
  try {
    elements.rewind();
    if (bytes === 0) fillTable(c, record, input, elements);
    else fillPack(c, record, input, elements);
  } catch (error) {
    deleteRecord(c.arena, record);
    throw error;
  }
  return record;
}

/** The bytes of a pack of these elements; 0 when they are not to be packed. */
function packBytes(c: Call, elements: Elements, wasPacked: boolean): number {
  let bytes = EMPTY_PACK_BYTES;
  let longest = 0;
  for (let i = 0; i < elements.count; i++) {
    elements.next(element);
    bytes += entryBytes(element.length);
    longest = Math.max(longest, element.length);
  }
  const isShort = longest <= c.settings.f64[MAX_PACK_VALUE] || (wasPacked && bytes <= MAX_PACKED_BYTES);
  return isShort ? bytes : 0;
}

function fillPack(c: Call, record: Offset, input: RdbInput, elements: Elements): void {
  const a = c.arena;
  const fields = elements.count / 2;
  packInit(a, record);
  distinct.start(c.shards, fields);
  let at = valueStart(a, record) + EMPTY_PACK_BYTES;
  for (let i = 0; i < fields; i++) {
    elements.next(element);
    elements.next(partner);
    // The record has all the room already, and stays where it is.
    packAppendPair(a, record, element.buf, element.at, element.length, partner.buf, partner.at, partner.length);
    const end = at + entryBytes(element.length);
    if (!distinct.add(a.u8, end - element.length, element.length)) throw twice(input);
    at = end + entryBytes(partner.length);
  }
}

function fillTable(c: Call, record: Offset, input: RdbInput, elements: Elements): void {
  const a: Arena = c.arena;
  const fields = elements.count / 2;
  const t = tableCreate(a, false);
  linkTable(a, record, t);
  for (let i = 0; i < fields; i++) {
    elements.next(element);
    elements.next(partner);
    memberSet(a, t, element.buf, element.at, element.length, partner.buf, partner.at, partner.length);
  }
  if (tableCount(a, t) !== fields) throw twice(input);
}

function twice(input: RdbInput): Error {
  return input.error('BAD_VALUE', 'a hash with the same field twice');
}
