/**
 * Makes a key's set from the members of RDB bytes. Under the shard's lock. One that may be a set of integers or fit a pack
 * (types/set.ts) is read twice: to see what it is, and to copy it; a larger one becomes a table as it is read.
 */
import type { Arena, Offset } from '../arena.ts';
import type { Call } from '../call.ts';
import { deleteRecord } from '../keyspace.ts';
import { ENC_INTSET, setRecordEncoding, TYPE_SET, valueStart, valueWord } from '../record.ts';
import { Request } from '../request.ts';
import { settingIndex } from '../settings.ts';
import { tableCreate } from '../table.ts';
import { shrinkValue } from '../types/inline.ts';
import { highOf, intsetAdd, intsetInit, lowOf, wideIntsetBytes } from '../types/intset.ts';
import { linkTable, memberAdd } from '../types/members.ts';
import { EMPTY_PACK_BYTES, entryBytes, packAppend, packInit } from '../types/pack.ts';
import { distinct, element, type NewKey, newRecord } from './decode-key.ts';
import type { Elements } from './elements.ts';
import type { RdbInput } from './input.ts';
import type { Intset } from './intset.ts';

const MAX_INTEGERS = settingIndex('set-max-intset-entries');
/** Larger sets are not packed; no more than types/set.ts packs. */
const MAX_PACK_ENTRIES = 32;
const MAX_PACK_MEMBER_BYTES = 64;

/** Reads the members that may be integers. */
const number = new Request();

/** Makes a set of elements, at least one. */
export function makeSet(c: Call, key: NewKey, input: RdbInput, elements: Elements): Offset {
  measure(c, elements);
  const record = newRecord(c, key, TYPE_SET, isIntegers ? wideIntsetBytes(elements.count) : packBytes);
  try {
    elements.rewind();
    if (isIntegers) return fillIntegers(c.arena, record, input, elements);
    if (packBytes > 0) fillPack(c, record, input, elements);
    else fillTable(c.arena, record, input, elements);
  } catch (error) {
    deleteRecord(c.arena, record);
    throw error;
  }
  return record;
}

/** Makes a set of integers, at least one, in order. */
export function makeIntegers(c: Call, key: NewKey, input: RdbInput, integers: Intset): Offset {
  const { count } = integers;
  if (count > c.settings.f64[MAX_INTEGERS]) return makeSet(c, key, input, integers);
  const record = newRecord(c, key, TYPE_SET, wideIntsetBytes(count));
  const a = c.arena;
  setRecordEncoding(a, record, ENC_INTSET);
  intsetInit(a, record);
  for (let i = 0; i < count; i++) {
    integers.read();
    intsetAdd(a, record, integers.high, integers.low);
  }
  return shrinkValue(a, record, valueWord(a, record));
}

/** What `measure` has found: all of them are integers; else the bytes of a pack, 0 when they are too many or too long. */
let isIntegers = false;
let packBytes = 0;

function measure(c: Call, elements: Elements): void {
  const { count } = elements;
  isIntegers = count <= c.settings.f64[MAX_INTEGERS];
  packBytes = count <= MAX_PACK_ENTRIES ? EMPTY_PACK_BYTES : 0;
  for (let i = 0; i < count && (isIntegers || packBytes > 0); i++) {
    elements.next(element);
    isIntegers &&= number.longAt(element.buf, element.at, element.length);
    if (element.length > MAX_PACK_MEMBER_BYTES) packBytes = 0;
    if (packBytes > 0) packBytes += entryBytes(element.length);
  }
}

/** Returns the record, which may have moved. */
function fillIntegers(a: Arena, record: Offset, input: RdbInput, elements: Elements): Offset {
  setRecordEncoding(a, record, ENC_INTSET);
  intsetInit(a, record);
  for (let i = 0; i < elements.count; i++) {
    elements.next(element);
    number.longAt(element.buf, element.at, element.length);
    if (intsetAdd(a, record, highOf(number), lowOf(number)) === 0) throw twice(input);
  }
  return shrinkValue(a, record, valueWord(a, record));
}

function fillPack(c: Call, record: Offset, input: RdbInput, elements: Elements): void {
  const a = c.arena;
  packInit(a, record);
  distinct.start(c.shards, elements.count);
  let at = valueStart(a, record) + EMPTY_PACK_BYTES;
  for (let i = 0; i < elements.count; i++) {
    elements.next(element);
    // The record has all the room already, and stays where it is.
    packAppend(a, record, element.buf, element.at, element.length);
    at += entryBytes(element.length);
    if (!distinct.add(a.u8, at - element.length, element.length)) throw twice(input);
  }
}

function fillTable(a: Arena, record: Offset, input: RdbInput, elements: Elements): void {
  const t = tableCreate(a, false);
  linkTable(a, record, t);
  for (let i = 0; i < elements.count; i++) {
    elements.next(element);
    if (!memberAdd(a, t, element.buf, element.at, element.length)) throw twice(input);
  }
}

function twice(input: RdbInput): Error {
  return input.error('BAD_VALUE', 'a set with the same member twice');
}
