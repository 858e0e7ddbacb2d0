/**
 * The string commands that are one lookup and one reply: SET and GET with their many-key and ranged kin, APPEND. Their
 * options and expiries are in string-options.ts, arithmetic in string-number.ts. Handlers run under the shards' locks;
 * GET, SET without options and MSET allocate nothing outside the arena.
 */
import type { Call } from '../call.ts';
import { type CommandRow, DENYOOM, FAST, GROWS, READONLY, WRITE } from '../command.ts';
import { ERR, wrongArity } from '../errors.ts';
import type { Footprint } from '../footprint.ts';
import { lookupQuiet, lookupRead, lookupWrite } from '../keyspace.ts';
import { recordType, TYPE_STRING, valueStart, valueWord } from '../record.ts';
import {
  addGrowth,
  growString,
  isString,
  longestString,
  setString,
  stringLength,
  stringStart,
} from '../types/string.ts';
import { bitmapRows } from './bitmap.ts';
import { lcs } from './lcs.ts';
import { ALL_KEYS, KEY_PAIRS, ONE_KEY, rowMaker, TWO_KEYS } from './rows.ts';
import { decr, decrby, incr, incrby, incrbyfloat } from './string-number.ts';
import { getdel, getex, getset, psetex, setex, setnx, setWithOptions } from './string-options.ts';

/** The low byte of a record's head when it holds an inline string: type TYPE_STRING, encoding ENC_INLINE. */
const INLINE_STRING = TYPE_STRING;

function get(c: Call): void {
  const record = lookupRead(c, 1);
  if (record === 0) return c.reply.nil();
  const a = c.arena;
  if ((a.u32[record >>> 2] & 0xff) === INLINE_STRING) {
    return c.reply.bulk(a.u8, valueStart(a, record), valueWord(a, record));
  }
  if (!isString(a, record)) return c.reply.error(ERR.WRONGTYPE);
  c.reply.bulk(a.u8, stringStart(a, record), stringLength(a, record));
}

function set(c: Call): void {
  if (c.argc > 3) return setWithOptions(c);
  setString(c, 1, lookupWrite(c, 1), c.buf, c.off[2], c.len[2], 0);
  c.dirty++;
  c.reply.ok();
}

function mget(c: Call): void {
  c.reply.arrayHeader(c.argc - 1);
  for (let i = 1; i < c.argc; i++) {
    const record = lookupRead(c, i);
    const a = c.arena;
    if (record === 0 || recordType(a, record) !== TYPE_STRING) c.reply.nil();
    else c.reply.bulk(a.u8, stringStart(a, record), stringLength(a, record));
  }
}

function mset(c: Call): void {
  if ((c.argc & 1) === 0) return c.reply.error(wrongArity('mset'));
  setPairs(c);
  c.reply.ok();
}

function msetnx(c: Call): void {
  if ((c.argc & 1) === 0) return c.reply.error(wrongArity('msetnx'));
  for (let i = 1; i < c.argc; i += 2) if (lookupWrite(c, i) !== 0) return c.reply.int(0);
  setPairs(c);
  c.reply.int(1);
}

function setPairs(c: Call): void {
  for (let i = 1; i < c.argc; i += 2) {
    setString(c, i, lookupWrite(c, i), c.buf, c.off[i + 1], c.len[i + 1], 0);
    c.dirty++;
  }
}

function strlen(c: Call): void {
  const record = lookupRead(c, 1);
  if (record === 0) return c.reply.int(0);
  if (!isString(c.arena, record)) return c.reply.error(ERR.WRONGTYPE);
  c.reply.int(stringLength(c.arena, record));
}

function append(c: Call): void {
  const record = lookupWrite(c, 1);
  const a = c.arena;
  const added = c.len[2];
  if (record === 0) {
    setString(c, 1, 0, c.buf, c.off[2], added, 0);
    c.dirty++;
    return c.reply.int(added);
  }
  if (!isString(a, record)) return c.reply.error(ERR.WRONGTYPE);
  const had = stringLength(a, record);
  if (had + added > longestString(c)) return c.reply.error(ERR.STRING_TOO_LONG);
  const to = growString(c, 1, record, had + added);
  if (to === 0) return c.reply.error(ERR.ARENA_FULL);
  writeArgument(c, 2, stringStart(a, to) + had);
  c.dirty++;
  c.reply.int(had + added);
}

function addAppended(c: Call, ahead: number, to: Footprint): void {
  const record = lookupQuiet(c, 1);
  if (record !== 0 && isString(c.arena, record)) addGrowth(c, stringLength(c.arena, record) + c.len[2], ahead, to);
}

function writeArgument(c: Call, i: number, at: number): void {
  c.arena.u8.set(c.buf.subarray(c.off[i], c.off[i] + c.len[i]), at);
}

function setrange(c: Call): void {
  if (!c.long(2)) return c.reply.error(ERR.NOT_INTEGER);
  const offset = c.num;
  if (offset < 0) return c.reply.error(ERR.OFFSET_OUT_OF_RANGE);
  const record = lookupWrite(c, 1);
  const a = c.arena;
  const length = c.len[3];
  if (record !== 0 && !isString(a, record)) return c.reply.error(ERR.WRONGTYPE);
  const had = record === 0 ? 0 : stringLength(a, record);
  if (length === 0) return c.reply.int(had);
  if (offset + length > longestString(c)) return c.reply.error(ERR.STRING_TOO_LONG);
  const to = growString(c, 1, record, Math.max(had, offset + length));
  if (to === 0) return c.reply.error(ERR.ARENA_FULL);
  writeArgument(c, 3, stringStart(a, to) + offset);
  c.dirty++;
  c.reply.int(Math.max(had, offset + length));
}

/** GETRANGE and, under its old name, SUBSTR. */
function getrange(c: Call): void {
  if (!c.long(2)) return c.reply.error(ERR.NOT_INTEGER);
  let start = c.num;
  if (!c.long(3)) return c.reply.error(ERR.NOT_INTEGER);
  let end = c.num;
  const record = lookupRead(c, 1);
  if (record === 0) return c.reply.bulk(c.buf, 0, 0);
  const a = c.arena;
  if (!isString(a, record)) return c.reply.error(ERR.WRONGTYPE);
  const length = stringLength(a, record);
  if (start < 0 && end < 0 && start > end) return c.reply.bulk(c.buf, 0, 0);
  if (start < 0) start = Math.max(0, start + length);
  if (end < 0) end = Math.max(0, end + length);
  if (end >= length) end = length - 1;
  if (start > end || length === 0) return c.reply.bulk(c.buf, 0, 0);
  c.reply.bulk(a.u8, stringStart(a, record) + start, end - start + 1);
}

const W = WRITE | DENYOOM;
const O1 = 'O(1)';
const row = rowMaker('string');

export const stringRows: CommandRow[] = [
  row('get', 2, READONLY | FAST, ONE_KEY, '1.0.0', O1, 'Returns the string at a key', get),
  row(
    'set',
    -3,
    W,
    ONE_KEY,
    '1.0.0',
    O1,
    'Stores a string at a key, whatever the key held, with optional conditions and expiry',
    set,
  ),
  {
    ...row(
      'append',
      3,
      W | FAST,
      ONE_KEY,
      '2.0.0',
      'O(1) amortised for a short tail',
      'Adds bytes to the end of a string',
      append,
    ),
    makes: addAppended,
  },
  row('decr', 2, W | FAST, ONE_KEY, '1.0.0', O1, 'Subtracts one from the integer at a key', decr),
  row('decrby', 3, W | FAST, ONE_KEY, '1.0.0', O1, 'Subtracts a number from the integer at a key', decrby),
  row('getdel', 2, WRITE | FAST, ONE_KEY, '6.2.0', O1, 'Returns a string and deletes its key', getdel),
  row(
    'getex',
    -2,
    WRITE | FAST | GROWS,
    ONE_KEY,
    '6.2.0',
    O1,
    'Returns a string and changes the expiry of its key',
    getex,
  ),
  row('getrange', 4, READONLY, ONE_KEY, '2.4.0', 'O(n) for the n bytes returned', 'Returns part of a string', getrange),
  row('getset', 3, W | FAST, ONE_KEY, '1.0.0', O1, 'Stores a string and returns the one it replaces', getset),
  row('incr', 2, W | FAST, ONE_KEY, '1.0.0', O1, 'Adds one to the integer at a key', incr),
  row('incrby', 3, W | FAST, ONE_KEY, '1.0.0', O1, 'Adds a number to the integer at a key', incrby),
  row('incrbyfloat', 3, W | FAST, ONE_KEY, '2.6.0', O1, 'Adds a decimal fraction to the number at a key', incrbyfloat),
  row(
    'lcs',
    -3,
    READONLY,
    TWO_KEYS,
    '7.0.0',
    'O(n*m) for strings of n and m bytes',
    'Finds the longest common subsequence of two strings',
    lcs,
  ),
  row('mget', -2, READONLY | FAST, ALL_KEYS, '1.0.0', 'O(n) for n keys', 'Returns the strings at several keys', mget),
  row('mset', -3, W, KEY_PAIRS, '1.0.1', 'O(n) for n keys', 'Stores several strings at once', mset),
  row(
    'msetnx',
    -3,
    W,
    KEY_PAIRS,
    '1.0.1',
    'O(n) for n keys',
    'Stores several strings unless one of the keys exists',
    msetnx,
  ),
  row('psetex', 4, W, ONE_KEY, '2.6.0', O1, 'Stores a string that expires after some milliseconds', psetex),
  row('setex', 4, W, ONE_KEY, '2.0.0', O1, 'Stores a string that expires after some seconds', setex),
  row('setnx', 3, W | FAST, ONE_KEY, '1.0.0', O1, 'Stores a string unless the key exists', setnx),
  {
    ...row(
      'setrange',
      4,
      W,
      ONE_KEY,
      '2.2.0',
      'O(n) for the n bytes written',
      'Writes bytes into a string at an offset',
      setrange,
    ),
    makes: (c, _ahead, to) => {
      if (c.len[3] > 0 && c.long(2)) addGrowth(c, c.num + c.len[3], 0, to);
    },
  },
  row('strlen', 2, READONLY | FAST, ONE_KEY, '2.2.0', O1, 'Returns the length of a string in bytes', strlen),
  row(
    'substr',
    4,
    READONLY,
    ONE_KEY,
    '1.0.0',
    'O(n) for the n bytes returned',
    'Returns part of a string (the old name of GETRANGE)',
    getrange,
  ),
  ...bitmapRows,
];
