/** How much memory a value takes that comes as RDB bytes, which may be compressed: without making it. Any thread. */
import { ELEMENT_BYTES, type Footprint, PACKED_BYTES } from '../footprint.ts';
import { NewKey } from './decode-key.ts';
import { ValueDecoder } from './decode-value.ts';
import type { RdbInput } from './input.ts';
import {
  RDB_HASH_LISTPACK,
  RDB_HASH_ZIPLIST,
  RDB_HASH_ZIPMAP,
  RDB_LIST_QUICKLIST,
  RDB_LIST_QUICKLIST_2,
  RDB_LIST_ZIPLIST,
  RDB_SET_INTSET,
  RDB_SET_LISTPACK,
  RDB_STREAM_LISTPACKS,
  RDB_STREAM_LISTPACKS_2,
  RDB_STREAM_LISTPACKS_3,
  RDB_ZSET_LISTPACK,
  RDB_ZSET_ZIPLIST,
} from './opcodes.ts';

/** What such an element takes in a list or stream, which stay packed. */
const REPACKED_BYTES = 6;
const STAYS_PACKED = new Set([
  RDB_LIST_ZIPLIST,
  RDB_LIST_QUICKLIST,
  RDB_LIST_QUICKLIST_2,
  RDB_STREAM_LISTPACKS,
  RDB_STREAM_LISTPACKS_2,
  RDB_STREAM_LISTPACKS_3,
]);
const MAY_BECOME_TABLES = new Set([
  RDB_SET_INTSET,
  RDB_SET_LISTPACK,
  RDB_HASH_ZIPMAP,
  RDB_HASH_ZIPLIST,
  RDB_HASH_LISTPACK,
  RDB_ZSET_ZIPLIST,
  RDB_ZSET_LISTPACK,
]);

const decoder = new ValueDecoder();
const noKey = new NewKey();

/**
 * Adds what the value of the RDB type `type` that comes next takes at most; passes over it. Throws an RdbError if it can be no value;
 * one that does not throw may still be none. O(strings of the value).
 */
export function addValue(type: number, input: RdbInput, to: Footprint): void {
  input.skippedStrings = 0;
  input.skippedBytes = 0;
  input.longestSkipped = 0;
  decoder.skip(noKey, type, input);
  const bytes = input.skippedBytes;
  let all = bytes + input.skippedStrings * ELEMENT_BYTES;
  if (STAYS_PACKED.has(type)) all += (bytes / PACKED_BYTES) * REPACKED_BYTES;
  else if (MAY_BECOME_TABLES.has(type)) all += (bytes / PACKED_BYTES) * ELEMENT_BYTES;
  to.add(all, input.longestSkipped);
}
