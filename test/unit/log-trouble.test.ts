import { describe, expect, it } from 'vitest';
import { LogError } from '../../engine/log/errors.ts';
import { type Fault, SimDisk } from '../sim/simdisk.ts';
import { put, reopen } from '../support/log.ts';
import { seeded } from '../support/seeded.ts';

const DIR = '/log';
const OPTIONS = { segmentBytes: 64 * 1024, reserveBytes: 16 * 1024 };

function thrown(call: () => void): LogError {
  try {
    call();
  } catch (error) {
    if (error instanceof LogError) return error;
    throw error;
  }
  throw new Error('nothing was thrown');
}

describe('trouble with the disk', () => {
  it('a full disk shows while there is still room for what comes', () => {
    const disk = new SimDisk(seeded(1));
    const { log } = reopen(disk, DIR, OPTIONS);
    disk.capacityBytes = 80 * 1024;
    let index = 0;
    while (log.trouble === undefined) {
      put(log, ++index, '.'.repeat(1000));
      log.sync();
    }
    expect(log.trouble).toMatchObject({ code: 'NO_SPACE', systemCode: 'ENOSPC' });
    // What was written was still written into zeros that lay there.
    const before = index;
    for (let i = 0; i < 8; i++) {
      put(log, ++index, '.'.repeat(1000));
      log.sync();
    }
    let error: LogError | undefined;
    while (error === undefined) {
      put(log, ++index, '.'.repeat(1000));
      try {
        log.sync();
      } catch (caught) {
        error = caught as LogError;
      }
    }
    expect(index).toBeGreaterThan(before + 8);
    expect(error).toMatchObject({ code: 'NO_SPACE', systemCode: 'ENOSPC' });
    expect(error.message).toContain(DIR);
    expect(log.bufferedBytes).toBeGreaterThan(0);
    expect(thrown(() => log.flush()).code).toBe('NO_SPACE');
    // With room again, the same bytes go to the same place.
    disk.capacityBytes = Number.POSITIVE_INFINITY;
    log.sync();
    expect(log.trouble).toBeUndefined();
    disk.crash('unsynced');
    expect(reopen(disk, DIR, OPTIONS).records).toHaveLength(index);
  });

  it('every other failed write may be tried again', () => {
    for (const [fault, code] of [
      ['EIO', 'IO'],
      ['EROFS', 'READ_ONLY'],
      ['ENOSPC', 'NO_SPACE'],
    ] as [Fault, string][]) {
      const disk = new SimDisk(seeded(1));
      const { log } = reopen(disk, DIR, OPTIONS);
      put(log, 1, 'one');
      log.sync();
      put(log, 2, 'two');
      disk.failAt(disk.steps + 1, fault);
      const error = thrown(() => log.flush());
      expect(error).toMatchObject({ code, systemCode: fault, file: `${DIR}/0000000000000001.log` });
      expect(error.message).toContain(`at offset ${error.offset}`);
      put(log, 3, 'three');
      log.sync();
      disk.crash('unsynced');
      expect(reopen(disk, DIR, OPTIONS).records.map(({ payload }) => payload)).toEqual(['one', 'two', 'three']);
    }
  });

  it('a short write goes on until all is written', () => {
    const disk = new SimDisk(seeded(1));
    const { log } = reopen(disk, DIR, OPTIONS);
    put(log, 1, 'x'.repeat(5000));
    disk.failAt(disk.steps + 1, 'short', 3);
    log.flush();
    expect(disk.fired).toBe(3);
    disk.crash('nothing');
    expect(reopen(disk, DIR, OPTIONS).records[0].payload).toHaveLength(5000);
  });

  it('a failed sync is the end', () => {
    const disk = new SimDisk(seeded(1));
    const { log } = reopen(disk, DIR, OPTIONS);
    put(log, 1, 'one');
    log.sync();
    put(log, 2, 'two');
    disk.failAt(disk.steps + 2, 'EIO');
    const error = thrown(() => log.sync());
    expect(error).toMatchObject({ code: 'SYNC_FAILED', systemCode: 'EIO' });
    const { steps } = disk;
    expect(thrown(() => log.sync())).toBe(error);
    expect(thrown(() => log.flush())).toBe(error);
    expect(thrown(() => put(log, 3, 'three'))).toBe(error);
    expect(thrown(() => log.dropThrough(0, 1))).toBe(error);
    expect(thrown(() => log.restartAt(0, 9))).toBe(error);
    log.close();
    // Nobody asked the disk again: a second sync would say that all is well.
    expect(disk.steps).toBe(steps);
    disk.crash('unsynced');
    expect(reopen(disk, DIR, OPTIONS).records.map(({ payload }) => payload)).toEqual(['one']);
  });

  it('a slow call only takes its time', () => {
    const disk = new SimDisk(seeded(1));
    const { log } = reopen(disk, DIR, OPTIONS);
    put(log, 1, 'one');
    disk.slowMs = 30;
    disk.failAt(disk.steps + 2, 'slow');
    const startedAt = performance.now();
    log.sync();
    expect(performance.now() - startedAt).toBeGreaterThan(25);
  });
});

describe('mistakes of the caller', () => {
  it('are refused before anything is changed', () => {
    const { log } = reopen(new SimDisk(seeded(1)), DIR, OPTIONS);
    put(log, 5, 'the first may have any index');
    expect(() => put(log, 7, 'a gap')).toThrow('cannot follow');
    expect(() => put(log, 0, 'no index')).toThrow('not an index');
    expect(() => put(log, 5.5, 'no index')).toThrow();
    expect(() => put(log, 6, 'no term', 0, -1)).toThrow('not a term');
    log.restartAt(0, 100);
    expect([log.firstIndex(0), log.lastIndex(0)]).toEqual([100, 99]);
    expect(() => put(log, 6, 'not where it restarts')).toThrow('cannot follow');
    put(log, 100, 'restarted');
    expect([log.firstIndex(0), log.lastIndex(0), log.bufferedBytes > 0]).toEqual([100, 100, true]);
    log.close();
    expect(() => log.sync()).toThrow('closed');
  });
});

it('keeps two writers of the same memory apart: bytes may change after append', () => {
  const disk = new SimDisk(seeded(1));
  const { log } = reopen(disk, DIR, OPTIONS);
  const bytes = Buffer.alloc(500, 'a');
  log.append(0, 1, 1, bytes, 100, 200);
  bytes.fill('b');
  log.sync();
  disk.crash('unsynced');
  expect(reopen(disk, DIR, OPTIONS).records[0].payload).toBe('a'.repeat(200));
});

it('gives a record larger than a segment a segment of its own', () => {
  const disk = new SimDisk(seeded(1));
  const { log } = reopen(disk, DIR, OPTIONS);
  const sizes = [10, 300_000, 20, 70_000, 70_000];
  sizes.forEach((size, i) => {
    put(log, i + 1, 'x'.repeat(size));
  });
  log.sync();
  expect(log.segmentCount).toBe(5);
  expect(log.sizeBytes).toBe(
    disk.list(DIR).reduce((sum, name) => sum + (name.endsWith('.log') ? disk.contents(`${DIR}/${name}`).length : 0), 0),
  );
  disk.crash('unsynced');
  expect(reopen(disk, DIR, OPTIONS).records.map(({ payload }) => payload.length)).toEqual(sizes);
});
