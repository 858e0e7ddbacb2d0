/**
 * Reads listpacks, in which Redis 7 keeps small collections and the nodes of lists and streams. `open` walks over all of
 * it and checks every length in both directions, so that the reads that follow stay inside. A few nanoseconds an element.
 *
 * ```
 * +0 u32 bytes of all this | +4 u16 elements, 65535 for unknown | elements | ff
 * element: encoding and data | length of those, to be read backwards, 7 bits to a byte (1 to 5 bytes)
 *   0nnnnnnn            0 to 127                 10llllll ..           string of l bytes
 *   110nnnnn nnnnnnnn   13 bits, signed          1110llll llllllll ..  string of l bytes
 *   f1 .. f4            int16, int24, int32, int64                     f0 u32 ..  string
 * ```
 * Multi-byte integers are little-endian but for those that share a byte with their encoding. Example: `ab` and 5 are
 * `0d 00 00 00 02 00 | 82 61 62 03 | 05 01 | ff`.
 */
import type { Elements } from './elements.ts';
import { RdbInput } from './input.ts';
import type { RdbString } from './string.ts';

const HEADER_BYTES = 6;
const UNKNOWN_COUNT = 65535;
const END = 0xff;
/** Elements from so many bytes on have a backward length of two bytes, three, and so on. */
const BACK_2 = 128;
const BACK_3 = 16383;
const BACK_4 = 2097151;
const BACK_5 = 268435455;

const NO_BYTES: Uint8Array = new Uint8Array(0);
const NO_INPUT = new RdbInput(NO_BYTES);

export class Listpack implements Elements {
  count = 0;
  /** The element read last: an integer in two signed halves, or a string of `length` bytes at `start` of the blob's bytes. */
  isInteger = false;
  high = 0;
  low = 0;
  start = 0;
  length = 0;
  private buf = NO_BYTES;
  private first = 0;
  private at = 0;
  /** Where the end mark lies. */
  private end = 0;
  private input = NO_INPUT;

  /** Begins with the listpack in `blob`, which was read from `input`. */
  open(input: RdbInput, blob: RdbString): void {
    const { buf, at, length } = blob;
    this.input = input;
    this.buf = buf;
    this.first = at + HEADER_BYTES;
    this.end = at + length - 1;
    if (length <= HEADER_BYTES || u32(buf, at) !== length || buf[this.end] !== END) this.fail('of another length');
    const said = buf[at + 4] | (buf[at + 5] << 8);
    this.count = 0;
    this.rewind();
    while (this.at < this.end) {
      this.read();
      this.count++;
    }
    if (said !== UNKNOWN_COUNT && said !== this.count) this.fail(`of ${this.count} elements that claims ${said}`);
    this.rewind();
  }

  rewind(): void {
    this.at = this.first;
  }

  /** Whether all elements have been read. */
  get isDone(): boolean {
    return this.at === this.end;
  }

  next(to: RdbString): void {
    this.read();
    this.give(to);
  }

  /** Gives the element read last. */
  give(to: RdbString): void {
    if (this.isInteger) to.setInteger(this.high, this.low);
    else to.set(this.buf, this.start, this.length);
  }

  /** Reads the next element into the fields of this object. */
  read(): void {
    const { buf, at } = this;
    const first = buf[at];
    let bytes = 1;
    this.isInteger = true;
    if (first < 0x80) {
      this.integer(0, first);
    } else if (first < 0xc0) {
      bytes = this.string(at + 1, first & 63) - at;
    } else if (first < 0xe0) {
      const low = (((first & 31) << 27) | (buf[at + 1] << 19)) >> 19;
      this.integer(low >> 31, low);
      bytes = 2;
    } else if (first < 0xf0) {
      bytes = this.string(at + 2, ((first & 15) << 8) | buf[at + 1]) - at;
    } else if (first === 0xf0) {
      bytes = this.string(at + 5, u32(buf, at + 1)) - at;
    } else {
      bytes = this.wideInteger(first, at);
    }
    const size = backBytes(bytes);
    if (at + bytes + size > this.end) this.fail('with an element beyond its end');
    if (!this.isBackLength(at + bytes, size, bytes)) this.fail('with an element of two lengths');
    this.at = at + bytes + size;
  }

  private integer(high: number, low: number): void {
    this.high = high;
    this.low = low;
  }

  /** The element is a string; returns where it ends. */
  private string(start: number, length: number): number {
    this.isInteger = false;
    this.start = start;
    this.length = length;
    return start + length;
  }

  /** The element is an integer of two bytes or more; returns how many bytes it has. */
  private wideInteger(first: number, at: number): number {
    const { buf } = this;
    let low = buf[at + 1] | (buf[at + 2] << 8);
    if (first === 0xf1) {
      low = (low << 16) >> 16;
      this.integer(low >> 31, low);
      return 3;
    }
    low |= buf[at + 3] << 16;
    if (first === 0xf2) {
      low = (low << 8) >> 8;
      this.integer(low >> 31, low);
      return 4;
    }
    low |= buf[at + 4] << 24;
    this.integer(low >> 31, low);
    if (first === 0xf3) return 5;
    if (first !== 0xf4) this.fail(`with an element that begins with the byte ${first}`);
    this.high = u32(buf, at + 5) | 0;
    return 9;
  }

  /** Whether the `size` bytes at `at` are the backward length of `bytes`: the last byte holds the lowest 7 bits. */
  private isBackLength(at: number, size: number, bytes: number): boolean {
    const { buf } = this;
    if (size === 1) return buf[at] === bytes;
    let rest = bytes;
    for (let i = at + size - 1; i > at; i--) {
      if (buf[i] !== ((rest & 127) | 128)) return false;
      rest >>>= 7;
    }
    return buf[at] === rest;
  }

  /** Lets go of the bytes. */
  close(): void {
    this.buf = NO_BYTES;
    this.input = NO_INPUT;
  }

  fail(what: string): never {
    throw this.input.error('BAD_VALUE', `a listpack ${what}`);
  }
}

/** Bytes of the backward length of an element of `bytes`. */
function backBytes(bytes: number): number {
  if (bytes < BACK_3) return bytes < BACK_2 ? 1 : 2;
  return bytes < BACK_4 ? 3 : bytes < BACK_5 ? 4 : 5;
}

function u32(buf: Uint8Array, at: number): number {
  return (buf[at] | (buf[at + 1] << 8) | (buf[at + 2] << 16) | (buf[at + 3] << 24)) >>> 0;
}
