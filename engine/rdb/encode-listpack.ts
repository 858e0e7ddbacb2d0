/**
 * Writes one listpack as an RDB string: Redis's packed form of lists, small hashes and sorted sets, and nodes of streams.
 * One object per thread, reused; nothing is allocated.
 *
 * ```
 * length, filled in at the end | u32 bytes of the listpack | u16 elements, 65535 = that many or more | elements | ff
 * element: mark | what it announces | back length: bytes of these two, 7 to a byte, the last one without bit 7 first
 *   0vvvvvvv                        0 to 127
 *   110vvvvv vvvvvvvv               13 bits, signed, high byte first
 *   f1, f2, f3, f4                  integers of 16, 24, 32, 64 bits, low byte first
 *   10llllll, 1110llll llllllll     strings of up to 63 bytes, of up to 4095
 *   f0, u32 length                  longer strings
 * ```
 * Example: the elements `1` and `ab` are `0d 00 00 00 | 02 00 | 01 01 | 82 61 62 03 | ff`, behind the length 0d.
 *
 * A string that is the one decimal text of a signed 64-bit integer is written as that integer, as Redis does.
 */
import type { Arena } from '../arena.ts';
import { Request } from '../request.ts';
import { highOf, lowOf } from '../types/intset.ts';
import { MAX_SHORT_LENGTH, RdbOutput, SHORT_LENGTH_BYTES } from './output.ts';

const INTEGER_13_BITS = 0xc0;
/** Those of 24 and 32 bits follow. */
const INTEGER_16_BITS = 0xf1;
const INTEGER_64_BITS = 0xf4;
const STRING_6_BITS = 0x80;
const STRING_12_BITS = 0xe0;
const STRING_32_BITS = 0xf0;
const END = 0xff;

/** Strings below these lengths have a mark of one byte, and of two. */
const LENGTH_6_BITS = 64;
const LENGTH_12_BITS = 4096;
const MANY_ELEMENTS = 65535;
/** Mark, 32 bits, back length. */
const MAX_SMALL_INTEGER_BYTES = 6;
/** Digits and sign of a 64-bit integer. */
const MAX_INTEGER_BYTES = 20;
const DIGIT_9 = 57;

const number = new Request();

/** Bytes of the back length behind `bytes` bytes. */
export function backLengthBytes(bytes: number): number {
  if (bytes <= 127) return 1;
  if (bytes < 16383) return 2;
  return bytes < 2097151 ? 3 : bytes < 268435455 ? 4 : 5;
}

/** Bytes of the mark of a string. */
export function stringMarkBytes(length: number): number {
  return length < LENGTH_6_BITS ? 1 : length < LENGTH_12_BITS ? 2 : 5;
}

export class ListpackWriter {
  private out = new RdbOutput(new Uint8Array(0));
  /** Where the length belongs, and where the listpack begins. */
  private lengthAt = 0;
  private start = 0;
  private elements = 0;
  private markedLength = 0;
  private markedElements = 0;

  /** Begins a listpack of at most `maxBytes`. */
  begin(out: RdbOutput, maxBytes: number): void {
    this.out = out;
    this.lengthAt = out.reserveLength(maxBytes > MAX_SHORT_LENGTH);
    this.start = out.length;
    this.elements = 0;
    out.u32(0);
    out.u16(0);
  }

  /** Bytes of the listpack so far, with its end. */
  get bytes(): number {
    return this.out.length - this.start + 1;
  }

  end(): void {
    const { out, start } = this;
    out.byte(END);
    const bytes = out.length - start;
    out.setU32(start, bytes);
    out.setU16(start + 4, Math.min(this.elements, MANY_ELEMENTS));
    out.fillLength(this.lengthAt, start - this.lengthAt > SHORT_LENGTH_BYTES, bytes);
  }

  /** Notes where it is, for one `rewind` to here. */
  mark(): void {
    this.markedLength = this.out.length;
    this.markedElements = this.elements;
  }

  rewind(): void {
    this.out.length = this.markedLength;
    this.elements = this.markedElements;
  }

  /** A signed 64-bit integer in two halves, each signed or not. */
  integer(high: number, low: number): void {
    const small = low | 0;
    if ((high | 0) !== small >> 31) this.wideInteger(high, low);
    else this.smallInteger(small);
  }

  /** An integer of 32 bits. */
  private smallInteger(value: number): void {
    const { out } = this;
    this.elements++;
    out.ensure(MAX_SMALL_INTEGER_BYTES);
    const { u8 } = out;
    const from = out.length;
    let at = from;
    if (value >= 0 && value < 128) {
      u8[at++] = value;
    } else if (value >= -4096 && value < 4096) {
      u8[at++] = INTEGER_13_BITS | ((value >>> 8) & 31);
      u8[at++] = value;
    } else {
      const bytes = value === (value << 16) >> 16 ? 2 : value === (value << 8) >> 8 ? 3 : 4;
      u8[at++] = INTEGER_16_BITS + bytes - 2;
      for (let shift = 0; shift < bytes * 8; shift += 8) u8[at++] = value >>> shift;
    }
    u8[at] = at - from;
    out.length = at + 1;
  }

  private wideInteger(high: number, low: number): void {
    this.elements++;
    this.out.byte(INTEGER_64_BITS);
    this.out.u64(high, low);
    this.out.byte(9);
  }

  /** A string of an arena. */
  string(a: Arena, start: number, length: number): void {
    const { u8 } = a;
    if (length > 0 && length <= MAX_INTEGER_BYTES && u8[start] <= DIGIT_9 && number.longAt(u8, start, length)) {
      this.integer(highOf(number), lowOf(number));
      return;
    }
    this.stringMark(length);
    this.out.bytes(a, start, length);
    this.backLength(stringMarkBytes(length) + length);
  }

  /** A string of ASCII letters that are no integer. */
  ascii(text: string): void {
    this.stringMark(text.length);
    this.out.ascii(text);
    this.backLength(stringMarkBytes(text.length) + text.length);
  }

  /** A string of zero bytes. */
  zeros(length: number): void {
    this.stringMark(length);
    this.out.zeros(length);
    this.backLength(stringMarkBytes(length) + length);
  }

  private stringMark(length: number): void {
    const { out } = this;
    this.elements++;
    if (length < LENGTH_6_BITS) {
      out.byte(STRING_6_BITS | length);
    } else if (length < LENGTH_12_BITS) {
      out.byte(STRING_12_BITS | (length >>> 8));
      out.byte(length);
    } else {
      out.byte(STRING_32_BITS);
      out.u32(length);
    }
  }

  private backLength(bytes: number): void {
    const { out } = this;
    let shift = (backLengthBytes(bytes) - 1) * 7;
    out.byte(bytes >>> shift);
    for (shift -= 7; shift >= 0; shift -= 7) out.byte(((bytes >>> shift) & 127) | 128);
  }
}
