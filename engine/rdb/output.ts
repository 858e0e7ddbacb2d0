/**
 * Bytes of the RDB format (opcodes.ts), back to back in one buffer that grows. Any thread, reused: nothing is allocated but
 * when the buffer doubles. `u8` may be a view of shared memory, and stays one when it grows; whoever gave it looks at
 * `u8` again afterwards.
 */
import type { Arena } from '../arena.ts';
import {
  RDB_ENCODING_INT8,
  RDB_ENCODING_INT16,
  RDB_ENCODING_INT32,
  RDB_LENGTH_14BIT,
  RDB_LENGTH_32BIT,
  RDB_LENGTH_64BIT,
  RDB_LENGTH_ENCODED,
} from './opcodes.ts';

/** Bytes of a length that stands first and is filled in later: as short as it may be, and for any number. */
export const SHORT_LENGTH_BYTES = 2;
export const WIDE_LENGTH_BYTES = 5;
/** The largest length that fits two bytes. */
export const MAX_SHORT_LENGTH = 16383;
const MAX_ONE_BYTE_LENGTH = 63;

const SHORT_MARK = RDB_LENGTH_14BIT << 14;
const ENCODED = RDB_LENGTH_ENCODED << 6;
const WORD = 4294967296;
const INT64_LIMIT = 2 ** 63;
const MINUS = 45;
const DIGIT_0 = 48;
const DIGIT_9 = 57;

/** Up to so many bytes copying words beats `set` with its view, which costs 150 ns; a loop over bytes is half as fast. */
const LOOP_BYTES = 320;
/** Texts of more bytes are not tried as integers: a sign and ten digits are the longest of 32 bits. */
const MAX_INTEGER_BYTES = 11;

export class RdbOutput {
  u8: Uint8Array;
  /** Bytes written so far. */
  length = 0;
  private view: DataView;

  constructor(u8: Uint8Array = new Uint8Array(64 * 1024)) {
    this.u8 = u8;
    this.view = new DataView(u8.buffer, u8.byteOffset, u8.byteLength);
  }

  /** Makes room for `extra` more bytes. */
  ensure(extra: number): void {
    if (this.length + extra > this.u8.length) this.grow(this.length + extra);
  }

  private grow(bytes: number): void {
    const capacity = Math.max(this.u8.length * 2, bytes);
    const shared = this.u8.buffer instanceof SharedArrayBuffer;
    const grown = new Uint8Array(shared ? new SharedArrayBuffer(capacity) : new ArrayBuffer(capacity));
    grown.set(this.u8.subarray(0, this.length));
    this.u8 = grown;
    this.view = new DataView(grown.buffer);
  }

  byte(value: number): void {
    this.ensure(1);
    this.u8[this.length++] = value;
  }

  u16(value: number): void {
    this.ensure(2);
    this.view.setUint16(this.length, value, true);
    this.length += 2;
  }

  u32(value: number): void {
    this.ensure(4);
    this.view.setUint32(this.length, value, true);
    this.length += 4;
  }

  u32BigEndian(value: number): void {
    this.ensure(4);
    this.view.setUint32(this.length, value);
    this.length += 4;
  }

  /** A 64-bit number in two halves. */
  u64(high: number, low: number): void {
    this.ensure(8);
    this.view.setUint32(this.length, low, true);
    this.view.setUint32(this.length + 4, high, true);
    this.length += 8;
  }

  double(value: number): void {
    this.ensure(8);
    this.view.setFloat64(this.length, value, true);
    this.length += 8;
  }

  /** A length below 2^32. */
  lengthOf(count: number): void {
    this.ensure(WIDE_LENGTH_BYTES);
    const at = this.length;
    if (count <= MAX_ONE_BYTE_LENGTH) {
      this.u8[at] = count;
      this.length = at + 1;
    } else if (count <= MAX_SHORT_LENGTH) {
      this.view.setUint16(at, SHORT_MARK | count);
      this.length = at + SHORT_LENGTH_BYTES;
    } else {
      this.u8[at] = RDB_LENGTH_32BIT;
      this.view.setUint32(at + 1, count);
      this.length = at + WIDE_LENGTH_BYTES;
    }
  }

  /** A length of 64 bits in two halves. */
  wideLength(high: number, low: number): void {
    if (high === 0) return this.lengthOf(low);
    this.ensure(9);
    const at = this.length;
    this.u8[at] = RDB_LENGTH_64BIT;
    this.view.setUint32(at + 1, high);
    this.view.setUint32(at + 5, low);
    this.length = at + 9;
  }

  /** Leaves room for a length in the short or the wide form, and returns where; `fillLength` writes it. */
  reserveLength(wide: boolean): number {
    const at = this.length;
    const bytes = wide ? WIDE_LENGTH_BYTES : SHORT_LENGTH_BYTES;
    this.ensure(bytes);
    this.length = at + bytes;
    return at;
  }

  /** Writes a length that was reserved at `at`. A small one has a byte less than the short form, and what follows moves up. */
  fillLength(at: number, wide: boolean, count: number): void {
    const { u8 } = this;
    if (wide) {
      u8[at] = RDB_LENGTH_32BIT;
      this.view.setUint32(at + 1, count);
    } else if (count > MAX_ONE_BYTE_LENGTH) {
      if (count > MAX_SHORT_LENGTH) throw new Error(`rdb: ${count} does not fit the short form of a length`);
      this.view.setUint16(at, SHORT_MARK | count);
    } else {
      u8[at] = count;
      for (let i = at + SHORT_LENGTH_BYTES; i < this.length; i++) u8[i - 1] = u8[i];
      this.length--;
    }
  }

  /** Writes over two or four bytes that are there already. */
  setU16(at: number, value: number): void {
    this.view.setUint16(at, value, true);
  }

  setU32(at: number, value: number): void {
    this.view.setUint32(at, value, true);
  }

  /** Bytes of an arena as they are. */
  bytes(a: Arena, start: number, length: number): void {
    this.ensure(length);
    const at = this.length;
    if (length > LOOP_BYTES) {
      this.u8.set(a.u8.subarray(start, start + length), at);
    } else {
      const to = this.view;
      const from = a.view;
      let i = 0;
      for (const last = length - 8; i <= last; i += 8) {
        to.setInt32(at + i, from.getInt32(start + i, true), true);
        to.setInt32(at + i + 4, from.getInt32(start + i + 4, true), true);
      }
      for (; i < length; i++) this.u8[at + i] = a.u8[start + i];
    }
    this.length = at + length;
  }

  /** Zero bytes. */
  zeros(count: number): void {
    this.ensure(count);
    this.u8.fill(0, this.length, this.length + count);
    this.length += count;
  }

  /** A string of an arena; as an integer when it is the one decimal text of one of 32 bits, as Redis writes it. */
  string(a: Arena, start: number, length: number): void {
    if (length <= MAX_INTEGER_BYTES && a.u8[start] <= DIGIT_9 && this.integer(a.u8, start, length)) return;
    this.lengthOf(length);
    this.bytes(a, start, length);
  }

  private integer(from: Uint8Array, start: number, length: number): boolean {
    const first = from[start] === MINUS ? start + 1 : start;
    const end = start + length;
    if (first >= end || (from[first] === DIGIT_0 && length > 1)) return false;
    let value = 0;
    for (let i = first; i < end; i++) {
      const digit = from[i] - DIGIT_0;
      if (digit < 0 || digit > 9) return false;
      value = value * 10 + digit;
    }
    if (first > start) value = -value;
    if (value !== (value | 0)) return false;
    this.ensure(WIDE_LENGTH_BYTES);
    const at = this.length;
    if (value === (value << 24) >> 24) {
      this.u8[at] = ENCODED | RDB_ENCODING_INT8;
      this.u8[at + 1] = value;
      this.length = at + 2;
    } else if (value === (value << 16) >> 16) {
      this.u8[at] = ENCODED | RDB_ENCODING_INT16;
      this.view.setInt16(at + 1, value, true);
      this.length = at + 3;
    } else {
      this.u8[at] = ENCODED | RDB_ENCODING_INT32;
      this.view.setInt32(at + 1, value, true);
      this.length = at + 5;
    }
    return true;
  }

  /** ASCII letters as they are. */
  ascii(text: string): void {
    this.ensure(text.length);
    for (let i = 0; i < text.length; i++) this.u8[this.length++] = text.charCodeAt(i);
  }

  /** A time in ms since 1970, as a signed 64-bit number. The highest of those are 2^63 as a double, which is none. */
  milliseconds(atMs: number): void {
    if (atMs < INT64_LIMIT) this.u64(Math.floor(atMs / WORD), atMs % WORD);
    else this.u64(0x7fffffff, 0xffffffff);
  }
}
