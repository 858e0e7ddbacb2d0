/**
 * Reads ziplists, in which Redis before 7 kept small hashes, sorted sets and lists. `open` walks over all of it and checks
 * every length in both directions, so that the reads that follow stay inside. A few nanoseconds an element.
 *
 * ```
 * +0 u32 bytes of all this | +4 u32 offset of the last entry | +8 u16 entries, 65535 for unknown | entries | ff
 * entry: bytes of the entry before: u8, or fe and u32 | encoding | data
 *   00llllll             string of l bytes          11000000  int16    11010000  int32    11100000  int64
 *   01llllll llllllll    string of l bytes          11110000  int24    11111110  int8     1111nnnn  0 to 12: n - 1
 *   10...... u32         string, length big-endian
 * ```
 * All else is little-endian. Example: `ab` and 5 are `10 00 00 00 | 0e 00 00 00 | 02 00 | 00 02 61 62 | 04 f6 | ff`.
 */
import type { Elements } from './elements.ts';
import { RdbInput } from './input.ts';
import type { RdbString } from './string.ts';

const HEADER_BYTES = 10;
const UNKNOWN_COUNT = 65535;
const END = 0xff;
const LONG_BEFORE = 0xfe;

export class Ziplist implements Elements {
  count = 0;
  private isInteger = false;
  private high = 0;
  private low = 0;
  private start = 0;
  private length = 0;
  private buf: Uint8Array = new Uint8Array(0);
  private first = 0;
  private at = 0;
  /** Where the end mark lies. */
  private end = 0;
  /** Bytes of the entry read last; 0 before the first. */
  private before = 0;
  private input = new RdbInput(this.buf);

  /** Begins with the ziplist in `blob`, which was read from `input`. */
  open(input: RdbInput, blob: RdbString): void {
    const { buf, at, length } = blob;
    this.input = input;
    this.buf = buf;
    this.first = at + HEADER_BYTES;
    this.end = at + length - 1;
    if (length <= HEADER_BYTES || u32(buf, at) !== length || buf[this.end] !== END) this.fail('of another length');
    const said = buf[at + 8] | (buf[at + 9] << 8);
    this.count = 0;
    this.rewind();
    while (this.at < this.end) {
      this.read();
      this.count++;
    }
    if (said !== UNKNOWN_COUNT && said !== this.count) this.fail(`of ${this.count} entries that claims ${said}`);
    if (at + u32(buf, at + 4) !== this.end - this.before) this.fail('whose last entry lies elsewhere');
    this.rewind();
  }

  rewind(): void {
    this.at = this.first;
    this.before = 0;
  }

  next(to: RdbString): void {
    this.read();
    if (this.isInteger) to.setInteger(this.high, this.low);
    else to.set(this.buf, this.start, this.length);
  }

  private read(): void {
    const { buf, at } = this;
    const before = buf[at] < LONG_BEFORE ? buf[at] : u32(buf, at + 1);
    if (before !== this.before || buf[at] === END) this.fail('with an entry that leads elsewhere');
    const next = this.readEntry(at + (buf[at] < LONG_BEFORE ? 1 : 5));
    if (next > this.end) this.fail('with an entry beyond its end');
    this.before = next - at;
    this.at = next;
  }

  /** Reads from the encoding on; returns where the entry ends. */
  private readEntry(at: number): number {
    const { buf } = this;
    const first = buf[at];
    this.isInteger = first >= 0xc0;
    if (this.isInteger) return this.readInteger(first, at + 1);
    if (first < 0x40) {
      this.length = first;
      this.start = at + 1;
    } else if (first < 0x80) {
      this.length = ((first & 63) << 8) | buf[at + 1];
      this.start = at + 2;
    } else {
      this.length = ((buf[at + 1] << 24) | (buf[at + 2] << 16) | (buf[at + 3] << 8) | buf[at + 4]) >>> 0;
      this.start = at + 5;
    }
    return this.start + this.length;
  }

  private readInteger(first: number, at: number): number {
    const word = u32(this.buf, at) | 0;
    let low = word;
    let next = at + 4;
    if (first === 0xc0) {
      low = (word << 16) >> 16;
      next = at + 2;
    } else if (first === 0xf0) {
      low = (word << 8) >> 8;
      next = at + 3;
    } else if (first === 0xfe) {
      low = (word << 24) >> 24;
      next = at + 1;
    } else if (first > 0xf0 && first < LONG_BEFORE) {
      low = (first & 15) - 1;
      next = at;
    } else if (first === 0xe0) {
      this.low = low;
      this.high = u32(this.buf, at + 4) | 0;
      return at + 8;
    } else if (first !== 0xd0) {
      this.fail(`with an entry of the encoding ${first}`);
    }
    this.low = low;
    this.high = low >> 31;
    return next;
  }

  private fail(what: string): never {
    throw this.input.error('BAD_VALUE', `a ziplist ${what}`);
  }
}

function u32(buf: Uint8Array, at: number): number {
  return (buf[at] | (buf[at + 1] << 8) | (buf[at + 2] << 16) | (buf[at + 3] << 24)) >>> 0;
}
