/**
 * A string read from RDB bytes: a range of the input itself when it lies there as it is, else its text in memory of its
 * own. Reused for one string after another, so that none of them costs an object; good until the next is read into it.
 */
import { INTEGER_TEXT_BYTES, integerText } from '../types/intset.ts';

const NO_BYTES = new Uint8Array(0);
const FIRST_BYTES = 256;
/** Memory beyond this is given back by `release`. */
const KEPT_BYTES = 1024 * 1024;

export class RdbString {
  buf: Uint8Array = NO_BYTES;
  at = 0;
  length = 0;
  private readonly digits = new Uint8Array(INTEGER_TEXT_BYTES);
  private scratch = NO_BYTES;

  set(buf: Uint8Array, at: number, length: number): void {
    this.buf = buf;
    this.at = at;
    this.length = length;
  }

  /** Becomes the decimal text of a 64-bit integer in two signed halves. */
  setInteger(high: number, low: number): void {
    this.buf = this.digits;
    this.at = integerText(high, low, this.digits);
    this.length = INTEGER_TEXT_BYTES - this.at;
  }

  /** Becomes `length` bytes of memory of its own, which the caller then writes from index 0 on. */
  reserve(length: number): Uint8Array {
    if (this.scratch.length < length) this.scratch = new Uint8Array(Math.max(FIRST_BYTES, length));
    this.set(this.scratch, 0, length);
    return this.scratch;
  }

  /** Lets go of the input's bytes, and of its own when they are many. */
  release(): void {
    this.set(NO_BYTES, 0, 0);
    if (this.scratch.length > KEPT_BYTES) this.scratch = NO_BYTES;
  }

  /** One character per byte, for messages; at most 64 of them, anything but plain ASCII as \x.. */
  shown(): string {
    let text = '';
    for (let i = 0; i < Math.min(this.length, 64); i++) {
      const byte = this.buf[this.at + i];
      const plain = byte >= 32 && byte < 127;
      text += plain ? String.fromCharCode(byte) : `\\x${byte.toString(16).padStart(2, '0')}`;
    }
    return this.length > 64 ? `"${text}..."` : `"${text}"`;
  }
}
