/**
 * Whole databases: DBSIZE, FLUSHDB, FLUSHALL, SWAPDB, and how a database's number is read. Handlers of scope all: they
 * run under the locks of every shard. Dropping keys in bulk aborts a snapshot under way: saving them all first would be the
 * pause that snapshots are made to avoid.
 */
import { resetArena } from '../alloc.ts';
import { COUNTER_FLUSHES, COUNTER_KEYS } from '../arena.ts';
import type { Call } from '../call.ts';
import { type CommandRow, FAST, READONLY, SCOPE_ALL, WRITE } from '../command.ts';
import { ERR } from '../errors.ts';
import { flushDatabase, keyCount, swapDatabases } from '../keyspace.ts';
import { settingIndex } from '../settings.ts';
import { abortSnapshot } from '../snapshot/epoch.ts';
import { NO_KEYS, rowMaker } from './rows.ts';

const DATABASES = settingIndex('databases');
const INT_MAX = 2147483647;

/** The database named by argument i; -1 after an error reply. */
export function databaseArgument(c: Call, i: number): number {
  if (!c.long(i)) {
    c.reply.error(ERR.NOT_INTEGER);
  } else if (c.num > INT_MAX || c.num < -INT_MAX - 1) {
    c.reply.error(`ERR value is out of range, value must between ${-INT_MAX - 1} and ${INT_MAX}`);
  } else if (c.num < 0 || c.num >= c.settings.f64[DATABASES]) {
    c.reply.error(ERR.DB_INDEX);
  } else {
    return c.num;
  }
  return -1;
}

function dbsize(c: Call): void {
  let count = 0;
  for (const arena of c.shards.arenas) count += keyCount(arena, c.db);
  c.reply.int(count);
}

/** Reads SYNC or ASYNC; false after an error reply. Both mean the same here: an arena is emptied in microseconds. */
function parseFlush(c: Call): boolean {
  if (c.argc === 1 || (c.argc === 2 && (c.is(1, 'SYNC') || c.is(1, 'ASYNC')))) return true;
  c.reply.error(ERR.SYNTAX);
  return false;
}

function flushdb(c: Call): void {
  if (!parseFlush(c)) return;
  const arenas = c.shards.arenas;
  for (const arena of arenas) c.dirty += keyCount(arena, c.db);
  if (c.dirty > 0) abortSnapshot(arenas);
  for (const arena of arenas) {
    if (keyCount(arena, c.db) === arena.f64[COUNTER_KEYS]) resetArena(arena);
    else flushDatabase(arena, c.db);
  }
  c.reply.ok();
}

function flushall(c: Call): void {
  if (!parseFlush(c)) return;
  const arenas = c.shards.arenas;
  for (const arena of arenas) c.dirty += arena.f64[COUNTER_KEYS];
  if (c.dirty > 0) abortSnapshot(arenas);
  for (const arena of arenas) resetArena(arena);
  arenas[0].f64[COUNTER_FLUSHES]++;
  c.reply.ok();
}

function swapdb(c: Call): void {
  const one = swapArgument(c, 1, 'ERR invalid first DB index');
  if (Number.isNaN(one)) return;
  const other = swapArgument(c, 2, 'ERR invalid second DB index');
  if (Number.isNaN(other)) return;
  const databases = c.settings.f64[DATABASES];
  if (one < 0 || other < 0 || one >= databases || other >= databases) return c.reply.error(ERR.DB_INDEX);
  if (one !== other) for (const arena of c.shards.arenas) swapDatabases(arena, one, other);
  c.dirty++;
  c.reply.ok();
}

/** A database number that may be out of range, which is judged when both are read; NaN after an error reply. */
function swapArgument(c: Call, i: number, error: string): number {
  if (c.long(i) && c.num <= INT_MAX && c.num >= -INT_MAX - 1) return c.num;
  c.reply.error(error);
  return Number.NaN;
}

const read = rowMaker('server', ['keyspace'], SCOPE_ALL);
const change = rowMaker('server', ['keyspace', 'dangerous'], SCOPE_ALL);
const FLUSH = 'O(n) for n keys of one database, O(1) when no other database has keys';

export const databaseRows: CommandRow[] = [
  read('dbsize', 1, READONLY | FAST, NO_KEYS, '1.0.0', 'O(1)', 'Counts the keys of the database', dbsize),
  change('flushall', -1, WRITE, NO_KEYS, '1.0.0', 'O(1)', 'Deletes all keys of all databases', flushall),
  change('flushdb', -1, WRITE, NO_KEYS, '1.0.0', FLUSH, 'Deletes all keys of the database', flushdb),
  change('swapdb', 3, WRITE | FAST, NO_KEYS, '4.0.0', 'O(1)', 'Exchanges two databases', swapdb),
];
