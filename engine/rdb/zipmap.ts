/**
 * Reads zipmaps, in which Redis before 2.6 kept small hashes. `open` walks over all of it, so that the reads that follow
 * stay inside.
 *
 * ```
 * u8 fields, 254 or more for unknown | by turns: length, field | length, u8 unused bytes, value, unused bytes | ff
 * length: u8, or fe and u32 little-endian
 * ```
 * Example: {a: 1} is `01 | 01 61 | 01 00 31 | ff`.
 */
import type { Elements } from './elements.ts';
import { RdbInput } from './input.ts';
import type { RdbString } from './string.ts';

const UNKNOWN_COUNT = 254;
const END = 0xff;
const LONG = 0xfe;

export class Zipmap implements Elements {
  count = 0;
  private start = 0;
  private length = 0;
  private buf: Uint8Array = new Uint8Array(0);
  private first = 0;
  private at = 0;
  /** Where the end mark lies. */
  private end = 0;
  private isValue = false;
  private input = new RdbInput(this.buf);

  /** Begins with the zipmap in `blob`, which was read from `input`. */
  open(input: RdbInput, blob: RdbString): void {
    const { buf, at, length } = blob;
    this.input = input;
    this.buf = buf;
    this.first = at + 1;
    this.end = at + length - 1;
    if (length < 2 || buf[this.end] !== END) this.fail('without an end');
    this.count = 0;
    this.rewind();
    while (this.at < this.end) {
      this.read();
      this.count++;
    }
    if (this.isValue) this.fail('whose last field has no value');
    if (buf[at] < UNKNOWN_COUNT && buf[at] * 2 !== this.count) this.fail(`that claims ${buf[at]} fields`);
    this.rewind();
  }

  rewind(): void {
    this.at = this.first;
    this.isValue = false;
  }

  next(to: RdbString): void {
    this.read();
    to.set(this.buf, this.start, this.length);
  }

  private read(): void {
    const { buf } = this;
    let at = this.at;
    this.length = buf[at++];
    if (this.length === END) this.fail('that ends before its end');
    if (this.length === LONG) {
      this.length = (buf[at] | (buf[at + 1] << 8) | (buf[at + 2] << 16) | (buf[at + 3] << 24)) >>> 0;
      at += 4;
    }
    const unused = this.isValue ? buf[at++] : 0;
    this.start = at;
    this.at = at + this.length + unused;
    if (this.at > this.end || at > this.end) this.fail('with an entry beyond its end');
    this.isValue = !this.isValue;
  }

  private fail(what: string): never {
    throw this.input.error('BAD_VALUE', `a zipmap ${what}`);
  }
}
