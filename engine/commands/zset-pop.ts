/**
 * ZPOPMIN, ZPOPMAX and ZMPOP: members taken off an end of a sorted set. Handlers run under the locks of their keys'
 * shards. Taking one member allocates nothing outside the arena.
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
function take(c: Call, a: Arena, record: Offset, count: number, max: boolean, nested: boolean): void {
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
  if (!c.long(1) || c.num < 1) return c.reply.error(ERR.NUMKEYS_NOT_POSITIVE);
  const where = c.num + 2;
  if (where >= c.argc) return c.reply.error(ERR.SYNTAX);
  const max = c.is(where, 'MAX');
  if (!max && !c.is(where, 'MIN')) return c.reply.error(ERR.SYNTAX);
  let count = 1;
  if (where + 1 < c.argc) {
    if (!c.is(where + 1, 'COUNT') || where + 2 >= c.argc) return c.reply.error(ERR.SYNTAX);
    if (!c.long(where + 2) || c.num < 1) return c.reply.error(ERR.COUNT_NOT_POSITIVE);
    count = c.num;
    if (where + 3 < c.argc) return c.reply.error(ERR.SYNTAX);
  }
  for (let i = 2; i < where; i++) {
    const record = lookupWrite(c, i);
    if (record === 0) continue;
    const a = c.arena;
    if (!isZset(a, record)) return c.reply.error(ERR.WRONGTYPE);
    count = Math.min(count, zsetSize(a, record));
    c.reply.arrayHeader(2);
    c.reply.bulk(c.buf, c.off[i], c.len[i]);
    c.reply.arrayHeader(count);
    take(c, a, record, count, max, true);
    return;
  }
  c.reply.nilArray();
}
