/**
 * LCS: the longest common subsequence of two strings, by the table of all pairs of prefixes. Handler; runs under the
 * locks of both keys' shards. O(n*m) time and transient memory, bounded by proto-max-bulk-len as in Redis.
 */
import type { Call } from '../call.ts';
import { ERR } from '../errors.ts';
import { lookupRead } from '../keyspace.ts';
import { settingIndex } from '../settings.ts';
import { isString, stringLength, stringStart } from '../types/string.ts';

const MAX_BULK_BYTES = settingIndex('proto-max-bulk-len');
const EMPTY = new Uint8Array(0);

export function lcs(c: Call): void {
  const one = stringArgument(c, 1);
  const other = stringArgument(c, 2);
  if (one === undefined || other === undefined) {
    return c.reply.error('ERR The specified keys must contain string values');
  }
  let wantsIndexes = false;
  let wantsLength = false;
  let withMatchLength = false;
  let minMatchLength = 0;
  for (let i = 3; i < c.argc; i++) {
    if (c.is(i, 'IDX')) wantsIndexes = true;
    else if (c.is(i, 'LEN')) wantsLength = true;
    else if (c.is(i, 'WITHMATCHLEN')) withMatchLength = true;
    else if (c.is(i, 'MINMATCHLEN') && i + 1 < c.argc) {
      if (!c.long(++i)) return c.reply.error(ERR.NOT_INTEGER);
      minMatchLength = c.num;
    } else return c.reply.error(ERR.SYNTAX);
  }
  if (wantsIndexes && wantsLength) {
    return c.reply.error('ERR If you want both the length and indexes, please just use IDX.');
  }
  if ((one.length + 1) * (other.length + 1) * 4 > c.settings.f64[MAX_BULK_BYTES]) {
    return c.reply.error('ERR Insufficient memory, transient memory for LCS exceeds proto-max-bulk-len');
  }
  const table = prefixTable(one, other);
  const length = table[table.length - 1];
  if (wantsLength) return c.reply.int(length);
  if (!wantsIndexes) {
    const common = commonBytes(one, other, table, length);
    return c.reply.bulk(common, 0, length);
  }
  c.reply.mapHeader(2);
  c.reply.bulkString('matches');
  replyMatches(c, one, other, table, minMatchLength, withMatchLength);
  c.reply.bulkString('len');
  c.reply.int(length);
}

/** The bytes of the string at argument i, empty without a key; undefined for another type. */
function stringArgument(c: Call, i: number): Uint8Array | undefined {
  const record = lookupRead(c, i);
  const a = c.arena;
  if (record === 0) return EMPTY;
  if (!isString(a, record)) return undefined;
  const start = stringStart(a, record);
  return a.u8.subarray(start, start + stringLength(a, record));
}

/** Row i, column j, of `other.length + 1` columns: the length of the LCS of the first i bytes of one and j of the other. */
function prefixTable(one: Uint8Array, other: Uint8Array): Uint32Array {
  const columns = other.length + 1;
  const table = new Uint32Array((one.length + 1) * columns);
  for (let i = 1; i <= one.length; i++) {
    const byte = one[i - 1];
    const row = i * columns;
    const above = row - columns;
    for (let j = 1; j < columns; j++) {
      if (other[j - 1] === byte) table[row + j] = table[above + j - 1] + 1;
      else table[row + j] = table[above + j] > table[row + j - 1] ? table[above + j] : table[row + j - 1];
    }
  }
  return table;
}

/** Walks back from the ends of both strings; where both ways lead to an LCS it gives up a byte of the other, as Redis does. */
function commonBytes(one: Uint8Array, other: Uint8Array, table: Uint32Array, length: number): Uint8Array {
  const columns = other.length + 1;
  const common = new Uint8Array(length);
  let i = one.length;
  let j = other.length;
  while (i > 0 && j > 0) {
    if (one[i - 1] === other[j - 1]) {
      common[--length] = one[i - 1];
      i--;
      j--;
    } else if (table[(i - 1) * columns + j] > table[i * columns + j - 1]) i--;
    else j--;
  }
  return common;
}

/** Replies with the runs of the same walk, last first, each as its first and last index in either string. */
function replyMatches(
  c: Call,
  one: Uint8Array,
  other: Uint8Array,
  table: Uint32Array,
  minLength: number,
  withLength: boolean,
): void {
  const columns = other.length + 1;
  const mark = c.reply.open();
  let matches = 0;
  let i = one.length;
  let j = other.length;
  while (i > 0 && j > 0) {
    if (one[i - 1] !== other[j - 1]) {
      if (table[(i - 1) * columns + j] > table[i * columns + j - 1]) i--;
      else j--;
      continue;
    }
    const endOne = i - 1;
    const endOther = j - 1;
    do {
      i--;
      j--;
    } while (i > 0 && j > 0 && one[i - 1] === other[j - 1]);
    const length = endOne - i + 1;
    if (length < minLength) continue;
    c.reply.arrayHeader(withLength ? 3 : 2);
    replyRange(c, i, endOne);
    replyRange(c, j, endOther);
    if (withLength) c.reply.int(length);
    matches++;
  }
  c.reply.closeArray(mark, matches);
}

function replyRange(c: Call, first: number, last: number): void {
  c.reply.arrayHeader(2);
  c.reply.int(first);
  c.reply.int(last);
}
