/**
 * RDB bytes being read: a range of an array and a place in it. Every read is checked against the end of the range, and a
 * length is believed only as far as the bytes it promises are there, so that hostile bytes get an RdbError and never
 * memory. Any thread; a few nanoseconds a read, and no object for any of them.
 *
 * The layout of lengths and strings is drawn in opcodes.ts.
 */
import { RdbError, type RdbErrorCode } from './errors.ts';
import { LZF_GREATEST_GAIN, lzfExpand } from './lzf.ts';
import {
  RDB_ENCODING_INT8,
  RDB_ENCODING_INT16,
  RDB_ENCODING_INT32,
  RDB_ENCODING_LZF,
  RDB_LENGTH_6BIT,
  RDB_LENGTH_14BIT,
  RDB_LENGTH_32BIT,
  RDB_LENGTH_64BIT,
  RDB_LENGTH_ENCODED,
} from './opcodes.ts';
import type { RdbString } from './string.ts';

const TWO_32 = 4294967296;
/** A longer string is refused: twice what a Redis server takes of its clients, and half of the largest arena. */
const MAX_STRING_BYTES = 2 ** 30;
/** The longest text of a string that is written as an integer. */
const INTEGER_BYTES = 11;

export class RdbInput {
  readonly u8: Uint8Array;
  /** Where the next read begins, and where the range ends. */
  at: number;
  end: number;
  /** What errors add to their offset: where in a file the array begins. */
  base = 0;
  /** The same bytes as `u8`, for words at any offset. */
  readonly view: DataView;
  /** Of the strings that were passed over: how many, their bytes when they are read, and the longest's. */
  skippedStrings = 0;
  skippedBytes = 0;
  longestSkipped = 0;

  constructor(u8: Uint8Array, start = 0, end: number = u8.length) {
    // A Buffer is another shape to the compiler than a plain array of bytes.
    this.u8 = u8.constructor === Uint8Array ? u8 : new Uint8Array(u8.buffer, u8.byteOffset, u8.byteLength);
    this.view = new DataView(u8.buffer, u8.byteOffset, u8.byteLength);
    this.at = start;
    this.end = end;
  }

  /** An error about the bytes at hand. */
  error(code: RdbErrorCode, text: string): RdbError {
    return new RdbError(code, this.base + this.at, text);
  }

  /** Throws unless `bytes` more are there. */
  need(bytes: number): void {
    if (bytes <= this.end - this.at) return;
    const missing = bytes - (this.end - this.at);
    throw new RdbError('TRUNCATED', this.base + this.at, `the bytes end here, ${missing} or more are missing`, bytes);
  }

  skip(bytes: number): void {
    this.need(bytes);
    this.at += bytes;
  }

  byte(): number {
    if (this.at >= this.end) this.need(1);
    return this.u8[this.at++];
  }

  /** A whole number in two little-endian halves; rounded beyond 2^53. */
  int64(): number {
    this.need(8);
    const low = this.view.getUint32(this.at, true);
    const high = this.view.getInt32(this.at + 4, true);
    this.at += 8;
    return high * TWO_32 + low;
  }

  int32(): number {
    this.need(4);
    const value = this.view.getInt32(this.at, true);
    this.at += 4;
    return value;
  }

  double(): number {
    this.need(8);
    const value = this.view.getFloat64(this.at, true);
    this.at += 8;
    return value;
  }

  /** A length that counts bytes or elements. */
  length(): number {
    const first = this.byte();
    const kind = first >>> 6;
    if (kind === RDB_LENGTH_6BIT) return first & 63;
    if (kind === RDB_LENGTH_14BIT) return ((first & 63) << 8) | this.byte();
    return this.longLength(first);
  }

  private longLength(first: number): number {
    let value = 0;
    if (first === RDB_LENGTH_32BIT) {
      this.need(4);
      value = this.view.getUint32(this.at);
      this.at += 4;
    } else if (first === RDB_LENGTH_64BIT) {
      this.need(8);
      value = this.view.getUint32(this.at) * TWO_32 + this.view.getUint32(this.at + 4);
      this.at += 8;
    } else {
      this.at--;
      throw this.error('BAD_STRING', `no length begins with the byte ${first}`);
    }
    return value;
  }

  /** A length that counts elements of `bytes` or more each: such a number of them must be there. */
  count(bytes: number): number {
    const count = this.length();
    this.need(count * bytes);
    return count;
  }

  /** A length that is any number of 64 bits: its upper half, then its lower half, into two words. */
  wide(to: Uint32Array, i: number): void {
    if (this.at < this.end && this.u8[this.at] === RDB_LENGTH_64BIT) {
      this.need(9);
      to[i] = this.view.getUint32(this.at + 1);
      to[i + 1] = this.view.getUint32(this.at + 5);
      this.at += 9;
      return;
    }
    to[i] = 0;
    to[i + 1] = this.length();
  }

  /** A string of whatever encoding. */
  string(to: RdbString): void {
    const first = this.byte();
    const kind = first >>> 6;
    let length = first & 63;
    if (kind === RDB_LENGTH_14BIT) length = (length << 8) | this.byte();
    else if (kind === RDB_LENGTH_ENCODED) return this.encoded(length, to);
    else if (kind !== RDB_LENGTH_6BIT) length = this.longLength(first);
    if (length > this.end - this.at) this.missing(length);
    to.set(this.u8, this.at, length);
    this.at += length;
  }

  private missing(length: number): void {
    if (length > MAX_STRING_BYTES) throw this.error('BAD_STRING', `a string of ${length} bytes`);
    this.need(length);
  }

  private encoded(encoding: number, to: RdbString): void {
    if (encoding === RDB_ENCODING_LZF) return this.compressed(to);
    const value = this.encodedInteger(encoding);
    to.setInteger(value >> 31, value);
  }

  private encodedInteger(encoding: number): number {
    if (encoding === RDB_ENCODING_INT8) return (this.byte() << 24) >> 24;
    if (encoding === RDB_ENCODING_INT16) {
      this.need(2);
      this.at += 2;
      return this.view.getInt16(this.at - 2, true);
    }
    if (encoding === RDB_ENCODING_INT32) return this.int32();
    throw this.error('BAD_STRING', `no string has the encoding ${encoding}`);
  }

  private compressed(to: RdbString): void {
    const bytes = this.length();
    const length = this.length();
    if (bytes > this.end - this.at) this.missing(bytes);
    if (length > bytes * LZF_GREATEST_GAIN || length > MAX_STRING_BYTES) {
      throw this.error('BAD_STRING', `a compressed string of ${bytes} bytes that claims to be ${length}`);
    }
    if (!lzfExpand(this.u8, this.at, this.at + bytes, to.reserve(length), length)) {
      throw this.error('BAD_STRING', 'a compressed string that cannot be expanded');
    }
    this.at += bytes;
  }

  /** Passes over a string without reading it. */
  skipString(): void {
    const first = this.byte();
    const kind = first >>> 6;
    let length = first & 63;
    let expanded = -1;
    if (kind === RDB_LENGTH_14BIT) length = (length << 8) | this.byte();
    else if (kind === RDB_LENGTH_ENCODED) {
      if (length !== RDB_ENCODING_LZF) {
        this.encodedInteger(length);
        this.noteSkipped(INTEGER_BYTES);
        return;
      }
      length = this.length();
      expanded = this.length();
    } else if (kind !== RDB_LENGTH_6BIT) length = this.longLength(first);
    if (length > this.end - this.at) this.missing(length);
    this.at += length;
    this.noteSkipped(expanded < 0 ? length : Math.min(expanded, length * LZF_GREATEST_GAIN));
  }

  private noteSkipped(bytes: number): void {
    this.skippedStrings++;
    this.skippedBytes += bytes;
    if (bytes > this.longestSkipped) this.longestSkipped = bytes;
  }
}
