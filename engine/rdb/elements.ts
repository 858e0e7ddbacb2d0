/**
 * The elements of a collection, one after the other, however the RDB bytes hold them: as strings of their own
 * (`PlainElements`) or packed in one string (listpack.ts, ziplist.ts, zipmap.ts, intset.ts). They can be read twice: first
 * to measure them, then to copy them into an arena, so that nothing is reserved before all of them have been seen.
 */
import type { RdbInput } from './input.ts';
import type { RdbString } from './string.ts';

export interface Elements {
  /** How many there are; a hash has two for each field. */
  readonly count: number;
  /** Goes back to the first. */
  rewind(): void;
  /** Reads the next; the caller does not ask for more than there are. */
  next(to: RdbString): void;
}

/** Strings of the input itself. */
export class PlainElements implements Elements {
  count = 0;
  private input: RdbInput | undefined = undefined;
  private start = 0;

  /** The next `count` strings of the input. */
  open(input: RdbInput, count: number): void {
    this.input = input;
    this.start = input.at;
    this.count = count;
  }

  rewind(): void {
    (this.input as RdbInput).at = this.start;
  }

  next(to: RdbString): void {
    (this.input as RdbInput).string(to);
  }
}
