/**
 * A ring of records between two threads: one writer, one reader, in a SharedArrayBuffer. No locks; about 20 ns a record.
 *
 * A record is a length word and then whatever the two agreed on; it never wraps, so both sides read and write it through
 * plain views. Records are 8-aligned. A full ring refuses (`reserve` gives 0): the writer must wait or say so.
 *
 * ```
 * +0   i32 head: bytes read, modulo 2^32 (the reader's)
 * +64  i32 tail: bytes written, modulo 2^32 (the writer's), on a cache line of its own
 * +128 the data, a power of two of bytes: u32 length of the record with this word (0 = skip to the start), payload
 * ```
 */

const HEAD = 0;
const TAIL = 16;
const DATA = 128;

export class Ring {
  readonly buffer: SharedArrayBuffer;
  readonly u8: Uint8Array;
  readonly u32: Uint32Array;
  readonly f64: Float64Array;
  private readonly i32: Int32Array;
  private readonly capacity: number;
  /** The writer's tail, published by `publish`; the reader's head, published by `release`. */
  private cursor: number;
  /** The last known position of the other side. */
  private other: number;

  private constructor(buffer: SharedArrayBuffer, asWriter: boolean) {
    this.buffer = buffer;
    this.u8 = new Uint8Array(buffer);
    this.u32 = new Uint32Array(buffer);
    this.f64 = new Float64Array(buffer);
    this.i32 = new Int32Array(buffer);
    this.capacity = buffer.byteLength - DATA;
    this.cursor = Atomics.load(this.i32, asWriter ? TAIL : HEAD);
    this.other = Atomics.load(this.i32, asWriter ? HEAD : TAIL);
  }

  /** Memory for a ring of `bytes` (a power of two, at least 64). */
  static allocate(bytes: number): SharedArrayBuffer {
    if (bytes < 64 || (bytes & (bytes - 1)) !== 0)
      throw new Error(`ring: ${bytes} is not a power of two of at least 64`);
    return new SharedArrayBuffer(DATA + bytes);
  }

  static writer(buffer: SharedArrayBuffer): Ring {
    return new Ring(buffer, true);
  }

  static reader(buffer: SharedArrayBuffer): Ring {
    return new Ring(buffer, false);
  }

  /** The largest record this ring takes, in bytes: a quarter of it, so that one record never has to wait for an empty ring. */
  get maxRecord(): number {
    return this.capacity >>> 2;
  }

  /** Writer: room for a record of `bytes` with its length word, as an offset into the views; 0 when the ring is full. */
  reserve(bytes: number): number {
    const need = (bytes + 7) & ~7;
    let at = this.cursor & (this.capacity - 1);
    const toEnd = this.capacity - at;
    const skip = need > toEnd ? toEnd : 0;
    if (this.free() < skip + need) {
      this.other = Atomics.load(this.i32, HEAD);
      if (this.free() < skip + need) return 0;
    }
    if (skip > 0) {
      this.u32[(DATA + at) >>> 2] = 0;
      this.cursor = (this.cursor + skip) | 0;
      at = 0;
    }
    this.u32[(DATA + at) >>> 2] = need;
    this.cursor = (this.cursor + need) | 0;
    return DATA + at;
  }

  private free(): number {
    return this.capacity - ((this.cursor - this.other) >>> 0);
  }

  /** Writer: shows the reader everything reserved so far. */
  publish(): void {
    Atomics.store(this.i32, TAIL, this.cursor);
  }

  /** Reader: the offset of the next record, 0 when there is none. */
  peek(): number {
    for (;;) {
      if (this.cursor === this.other) {
        this.other = Atomics.load(this.i32, TAIL);
        if (this.cursor === this.other) return 0;
      }
      const at = this.cursor & (this.capacity - 1);
      if (this.u32[(DATA + at) >>> 2] !== 0) return DATA + at;
      this.cursor = (this.cursor + this.capacity - at) | 0;
    }
  }

  /** Reader: done with the record `peek` gave; its bytes may be overwritten from now on. */
  release(at: number): void {
    this.cursor = (this.cursor + this.u32[at >>> 2]) | 0;
    Atomics.store(this.i32, HEAD, this.cursor);
  }
}
