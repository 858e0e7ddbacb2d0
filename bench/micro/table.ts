/** The hash table alone: find, insert and remove of 16-byte keys, warm and over a table larger than the caches. */
import { alloc, createArena, free, KIND_RECORD } from '../../engine/alloc.ts';
import { Arena, type Offset } from '../../engine/arena.ts';
import { Random } from '../../engine/random.ts';
import { RECORD_HEADER_BYTES } from '../../engine/record.ts';
import { keyHash, tableCreate, tableFind, tableInsert, tableRemove } from '../../engine/table.ts';
import type { MicroBench } from '../micro.ts';

const KEY_BYTES = 16;
const OPERATIONS = 10_000;
const encoder = new TextEncoder();

class Driver {
  private readonly arena = new Arena(createArena(512 * 1024 * 1024, 0, 16, [1, 2]));
  private readonly table = tableCreate(this.arena, true);
  private readonly keys: Uint8Array;
  private readonly hashes: Uint32Array;
  private readonly records: Offset[] = [];
  private readonly random = new Random(3);
  private readonly count: number;

  constructor(count: number) {
    this.count = count;
    this.keys = new Uint8Array(count * KEY_BYTES);
    this.hashes = new Uint32Array(count);
    for (let i = 0; i < count; i++) {
      encoder.encodeInto(`key:${String(i).padStart(KEY_BYTES - 4, '0')}`, this.keys.subarray(i * KEY_BYTES));
      this.hashes[i] = keyHash(this.arena, this.keys, i * KEY_BYTES, KEY_BYTES);
      this.records.push(this.makeRecord(i));
      tableInsert(this.arena, this.table, this.hashes[i], this.records[i]);
    }
  }

  private makeRecord(i: number): Offset {
    const { u8, u32 } = this.arena;
    const record = alloc(this.arena, RECORD_HEADER_BYTES + KEY_BYTES, KIND_RECORD);
    u32.fill(0, record >>> 2, (record + RECORD_HEADER_BYTES) >>> 2);
    u32[(record + 8) >>> 2] = KEY_BYTES;
    for (let k = 0; k < KEY_BYTES; k++) u8[record + RECORD_HEADER_BYTES + k] = this.keys[i * KEY_BYTES + k];
    return record;
  }

  find(): void {
    for (let n = 0; n < OPERATIONS; n++) {
      const i = this.random.below(this.count);
      const at = i * KEY_BYTES;
      if (tableFind(this.arena, this.table, this.hashes[i], this.keys, at, KEY_BYTES) === 0) throw new Error('lost');
    }
  }

  removeAndInsert(): void {
    for (let n = 0; n < OPERATIONS; n++) {
      const i = this.random.below(this.count);
      tableRemove(this.arena, this.table, this.hashes[i], this.records[i]);
      free(this.arena, this.records[i]);
      this.records[i] = this.makeRecord(i);
      tableInsert(this.arena, this.table, this.hashes[i], this.records[i]);
    }
  }
}

export default function table(): MicroBench[] {
  const small = new Driver(1000);
  const large = new Driver(1_000_000);
  return [
    { name: 'find among 1,000', operations: OPERATIONS, fn: () => small.find() },
    { name: 'find among 1,000,000', operations: OPERATIONS, fn: () => large.find() },
    { name: 'remove and insert among 1,000', operations: OPERATIONS, fn: () => small.removeAndInsert() },
    { name: 'remove and insert among 1,000,000', operations: OPERATIONS, fn: () => large.removeAndInsert() },
  ];
}
