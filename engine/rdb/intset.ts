/**
 * Reads intsets, in which Redis keeps small sets of integers.
 *
 * ```
 * +0 u32 bytes of an integer: 2, 4 or 8 | +4 u32 integers | the integers, ascending; all little-endian
 * ```
 * Example: {-1, 5} is `02 00 00 00 | 02 00 00 00 | ff ff | 05 00`.
 */
import type { Elements } from './elements.ts';
import type { RdbInput } from './input.ts';
import type { RdbString } from './string.ts';

const HEADER_BYTES = 8;

export class Intset implements Elements {
  count = 0;
  /** The integer read last, in two signed halves. */
  high = 0;
  low = 0;
  private view: DataView = new DataView(new ArrayBuffer(0));
  private width = 2;
  private first = 0;
  private at = 0;

  /** Begins with the intset in `blob`, which was read from `input`. */
  open(input: RdbInput, blob: RdbString): void {
    const { buf, at, length } = blob;
    if (this.view.buffer !== buf.buffer || this.view.byteOffset !== buf.byteOffset) {
      this.view = new DataView(buf.buffer, buf.byteOffset, buf.byteLength);
    }
    this.first = at + HEADER_BYTES;
    if (length < HEADER_BYTES) throw input.error('BAD_VALUE', 'an intset without a head');
    this.width = this.view.getUint32(at, true);
    this.count = this.view.getUint32(at + 4, true);
    const isWidth = this.width === 2 || this.width === 4 || this.width === 8;
    if (!isWidth || HEADER_BYTES + this.count * this.width !== length) {
      throw input.error('BAD_VALUE', 'an intset of another length');
    }
    this.checkOrder(input);
    this.rewind();
  }

  private checkOrder(input: RdbInput): void {
    this.rewind();
    for (let i = 0; i < this.count; i++) {
      const { high, low } = this;
      this.read();
      const rises = this.high > high || (this.high === high && this.low >>> 0 > low >>> 0);
      if (i > 0 && !rises) throw input.error('BAD_VALUE', 'an intset that is not in order');
    }
  }

  rewind(): void {
    this.at = this.first;
  }

  next(to: RdbString): void {
    this.read();
    to.setInteger(this.high, this.low);
  }

  /** Reads the next integer into the fields of this object. */
  read(): void {
    const { view, at } = this;
    if (this.width === 2) this.low = view.getInt16(at, true);
    else this.low = view.getInt32(at, true);
    this.high = this.width === 8 ? view.getInt32(at + 4, true) : this.low >> 31;
    this.at = at + this.width;
  }
}
