import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { alloc, createArena, free, KIND_RECORD, verifyAlloc } from '../../engine/alloc.ts';
import { Arena, COUNTER_USED_BYTES, type Offset } from '../../engine/arena.ts';
import { Random } from '../../engine/random.ts';
import { keyLength, keyStart, RECORD_HEADER_BYTES } from '../../engine/record.ts';
import {
  keyHash,
  recordHash,
  TableWalk,
  tableBuckets,
  tableCount,
  tableCreate,
  tableFind,
  tableFree,
  tableInsert,
  tableRandom,
  tableRemove,
  tableScan,
  tableVerify,
} from '../../engine/table.ts';

const MIB = 1024 * 1024;
const encoder = new TextEncoder();

function newArena(): Arena {
  return new Arena(createArena(256 * MIB, 0, 16, [0x1234567, 0x89abcdef]));
}

function makeRecord(a: Arena, key: Uint8Array): Offset {
  const record = alloc(a, RECORD_HEADER_BYTES + key.length, KIND_RECORD);
  a.u32[record >>> 2] = 0;
  a.u32[(record >>> 2) + 2] = key.length;
  a.u32[(record >>> 2) + 3] = 0;
  a.u8.set(key, record + RECORD_HEADER_BYTES);
  return record;
}

function textOf(a: Arena, record: Offset): string {
  const start = keyStart(a, record);
  return Buffer.from(a.u8.slice(start, start + keyLength(a, record))).toString();
}

function insert(a: Arena, t: Offset, key: string): void {
  const bytes = encoder.encode(key);
  tableInsert(a, t, keyHash(a, bytes, 0, bytes.length), makeRecord(a, bytes));
}

function find(a: Arena, t: Offset, key: string): Offset {
  const bytes = encoder.encode(key);
  return tableFind(a, t, keyHash(a, bytes, 0, bytes.length), bytes, 0, bytes.length);
}

function remove(a: Arena, t: Offset, key: string): void {
  const record = find(a, t, key);
  tableRemove(a, t, recordHash(a, record), record);
  free(a, record);
}

describe('table', () => {
  it('behaves as a map under random insertions and removals, growing and shrinking', () => {
    const operation = fc.record({ add: fc.boolean(), from: fc.nat(4000), count: fc.nat(1200) });
    fc.assert(
      fc.property(fc.array(operation, { maxLength: 12 }), (operations) => {
        const a = newArena();
        const t = tableCreate(a, false);
        const model = new Set<string>();
        for (const { add, from, count } of operations) {
          for (let i = from; i < from + count; i++) {
            const key = `key:${i}`;
            if (add === model.has(key)) continue;
            if (add) {
              insert(a, t, key);
              model.add(key);
            } else {
              remove(a, t, key);
              model.delete(key);
            }
          }
          tableVerify(a, t);
          expect(tableCount(a, t)).toBe(model.size);
        }
        for (const key of model) expect(textOf(a, find(a, t, key))).toBe(key);
        for (let i = 0; i < 100; i++) expect(find(a, t, `absent:${i}`)).toBe(0);
        const walked: string[] = [];
        const walk = new TableWalk();
        walk.start();
        for (let r = walk.next(a, t); r !== 0; r = walk.next(a, t)) walked.push(textOf(a, r));
        expect(walked.sort()).toEqual([...model].sort());
        for (const key of model) remove(a, t, key);
        expect(tableBuckets(a, t)).toBe(1);
        tableFree(a, t);
        verifyAlloc(a);
      }),
      { numRuns: 25 },
    );
  });

  it('scans every key that is there throughout, while the table grows and shrinks', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 3000 }), fc.integer(), (stable, seed) => {
        const a = newArena();
        const t = tableCreate(a, false);
        const random = new Random(seed);
        for (let i = 0; i < stable; i++) insert(a, t, `stable:${i}`);
        const seen = new Set<string>();
        const transient: string[] = [];
        let cursor = 0;
        let serial = 0;
        do {
          const out: Offset[] = [];
          cursor = tableScan(a, t, cursor, out);
          for (const record of out) seen.add(textOf(a, record));
          const growing = random.below(1000) < 700;
          for (let i = random.below(60); i > 0; i--) {
            if (growing && serial < 4000) {
              transient.push(`transient:${serial++}`);
              insert(a, t, transient[transient.length - 1]);
            } else if (!growing && transient.length > 0) remove(a, t, transient.pop() as string);
          }
        } while (cursor !== 0);
        for (let i = 0; i < stable; i++) expect(seen.has(`stable:${i}`)).toBe(true);
      }),
      { numRuns: 25 },
    );
  });

  it('draws records evenly', () => {
    const a = newArena();
    const t = tableCreate(a, false);
    const size = 500;
    for (let i = 0; i < size; i++) insert(a, t, String(i));
    const draws = new Float64Array(size);
    const random = new Random(7);
    for (let i = 0; i < size * 200; i++) draws[Number(textOf(a, tableRandom(a, t, random)))]++;
    // 200 expected each, standard deviation 14: six of them either way.
    expect(Math.min(...draws)).toBeGreaterThan(115);
    expect(Math.max(...draws)).toBeLessThan(285);
  });

  it('never does much for one insertion', () => {
    const a = newArena();
    const t = tableCreate(a, true);
    let most = 0;
    for (let i = 0; i < 500_000; i++) {
      const before = a.f64[COUNTER_USED_BYTES];
      insert(a, t, `key:${i}`);
      most = Math.max(most, a.f64[COUNTER_USED_BYTES] - before);
    }
    tableVerify(a, t);
    // A segment with its expiry block, and the directories once in a while: nothing of the size of the table.
    expect(most).toBeLessThan(64 * 1024);
  });
});
