/**
 * The patterns of SORT's BY and GET: `weight_*` names a string key for each element, `object_*->field` a field of a
 * hash, `#` is the element itself. Runs under the locks of every shard, since the keys may lie anywhere.
 */
import type { Call } from '../call.ts';
import { lookupReadAt } from '../keyspace.ts';
import { hashFind, isHash, value } from '../types/hash.ts';
import { isString, stringLength, stringStart } from '../types/string.ts';

const STAR = 42;
const MINUS = 45;
const GREATER = 62;
const HASH = 35;

/** What `lookupPattern` found: `length` bytes of `buf`. */
export const found: { buf: Uint8Array; start: number; length: number } = {
  buf: new Uint8Array(0),
  start: 0,
  length: 0,
};

/** Scratch for the names of keys. */
let name = new Uint8Array(256);

/** Whether the pattern in argument i has a `*`; one without stands for no key at all. */
export function hasStar(c: Call, i: number): boolean {
  return indexOf(c, STAR, c.off[i], c.off[i] + c.len[i]) >= 0;
}

function indexOf(c: Call, byte: number, from: number, end: number): number {
  for (let at = from; at < end; at++) if (c.buf[at] === byte) return at;
  return -1;
}

/** Where the field's name begins, behind the first `->` that has something behind it; `end` when there is none. */
function fieldStart(c: Call, from: number, end: number): number {
  for (let at = from; at + 2 < end; at++) if (c.buf[at] === MINUS && c.buf[at + 1] === GREATER) return at + 2;
  return end;
}

/** Looks up what the pattern in argument i stands for with an element in place of its `*`; false when there is nothing. */
export function lookupPattern(c: Call, i: number, element: Uint8Array, start: number, length: number): boolean {
  const begin = c.off[i];
  const end = begin + c.len[i];
  if (c.len[i] === 1 && c.buf[begin] === HASH) {
    found.buf = element;
    found.start = start;
    found.length = length;
    return true;
  }
  const star = indexOf(c, STAR, begin, end);
  if (star < 0) return false;
  const field = fieldStart(c, star + 1, end);
  const keyEnd = field === end ? end : field - 2;
  const bytes = keyEnd - begin - 1 + length;
  if (bytes > name.length) name = new Uint8Array(bytes * 2);
  name.set(c.buf.subarray(begin, star));
  name.set(element.subarray(start, start + length), star - begin);
  name.set(c.buf.subarray(star + 1, keyEnd), star - begin + length);

  const record = lookupReadAt(c, name, 0, bytes);
  if (record === 0) return false;
  const a = c.arena;
  found.buf = a.u8;
  if (field === end) {
    if (!isString(a, record)) return false;
    found.start = stringStart(a, record);
    found.length = stringLength(a, record);
    return true;
  }
  if (!isHash(a, record) || !hashFind(a, record, c.buf, field, end - field)) return false;
  found.start = value.start;
  found.length = value.length;
  return true;
}
