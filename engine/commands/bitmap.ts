/**
 * Strings as arrays of bits, the first bit the highest of the first byte: SETBIT, GETBIT, BITCOUNT, BITPOS, BITOP.
 * Handlers; run under the locks of the keys' shards. Counting and searching take four bytes at a time.
 */
import { canHold } from '../alloc.ts';
import type { Arena } from '../arena.ts';
import type { Call } from '../call.ts';
import { COPIES, type CommandRow, DENYOOM, FAST, READONLY, WRITE } from '../command.ts';
import { ERR } from '../errors.ts';
import type { Footprint } from '../footprint.ts';
import { deleteRecord, lookupQuiet, lookupRead, lookupWrite } from '../keyspace.ts';
import { HEAD_RAW } from '../record.ts';
import { addGrowth, isString, setString, stringLength, stringStart } from '../types/string.ts';
import { bitOffset, bytesForBit, growBits, lookupBits } from './bit-argument.ts';
import { bitfield, bitfieldRo } from './bitfield.ts';
import { type KeyPositions, ONE_KEY, rowMaker } from './rows.ts';

const BIT_VALUE = 'ERR bit is not an integer or out of range';
/** What a new record and its place in the table may need beside the bytes of the value. */
const RECORD_ROOM_BYTES = 64 * 1024;

function setbit(c: Call): void {
  const bit = bitOffset(c, 2, 0);
  if (bit < 0) return;
  if (!c.long(3) || (c.num !== 0 && c.num !== 1)) return c.reply.error(BIT_VALUE);
  const value = c.num;
  const old = lookupBits(c);
  if (old < 0) return;
  const grows = old === 0 || bytesForBit(bit) > stringLength(c.arena, old);
  const record = growBits(c, old, bytesForBit(bit));
  if (record === 0) return;
  const u8 = c.arena.u8;
  const at = stringStart(c.arena, record) + Math.floor(bit / 8);
  const shift = 7 - (bit & 7);
  const was = (u8[at] >>> shift) & 1;
  if (was !== value || grows) {
    u8[at] = (u8[at] & ~(1 << shift)) | (value << shift);
    c.dirty++;
  }
  c.reply.int(was);
}

function getbit(c: Call): void {
  const bit = bitOffset(c, 2, 0);
  if (bit < 0) return;
  const record = lookupRead(c, 1);
  if (record === 0) return c.reply.int(0);
  const a = c.arena;
  if (!isString(a, record)) return c.reply.error(ERR.WRONGTYPE);
  const byte = Math.floor(bit / 8);
  if (byte >= stringLength(a, record)) return c.reply.int(0);
  c.reply.int((a.u8[stringStart(a, record) + byte] >>> (7 - (bit & 7))) & 1);
}

/** The range of BITCOUNT or BITPOS in bits, half-open, as `parseRange` leaves it. */
let rangeStart = 0;
let rangeEnd = 0;

/** Clips a range of units of `unitBits` bits, ends included and negative ones from the end, to `bytes` bytes. */
function clipRange(start: number, end: number, unitBits: number, bytes: number): void {
  const total = (bytes * 8) / unitBits;
  const first = Math.max(0, start < 0 ? total + start : start);
  const last = Math.min(total - 1, Math.max(0, end < 0 ? total + end : end));
  rangeStart = first * unitBits;
  rangeEnd = (last + 1) * unitBits;
}

/** Bits in the unit that argument i names, BYTE or BIT; 0 after an error reply. */
function unitArgument(c: Call, i: number): number {
  if (c.is(i, 'BIT')) return 1;
  if (c.is(i, 'BYTE')) return 8;
  c.reply.error(ERR.SYNTAX);
  return 0;
}

function bitcount(c: Call): void {
  const record = lookupRead(c, 1);
  if (record === 0) return c.reply.int(0);
  const a = c.arena;
  if (!isString(a, record)) return c.reply.error(ERR.WRONGTYPE);
  const bytes = stringLength(a, record);
  clipRange(0, -1, 8, bytes);
  if (c.argc > 2) {
    if (c.argc > 5 || c.argc === 3) return c.reply.error(ERR.SYNTAX);
    if (!c.long(2)) return c.reply.error(ERR.NOT_INTEGER);
    const start = c.num;
    if (!c.long(3)) return c.reply.error(ERR.NOT_INTEGER);
    const end = c.num;
    if (start < 0 && end < 0 && start > end) return c.reply.int(0);
    const unit = c.argc === 5 ? unitArgument(c, 4) : 8;
    if (unit === 0) return;
    clipRange(start, end, unit, bytes);
  }
  c.reply.int(rangeStart < rangeEnd ? countBits(a, stringStart(a, record) * 8 + rangeStart, rangeEnd - rangeStart) : 0);
}

/** Ones among `count` bits from bit number `from` of the arena on. */
function countBits(a: Arena, from: number, count: number): number {
  const end = from + count;
  // Bit numbers are doubles, byte numbers small integers: said here so that the loops run on integers.
  let at = Math.floor(from / 8) | 0;
  const last = Math.ceil(end / 8) | 0;
  let ones = 0;
  // Whole bytes, then less what lies outside the range at either end.
  const { u8, i32 } = a;
  while (at < last && (at & 3) !== 0) ones += onesOf(u8[at++]);
  for (; at + 4 <= last; at += 4) ones += onesOf(i32[at >>> 2]);
  while (at < last) ones += onesOf(u8[at++]);
  const before = from % 8;
  if (before !== 0) ones -= onesOf(a.u8[Math.floor(from / 8)] >>> (8 - before));
  const after = last * 8 - end;
  if (after !== 0) ones -= onesOf(a.u8[last - 1] & ((1 << after) - 1));
  return ones;
}

/** Ones in 32 bits (Warren, "Hacker's Delight", 5-1). */
function onesOf(word: number): number {
  word -= (word >>> 1) & 0x55555555;
  word = (word & 0x33333333) + ((word >>> 2) & 0x33333333);
  word = (word + (word >>> 4)) & 0x0f0f0f0f;
  return Math.imul(word, 0x01010101) >>> 24;
}

function bitpos(c: Call): void {
  if (!c.long(2)) return c.reply.error(ERR.NOT_INTEGER);
  const wanted = c.num;
  if (wanted !== 0 && wanted !== 1) return c.reply.error('ERR The bit argument must be 1 or 0.');
  const record = lookupRead(c, 1);
  if (record === 0) return c.reply.int(wanted === 1 ? -1 : 0);
  const a = c.arena;
  if (!isString(a, record)) return c.reply.error(ERR.WRONGTYPE);
  const bytes = stringLength(a, record);
  clipRange(0, -1, 8, bytes);
  if (c.argc > 3) {
    if (c.argc > 6) return c.reply.error(ERR.SYNTAX);
    if (!c.long(3)) return c.reply.error(ERR.NOT_INTEGER);
    const start = c.num;
    const unit = c.argc === 6 ? unitArgument(c, 5) : 8;
    if (unit === 0) return;
    if (c.argc > 4 && !c.long(4)) return c.reply.error(ERR.NOT_INTEGER);
    clipRange(start, c.argc > 4 ? c.num : -1, unit, bytes);
  }
  if (rangeStart >= rangeEnd) return c.reply.int(-1);
  const base = stringStart(a, record) * 8;
  const found = findBit(a, wanted, base + rangeStart, base + rangeEnd);
  if (found >= 0) return c.reply.int(found - base);
  // Behind the string lie zeros, unless the caller named an end.
  c.reply.int(wanted === 0 && c.argc < 5 ? rangeEnd : -1);
}

/** The number of the first bit of the arena in [from, end) that is `wanted`; -1 for none. */
function findBit(a: Arena, wanted: number, from: number, end: number): number {
  const skipByte = wanted === 1 ? 0 : 0xff;
  const skipWord = wanted === 1 ? 0 : 0xffffffff;
  let at = Math.floor(from / 8) | 0;
  let bit = (from % 8) | 0;
  const last = Math.ceil(end / 8) | 0;
  while (at < last) {
    if (bit === 0 && (at & 3) === 0) while (at + 4 <= last && a.u32[at >>> 2] === skipWord) at += 4;
    if (at >= last) break;
    const byte = a.u8[at];
    if (byte !== skipByte) {
      for (; bit < 8; bit++) {
        if (((byte >>> (7 - bit)) & 1) === wanted) return at * 8 + bit < end ? at * 8 + bit : -1;
      }
    }
    bit = 0;
    at++;
  }
  return -1;
}

const OPERATIONS = ['AND', 'OR', 'XOR', 'NOT'];
const OR = 1;
const XOR = 2;
const NOT = 3;

function bitop(c: Call): void {
  const operation = OPERATIONS.findIndex((name) => c.is(1, name));
  if (operation < 0) return c.reply.error(ERR.SYNTAX);
  if (operation === NOT && c.argc !== 4) {
    return c.reply.error('ERR BITOP NOT must be called with a single source key.');
  }
  let longest = 0;
  for (let i = 3; i < c.argc; i++) {
    const record = lookupRead(c, i);
    if (record === 0) continue;
    if (!isString(c.arena, record)) return c.reply.error(ERR.WRONGTYPE);
    longest = Math.max(longest, stringLength(c.arena, record));
  }
  if (longest === 0) {
    const old = lookupWrite(c, 2);
    if (old !== 0) {
      deleteRecord(c.arena, old);
      c.dirty++;
    }
    return c.reply.int(0);
  }
  c.hashKey(2);
  if (!canHold(c.arena, longest + c.len[2] + RECORD_ROOM_BYTES)) return c.reply.error(ERR.ARENA_FULL);
  // The target may be one of the sources, so the result is made outside the arena.
  const result = new Uint8Array(longest);
  for (let i = 3; i < c.argc; i++) combine(c, operation, i, result);
  const to = setString(c, 2, lookupWrite(c, 2), result, 0, longest, 0);
  c.arena.u32[to >>> 2] |= HEAD_RAW;
  c.dirty++;
  c.reply.int(longest);
}

/** Combines the source in argument i, with zeros behind its end, into the result. */
function combine(c: Call, operation: number, i: number, result: Uint8Array): void {
  const record = lookupQuiet(c, i);
  const a = c.arena;
  const u8 = a.u8;
  const start = record === 0 ? 0 : stringStart(a, record);
  const length = record === 0 ? 0 : stringLength(a, record);
  if (operation === NOT) for (let k = 0; k < length; k++) result[k] = ~u8[start + k];
  else if (i === 3) result.set(u8.subarray(start, start + length));
  else if (operation === OR) for (let k = 0; k < length; k++) result[k] |= u8[start + k];
  else if (operation === XOR) for (let k = 0; k < length; k++) result[k] ^= u8[start + k];
  else {
    for (let k = 0; k < length; k++) result[k] &= u8[start + k];
    result.fill(0, length);
  }
}

/** Marks an offset that counts integers, not bits. */
const HASH = 0x23;

/** As far as the widest integers at all offsets would reach. */
function addBitfield(c: Call, _ahead: number, to: Footprint): void {
  const { buf, off, len, argc } = c;
  let reach = 0;
  for (let i = 2; i + 2 < argc; i++) {
    if (!c.is(i, 'SET') && !c.is(i, 'INCRBY')) continue;
    const counted = buf[off[i + 2]] === HASH ? 1 : 0;
    if (!c.longAt(buf, off[i + 2] + counted, len[i + 2] - counted)) continue;
    reach = Math.max(reach, c.num * (counted === 1 ? 8 : 1 / 8) + 8);
  }
  addGrowth(c, reach, 0, to);
}

const W = WRITE | DENYOOM;
const N = 'O(n) for a string of n bytes';
const OPERANDS: KeyPositions = [2, -1, 1];
const EACH = 'O(1) for each operation';
const row = rowMaker('bitmap');

export const bitmapRows: CommandRow[] = [
  row('bitcount', -2, READONLY, ONE_KEY, '2.6.0', N, 'Counts the ones in a string', bitcount),
  {
    ...row('bitfield', -2, W, ONE_KEY, '3.2.0', EACH, 'Reads and writes integers of any width in a string', bitfield),
    makes: addBitfield,
  },
  row(
    'bitfield_ro',
    -2,
    READONLY | FAST,
    ONE_KEY,
    '6.0.0',
    EACH,
    'Reads integers of any width in a string',
    bitfieldRo,
  ),
  row('bitop', -4, W | COPIES, OPERANDS, '2.6.0', N, 'Combines strings bit by bit and stores the result', bitop),
  row('bitpos', -3, READONLY, ONE_KEY, '2.8.7', N, 'Finds the first one or zero in a string', bitpos),
  row('getbit', 3, READONLY | FAST, ONE_KEY, '2.2.0', 'O(1)', 'Returns a bit of a string', getbit),
  {
    ...row(
      'setbit',
      4,
      W,
      ONE_KEY,
      '2.2.0',
      'O(1)',
      'Sets or clears a bit of a string and returns what it was',
      setbit,
    ),
    makes: (c, _ahead, to) => {
      if (c.long(2)) addGrowth(c, c.num / 8 + 1, 0, to);
    },
  },
];
