import { describe, expect, it } from 'vitest';
import { Random } from '../../engine/random.ts';
import { SimDisk } from '../sim/simdisk.ts';
import { payloads, put, reopen } from '../support/log.ts';

const DIR = '/log';
const SMALL = { segmentBytes: 16 * 1024, reserveBytes: 4096 };

describe('a log on a simulated disk', () => {
  it('begins empty, and finds again what was synced', () => {
    const disk = new SimDisk(new Random(1));
    const first = reopen(disk, DIR, SMALL);
    expect(first.records).toEqual([]);
    expect(first.log.lastIndex(0)).toBe(0);
    expect(first.log.firstIndex(0)).toBe(1);
    put(first.log, 1, 'one');
    put(first.log, 2, '');
    put(first.log, 3, 'three', 0, 2);
    first.log.sync();
    put(first.log, 4, 'not synced');
    first.log.flush();
    disk.crash('unsynced');
    const { log, records, torn } = reopen(disk, DIR, SMALL);
    expect(torn).toBeUndefined();
    expect(records.map(({ index, term, payload }) => [index, term, payload])).toEqual([
      [1, 1, 'one'],
      [2, 1, ''],
      [3, 2, 'three'],
    ]);
    expect(log.lastIndex(0)).toBe(3);
    expect([0, 1, 2, 3, 4].map((index) => log.termAt(0, index))).toEqual([-1, 1, 1, 2, -1]);
    expect(payloads(log, 0, 1, 4)).toEqual(['one', '', 'three']);
  });

  it('rotates, and drops whole segments', () => {
    const disk = new SimDisk(new Random(1));
    const { log } = reopen(disk, DIR, SMALL);
    for (let i = 1; i <= 100; i++) {
      put(log, i, String(i).padStart(1000, '.'));
      if (i % 7 === 0) log.sync();
    }
    log.sync();
    expect(log.segmentCount).toBeGreaterThan(5);
    expect(payloads(log, 0, 1, 101).map(Number.parseFloat)).toHaveLength(100);
    log.dropThrough(0, 50);
    expect(log.firstIndex(0)).toBeGreaterThan(30);
    expect(log.firstIndex(0)).toBeLessThanOrEqual(51);
    const firstIndex = log.firstIndex(0);
    expect(() => payloads(log, 0, firstIndex - 1, 101)).toThrow(expect.objectContaining({ code: 'COMPACTED' }));
    disk.crash('unsynced');
    const again = reopen(disk, DIR, SMALL);
    expect(again.log.firstIndex(0)).toBe(firstIndex);
    expect(again.log.lastIndex(0)).toBe(100);
    expect(payloads(again.log, 0, firstIndex, 101)[0].endsWith(String(firstIndex))).toBe(true);
  });
});
