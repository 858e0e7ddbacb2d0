/**
 * The commands on keys whatever they hold. Here: those that count or delete the keys they name, and the list of all rows
 * of the group. Handlers; run under the locks of the keys' shards.
 */
import type { Call } from '../call.ts';
import { type CommandRow, FAST, READONLY, SCOPE_KEYS, WRITE } from '../command.ts';
import { deleteRecord, lookupPeek, lookupRead, lookupWrite } from '../keyspace.ts';
import { expireRows } from './expire.ts';

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

function manyKeys(name: string, flags: number, since: string, complexity: string, summary: string, run: (call: Call) => void): CommandRow {
  return {
    name,
    arity: -2,
    flags,
    firstKey: 1,
    lastKey: -1,
    keyStep: 1,
    group: 'generic',
    categories: ['keyspace'],
    scope: SCOPE_KEYS,
    since,
    complexity,
    summary,
    run,
  };
}

export const genericRows: CommandRow[] = [
  manyKeys('del', WRITE, '1.0.0', 'O(n) for n keys and the elements in them', 'Deletes keys', del),
  manyKeys('exists', READONLY | FAST, '1.0.0', 'O(n) for n keys', 'Counts how many of the keys exist', exists),
  manyKeys('touch', READONLY | FAST, '3.2.1', 'O(n) for n keys', 'Marks keys as used now and counts those that exist', touch),
  manyKeys('unlink', WRITE | FAST, '4.0.0', 'O(n) for n keys and the elements in them', 'Deletes keys', del),
  ...expireRows,
];
