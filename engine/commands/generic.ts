/**
 * The commands on keys whatever they hold. Here: those that count, delete or name what is at the keys they are given, and
 * the list of all rows of the group. Handlers; run under the locks of the keys' shards.
 */
import type { Call } from '../call.ts';
import { type CommandRow, FAST, READONLY, WRITE } from '../command.ts';
import { deleteRecord, lookupPeek, lookupRead, lookupWrite } from '../keyspace.ts';
import { typeName } from '../types/encoding.ts';
import { databaseRows } from './database.ts';
import { expireRows } from './expire.ts';
import { objectRow } from './object.ts';
import { renameRows } from './rename.ts';
import { ALL_KEYS, ONE_KEY, rowMaker } from './rows.ts';
import { scanRows } from './scan.ts';
import { sortRows } from './sort.ts';

/** DEL and UNLINK: freeing happens here and now in both; blocks go back to the arena in about 10 ns each. */
function del(c: Call): void {
  let deleted = 0;
  for (let i = 1; i < c.argc; i++) {
    const record = lookupWrite(c, i);
    if (record === 0) continue;
    deleteRecord(c.arena, record);
    deleted++;
  }
  c.dirty += deleted;
  c.reply.int(deleted);
}

function exists(c: Call): void {
  let found = 0;
  for (let i = 1; i < c.argc; i++) if (lookupPeek(c, i) !== 0) found++;
  c.reply.int(found);
}

function touch(c: Call): void {
  let found = 0;
  for (let i = 1; i < c.argc; i++) if (lookupRead(c, i) !== 0) found++;
  c.reply.int(found);
}

function type(c: Call): void {
  const record = lookupPeek(c, 1);
  c.reply.simple(record === 0 ? 'none' : typeName(c.arena, record));
}

const R = READONLY | FAST;
const row = rowMaker('generic', ['keyspace']);

export const genericRows: CommandRow[] = [
  row('del', -2, WRITE, ALL_KEYS, '1.0.0', 'O(n) for n keys and the elements in them', 'Deletes keys', del),
  row('exists', -2, R, ALL_KEYS, '1.0.0', 'O(n) for n keys', 'Counts how many of the keys exist', exists),
  row('touch', -2, R, ALL_KEYS, '3.2.1', 'O(n) for n keys', 'Marks keys as used now, counts those that exist', touch),
  row('type', 2, R, ONE_KEY, '1.0.0', 'O(1)', 'Names the type of what is at a key', type),
  row('unlink', -2, WRITE | FAST, ALL_KEYS, '4.0.0', 'O(n) for n keys and the elements in them', 'Deletes keys', del),
  ...expireRows,
  ...renameRows,
  ...scanRows,
  objectRow,
  ...sortRows,
  ...databaseRows,
];
