import { describe, expect, it } from 'vitest';
import { LogReader } from '../../engine/log/reader.ts';
import { SimDisk } from '../sim/simdisk.ts';
import { put, reopen } from '../support/log.ts';
import { seeded } from '../support/seeded.ts';

const DIR = '/log';
const SMALL = { segmentBytes: 16 * 1024, reserveBytes: 4096 };

function read(reader: LogReader, group: number, from: number, to: number): string[] {
  const found: string[] = [];
  reader.read(group, from, to, (record) => {
    expect(record.group).toBe(group);
    expect(record.index).toBe(from + found.length);
    found.push(Buffer.from(record.bytes.subarray(record.start, record.start + record.length)).toString('latin1'));
    return true;
  });
  return found;
}

describe('a reader beside the log', () => {
  it('follows over segments, groups and replacements', () => {
    const random = seeded(5);
    const disk = new SimDisk(random);
    const { log } = reopen(disk, DIR, SMALL);
    const reader = new LogReader(disk, DIR);
    const expected: string[][] = [[''], [''], ['']];
    for (let round = 0; round < 300; round++) {
      for (let i = random.below(8); i >= 0; i--) {
        const group = random.below(3);
        const own = expected[group];
        if (own.length > 1 && random.below(12) === 0) own.length -= random.below(Math.min(own.length - 1, 100));
        const payload = `${round}.${i} ${'x'.repeat(random.below(random.below(30) === 0 ? 20_000 : 200))}`;
        put(log, own.length, payload, group, round);
        own.push(payload);
      }
      log.sync();
      reader.setEnd(log.writtenSegment, log.durableOffset);
      for (let group = 0; group < 3; group++) {
        const own = expected[group];
        if (own.length < 2) continue;
        const from = 1 + random.below(own.length - 1);
        const to = from + 1 + random.below(own.length - from);
        expect(read(reader, group, from, to)).toEqual(own.slice(from, to));
      }
    }
    expect(log.segmentCount).toBeGreaterThan(10);
    // A reader that begins late finds the same, whether it is asked for new or old entries first.
    const late = new LogReader(disk, DIR);
    late.setEnd(log.writtenSegment, log.durableOffset);
    for (let group = 0; group < 3; group++) {
      const own = expected[group];
      expect(read(late, group, own.length - 3, own.length)).toEqual(own.slice(-3));
      expect(read(late, group, 1, own.length)).toEqual(own.slice(1));
    }
  });

  it('finds its place in steps, while the log grows and loses its oldest segments', () => {
    const disk = new SimDisk(seeded(2));
    const { log } = reopen(disk, DIR, SMALL);
    const fill = (from: number, to: number) => {
      for (let index = from; index < to; index++) put(log, index, `${index} ${'x'.repeat(500)}`);
      log.sync();
    };
    fill(1, 400);
    const reader = new LogReader(disk, DIR);
    let steps = 0;
    for (let end = 400; ; end += 5) {
      reader.setEnd(log.writtenSegment, log.durableOffset);
      if (reader.prepare(0, 40, 8192)) break;
      if (steps++ === 3) log.dropThrough(0, 30);
      fill(end, end + 5);
    }
    expect(steps).toBeGreaterThan(20);
    const calls = disk.steps;
    expect(read(reader, 0, 40, 41)[0].slice(0, 3)).toBe('40 ');
    expect(disk.steps - calls).toBeLessThan(5);
    // What is behind the index takes it from the beginning; what is gone is said to be.
    expect(reader.prepare(0, 399, 8192)).toBe(true);
    expect(() => reader.prepare(0, 1, 8192)).toThrow('dropped');
  });

  it('reads the same after any call of the disk has failed', () => {
    for (let step = 1; ; step++) {
      const disk = new SimDisk(seeded(3));
      const { log } = reopen(disk, DIR, SMALL);
      const reader = new LogReader(disk, DIR);
      const fill = (from: number, to: number) => {
        for (let index = from; index < to; index++) put(log, index, `${index} ${'x'.repeat(2000)}`);
        log.sync();
        reader.setEnd(log.writtenSegment, log.durableOffset);
      };
      fill(1, 20);
      expect(read(reader, 0, 1, 20)).toHaveLength(19);
      fill(20, 60);
      const before = disk.fired;
      disk.failAt(disk.steps + step, 'EIO');
      try {
        read(reader, 0, 55, 60);
      } catch (error) {
        expect(error).toMatchObject({ code: 'IO' });
      }
      disk.clearFaults();
      if (disk.fired === before) break;
      expect(read(reader, 0, 55, 60).map((text) => text.slice(0, 3))).toEqual(['55 ', '56 ', '57 ', '58 ', '59 ']);
    }
  });

  it('stops when it is told to, and reads nothing beyond the end it was given', () => {
    const disk = new SimDisk(seeded(1));
    const { log } = reopen(disk, DIR, SMALL);
    const reader = new LogReader(disk, DIR);
    for (let i = 1; i <= 10; i++) put(log, i, `entry ${i}`);
    log.sync();
    reader.setEnd(log.writtenSegment, log.durableOffset);
    for (let i = 11; i <= 20; i++) put(log, i, `entry ${i}`);
    log.flush();
    let seen = 0;
    reader.read(0, 1, 11, () => ++seen < 4);
    expect(seen).toBe(4);
    expect(() => read(reader, 0, 10, 12)).toThrow('not there yet');
    reader.setEnd(log.writtenSegment, log.writtenOffset);
    expect(read(reader, 0, 10, 12)).toEqual(['entry 10', 'entry 11']);
    reader.close();
  });

  it('says which entries were dropped, and goes on with the others', () => {
    const disk = new SimDisk(seeded(1));
    const { log } = reopen(disk, DIR, SMALL);
    const reader = new LogReader(disk, DIR);
    for (let i = 1; i <= 100; i++) put(log, i, `${i}${'.'.repeat(1000)}`);
    log.sync();
    reader.setEnd(log.writtenSegment, log.durableOffset);
    expect(read(reader, 0, 3, 5)).toHaveLength(2);
    log.dropThrough(0, 90);
    const first = log.firstIndex(0);
    const late = new LogReader(disk, DIR);
    late.setEnd(log.writtenSegment, log.durableOffset);
    expect(() => read(late, 0, first - 1, 101)).toThrow(expect.objectContaining({ code: 'COMPACTED' }));
    expect(read(late, 0, first, 101)).toHaveLength(101 - first);
    // The older reader has pointers to segments that are gone.
    expect(() => read(reader, 0, 20, 30)).toThrow(expect.objectContaining({ code: 'COMPACTED' }));
    put(log, 101, 'new');
    log.sync();
    reader.setEnd(log.writtenSegment, log.durableOffset);
    expect(read(reader, 0, 101, 102)).toEqual(['new']);
    expect(read(reader, 0, first, 102)).toHaveLength(102 - first);
    // What was restarted begins anew.
    log.restartAt(0, 500);
    put(log, 500, 'far');
    log.sync();
    reader.setEnd(log.writtenSegment, log.durableOffset);
    expect(() => read(reader, 0, 101, 102)).toThrow(expect.objectContaining({ code: 'COMPACTED' }));
    expect(read(reader, 0, 500, 501)).toEqual(['far']);
  });

  it('never hands out a damaged entry', () => {
    const disk = new SimDisk(seeded(1));
    const { log } = reopen(disk, DIR, SMALL);
    for (let i = 1; i <= 5; i++) put(log, i, `entry ${i}`);
    log.sync();
    disk.contents(`${DIR}/0000000000000001.log`)[log.writtenOffset - 6] ^= 1;
    const reader = new LogReader(disk, DIR);
    reader.setEnd(log.writtenSegment, log.durableOffset);
    expect(read(reader, 0, 1, 5)).toHaveLength(4);
    expect(() => read(reader, 0, 1, 6)).toThrow(expect.objectContaining({ code: 'CORRUPT' }));
  });
});
