import { describe, expect, it } from 'vitest';
import { DroppedSegments } from '../../engine/log/dropped.ts';
import { segmentPath } from '../../engine/log/segment.ts';
import { PowerLoss, SimDisk } from '../sim/simdisk.ts';
import { payloads, put, reopen } from '../support/log.ts';
import { seeded } from '../support/seeded.ts';

const DIR = '/log';
const LARGE = { segmentBytes: 8 * 1024 * 1024, reserveBytes: 4096 };
const MIB = 1024 * 1024;

/** A log of four segments of which the first three are not needed. */
function fourSegments(disk: SimDisk) {
  const { log } = reopen(disk, DIR, LARGE);
  for (let i = 1; i <= 10; i++) {
    put(log, i, String(i).padEnd(2 * MIB, '.'));
    log.sync();
  }
  return log;
}

function bytesOf(disk: SimDisk): number[] {
  return disk.list(DIR).map((name) => {
    const file = disk.open(`${DIR}/${name}`, 'read');
    const bytes = file.size();
    file.close();
    return bytes;
  });
}

describe('the space of dropped segments', () => {
  it('is given back in small steps, and entries are written between them', () => {
    const disk = new SimDisk(seeded(1));
    const log = fourSegments(disk);
    log.dropThrough(0, 10);
    expect(log.firstIndex(0)).toBe(10);
    let steps = 0;
    for (let before = sum(bytesOf(disk)), hasMore = true; hasMore; ) {
      hasMore = log.reclaim();
      const left = sum(bytesOf(disk));
      expect(before - left).toBeLessThanOrEqual(MIB + 4096);
      put(log, 11 + steps, '');
      before = left;
      steps++;
    }
    log.sync();
    expect(steps).toBeGreaterThan(15);
    expect(disk.list(DIR)).toHaveLength(1);
    expect(payloads(log, 0, 11, 11 + steps)).toHaveLength(steps);
  });

  it('is given back by the next life of a log that was killed meanwhile, and by a stop at once', () => {
    const disk = new SimDisk(seeded(1));
    const log = fourSegments(disk);
    log.dropThrough(0, 10);
    for (let i = 0; i < 8; i++) log.reclaim();
    expect(disk.list(DIR).filter((name) => name.endsWith('.dropped'))).toHaveLength(2);
    disk.crash('nothing');
    const again = reopen(disk, DIR, LARGE);
    expect(again.log.lastIndex(0)).toBe(10);
    expect(again.log.reclaim()).toBe(true);
    again.log.close();
    expect(disk.list(DIR).filter((name) => name.endsWith('.dropped'))).toEqual([]);
  });

  it('is taken only from what is durably out of the log, wherever the power goes', () => {
    for (let step = 1; step <= 30; step++) {
      const disk = new SimDisk(seeded(step));
      const log = fourSegments(disk);
      const firstIndex = log.firstIndex(0);
      disk.failAt(disk.steps + step, 'crash');
      try {
        log.dropThrough(0, 10);
        while (log.reclaim());
      } catch (error) {
        if (!(error instanceof PowerLoss)) throw error;
      }
      disk.crash('torn');
      const found = reopen(disk, DIR, LARGE).log;
      expect(found.firstIndex(0)).toBeGreaterThanOrEqual(firstIndex);
      expect(payloads(found, 0, found.firstIndex(0), 11).at(-1)).toMatch(/^10\./);
    }
  });

  it('is given back at once where the disk has no room for another name', () => {
    const disk = new SimDisk(seeded(1));
    const log = fourSegments(disk);
    const dropped = new DroppedSegments(disk, DIR);
    disk.failAt(disk.steps + 1, 'ENOSPC');
    dropped.add(1);
    expect(dropped.isEmpty).toBe(true);
    expect(disk.list(DIR)).not.toContain(segmentPath(DIR, 1).slice(DIR.length + 1));
    expect(log.lastIndex(0)).toBe(10);
  });
});

function sum(numbers: number[]): number {
  return numbers.reduce((a, b) => a + b, 0);
}
