/**
 * Finding keys: KEYS, SCAN, RANDOMKEY. Handlers of scope all: they run under the locks of every shard.
 *
 * A SCAN's cursor is shard * 2^32 + the cursor of that shard's table (table.ts, `tableScan`), so a scan walks shard after
 * shard, and a key that is there all the while is returned at least once, as in Redis. A call stops when it has COUNT
 * keys or has looked at 10 * COUNT buckets.
 */
import type { Arena, Offset } from '../arena.ts';
import type { Call } from '../call.ts';
import { type CommandRow, READONLY, SCOPE_ALL } from '../command.ts';
import { ERR } from '../errors.ts';
import { globMatch } from '../glob.ts';
import { isExpired, keyCount, tableOf } from '../keyspace.ts';
import { keyLength, keyStart, recordType } from '../record.ts';
import { TableWalk, tableRandom, tableScan } from '../table.ts';
import { typeNumber } from '../types/encoding.ts';
import { NO_KEYS, rowMaker } from './rows.ts';

const SHARD_CURSORS = 2 ** 32;
const DEFAULT_COUNT = 10;
const BUCKETS_PER_COUNT = 10;
const MAX_CURSOR = 2n ** 64n - 1n;
/** Draws of RANDOMKEY that may hit an expired key before it takes the first live key there is. */
const MAX_DRAWS = 100;

const STAR = 42;
const PLUS = 43;
const MINUS = 45;

/**
 * Reads a cursor as Redis does, by C's strtoul: a sign is allowed, nothing is 0. -1 after an error reply. Cursors of
 * ours stay below 2^53; anything above is given back rounded, and means that the scan is over.
 */
export function parseCursor(c: Call, i: number): number {
  const start = c.off[i];
  const end = start + c.len[i];
  const first = c.buf[start];
  const signed = c.len[i] > 0 && (first === PLUS || first === MINUS);
  let cursor = 0;
  let valid = !signed || c.len[i] > 1;
  for (let at = signed ? start + 1 : start; at < end && valid; at++) {
    const digit = c.buf[at] - 48;
    valid = digit >= 0 && digit <= 9;
    cursor = cursor * 10 + digit;
  }
  if (valid && cursor >= 2 ** 63) valid = BigInt(c.str(i).replace(/^[+-]/, '')) <= MAX_CURSOR;
  if (!valid) {
    c.reply.error(ERR.INVALID_CURSOR);
    return -1;
  }
  return first === MINUS && signed && cursor !== 0 ? 2 ** 64 - cursor : cursor;
}

/** The options of a SCAN, SSCAN, HSCAN or ZSCAN, as `parseScanOptions` reads them. */
export const scanOptions = {
  count: DEFAULT_COUNT,
  /** The argument that is the pattern; 0 when every element matches. */
  pattern: 0,
  /** The type asked for, -1 for a name that is none, 0 for any. */
  type: 0,
};

/** Reads the options from argument `from` on into `scanOptions`; false after an error reply. */
export function parseScanOptions(c: Call, from: number, withType: boolean): boolean {
  scanOptions.count = DEFAULT_COUNT;
  scanOptions.pattern = 0;
  scanOptions.type = 0;
  for (let i = from; i < c.argc; i += 2) {
    const hasValue = i + 1 < c.argc;
    if (c.is(i, 'COUNT') && hasValue) {
      if (!c.long(i + 1)) {
        c.reply.error(ERR.NOT_INTEGER);
        return false;
      }
      if (c.num < 1) {
        c.reply.error(ERR.SYNTAX);
        return false;
      }
      scanOptions.count = c.num;
    } else if (c.is(i, 'MATCH') && hasValue) {
      scanOptions.pattern = c.len[i + 1] === 1 && c.buf[c.off[i + 1]] === STAR ? 0 : i + 1;
    } else if (c.is(i, 'TYPE') && hasValue && withType) {
      scanOptions.type = typeNumber(c, i + 1);
    } else {
      c.reply.error(ERR.SYNTAX);
      return false;
    }
  }
  return true;
}

const found: Offset[] = [];
/** The shard of each record in `found`. */
const foundIn: number[] = [];

function scan(c: Call): void {
  const cursor = parseCursor(c, 1);
  if (cursor < 0 || !parseScanOptions(c, 2, true)) return;
  const next = collect(c, cursor);
  c.reply.arrayHeader(2);
  c.reply.bulkInt(next);
  const { pattern, type } = scanOptions;
  const mark = c.reply.open();
  let count = 0;
  for (let i = 0; i < found.length; i++) {
    const a = c.shards.arenas[foundIn[i]];
    if (type !== 0 && recordType(a, found[i]) !== type) continue;
    if (replyKey(c, a, found[i], pattern)) count++;
  }
  c.reply.closeArray(mark, count);
}

/** Fills `found` from the cursor on and returns the next cursor. */
function collect(c: Call, cursor: number): number {
  found.length = 0;
  foundIn.length = 0;
  const arenas = c.shards.arenas;
  let shard = Math.floor(cursor / SHARD_CURSORS);
  let position = cursor % SHARD_CURSORS;
  let buckets = scanOptions.count * BUCKETS_PER_COUNT;
  while (shard < arenas.length && found.length < scanOptions.count && buckets-- > 0) {
    const t = tableOf(arenas[shard], c.db);
    position = t === 0 ? 0 : tableScan(arenas[shard], t, position, found);
    while (foundIn.length < found.length) foundIn.push(shard);
    if (position === 0) shard++;
  }
  return shard < arenas.length ? shard * SHARD_CURSORS + position : 0;
}

/** Replies with the key of a live record that matches the pattern in argument `pattern` (0: any); whether it did. */
function replyKey(c: Call, a: Arena, record: Offset, pattern: number): boolean {
  c.arena = a;
  if (isExpired(c, record)) return false;
  const start = keyStart(a, record);
  const length = keyLength(a, record);
  if (pattern !== 0 && !globMatch(c.buf, c.off[pattern], c.len[pattern], a.u8, start, length)) return false;
  c.reply.bulk(a.u8, start, length);
  return true;
}

const walk = new TableWalk();

function keys(c: Call): void {
  const pattern = c.len[1] === 1 && c.buf[c.off[1]] === STAR ? 0 : 1;
  const mark = c.reply.open();
  let count = 0;
  for (const a of c.shards.arenas) {
    const t = tableOf(a, c.db);
    if (t === 0) continue;
    walk.start();
    for (let record = walk.next(a, t); record !== 0; record = walk.next(a, t)) {
      if (replyKey(c, a, record, pattern)) count++;
    }
  }
  c.reply.closeArray(mark, count);
}

function randomkey(c: Call): void {
  let total = 0;
  for (const a of c.shards.arenas) total += keyCount(a, c.db);
  for (let draws = 0; draws < MAX_DRAWS && total > 0; draws++) {
    let index = c.random.below(total);
    let shard = 0;
    for (; index >= keyCount(c.shards.arenas[shard], c.db); shard++) index -= keyCount(c.shards.arenas[shard], c.db);
    const a = c.shards.arenas[shard];
    if (replyKey(c, a, tableRandom(a, tableOf(a, c.db), c.random), 0)) return;
  }
  for (const a of c.shards.arenas) {
    const t = tableOf(a, c.db);
    if (t === 0) continue;
    walk.start();
    for (let record = walk.next(a, t); record !== 0; record = walk.next(a, t)) if (replyKey(c, a, record, 0)) return;
  }
  c.reply.nil();
}

const dangerous = rowMaker('generic', ['keyspace', 'dangerous'], SCOPE_ALL);
const row = rowMaker('generic', ['keyspace'], SCOPE_ALL);
const EACH = 'O(1) for every call, O(n) for a whole scan of n keys';

export const scanRows: CommandRow[] = [
  dangerous('keys', 2, READONLY, NO_KEYS, '1.0.0', 'O(n) for n keys', 'Returns all keys that match a pattern', keys),
  row('randomkey', 1, READONLY, NO_KEYS, '1.0.0', 'O(1)', 'Returns some key of the database', randomkey),
  row('scan', -2, READONLY, NO_KEYS, '2.8.0', EACH, 'Returns the keys of the database, some at a time', scan),
];
