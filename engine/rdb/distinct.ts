/**
 * Finds out whether the members of a small collection are all different: open addressing over their hashes, seeded like
 * the tables of the arenas, so that nobody can choose members that collide. Reused; about 20 ns a member.
 */
import { hashBytes } from '../hash.ts';
import type { Shards } from '../shards.ts';

const FIRST_CAPACITY = 64;

export class Distinct {
  private starts = new Uint32Array(FIRST_CAPACITY);
  private lengths = new Uint32Array(FIRST_CAPACITY);
  /** Member + 1, or 0; twice as many as there is room for members, of which `mask` + 1 are in use. */
  private places = new Uint32Array(FIRST_CAPACITY * 2);
  private mask = 0;
  private count = 0;
  private seed0 = 0;
  private seed1 = 0;

  /** Forgets all members; at most `capacity` follow. */
  start(shards: Shards, capacity: number): void {
    this.seed0 = shards.seed0;
    this.seed1 = shards.seed1;
    let room = 4;
    while (room < capacity) room *= 2;
    if (room > this.starts.length) {
      this.starts = new Uint32Array(room);
      this.lengths = new Uint32Array(room);
      this.places = new Uint32Array(room * 2);
    }
    this.places.fill(0, 0, room * 2);
    this.mask = room * 2 - 1;
    this.count = 0;
  }

  /** Adds a member; false when it was there. The bytes stay where they are until the next `start`. */
  add(u8: Uint8Array, start: number, length: number): boolean {
    let place = hashBytes(this.seed0, this.seed1, u8, start, length) & this.mask;
    for (; this.places[place] !== 0; place = (place + 1) & this.mask) {
      if (this.is(this.places[place] - 1, u8, start, length)) return false;
    }
    this.starts[this.count] = start;
    this.lengths[this.count] = length;
    this.places[place] = ++this.count;
    return true;
  }

  private is(member: number, u8: Uint8Array, start: number, length: number): boolean {
    if (this.lengths[member] !== length) return false;
    const other = this.starts[member];
    for (let i = 0; i < length; i++) if (u8[other + i] !== u8[start + i]) return false;
    return true;
  }
}
