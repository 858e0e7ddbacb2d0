import { describe, expect, it } from 'vitest';
import { emptyRecord, RECORD_HEADER_BYTES, sealRecord, TYPE_ENTRY, TYPE_RESTART } from '../../engine/log/record.ts';
import { encodeHeader, segmentPath, segmentSeed } from '../../engine/log/segment.ts';
import { PowerLoss, SimDisk } from '../sim/simdisk.ts';
import { payloads, put, reopen } from '../support/log.ts';
import { seeded } from '../support/seeded.ts';

const DIR = '/log';
const SMALL = { segmentBytes: 16 * 1024, reserveBytes: 4096 };

describe('a log on a simulated disk', () => {
  it('begins empty, and finds again what was synced', () => {
    const disk = new SimDisk(seeded(1));
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
    const disk = new SimDisk(seeded(1));
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

describe('what recovery and dropping rely on is durable first', () => {
  it('what a killed process had only written, before the segment is sealed behind it', () => {
    let interrupted = 0;
    for (let seed = 1; seed <= 400; seed++) {
      const disk = new SimDisk(seeded(seed));
      const { log } = reopen(disk, DIR, SMALL);
      for (let i = 1; i <= 3; i++) put(log, i, 'x'.repeat(700));
      log.sync();
      for (let i = 4; i <= 8; i++) put(log, i, 'y'.repeat(700));
      log.flush();
      disk.crash('nothing');
      disk.failAt(disk.steps + 6 + (seed % 12), 'crash');
      let isSeen = false;
      try {
        isSeen = reopen(disk, DIR, SMALL).log.lastIndex(0) === 8;
      } catch (error) {
        if (!(error instanceof PowerLoss)) throw error;
        interrupted++;
      }
      disk.crash('torn');
      const found = reopen(disk, DIR, SMALL).records;
      expect(found.length).toBeGreaterThanOrEqual(isSeen ? 8 : 3);
    }
    expect(interrupted).toBeGreaterThan(100);
  });

  it('the absence of one segment, before the next is dropped', () => {
    for (let seed = 1; seed <= 100; seed++) {
      const disk = new SimDisk(seeded(seed));
      const { log } = reopen(disk, DIR, SMALL);
      for (let i = 1; i <= 60; i++) put(log, i, 'x'.repeat(1000));
      log.sync();
      disk.failAt(disk.steps + 1 + (seed % 12), 'crash');
      try {
        log.dropThrough(0, 60);
      } catch (error) {
        if (!(error instanceof PowerLoss)) throw error;
      }
      disk.crash('torn');
      expect(reopen(disk, DIR, SMALL).log.lastIndex(0)).toBe(60);
    }
  });

  it('the replacement of entries, before those are dropped', () => {
    const disk = new SimDisk(seeded(1));
    const { log } = reopen(disk, DIR, SMALL);
    for (let i = 1; i <= 20; i++) put(log, i, 'x'.repeat(1000));
    log.sync();
    expect(log.segmentCount).toBe(2);
    put(log, 5, 'replaced');
    // The first segment holds only 1 to 4 of what counts, so it goes.
    log.dropThrough(0, 4);
    expect(log.segmentCount).toBe(1);
    expect(log.firstIndex(0)).toBe(5);
    disk.crash('unsynced');
    const found = reopen(disk, DIR, SMALL);
    expect(payloads(found.log, 0, 5, 6)).toEqual(['replaced']);
  });
});

it('refuses a record that cannot follow the one before it, though it is intact', () => {
  const header = encodeHeader(9, 1, []);
  const records = new Uint8Array(3 * RECORD_HEADER_BYTES);
  const u32 = new Uint32Array(records.buffer);
  const seed = segmentSeed(9, 1);
  [
    { index: 1, type: TYPE_RESTART },
    { index: 2, type: TYPE_ENTRY },
    { index: 4, type: TYPE_ENTRY },
  ].forEach(({ index, type }, i) => {
    const at = i * RECORD_HEADER_BYTES;
    sealRecord(u32, at, { ...emptyRecord(), index, type }, header.length, seed, header.length + at);
  });
  const disk = new SimDisk(seeded(1));
  disk.place(segmentPath(DIR, 1), Buffer.concat([header, records.subarray(0, 2 * RECORD_HEADER_BYTES)]));
  expect(reopen(disk, DIR, SMALL).log.lastIndex(0)).toBe(2);
  const gap = new SimDisk(seeded(1));
  gap.place(segmentPath(DIR, 1), Buffer.concat([header, records]));
  expect(() => reopen(gap, DIR, SMALL)).toThrow('entry 4 of group 0 cannot follow entry 2');
});
