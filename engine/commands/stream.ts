/**
 * The stream commands without consumer groups, but for XINFO (stream-info.ts): handlers, run under the locks of their
 * keys' shards. XADD allocates nothing outside the arena.
 */

import type { Arena, Offset } from '../arena.ts';
import type { Call } from '../call.ts';
import { BLOCKING, type CommandRow, DENYOOM, FAST, MOVABLE_KEYS, READONLY, WRITE } from '../command.ts';
import { ERR, wrongArity } from '../errors.ts';
import { createRecord, lookupQuiet, lookupRead, lookupWrite } from '../keyspace.ts';
import { ENC_ROOT, recordType, setRecordEncoding, setValueWord, TYPE_STREAM, valueWord } from '../record.ts';
import type { Request } from '../request.ts';
import { settingIndex } from '../settings.ts';
import {
  addedWord,
  deletedIdWord,
  lastEntryId,
  lastIdWord,
  noteFirstId,
  replyRange,
  streamAppend,
  streamCreate,
  streamDelete,
  streamLength,
  streamTrim,
  stringBytes,
  TRIM_NONE,
} from '../types/stream.ts';
import {
  clearId,
  compareIds,
  copyId,
  ID_AUTO_SEQUENCE,
  ID_GIVEN,
  ID_INVALID,
  ID_WORDS,
  incrementId,
  isZeroId,
  maximumId,
  nextId,
  replyId,
} from '../types/stream-id.ts';
import { NO_KEYS, ONE_KEY, rowMaker } from './rows.ts';
import { xinfoRow } from './stream-info.ts';
import { addId, addIdForm, intervalId, noMakeStream, parseAdd, parseTrim, strictId, trim } from './stream-options.ts';

const LF = 10;
const NODE_MAX_BYTES = settingIndex('stream-node-max-bytes');
const NODE_MAX_ENTRIES = settingIndex('stream-node-max-entries');
/** The most that the fields and values of one entry may have. */
const MAX_ENTRY_BYTES = 2 ** 30;

/** Ids at hand: `newId` of an entry to add, `start` and `end` of a range. */
const newId = new Uint32Array(ID_WORDS);
const start = new Uint32Array(ID_WORDS);
const end = new Uint32Array(ID_WORDS);
const highest = new Uint32Array(ID_WORDS);
maximumId(highest, 0);
const none = new Uint32Array(ID_WORDS);

export function isStream(a: Arena, record: Offset): boolean {
  return recordType(a, record) === TYPE_STREAM;
}

function xadd(c: Call): void {
  const first = parseAdd(c);
  if (first < 0) return;
  const count = c.argc - first;
  if (count < 2 || (count & 1) === 1) return c.reply.error(wrongArity('xadd'));
  const isGiven = addIdForm !== ID_INVALID;
  if (addIdForm === ID_GIVEN && isZeroId(addId, 0)) return c.reply.error(ERR.STREAM_ID_ZERO);
  const record = lookupWrite(c, 1);
  const a = c.arena;
  if (record === 0 && noMakeStream) return c.reply.nil();
  if (record !== 0 && !isStream(a, record)) return c.reply.error(ERR.WRONGTYPE);
  // The words of the last id: of a stream that is not there yet, 0-0.
  const words = record === 0 ? none : a.u32;
  const last = record === 0 ? 0 : lastIdWord(valueWord(a, record));
  if (compareIds(words, last, highest, 0) === 0) return c.reply.error(ERR.STREAM_EXHAUSTED);
  if (!isGiven) {
    nextId(newId, 0, words, last, c);
  } else {
    copyId(newId, 0, addId, 0);
    if (addIdForm === ID_AUTO_SEQUENCE && newId[0] === words[last] && newId[1] === words[last + 1]) {
      // Redis has no better words for a sequence that is used up.
      if ((words[last + 2] & words[last + 3]) >>> 0 === 0xffffffff) return c.reply.error(ERR.STREAM_TOO_LARGE);
      copyId(newId, 0, words, last);
      incrementId(newId, 0);
    }
  }
  if (compareIds(newId, 0, words, last) <= 0) return c.reply.error(ERR.STREAM_ID_NOT_ABOVE);
  if (stringBytes(c, first) > MAX_ENTRY_BYTES) return c.reply.error(ERR.STREAM_TOO_LARGE);
  const { f64 } = c.settings;
  const root = record === 0 ? streamCreate(a) : valueWord(a, record);
  // As small integers, which a call can pass without an object for each.
  const maxBytes = Math.min(f64[NODE_MAX_BYTES], MAX_ENTRY_BYTES) | 0;
  const maxEntries = Math.min(f64[NODE_MAX_ENTRIES], MAX_ENTRY_BYTES) | 0;
  streamAppend(a, root, c, first, newId, 0, maxBytes, maxEntries);
  if (record === 0) {
    const made = createRecord(c, 1, TYPE_STREAM, 0);
    setRecordEncoding(a, made, ENC_ROOT);
    setValueWord(a, made, root);
  }
  if (trim.strategy !== TRIM_NONE) streamTrim(a, root, trim);
  c.dirty++;
  const replied = c.reply.length;
  replyId(c.reply, newId, 0);
  if (c.effect === undefined || !trim.approximate) return;
  tellLength(c, 'XADD', root);
  // The id as it was replied, without its header and line end.
  const idStart = c.reply.u8.indexOf(LF, replied) + 1;
  c.effect.add(c.reply.u8, idStart, c.reply.length - 2 - idStart);
  for (let i = first; i < c.argc; i++) c.effect.add(c.buf, c.off[i], c.len[i]);
}

/** Begins what is logged in place of an approximate trim. */
function tellLength(c: Call, name: string, root: Offset): void {
  c.effect?.begin(name);
  c.effect?.add(c.buf, c.off[1], c.len[1]);
  c.effect?.addText('MAXLEN');
  c.effect?.addText(String(streamLength(c.arena, root)));
}

function xlen(c: Call): void {
  const record = lookupRead(c, 1);
  if (record === 0) return c.reply.int(0);
  if (!isStream(c.arena, record)) return c.reply.error(ERR.WRONGTYPE);
  c.reply.int(streamLength(c.arena, valueWord(c.arena, record)));
}

function xrange(c: Call): void {
  range(c, false);
}

function xrevrange(c: Call): void {
  range(c, true);
}

function range(c: Call, reverse: boolean): void {
  if (!intervalId(c, reverse ? 3 : 2, false, start, 0)) return;
  if (!intervalId(c, reverse ? 2 : 3, true, end, 0)) return;
  let count = -1;
  for (let i = 4; i < c.argc; i += 2) {
    if (i + 1 >= c.argc || !c.is(i, 'COUNT')) return c.reply.error(ERR.SYNTAX);
    if (!c.long(i + 1)) return c.reply.error(ERR.NOT_INTEGER);
    count = Math.max(0, c.num);
  }
  const record = lookupRead(c, 1);
  if (record === 0) return c.reply.arrayHeader(0);
  const a = c.arena;
  if (!isStream(a, record)) return c.reply.error(ERR.WRONGTYPE);
  if (count === 0) return c.reply.nilArray();
  replyRange(a, valueWord(a, record), start, 0, end, 0, Math.max(0, count), reverse, c.reply);
}

/** XREAD's options, as the last `parseRead` read them. */
let readCount = 0;
let readError = '';

/** Reads XREAD's options; returns the argument of the first key, 0 when they are not good, with `readError` to say why. */
function parseRead(c: Request): number {
  readCount = 0;
  readError = '';
  let blocks = false;
  for (let i = 1; i < c.argc && readError === ''; i++) {
    const more = c.argc - 1 - i;
    if (more > 0 && c.is(i, 'BLOCK')) {
      i++;
      blocks = true;
      if (!c.long(i)) readError = ERR.TIMEOUT_NOT_INTEGER;
      else if (c.num < 0) readError = ERR.TIMEOUT_NEGATIVE;
    } else if (more > 0 && c.is(i, 'COUNT')) {
      i++;
      if (!c.long(i)) readError = ERR.NOT_INTEGER;
      readCount = Math.max(0, c.num);
    } else if (more > 0 && c.is(i, 'STREAMS')) {
      if ((more & 1) === 1) readError = ERR.XREAD_UNBALANCED;
      else if (!blocks) return i + 1;
      else readError = ERR.XREAD_BLOCK;
    } else if (more > 1 && c.is(i, 'GROUP')) readError = ERR.XREAD_GROUP;
    else readError = c.is(i, 'NOACK') ? ERR.XREAD_NOACK : ERR.SYNTAX;
  }
  if (readError === '') readError = ERR.SYNTAX;
  return 0;
}

function readKeys(request: Request, out: number[]): boolean {
  const first = parseRead(request);
  if (first === 0) return false;
  const count = (request.argc - first) / 2;
  for (let i = first; i < first + count; i++) out.push(i);
  return true;
}

/** For each stream of an XREAD the id after which to read. Grows to the longest list of streams met. */
let after = new Uint32Array(ID_WORDS * 8);

function xread(c: Call): void {
  const first = parseRead(c);
  if (first === 0) return c.reply.error(readError);
  const count = (c.argc - first) / 2;
  if (after.length < count * ID_WORDS) after = new Uint32Array(count * ID_WORDS * 2);
  for (let k = 0; k < count; k++) if (!readAfter(c, first + k, first + count + k, k * ID_WORDS)) return;
  const mark = c.reply.open();
  let served = 0;
  for (let k = 0; k < count; k++) if (readStream(c, first + k, k * ID_WORDS)) served++;
  if (served === 0) c.reply.nilArray();
  else if (c.reply.protocol === 3) c.reply.closeMap(mark, served);
  else c.reply.closeArray(mark, served);
}

/** Finds out after which id to read the stream in argument `key`; else replies the error. */
function readAfter(c: Call, key: number, i: number, at: number): boolean {
  const record = lookupRead(c, key);
  if (record !== 0 && !isStream(c.arena, record)) {
    c.reply.error(ERR.WRONGTYPE);
    return false;
  }
  if (c.is(i, '$')) {
    if (record === 0) clearId(after, at);
    else copyId(after, at, c.arena.u32, lastIdWord(valueWord(c.arena, record)));
    return true;
  }
  if (!c.is(i, '>')) return strictId(c, i, after, at);
  c.reply.error(ERR.XREAD_NEW);
  return false;
}

/** Replies the stream's name and its entries after the id, if there are any. */
function readStream(c: Call, key: number, at: number): boolean {
  const record = lookupQuiet(c, key);
  if (record === 0) return false;
  const a = c.arena;
  const root = valueWord(a, record);
  lastEntryId(a, root, end, 0);
  if (compareIds(end, 0, after, at) <= 0) return false;
  if (c.reply.protocol === 2) c.reply.arrayHeader(2);
  c.reply.bulk(c.buf, c.off[key], c.len[key]);
  copyId(start, 0, after, at);
  incrementId(start, 0);
  replyRange(a, root, start, 0, highest, 0, readCount, false, c.reply);
  return true;
}

function xdel(c: Call): void {
  const record = lookupWrite(c, 1);
  if (record === 0) return c.reply.int(0);
  const a = c.arena;
  if (!isStream(a, record)) return c.reply.error(ERR.WRONGTYPE);
  // All ids are read before the first is deleted, and then again: an array for them would have no bound.
  for (let i = 2; i < c.argc; i++) if (!strictId(c, i, newId, 0)) return;
  const root = valueWord(a, record);
  let deleted = 0;
  for (let i = 2; i < c.argc; i++) {
    strictId(c, i, newId, 0);
    if (streamDelete(a, root, newId, 0)) deleted++;
  }
  if (deleted > 0) noteFirstId(a, root);
  c.dirty += deleted;
  c.reply.int(deleted);
}

function xtrim(c: Call): void {
  if (!parseTrim(c)) return;
  const record = lookupWrite(c, 1);
  if (record === 0) return c.reply.int(0);
  const a = c.arena;
  if (!isStream(a, record)) return c.reply.error(ERR.WRONGTYPE);
  const dropped = streamTrim(a, valueWord(a, record), trim);
  if (dropped > 0 && trim.approximate) tellLength(c, 'XTRIM', valueWord(a, record));
  c.dirty += dropped;
  c.reply.int(dropped);
}

function xsetid(c: Call): void {
  if (!strictId(c, 2, newId, 0)) return;
  clearId(end, 0);
  let added = -1;
  let addedWide = 0n;
  for (let i = 3; i < c.argc; i += 2) {
    if (i + 1 < c.argc && c.is(i, 'ENTRIESADDED')) {
      if (!c.long(i + 1)) return c.reply.error(ERR.NOT_INTEGER);
      if (c.num < 0) return c.reply.error(ERR.XSETID_ADDED_NEGATIVE);
      added = c.num;
      addedWide = c.bigNum;
    } else if (i + 1 < c.argc && c.is(i, 'MAXDELETEDID')) {
      if (!strictId(c, i + 1, end, 0)) return;
      if (compareIds(newId, 0, end, 0) < 0) return c.reply.error(ERR.XSETID_BELOW_GIVEN_DELETED);
    } else return c.reply.error(ERR.SYNTAX);
  }
  const record = lookupWrite(c, 1);
  if (record === 0) return c.reply.error(ERR.NO_SUCH_KEY);
  const a = c.arena;
  if (!isStream(a, record)) return c.reply.error(ERR.WRONGTYPE);
  const root = valueWord(a, record);
  const length = streamLength(a, root);
  if (length > 0) {
    lastEntryId(a, root, start, 0);
    if (compareIds(newId, 0, start, 0) < 0) return c.reply.error(ERR.XSETID_BELOW_TOP);
    if (added >= 0 && length > added) return c.reply.error(ERR.XSETID_ADDED_BELOW_LENGTH);
  }
  copyId(a.u32, lastIdWord(root), newId, 0);
  if (added >= 0) {
    a.u32[addedWord(root)] = Number(addedWide >> 32n);
    a.u32[addedWord(root) + 1] = Number(addedWide & 0xffffffffn);
  }
  if (!isZeroId(end, 0)) copyId(a.u32, deletedIdWord(root), end, 0);
  c.dirty++;
  c.reply.ok();
}

const row = rowMaker('stream');
const LOG_N = 'O(log n) for n entries';

export const streamRows: CommandRow[] = [
  row(
    'xadd',
    -5,
    WRITE | DENYOOM | FAST,
    ONE_KEY,
    '5.0.0',
    'O(1), and O(n) for n entries trimmed',
    'Adds an entry to a stream',
    xadd,
  ),
  row('xdel', -3, WRITE | FAST, ONE_KEY, '5.0.0', `${LOG_N}, each id`, 'Deletes entries from a stream', xdel),
  xinfoRow,
  row('xlen', 2, READONLY | FAST, ONE_KEY, '5.0.0', 'O(1)', 'Returns the number of entries in a stream', xlen),
  row(
    'xrange',
    -4,
    READONLY,
    ONE_KEY,
    '5.0.0',
    `${LOG_N} and O(m) for the m returned`,
    'Returns entries of a stream between two ids',
    xrange,
  ),
  {
    ...row(
      'xread',
      -4,
      READONLY | BLOCKING | MOVABLE_KEYS,
      NO_KEYS,
      '5.0.0',
      `${LOG_N}, each stream, and O(m) for the m returned`,
      'Returns entries of streams after given ids',
      xread,
    ),
    keys: readKeys,
  },
  row(
    'xrevrange',
    -4,
    READONLY,
    ONE_KEY,
    '5.0.0',
    `${LOG_N} and O(m) for the m returned`,
    'Returns entries of a stream between two ids, the last first',
    xrevrange,
  ),
  row('xsetid', -3, WRITE | DENYOOM | FAST, ONE_KEY, '5.0.0', 'O(1)', 'Sets the last id of a stream', xsetid),
  row(
    'xtrim',
    -4,
    WRITE,
    ONE_KEY,
    '5.0.0',
    'O(n) for n entries dropped',
    'Drops the oldest entries of a stream',
    xtrim,
  ),
];
