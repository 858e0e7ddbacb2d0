/**
 * A dumb owner of blocks for allocator tests: knows where each of its blocks is, what it asked for and which pattern
 * fills it, follows moves, and checks the bytes whenever it lets go of one.
 */
import {
  alloc,
  free,
  KIND_MEMBER,
  KIND_RECORD,
  KIND_STREAM_NODE,
  registerRelocator,
  usableSize,
} from '../../engine/alloc.ts';
import type { Arena, Offset } from '../../engine/arena.ts';

/** The kinds that tests move; KIND_FIXED and the others have no relocator here. */
export const MOVED_KINDS = [KIND_RECORD, KIND_MEMBER, KIND_STREAM_NODE];

export class Blocks {
  static current: Blocks | undefined;
  readonly arena: Arena;
  /** Offsets of the blocks held, in no order, with their sizes and patterns alongside. */
  readonly offsets: Offset[] = [];
  readonly sizes: number[] = [];
  readonly patterns: number[] = [];
  private readonly indexOf = new Map<Offset, number>();
  private nextPattern = 1;
  moves = 0;

  constructor(arena: Arena) {
    this.arena = arena;
    Blocks.current = this;
  }

  get count(): number {
    return this.offsets.length;
  }

  add(size: number, kind: number): Offset {
    const block = alloc(this.arena, size, kind);
    if ((block & 7) !== 0 || usableSize(this.arena, block) < size) throw new Error(`block ${block} of ${size} bytes`);
    if (this.indexOf.has(block)) throw new Error(`block ${block} was handed out twice`);
    const pattern = this.nextPattern++ & 255;
    this.arena.u8.fill(pattern, block, block + size);
    this.indexOf.set(block, this.offsets.length);
    this.offsets.push(block);
    this.sizes.push(size);
    this.patterns.push(pattern);
    return block;
  }

  remove(index: number): void {
    this.check(index);
    const block = this.offsets[index];
    const last = this.offsets.length - 1;
    this.indexOf.delete(block);
    if (index !== last) {
      this.offsets[index] = this.offsets[last];
      this.sizes[index] = this.sizes[last];
      this.patterns[index] = this.patterns[last];
      this.indexOf.set(this.offsets[index], index);
    }
    this.offsets.pop();
    this.sizes.pop();
    this.patterns.pop();
    free(this.arena, block);
  }

  check(index: number): void {
    const start = this.offsets[index];
    const { u8 } = this.arena;
    // All of small blocks, a sample of large ones.
    const stride = this.sizes[index] > 4096 ? 61 : 1;
    for (let i = start; i < start + this.sizes[index]; i += stride) {
      if (u8[i] !== this.patterns[index]) throw new Error(`byte ${i - start} of block ${start} was overwritten`);
    }
  }

  checkAll(): void {
    for (let i = 0; i < this.offsets.length; i++) this.check(i);
  }

  moved(from: Offset, to: Offset): void {
    const index = this.indexOf.get(from);
    if (index === undefined) throw new Error(`block ${from}, which nobody holds, was moved`);
    if (this.indexOf.has(to)) throw new Error(`block ${from} was moved onto block ${to}`);
    this.indexOf.delete(from);
    this.indexOf.set(to, index);
    this.offsets[index] = to;
    this.moves++;
    this.check(index);
  }
}

for (const kind of MOVED_KINDS) {
  registerRelocator(kind, (a, from, to) => {
    if (Blocks.current?.arena === a) Blocks.current.moved(from, to);
  });
}
