/**
 * A set of 64-bit integers as a sorted array behind the key in the key's record. All integers have the width of the widest
 * that the set has ever held. Finding one is a binary search, adding or removing one moves what lies behind it; sets
 * leave this form at set-max-intset-entries or with the first member that is no integer. Runs under the shard's lock.
 *
 * ```
 * the inline value, not aligned, little-endian
 * +0 u8 width: 1, 2 or 3 for 2, 4 or 8 bytes | +1 the integers, ascending
 * ```
 * Example: {-1, 5} is 5 bytes: `01 | ff ff | 05 00`.
 *
 * JavaScript has no 64-bit integers without BigInt, which allocates. An integer is a pair here: `high`, the upper 32 bits,
 * and `low`, the lower ones, both as signed 32-bit numbers.
 */
import type { Arena, Offset } from '../arena.ts';
import { setValueWord, valueStart, valueWord } from '../record.ts';
import type { Request } from '../request.ts';
import { growValue, shrinkValue } from './inline.ts';

const HEADER_BYTES = 1;
const WIDTH_16 = 1;
const WIDTH_32 = 2;
const WIDTH_64 = 3;
const TWO_32 = 4294967296;

/** Digits and sign of a 64-bit integer, at most. */
export const INTEGER_TEXT_BYTES = 20;

/** Bytes of a set of `count` small integers, or of any one. */
export function intsetBytes(count: number): number {
  return HEADER_BYTES + Math.max(count << WIDTH_16, 1 << WIDTH_64);
}

/** Bytes of a set of `count` integers, at most. */
export function wideIntsetBytes(count: number): number {
  return HEADER_BYTES + (count << WIDTH_64);
}

/** The upper half of the integer that `long` has read. */
export function highOf(request: Request): number {
  return request.exact ? Math.floor(request.num / TWO_32) | 0 : Number(request.big >> 32n);
}

/** The lower half of the integer that `long` has read. */
export function lowOf(request: Request): number {
  // ToInt32 takes a double modulo 2^32, which is what is wanted, of negative numbers too.
  return request.exact ? request.num | 0 : Number(BigInt.asIntN(32, request.big));
}

function widthOf(high: number, low: number): number {
  if (high !== low >> 31) return WIDTH_64;
  return low === (low << 16) >> 16 ? WIDTH_16 : WIDTH_32;
}

/** Makes the inline value of a record, whatever it was, a set without integers; the block keeps its size. */
export function intsetInit(a: Arena, record: Offset): void {
  setValueWord(a, record, HEADER_BYTES);
  a.u8[valueStart(a, record)] = WIDTH_16;
}

export function intsetCount(a: Arena, record: Offset): number {
  return (valueWord(a, record) - HEADER_BYTES) >>> a.u8[valueStart(a, record)];
}

/** The lower half of the integer at an index. */
export function intsetLow(a: Arena, record: Offset, index: number): number {
  const value = valueStart(a, record);
  const width = a.u8[value];
  return readLow(a.view, value + HEADER_BYTES + (index << width), width);
}

/** The upper half of the integer at an index. */
export function intsetHigh(a: Arena, record: Offset, index: number): number {
  const value = valueStart(a, record);
  const width = a.u8[value];
  return readHigh(a.view, value + HEADER_BYTES + (index << width), width);
}

function readLow(view: DataView, at: Offset, width: number): number {
  return width === WIDTH_16 ? view.getInt16(at, true) : view.getInt32(at, true);
}

function readHigh(view: DataView, at: Offset, width: number): number {
  return width === WIDTH_64 ? view.getInt32(at + 4, true) : readLow(view, at, width) >> 31;
}

function write(view: DataView, at: Offset, width: number, high: number, low: number): void {
  if (width === WIDTH_16) {
    view.setInt16(at, low, true);
    return;
  }
  view.setInt32(at, low, true);
  if (width === WIDTH_64) view.setInt32(at + 4, high, true);
}

/** The index of an integer; when the set does not have it, ~index of where it belongs. */
export function intsetFind(a: Arena, record: Offset, high: number, low: number): number {
  const { view } = a;
  const value = valueStart(a, record);
  const width = a.u8[value];
  const integers = value + HEADER_BYTES;
  const count = intsetCount(a, record);
  if (widthOf(high, low) > width) return high < 0 ? ~0 : ~count;
  let from = 0;
  let to = count;
  // Sets are often filled in order.
  if (count > 0 && isBelow(view, integers + ((count - 1) << width), width, high, low)) from = count;
  while (from < to) {
    const middle = (from + to) >>> 1;
    if (isBelow(view, integers + (middle << width), width, high, low)) from = middle + 1;
    else to = middle;
  }
  if (from === count) return ~count;
  const at = integers + (from << width);
  return readLow(view, at, width) === low && readHigh(view, at, width) === high ? from : ~from;
}

/** Whether the integer at `at` is less than another, which fits the width. */
function isBelow(view: DataView, at: Offset, width: number, high: number, low: number): boolean {
  if (width !== WIDTH_64) return readLow(view, at, width) < low;
  const otherHigh = view.getInt32(at + 4, true);
  return otherHigh !== high ? otherHigh < high : view.getUint32(at, true) < low >>> 0;
}

/** Adds an integer. Returns the record, which may have moved; 0 when the set had the integer already. */
export function intsetAdd(a: Arena, record: Offset, high: number, low: number): Offset {
  const found = intsetFind(a, record, high, low);
  if (found >= 0) return 0;
  const index = ~found;
  const count = intsetCount(a, record);
  const had = a.u8[valueStart(a, record)];
  const width = Math.max(had, widthOf(high, low));
  const to = growValue(a, record, HEADER_BYTES + ((count + 1) << width));
  const value = valueStart(a, to);
  if (width > had) widen(a, value, count, had, width);
  const at = value + HEADER_BYTES + (index << width);
  a.u8.copyWithin(at + (1 << width), at, value + HEADER_BYTES + (count << width));
  write(a.view, at, width, high, low);
  return to;
}

/** Rewrites `count` integers in a greater width, for which there is room. */
function widen(a: Arena, value: Offset, count: number, from: number, to: number): void {
  const { view } = a;
  const integers = value + HEADER_BYTES;
  // From the back, so that no integer is written over before it was read.
  for (let i = count - 1; i >= 0; i--) {
    const at = integers + (i << from);
    const high = readHigh(view, at, from);
    write(view, integers + (i << to), to, high, readLow(view, at, from));
  }
  a.u8[value] = to;
}

/** Takes out the integer at an index. Returns the record, which may have moved. */
export function intsetRemove(a: Arena, record: Offset, index: number): Offset {
  const value = valueStart(a, record);
  const width = a.u8[value];
  const at = value + HEADER_BYTES + (index << width);
  const bytes = valueWord(a, record);
  a.u8.copyWithin(at, at + (1 << width), value + bytes);
  return shrinkValue(a, record, bytes - (1 << width));
}

/** Writes an integer's digits so that they end at the end of `out`; returns where they begin. */
export function integerText(high: number, low: number, out: Uint8Array): number {
  const value = high * TWO_32 + (low >>> 0);
  let at = out.length;
  if (!Number.isSafeInteger(value)) {
    const text = ((BigInt(high) << 32n) | BigInt(low >>> 0)).toString();
    at -= text.length;
    for (let i = 0; i < text.length; i++) out[at + i] = text.charCodeAt(i);
    return at;
  }
  let size = value < 0 ? -value : value;
  while (size > 0x7fffffff) {
    const rest = Math.floor(size / 10);
    out[--at] = 48 + (size - rest * 10);
    size = rest;
  }
  let small = size | 0;
  do {
    const rest = (small / 10) | 0;
    out[--at] = 48 + (small - rest * 10);
    small = rest;
  } while (small !== 0);
  if (value < 0) out[--at] = 45;
  return at;
}

/** For tests: throws when an invariant does not hold. */
export function intsetVerify(a: Arena, record: Offset): void {
  const width = a.u8[valueStart(a, record)];
  if (width < WIDTH_16 || width > WIDTH_64) throw new Error(`intset: width ${width}`);
  const rest = (valueWord(a, record) - HEADER_BYTES) & ((1 << width) - 1);
  if (rest !== 0) throw new Error(`intset: ${rest} bytes too many`);
  const count = intsetCount(a, record);
  for (let i = 1; i < count; i++) {
    const high = intsetHigh(a, record, i);
    const low = intsetLow(a, record, i);
    if (intsetFind(a, record, high, low) !== i) throw new Error(`intset: ${high}:${low} is not found at ${i}`);
    const before = intsetHigh(a, record, i - 1) * TWO_32 + (intsetLow(a, record, i - 1) >>> 0);
    if (before > high * TWO_32 + (low >>> 0)) throw new Error(`intset: not in order at ${i}`);
  }
}
