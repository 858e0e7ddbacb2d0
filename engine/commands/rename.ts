/**
 * RENAME, RENAMENX, MOVE and COPY: a value under another key or in another database. Handlers; run under the locks of
 * the keys' shards. Within a shard only the record changes hands (and MOVE never leaves the shard, since a key's slot is
 * the same in every database); between shards the value is copied from arena to arena, O(n).
 */
import { canHold, free } from '../alloc.ts';
import type { Arena, Offset } from '../arena.ts';
import type { Call } from '../call.ts';
import { COPIES, type CommandRow, DENYOOM, FAST, GROWS, WRITE } from '../command.ts';
import { ERR } from '../errors.ts';
import {
  attachRecord,
  copyBytes,
  createRecordAt,
  deleteRecord,
  detachRecord,
  lookupRead,
  lookupWrite,
} from '../keyspace.ts';
import {
  HEAD_EXPIRY,
  HEAD_OF_VALUE,
  recordExpiry,
  recordType,
  setValueWord,
  valueStart,
  valueWord,
} from '../record.ts';
import { copyRoot, hasRoot, valueBytes } from '../values.ts';
import { databaseArgument } from './database.ts';
import { ONE_KEY, rowMaker, TWO_KEYS } from './rows.ts';

/** Bytes beside the value's that a new key may need: its record and its place in the table. */
const RECORD_ROOM_BYTES = 64 * 1024;

function rename(c: Call): void {
  renameKey(c, false);
}

function renamenx(c: Call): void {
  renameKey(c, true);
}

function renameKey(c: Call, ifAbsent: boolean): void {
  const record = lookupWrite(c, 1);
  if (record === 0) return c.reply.error(ERR.NO_SUCH_KEY);
  const from = c.arena;
  if (c.same(1, 2)) return ifAbsent ? c.reply.int(0) : c.reply.ok();
  const old = lookupWrite(c, 2);
  if (old !== 0 && ifAbsent) return c.reply.int(0);
  const moves = from !== c.arena;
  if (!canHoldCopy(c, from, record, 2, moves)) return c.reply.error(ERR.ARENA_FULL);
  if (old !== 0) deleteRecord(c.arena, old);
  const to = copyRecord(c, from, record, c.db, 2, moves);
  c.arena.u32[(to + 4) >>> 2] = from.u32[(record + 4) >>> 2];
  if (moves) {
    deleteRecord(from, record);
  } else {
    detachRecord(from, record);
    free(from, record);
  }
  c.dirty++;
  if (ifAbsent) c.reply.int(1);
  else c.reply.ok();
}

/** Whether the call's arena has room for a copy of the record under the key in argument i, and of its blocks if `deep`. */
function canHoldCopy(c: Call, from: Arena, record: Offset, i: number, deep: boolean): boolean {
  const blocks = deep ? valueBytes(from, record) * 1.5 : 0;
  const inline = hasRoot(from, record) ? 0 : valueWord(from, record);
  return canHold(c.arena, blocks + inline + c.len[i] + RECORD_ROOM_BYTES);
}

/**
 * Makes the record of the key of the last lookup, argument i, in database `db` with the value and expiry of a record that
 * may lie in another arena. The blocks behind the value are copied if `deep`, else taken over.
 */
function copyRecord(c: Call, from: Arena, record: Offset, db: number, i: number, deep: boolean): Offset {
  const to = c.arena;
  const head = from.u32[record >>> 2];
  const atMs = (head & HEAD_EXPIRY) === 0 ? 0 : recordExpiry(from, record);
  const rooted = hasRoot(from, record);
  // The root first: while it is being made nothing refers to it, and the key does not exist.
  const root = rooted ? (deep ? copyRoot(from, record, to) : valueWord(from, record)) : 0;
  const inline = rooted ? 0 : valueWord(from, record);
  const made = createRecordAt(c, db, c.buf, c.off[i], c.len[i], recordType(from, record), inline, atMs);
  to.u32[made >>> 2] |= head & HEAD_OF_VALUE;
  if (rooted) setValueWord(to, made, root);
  else copyBytes(to.u8, valueStart(to, made), from.u8, valueStart(from, record), inline);
  return made;
}

function move(c: Call): void {
  const db = databaseArgument(c, 2);
  if (db < 0) return;
  if (db === c.db) return c.reply.error(ERR.SAME_OBJECT);
  const record = lookupWrite(c, 1);
  if (record === 0 || lookupIn(c, db, 1) !== 0) return c.reply.int(0);
  // The other database may need a table, or a longer chain.
  if (!canHold(c.arena, 1)) return c.reply.error(ERR.ARENA_FULL);
  detachRecord(c.arena, record);
  attachRecord(c, db, record);
  c.dirty++;
  c.reply.int(1);
}

/** `lookupWrite` in another database. */
function lookupIn(c: Call, db: number, i: number): Offset {
  const own = c.db;
  c.db = db;
  const record = lookupWrite(c, i);
  c.db = own;
  return record;
}

function copy(c: Call): void {
  let db = c.db;
  let replace = false;
  for (let i = 3; i < c.argc; i++) {
    if (c.is(i, 'REPLACE')) replace = true;
    else if (c.is(i, 'DB') && i + 1 < c.argc) {
      db = databaseArgument(c, ++i);
      if (db < 0) return;
    } else return c.reply.error(ERR.SYNTAX);
  }
  if (db === c.db && c.same(1, 2)) return c.reply.error(ERR.SAME_OBJECT);
  const record = lookupRead(c, 1);
  if (record === 0) return c.reply.int(0);
  const from = c.arena;
  const old = lookupIn(c, db, 2);
  if (old !== 0 && !replace) return c.reply.int(0);
  if (!canHoldCopy(c, from, record, 2, true)) return c.reply.error(ERR.ARENA_FULL);
  if (old !== 0) deleteRecord(c.arena, old);
  copyRecord(c, from, record, db, 2, true);
  c.dirty++;
  c.reply.int(1);
}

const row = rowMaker('generic', ['keyspace']);
const ACROSS = 'O(1) within a shard, O(n) for n elements between shards';

export const renameRows: CommandRow[] = [
  row(
    'copy',
    -3,
    WRITE | DENYOOM | COPIES,
    TWO_KEYS,
    '6.2.0',
    'O(n) for n elements',
    'Copies what is at a key to another key',
    copy,
  ),
  row('move', 3, WRITE | FAST | GROWS, ONE_KEY, '1.0.0', 'O(1)', 'Moves a key to another database', move),
  row('rename', 3, WRITE | COPIES, TWO_KEYS, '1.0.0', ACROSS, 'Renames a key, replacing what was there', rename),
  row(
    'renamenx',
    3,
    WRITE | FAST | COPIES,
    TWO_KEYS,
    '1.0.0',
    ACROSS,
    'Renames a key unless the new name exists',
    renamenx,
  ),
];
