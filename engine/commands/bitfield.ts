/**
 * BITFIELD and BITFIELD_RO: integers of 1 to 64 bits at any bit of a string. Handlers; run under the lock of the key's
 * shard. All operations are read and checked before the first is done. Fields are BigInts: about a microsecond each.
 */
import type { Arena, Offset } from '../arena.ts';
import type { Call } from '../call.ts';
import { ERR } from '../errors.ts';
import { lookupRead } from '../keyspace.ts';
import { isString, stringLength, stringStart } from '../types/string.ts';
import { bitOffset, bytesForBit, growBits, lookupBits } from './bit-argument.ts';

const TYPE_ERROR = 'ERR Invalid bitfield type. Use something like i16 u8. Note that u64 is not supported but i64 is.';
const SIGNED = 0x69;
const UNSIGNED = 0x75;

type Kind = 'get' | 'set' | 'incrby';
type Overflow = 'wrap' | 'sat' | 'fail';

interface Operation {
  kind: Kind;
  signed: boolean;
  bits: number;
  offset: number;
  /** The value of a SET, the increment of an INCRBY. */
  operand: bigint;
  overflow: Overflow;
}

export function bitfield(c: Call): void {
  run(c, false);
}

export function bitfieldRo(c: Call): void {
  run(c, true);
}

function run(c: Call, readOnly: boolean): void {
  const operations = parse(c);
  if (operations === undefined) return;
  let highestBit = -1;
  for (const { kind, offset, bits } of operations)
    if (kind !== 'get') highestBit = Math.max(highestBit, offset + bits - 1);
  if (highestBit >= 0 && readOnly) return c.reply.error('ERR BITFIELD_RO only supports the GET subcommand');
  const record = highestBit >= 0 ? prepareWrite(c, highestBit) : prepareRead(c);
  if (record < 0) return;
  const a = c.arena;
  const start = record === 0 ? 0 : stringStart(a, record);
  const length = record === 0 ? 0 : stringLength(a, record);
  c.reply.arrayHeader(operations.length);
  for (const operation of operations) execute(c, a, operation, start, length);
  // With nothing but overflows refused the string is longer all the same. Redis counts no change then, and loses it.
  if (highestBit >= 0 && grows && c.dirty === 0) c.dirty++;
}

/** Whether the string of the command that runs had to be made longer: then every write counts as a change. */
let grows = false;

/** The key's string with room for bit `highestBit`; -1 after an error reply. */
function prepareWrite(c: Call, highestBit: number): Offset {
  const old = lookupBits(c);
  if (old < 0) return -1;
  const bytes = bytesForBit(highestBit);
  grows = old === 0 || bytes > stringLength(c.arena, old);
  return growBits(c, old, bytes) || -1;
}

/** The key's string, 0 for none; -1 after an error reply. */
function prepareRead(c: Call): Offset {
  const record = lookupRead(c, 1);
  if (record === 0 || isString(c.arena, record)) return record;
  c.reply.error(ERR.WRONGTYPE);
  return -1;
}

/** Reads all operations; undefined after an error reply. */
function parse(c: Call): Operation[] | undefined {
  const operations: Operation[] = [];
  let overflow: Overflow = 'wrap';
  for (let i = 2; i < c.argc; i++) {
    const left = c.argc - i - 1;
    if (c.is(i, 'OVERFLOW') && left >= 1) {
      const named = overflowArgument(c, ++i);
      if (named === undefined) return undefined;
      overflow = named;
      continue;
    }
    const kind = kindArgument(c, i, left);
    if (kind === undefined) return undefined;
    const signed = c.buf[c.off[i + 1]] === SIGNED;
    const bits = widthArgument(c, i + 1, signed);
    if (bits === 0) return undefined;
    const offset = bitOffset(c, i + 2, bits);
    if (offset < 0) return undefined;
    let operand = 0n;
    if (kind !== 'get') {
      if (!c.long(i + 3)) {
        c.reply.error(ERR.NOT_INTEGER);
        return undefined;
      }
      operand = c.bigNum;
    }
    operations.push({ kind, signed, bits, offset, operand, overflow });
    i += kind === 'get' ? 2 : 3;
  }
  return operations;
}

function kindArgument(c: Call, i: number, left: number): Kind | undefined {
  if (c.is(i, 'GET') && left >= 2) return 'get';
  if (c.is(i, 'SET') && left >= 3) return 'set';
  if (c.is(i, 'INCRBY') && left >= 3) return 'incrby';
  c.reply.error(ERR.SYNTAX);
  return undefined;
}

function overflowArgument(c: Call, i: number): Overflow | undefined {
  if (c.is(i, 'WRAP')) return 'wrap';
  if (c.is(i, 'SAT')) return 'sat';
  if (c.is(i, 'FAIL')) return 'fail';
  c.reply.error('ERR Invalid OVERFLOW type specified');
  return undefined;
}

/** The width of a type such as i16 or u8; 0 after an error reply. */
function widthArgument(c: Call, i: number, signed: boolean): number {
  const named = c.len[i] > 0 && (signed || c.buf[c.off[i]] === UNSIGNED);
  if (named && c.longAt(c.buf, c.off[i] + 1, c.len[i] - 1) && c.num >= 1 && c.num <= (signed ? 64 : 63)) return c.num;
  c.reply.error(TYPE_ERROR);
  return 0;
}

/** Does one operation on the string of `length` bytes at `start` and replies with its result. */
function execute(c: Call, a: Arena, operation: Operation, start: number, length: number): void {
  const { kind, signed, bits, offset, overflow } = operation;
  const raw = readBits(a.u8, start, length, offset, bits);
  const old = signed ? BigInt.asIntN(bits, raw) : raw;
  if (kind === 'get') return c.reply.bigInt(old);
  // A negative value to SET an unsigned field to is a large one, as in C.
  const operand = kind === 'set' && !signed ? BigInt.asUintN(64, operation.operand) : operation.operand;
  const exact = kind === 'set' ? operand : old + operand;
  const least = signed ? -(1n << BigInt(bits - 1)) : 0n;
  const most = signed ? (1n << BigInt(bits - 1)) - 1n : (1n << BigInt(bits)) - 1n;
  let value = exact;
  if (exact < least || exact > most) {
    if (overflow === 'fail') return c.reply.nil();
    // Redis takes the value of a SET for too large when its distance from the largest does not fit 64 bits.
    const wraps = kind === 'set' && most - exact >= 1n << 63n;
    if (overflow === 'sat') value = exact < least && !wraps ? least : most;
    else value = signed ? BigInt.asIntN(bits, exact) : BigInt.asUintN(bits, exact);
  }
  c.reply.bigInt(kind === 'set' ? old : value);
  writeBits(a.u8, start, offset, bits, BigInt.asUintN(bits, value));
  if (grows || value !== old) c.dirty++;
}

/** The field's bits as an unsigned integer, zeros behind the end of the string. */
function readBits(u8: Uint8Array, start: number, length: number, offset: number, bits: number): bigint {
  const first = Math.floor(offset / 8);
  const last = Math.floor((offset + bits - 1) / 8);
  let value = 0n;
  for (let at = first; at <= last; at++) value = (value << 8n) | BigInt(at < length ? u8[start + at] : 0);
  return BigInt.asUintN(bits, value >> BigInt((last + 1) * 8 - (offset + bits)));
}

/** Writes the field's bits; the string is long enough. */
function writeBits(u8: Uint8Array, start: number, offset: number, bits: number, value: bigint): void {
  const last = Math.floor((offset + bits - 1) / 8);
  const shift = BigInt((last + 1) * 8 - (offset + bits));
  let mask = ((1n << BigInt(bits)) - 1n) << shift;
  let rest = value << shift;
  for (let at = last; mask !== 0n; at--) {
    const byte = u8[start + at] & ~Number(mask & 255n);
    u8[start + at] = byte | Number(rest & 255n);
    mask >>= 8n;
    rest >>= 8n;
  }
}
