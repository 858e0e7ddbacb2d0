/**
 * ZPOPMIN, ZPOPMAX and ZMPOP: members taken off an end of a sorted set, for BZPOPMIN and its like (blocking.ts) too.
 * Handlers run under the locks of their keys' shards. Taking one member allocates nothing outside the arena.
 */
import type { Arena, Offset } from '../arena.ts';
import type { Call } from '../call.ts';
import { ERR } from '../errors.ts';
import { deleteRecord, lookupWrite } from '../keyspace.ts';
import { isZset, ZsetWalk, zsetRemoveRange, zsetSize } from '../types/zset.ts';

const walk = new ZsetWalk();

export function zpopmin(c: Call): void {
  pop(c, false);
}

export function zpopmax(c: Call): void {
  pop(c, true);
}

function pop(c: Call, max: boolean): void {
  let count = 1;
  if (c.argc > 3) return c.reply.error(ERR.SYNTAX);
  if (c.argc === 3) {
    if (!c.long(2) || c.num < 0) return c.reply.error(ERR.NOT_POSITIVE);
    count = c.num;
  }
  const record = lookupWrite(c, 1);
  if (record === 0) return c.reply.arrayHeader(0);
  const a = c.arena;
  if (!isZset(a, record)) return c.reply.error(ERR.WRONGTYPE);
  // Only with a count are there several members, which RESP3 gives as pairs.
  const nested = c.argc === 3 && c.reply.protocol === 3;
  count = Math.min(count, zsetSize(a, record));
  c.reply.arrayHeader(nested ? count : count * 2);
  take(c, a, record, count, max, nested);
}

/** Replies with `count` members off an end and removes them; the header is already written. */
export function take(c: Call, a: Arena, record: Offset, count: number, max: boolean, nested: boolean): void {
  if (count === 0) return;
  const size = zsetSize(a, record);
  walk.start(a, record, max ? size - 1 : 0, max);
  for (let i = 0; i < count; i++) {
    walk.next(a);
    if (nested) c.reply.arrayHeader(2);
    c.reply.bulk(a.u8, walk.at, walk.length);
    c.reply.double(walk.score);
  }
  if (count === size) deleteRecord(a, record);
  else if (max) zsetRemoveRange(a, record, size - count, size);
  else zsetRemoveRange(a, record, 0, count);
  c.dirty += count;
}

export function zmpop(c: Call): void {
  if (parseZsetPop(c, 1) && !popFirstZset(c)) c.reply.nilArray();
}

/** The arguments of ZMPOP or BZMPOP as last parsed: where the keys are, the end, and how many members. */
let popFirstKey = 0;
let popEndOfKeys = 0;
let popMax = false;
let popCount = 1;

/** Parses the arguments from the number of keys on, which is argument `numKeys`. False when it has replied an error. */
export function parseZsetPop(c: Call, numKeys: number): boolean {
  if (!c.long(numKeys) || c.num < 1) return fails(c, ERR.NUMKEYS_NOT_POSITIVE);
  const where = numKeys + 1 + c.num;
  if (where >= c.argc) return fails(c, ERR.SYNTAX);
  popMax = c.is(where, 'MAX');
  if (!popMax && !c.is(where, 'MIN')) return fails(c, ERR.SYNTAX);
  popFirstKey = numKeys + 1;
  popEndOfKeys = where;
  popCount = 1;
  if (where + 1 < c.argc) {
    if (!c.is(where + 1, 'COUNT') || where + 2 >= c.argc) return fails(c, ERR.SYNTAX);
    if (!c.long(where + 2) || c.num < 1) return fails(c, ERR.COUNT_NOT_POSITIVE);
    popCount = c.num;
    if (where + 3 < c.argc) return fails(c, ERR.SYNTAX);
  }
  return true;
}

/** Takes members off the first set as parsed. False when none of the keys is there; then it has written no reply. */
export function popFirstZset(c: Call): boolean {
  for (let i = popFirstKey; i < popEndOfKeys; i++) {
    const record = lookupWrite(c, i);
    if (record === 0) continue;
    const a = c.arena;
    if (!isZset(a, record)) {
      if (c.retried) continue;
      c.reply.error(ERR.WRONGTYPE);
      return true;
    }
    const count = Math.min(popCount, zsetSize(a, record));
    c.reply.arrayHeader(2);
    c.reply.bulk(c.buf, c.off[i], c.len[i]);
    c.reply.arrayHeader(count);
    take(c, a, record, count, popMax, true);
    return true;
  }
  return false;
}

function fails(c: Call, text: string): boolean {
  c.reply.error(text);
  return false;
}
