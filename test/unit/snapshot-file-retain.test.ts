import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { Random } from '../../engine/random.ts';
import { SnapshotError } from '../../engine/snapshot/file-errors.ts';
import {
  listSnapshots,
  newestWhole,
  removeOlder,
  removeTemporary,
  snapshotName,
} from '../../engine/snapshot/retain.ts';
import { TEMPORARY_SUFFIX } from '../../engine/snapshot/write-temp.ts';
import { SimDisk } from '../sim/simdisk.ts';
import { chunkOf, DIRECTORY, headerAt, writeChunks } from '../support/snapshot-files.ts';

const random = new Random(4);

function pathAt(index: number): string {
  return join(DIRECTORY, snapshotName([{ group: 0, index, term: 7 }]));
}

function diskWith(...indexes: number[]): SimDisk {
  const disk = new SimDisk(random);
  for (const index of indexes) writeChunks(disk, pathAt(index), headerAt(index), [chunkOf(random, 100)]);
  return disk;
}

function damage(disk: SimDisk, index: number): void {
  const bytes = disk.contents(pathAt(index));
  bytes[bytes.length - 20] ^= 4;
}

const indexes = (disk: SimDisk) => listSnapshots(disk, DIRECTORY).map((entry) => entry.index);

describe('the snapshots of a directory', () => {
  it('are listed newest first, and nothing else is', () => {
    const disk = diskWith(5, 1000, 20);
    for (const name of ['snapshot-12.mrs', 'snapshot-0000000000000030.mrs.bak', 'dump.rdb', '0000000000000001.log'])
      disk.place(join(DIRECTORY, name), new Uint8Array(10));
    expect(indexes(disk)).toEqual([1000, 20, 5]);
    expect(listSnapshots(disk, DIRECTORY)[0].whole?.header.groups).toEqual([{ group: 0, index: 1000, term: 7 }]);
  });

  it('are named after their position in the log', () => {
    expect(snapshotName([{ group: 0, index: 42, term: 1 }])).toBe('snapshot-0000000000000042.mrs');
    expect(snapshotName([{ group: 0, index: Number.MAX_SAFE_INTEGER, term: 1 }])).toBe('snapshot-9007199254740991.mrs');
  });

  it('are damaged when they have another name than their own', () => {
    const disk = diskWith(5);
    disk.place(pathAt(50), disk.contents(pathAt(5)));
    expect(listSnapshots(disk, DIRECTORY).map((entry) => entry.error?.code)).toEqual(['DAMAGED', undefined]);
  });
});

describe('newestWhole', () => {
  it('takes the newest', () => {
    expect(newestWhole(diskWith(), DIRECTORY)).toBeUndefined();
    expect(newestWhole(diskWith(5, 20), DIRECTORY)?.index).toBe(20);
  });

  it('takes no older one by itself, and says what is damaged and what to do', () => {
    const disk = diskWith(5, 20);
    damage(disk, 20);
    expect(() => newestWhole(disk, DIRECTORY)).toThrow(SnapshotError);
    expect(() => newestWhole(disk, DIRECTORY)).toThrow(
      new RegExp(
        `${pathAt(20)} is damaged at offset \\d+: .*older snapshot, ${pathAt(5)}: .*but for what the log still has.*Restore the file`,
      ),
    );
    damage(disk, 5);
    expect(() => newestWhole(disk, DIRECTORY)).toThrow(/There is no older snapshot/);
  });
});

describe('removeOlder', () => {
  it('removes what ends before the one that is durable', () => {
    const disk = diskWith(1, 2, 3, 4, 5);
    damage(disk, 2);
    expect(removeOlder(disk, DIRECTORY, 4)).toBe(3);
    expect(indexes(disk)).toEqual([5, 4]);
    expect(removeOlder(disk, DIRECTORY, 4)).toBe(0);
    disk.crash('unsynced');
    expect(indexes(disk)).toEqual([5, 4]);
  });

  it('leaves newer ones, damaged ones too, and what is no snapshot', () => {
    const disk = diskWith(4, 5);
    damage(disk, 5);
    disk.place(join(DIRECTORY, 'former-snapshot.mrs'), new Uint8Array(10));
    expect(removeOlder(disk, DIRECTORY, 4)).toBe(0);
    expect(disk.list(DIRECTORY)).toContain('former-snapshot.mrs');
    expect(indexes(disk)).toEqual([5, 4]);
  });
});

it('removeTemporary removes what attempts have left', () => {
  const disk = diskWith(1);
  for (const name of [`snapshot-0000000000000002.mrs${TEMPORARY_SUFFIX}`, `dump.rdb${TEMPORARY_SUFFIX}`])
    disk.place(join(DIRECTORY, name), new Uint8Array(10));
  disk.place(join(DIRECTORY, 'other.tmp'), new Uint8Array(10));
  expect(removeTemporary(disk, DIRECTORY)).toBe(2);
  expect(disk.list(DIRECTORY)).toEqual(['other.tmp', 'snapshot-0000000000000001.mrs']);
});
