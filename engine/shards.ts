/** The shards of a node as one thread sees them: their arenas, and which slot lies in which. */
import { Arena, type Offset } from './arena.ts';
import { createArena } from './alloc.ts';
import { SLOT_COUNT } from './hash.ts';

export type { Offset };

export class Shards {
  readonly arenas: Arena[];
  /** The shard of each slot: shard i owns a contiguous range. */
  readonly ofSlot: Uint16Array;

  constructor(buffers: SharedArrayBuffer[]) {
    this.arenas = buffers.map((buffer) => new Arena(buffer));
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
