/**
 * The hash commands. Handlers run under the lock of their key's shard; HSET, HGET, HDEL and the like allocate nothing
 * outside the arena. What a hash is made of: types/hash.ts.
 */
import type { Arena, Offset } from '../arena.ts';
import type { Call } from '../call.ts';
import { type CommandRow, DENYOOM, FAST, READONLY, WRITE } from '../command.ts';
import { ERR, wrongArity } from '../errors.ts';
import { deleteRecord, lookupRead, lookupWrite } from '../keyspace.ts';
import { TYPE_HASH } from '../record.ts';
import { createHash, hashFind, hashRemove, hashSet, hashSize, isHash, value } from '../types/hash.ts';
import { MemberWalk } from '../types/member-walk.ts';
import { hincrby, hincrbyfloat } from './hash-number.ts';
import { drawsTooMany, isPairCountTooLarge, parseSampleCount, replySample } from './member-sample.ts';
import { scanMembers } from './member-scan.ts';
import { ONE_KEY, rowMaker } from './rows.ts';

const walk = new MemberWalk();

function hset(c: Call): void {
  if (c.argc % 2 === 1) return c.reply.error(wrongArity('hset'));
  const added = setFields(c);
  if (added >= 0) c.reply.int(added);
}

function hmset(c: Call): void {
  if (c.argc % 2 === 1) return c.reply.error(wrongArity('hmset'));
  if (setFields(c) >= 0) c.reply.ok();
}

/** Sets the fields from argument 2 on; returns how many are new, -1 after an error reply. */
function setFields(c: Call): number {
  let record = lookupWrite(c, 1);
  const a = c.arena;
  let had = 0;
  if (record === 0) {
    record = createHash(c, 2, c.argc);
  } else if (isHash(a, record)) {
    had = hashSize(a, record);
  } else {
    c.reply.error(ERR.WRONGTYPE);
    return -1;
  }
  for (let i = 2; i < c.argc; i += 2) {
    record = hashSet(c, record, i, c.buf, c.off[i + 1], c.len[i + 1]);
    c.dirty++;
  }
  return hashSize(a, record) - had;
}

function hsetnx(c: Call): void {
  let record = lookupWrite(c, 1);
  const a = c.arena;
  if (record === 0) {
    record = createHash(c, 2, 4);
  } else {
    if (!isHash(a, record)) return c.reply.error(ERR.WRONGTYPE);
    if (hashFind(a, record, c.buf, c.off[2], c.len[2])) return c.reply.int(0);
  }
  hashSet(c, record, 2, c.buf, c.off[3], c.len[3]);
  c.dirty++;
  c.reply.int(1);
}

/** Looks the hash in argument 1 up for a read: 0 when there is none, -1 after an error reply. */
function lookupHash(c: Call): Offset {
  const record = lookupRead(c, 1);
  if (record === 0 || isHash(c.arena, record)) return record;
  c.reply.error(ERR.WRONGTYPE);
  return -1;
}

function hget(c: Call): void {
  const record = lookupHash(c);
  if (record < 0) return;
  replyField(c, record, 2);
}

function hmget(c: Call): void {
  const record = lookupHash(c);
  if (record < 0) return;
  c.reply.arrayHeader(c.argc - 2);
  for (let i = 2; i < c.argc; i++) replyField(c, record, i);
}

/** Replies with the value of the field in argument i of the hash at `record` (0: no hash). */
function replyField(c: Call, record: Offset, i: number): void {
  if (record === 0 || !hashFind(c.arena, record, c.buf, c.off[i], c.len[i])) return c.reply.nil();
  c.reply.bulk(c.arena.u8, value.start, value.length);
}

function hexists(c: Call): void {
  const record = lookupHash(c);
  if (record < 0) return;
  c.reply.int(record !== 0 && hashFind(c.arena, record, c.buf, c.off[2], c.len[2]) ? 1 : 0);
}

function hstrlen(c: Call): void {
  const record = lookupHash(c);
  if (record < 0) return;
  c.reply.int(record !== 0 && hashFind(c.arena, record, c.buf, c.off[2], c.len[2]) ? value.length : 0);
}

function hlen(c: Call): void {
  const record = lookupHash(c);
  if (record < 0) return;
  c.reply.int(record === 0 ? 0 : hashSize(c.arena, record));
}

function hgetall(c: Call): void {
  const record = lookupHash(c);
  if (record < 0) return;
  c.reply.mapHeader(record === 0 ? 0 : hashSize(c.arena, record));
  if (record === 0) return;
  for (walk.start(c.arena, record); walk.next(c.arena); ) replyPair(c, walk);
}

function hkeys(c: Call): void {
  const record = lookupHash(c);
  if (record < 0) return;
  c.reply.arrayHeader(record === 0 ? 0 : hashSize(c.arena, record));
  if (record === 0) return;
  for (walk.start(c.arena, record); walk.next(c.arena); ) replyName(c, walk);
}

function hvals(c: Call): void {
  const record = lookupHash(c);
  if (record < 0) return;
  c.reply.arrayHeader(record === 0 ? 0 : hashSize(c.arena, record));
  if (record === 0) return;
  const { u8 } = c.arena;
  for (walk.start(c.arena, record); walk.next(c.arena); ) c.reply.bulk(u8, walk.valueAt, walk.valueLength);
}

function replyName(c: Call, at: MemberWalk): void {
  c.reply.bulk(at.buf, at.at, at.length);
}

function replyPair(c: Call, at: MemberWalk): void {
  c.reply.bulk(at.buf, at.at, at.length);
  c.reply.bulk(at.buf, at.valueAt, at.valueLength);
}

function replyPairAsArray(c: Call, at: MemberWalk): void {
  c.reply.arrayHeader(2);
  replyPair(c, at);
}

function hdel(c: Call): void {
  let record = lookupWrite(c, 1);
  if (record === 0) return c.reply.int(0);
  const a = c.arena;
  if (!isHash(a, record)) return c.reply.error(ERR.WRONGTYPE);
  let deleted = 0;
  for (let i = 2; i < c.argc; i++) {
    const to = hashRemove(a, record, c.buf, c.off[i], c.len[i]);
    if (to === 0) continue;
    deleted++;
    record = to;
    if (hashSize(a, record) > 0) continue;
    deleteRecord(a, record);
    break;
  }
  c.dirty += deleted;
  c.reply.int(deleted);
}

function hrandfield(c: Call): void {
  if (c.argc > 2) return drawMany(c);
  const record = lookupHash(c);
  if (record < 0) return;
  if (record === 0) return c.reply.nil();
  walk.draw(c.arena, record, c.random);
  replyName(c, walk);
}

function drawMany(c: Call): void {
  if (!parseSampleCount(c, 2)) return;
  const withValues = c.argc === 4 && c.is(3, 'WITHVALUES');
  if (c.argc > 3 && !withValues) return c.reply.error(ERR.SYNTAX);
  if (withValues && isPairCountTooLarge(c)) return c.reply.error(ERR.OUT_OF_RANGE);
  const wanted = c.num;
  const record = lookupHash(c);
  if (record < 0) return;
  if (record === 0) return c.reply.arrayHeader(0);
  const a: Arena = c.arena;
  const size = hashSize(a, record);
  const count = Math.min(wanted, size);
  if (drawsTooMany(c, count)) return;
  const nested = withValues && c.reply.protocol === 3;
  c.reply.arrayHeader(Math.abs(count) * (withValues && !nested ? 2 : 1));
  replySample(c, a, record, walk, count, size, nested ? replyPairAsArray : withValues ? replyPair : replyName);
}

function hscan(c: Call): void {
  scanMembers(c, TYPE_HASH);
}

const row = rowMaker('hash');
const W = WRITE | DENYOOM;
const ALL = 'O(N) for a hash of N fields';
const EACH = 'O(1) for every call, O(N) for a whole scan of N fields';

export const hashRows: CommandRow[] = [
  row('hdel', -3, WRITE | FAST, ONE_KEY, '2.0.0', 'O(N) for N fields removed', 'Removes fields', hdel),
  row('hexists', 3, READONLY | FAST, ONE_KEY, '2.0.0', 'O(1)', 'Tells whether a field is there', hexists),
  row('hget', 3, READONLY | FAST, ONE_KEY, '2.0.0', 'O(1)', 'Reads the value of a field', hget),
  row('hgetall', 2, READONLY, ONE_KEY, '2.0.0', ALL, 'Reads all fields with their values', hgetall),
  row('hincrby', 4, W | FAST, ONE_KEY, '2.0.0', 'O(1)', 'Adds an integer to the value of a field', hincrby),
  row('hincrbyfloat', 4, W | FAST, ONE_KEY, '2.6.0', 'O(1)', 'Adds a number to the value of a field', hincrbyfloat),
  row('hkeys', 2, READONLY, ONE_KEY, '2.0.0', ALL, 'Reads the names of all fields', hkeys),
  row('hlen', 2, READONLY | FAST, ONE_KEY, '2.0.0', 'O(1)', 'Counts the fields of a hash', hlen),
  row('hmget', -3, READONLY | FAST, ONE_KEY, '2.0.0', 'O(N) for N fields', 'Reads the values of some fields', hmget),
  row('hmset', -4, W | FAST, ONE_KEY, '2.0.0', 'O(N) for N fields', 'Sets the values of fields (see HSET)', hmset),
  row('hrandfield', -2, READONLY, ONE_KEY, '6.2.0', 'O(N) for N fields drawn', 'Draws fields at random', hrandfield),
  row('hscan', -3, READONLY, ONE_KEY, '2.8.0', EACH, 'Reads the fields and values, some at a time', hscan),
  row('hset', -4, W | FAST, ONE_KEY, '2.0.0', 'O(N) for N fields', 'Sets the values of fields', hset),
  row('hsetnx', 4, W | FAST, ONE_KEY, '2.0.0', 'O(1)', 'Sets the value of a field that is not there yet', hsetnx),
  row('hstrlen', 3, READONLY | FAST, ONE_KEY, '3.2.0', 'O(1)', 'Reads the length of the value of a field', hstrlen),
  row('hvals', 2, READONLY, ONE_KEY, '2.0.0', ALL, 'Reads the values of all fields', hvals),
];
