/**
 * Checks that bytes are a FlatBuffer of a given layout before anything reads them. The generated readers follow offsets wherever they
 * lead, out of the frame too, and the JavaScript library has no verifier. Called by codec.ts; any thread, one verifier
 * each. Costs about 5 ns per field and nothing per byte of payload.
 *
 * ```
 * root:    +0 u32 offset to the root table
 * table:   +0 i32 how far in front of it its vtable lies | fields..
 * vtable:  +0 u16 own size | +2 u16 the table's size | +4 u16 offset of field 0 in the table (0 = absent) | +6 field 1 ..
 * vector:  +0 u32 count | elements..       an offset u32 is relative to where it is stored itself
 * ```
 *
 * Besides the bounds, it checks two things that the format itself leaves open:
 * - The readers take a vtable's numbers as signed, so above 32767 they would lead backwards: nothing of ours is as large.
 * - Tables and vectors may overlap, so that a small frame unfolds into a huge message. Here the parts together may not be
 *   more than the frame, as whoever writes them one behind the other never exceeds.
 *
 * The depth needs no limit: layouts refer to each other without a cycle.
 */
import { PeerError } from './errors.ts';
import { type FieldLayout, TABLES, type TableLayout, UNION, VECTOR, WHOLE } from './layout.ts';

const LARGEST_SIGNED = 0x7fff;
const VTABLE_HEADER_BYTES = 4;
const OFFSET_BYTES = 4;

export class Verifier {
  private bytes: Uint8Array = new Uint8Array(0);
  private start = 0;
  private end = 0;
  /** Bytes of the frame that no table or vector has been found to take. */
  private left = 0;
  private readonly double = new Float64Array(1);
  private readonly words = new Int32Array(this.double.buffer);

  /** Throws unless bytes[start, start + length) are a `root` with everything it refers to. */
  verify(bytes: Uint8Array, start: number, length: number, root: TableLayout): void {
    this.bytes = bytes;
    this.start = start;
    this.end = start + length;
    this.left = length;
    if (length < OFFSET_BYTES) throw malformed('no root');
    this.table(this.follow(start), root);
  }

  private table(at: number, layout: TableLayout): void {
    if (at > this.end - OFFSET_BYTES) throw malformed('a table beyond the end');
    const vtable = at - (this.u32(at) | 0);
    if (vtable < this.start || vtable > this.end - VTABLE_HEADER_BYTES) throw malformed('a vtable outside');
    const vtableBytes = this.u16(vtable);
    const tableBytes = this.u16(vtable + 2);
    if (vtableBytes < VTABLE_HEADER_BYTES || vtableBytes > LARGEST_SIGNED || (vtableBytes & 1) !== 0) {
      throw malformed('the size of a vtable');
    }
    if (vtable + vtableBytes > this.end) throw malformed('a vtable beyond the end');
    if (tableBytes < OFFSET_BYTES || tableBytes > LARGEST_SIGNED) throw malformed('the size of a table');
    if (at + tableBytes > this.end) throw malformed('a table beyond the end');
    this.take(tableBytes);
    const { fields } = layout;
    for (let i = 0; i < fields.length; i++) {
      const field = fields[i];
      const inside = field.slot < vtableBytes ? this.u16(vtable + field.slot) : 0;
      if (inside === 0) {
        if (field.required) throw malformed('a missing field');
      } else {
        if (inside < OFFSET_BYTES || inside + field.size > tableBytes) throw malformed('a field outside its table');
        if (field.kind === WHOLE) this.whole(at + inside);
        else if (field.kind === VECTOR) this.vector(this.follow(at + inside), field);
        else if (field.kind === TABLES) this.tables(this.follow(at + inside), field.tables[0]);
        else if (field.kind === UNION) this.union(at, vtable, inside, field);
      }
    }
  }

  private vector(at: number, field: FieldLayout): void {
    const { elementBytes, wholes } = field;
    const count = this.elements(at, elementBytes);
    if (wholes.length === 0) return;
    let element = at + OFFSET_BYTES;
    for (let i = 0; i < count; i++, element += elementBytes) {
      for (let k = 0; k < wholes.length; k++) this.whole(element + wholes[k]);
    }
  }

  private tables(at: number, layout: TableLayout): void {
    const count = this.elements(at, OFFSET_BYTES);
    let element = at + OFFSET_BYTES;
    for (let i = 0; i < count; i++, element += OFFSET_BYTES) this.table(this.follow(element), layout);
  }

  /** The number of elements of a vector that lies inside. */
  private elements(at: number, elementBytes: number): number {
    if (at > this.end - OFFSET_BYTES) throw malformed('a vector beyond the end');
    const count = this.u32(at);
    if (count * elementBytes > this.end - at - OFFSET_BYTES) throw malformed('a vector beyond the end');
    this.take(OFFSET_BYTES + count * elementBytes);
    return count;
  }

  private union(at: number, vtable: number, inside: number, field: FieldLayout): void {
    // The kind is the field before, required and checked already.
    const type = this.bytes[at + this.u16(vtable + field.slot - 2)];
    if (type === 0) throw malformed('a message without its kind');
    if (type > field.tables.length) throw new PeerError('UNKNOWN_MESSAGE', `peer: a message of unknown kind ${type}`);
    this.table(this.follow(at + inside), field.tables[type - 1]);
  }

  private whole(at: number): void {
    this.words[0] = this.u32(at);
    this.words[1] = this.u32(at + 4);
    const value = this.double[0];
    // The sign is looked at apart, since -0 is not below 0.
    if (!(value <= Number.MAX_SAFE_INTEGER) || this.words[1] < 0 || Math.floor(value) !== value) {
      throw malformed('a number that is not whole');
    }
  }

  /** Where the offset stored at `at` leads. May be beyond the end, but never before the offset itself. */
  private follow(at: number): number {
    return at + this.u32(at);
  }

  private take(bytes: number): void {
    this.left -= bytes;
    if (this.left < 0) throw malformed('parts that overlap');
  }

  private u16(at: number): number {
    return this.bytes[at] | (this.bytes[at + 1] << 8);
  }

  private u32(at: number): number {
    const { bytes } = this;
    return (bytes[at] | (bytes[at + 1] << 8) | (bytes[at + 2] << 16) | (bytes[at + 3] << 24)) >>> 0;
  }
}

function malformed(what: string): PeerError {
  return new PeerError('MALFORMED', `peer: a malformed frame: ${what}`);
}
