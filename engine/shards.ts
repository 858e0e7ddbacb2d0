/** The shards of a node as one thread sees them: their arenas, and which slot lies in which. */

import { createArena } from './alloc.ts';
import { Arena, type Offset, WORD_SEED0, WORD_SEED1 } from './arena.ts';
import { SLOT_COUNT } from './hash.ts';

export type { Offset };

export class Shards {
  readonly arenas: Arena[];
  /** The shard of each slot: shard i owns a contiguous range. */
  readonly ofSlot: Uint16Array;
  /** The seed of the table hash, the same in every arena, so that a key can be hashed before its shard is known. */
  readonly seed0: number;
  readonly seed1: number;

  constructor(buffers: SharedArrayBuffer[]) {
    this.arenas = buffers.map((buffer) => new Arena(buffer));
    this.seed0 = this.arenas[0].u32[WORD_SEED0];
    this.seed1 = this.arenas[0].u32[WORD_SEED1];
    for (const { u32 } of this.arenas) {
      if (u32[WORD_SEED0] !== this.seed0 || u32[WORD_SEED1] !== this.seed1) throw new Error('shards: unequal seeds');
    }
    this.ofSlot = new Uint16Array(SLOT_COUNT);
    for (let slot = 0; slot < SLOT_COUNT; slot++) this.ofSlot[slot] = Math.floor((slot * buffers.length) / SLOT_COUNT);
  }

  /** Reserves and formats `count` arenas of `bytes` each. Memory is taken from the system only where it is touched. */
  static create(count: number, bytes: number, databases: number, seed: [number, number]): Shards {
    const buffers: SharedArrayBuffer[] = [];
    for (let i = 0; i < count; i++) buffers.push(createArena(bytes, i, databases, seed));
    return new Shards(buffers);
  }
}
