import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { Random } from '../../engine/random.ts';
import { SnapshotError } from '../../engine/snapshot/file-errors.ts';
import type { SnapshotChunk } from '../../engine/snapshot/read.ts';
import {
  listSnapshots,
  newestWhole,
  removeOlder,
  removeTemporary,
  snapshotName,
} from '../../engine/snapshot/retain.ts';
import { openTarget } from '../../engine/snapshot/write-file.ts';
import { TEMPORARY_SUFFIX } from '../../engine/snapshot/write-temp.ts';
import { type Fault, type Loss, PowerLoss, SimDisk } from '../sim/simdisk.ts';
import { chunkOf, DIRECTORY, headerAt, readChunks, sameChunks, writeChunks } from '../support/snapshot-files.ts';

/** Seeds per case; more with MILLRACE_ROUNDS. */
const ROUNDS = Math.max(3, Math.ceil(Number(process.env.MILLRACE_ROUNDS ?? 0) / 50));

const OLD = 100;

function pathAt(index: number): string {
  return join(DIRECTORY, snapshotName([{ group: 0, index, term: 7 }]));
}

/** A directory with two snapshots, and the next one to be written: another index, or the same again. */
class Scene {
  readonly disk: SimDisk;
  readonly chunks = new Map<string, SnapshotChunk[]>();
  readonly fresh: SnapshotChunk[];
  readonly path: string;
  private readonly index: number;

  constructor(random: Random, index: number, fresh: SnapshotChunk[]) {
    this.disk = new SimDisk(random);
    this.index = index;
    this.path = pathAt(index);
    this.fresh = fresh;
    for (const old of [OLD - 1, OLD]) {
      const chunks = [chunkOf(random, 300), chunkOf(random, 20)];
      writeChunks(this.disk, pathAt(old), headerAt(old), chunks);
      this.chunks.set(pathAt(old), chunks);
    }
  }

  write(): void {
    writeChunks(this.disk, this.path, headerAt(this.index, '00000000-0000-4000-8000-000000000001'), this.fresh);
  }

  /** Whether the new snapshot is there. Throws when anything is there that is not wholly the old or the new. */
  isNew(): boolean {
    const newest = newestWhole(this.disk, DIRECTORY);
    for (const entry of listSnapshots(this.disk, DIRECTORY)) {
      if (entry.error !== undefined) throw entry.error;
      const chunks = readChunks(this.disk, entry.path);
      const isFresh = entry.path === this.path && sameChunks(chunks, this.fresh);
      const isOld = this.chunks.has(entry.path) && sameChunks(chunks, this.chunks.get(entry.path)!);
      if (!isFresh && !isOld) throw new Error(`${entry.path} has neither the old nor the new chunks`);
      if (entry.path === newest?.path) return isFresh;
    }
    throw new Error('no snapshot is left');
  }

  get temporaries(): string[] {
    return this.disk.list(DIRECTORY).filter((name) => name.endsWith(TEMPORARY_SUFFIX));
  }
}

const small = (random: Random) => [chunkOf(random, 3000), chunkOf(random, 700, true), chunkOf(random, 5000)];
/** Enough to be synced while it is written. */
const large = (random: Random) => {
  const noise = new Int32Array(9 * 256 * 1024 + 1).map((_, i) => Math.imul(i ^ (i >>> 9), 0x9e3779b1));
  return [{ bytes: new Uint8Array(noise.buffer), keys: 1 }, chunkOf(random, 50)];
};

describe.each([
  ['with the next index', OLD + 7, small],
  ['over the one with the same index', OLD, small],
  ['of some MiB', OLD + 1, large],
])('writing a snapshot %s', (_title, index, make) => {
  const rounds = make === large ? 1 : ROUNDS;
  it('leaves the old or the new one, whole, when the power goes at any step', () => {
    const outcomes = new Set<string>();
    for (const loss of ['unsynced', 'torn', 'nothing'] as Loss[]) {
      for (let seed = 1; seed <= rounds; seed++) {
        const fresh = make(new Random(seed));
        for (let step = 1; ; step++) {
          const scene = new Scene(new Random(seed * 1000 + step), index, fresh);
          scene.disk.failAt(scene.disk.steps + step, 'crash');
          let done = false;
          try {
            scene.write();
            done = true;
          } catch (error) {
            if (!(error instanceof PowerLoss)) throw error;
          }
          const fired = scene.disk.fired;
          scene.disk.crash(loss);
          removeTemporary(scene.disk, DIRECTORY);
          const isNew = scene.isNew();
          if (done && !isNew) throw new Error('a snapshot that was finished is gone');
          outcomes.add(isNew ? 'new' : 'old');
          expect(scene.temporaries).toEqual([]);
          if (fired === 0) break;
        }
      }
    }
    expect(outcomes).toEqual(new Set(['old', 'new']));
  });

  it.each<Fault>(['ENOSPC', 'EIO', 'EROFS', 'short'])('leaves the old or the new one after %s at any step', (fault) => {
    const codes = new Set<string>();
    const fresh = make(new Random(5));
    const clean = new Scene(new Random(1), index, fresh);
    const before = clean.disk.steps;
    clean.write();
    const steps = clean.disk.steps - before;
    for (let step = 1; step <= steps; step++) {
      const scene = new Scene(new Random(step), index, fresh);
      scene.disk.failAt(scene.disk.steps + step, fault);
      let code = '';
      try {
        scene.write();
      } catch (error) {
        if (!(error instanceof SnapshotError)) throw error;
        code = error.code;
        codes.add(code);
      }
      scene.disk.clearFaults();
      // The sync of the directory comes after the rename: only then a failure may leave the new one.
      expect(scene.isNew()).toBe(code === '' || (code === 'SYNC_FAILED' && step === steps));
      expect(scene.temporaries).toEqual([]);
      scene.write();
      expect(scene.isNew()).toBe(true);
    }
    const expected = { ENOSPC: ['NO_SPACE'], EROFS: ['READ_ONLY'], EIO: ['IO', 'SYNC_FAILED'], short: [] }[
      fault as string
    ];
    expect([...codes].sort()).toEqual(expected);
  });
});

describe('a full disk', () => {
  it('leaves the old one, at whatever byte it is full', () => {
    const fresh = small(new Random(6));
    for (let room = 0; room < 9000; room += 97) {
      const scene = new Scene(new Random(1), OLD + 1, fresh);
      const used = scene.disk
        .list(DIRECTORY)
        .reduce((sum, name) => sum + scene.disk.contents(join(DIRECTORY, name)).length, 0);
      scene.disk.capacityBytes = used + room;
      let failed: unknown;
      try {
        scene.write();
      } catch (error) {
        failed = error;
      }
      expect(scene.isNew()).toBe(failed === undefined);
      if (failed !== undefined) expect(failed).toMatchObject({ code: 'NO_SPACE' });
      expect(scene.temporaries).toEqual([]);
    }
  });
});

describe('a dump.rdb', () => {
  it('is the old or the new one, to the byte, when the power goes at any step', () => {
    const random = new Random(8);
    const path = join(DIRECTORY, 'dump.rdb');
    const facts = { redisVersion: '7.0.15', createdAtSeconds: 1_764_000_000, usedBytes: 1 };
    const write = (disk: SimDisk, bytes: Uint8Array): void => {
      const file = openTarget(disk, { format: 'rdb', path, facts });
      for (let i = 0; i < 3; i++) file.chunk(bytes, 1);
      file.publish();
    };
    const [old, fresh] = [0, 1].map(() => {
      const { bytes } = chunkOf(random, 700, true);
      const disk = new SimDisk(random);
      write(disk, bytes);
      return { bytes, file: disk.contents(path).slice() };
    });
    const outcomes = new Set<string>();
    for (const loss of ['unsynced', 'torn', 'nothing'] as Loss[]) {
      for (let step = 1; ; step++) {
        const disk = new SimDisk(new Random(step));
        disk.place(path, old.file);
        disk.failAt(step, 'crash');
        try {
          write(disk, fresh.bytes);
        } catch (error) {
          if (!(error instanceof PowerLoss)) throw error;
        }
        const { fired } = disk;
        disk.crash(loss);
        const left = disk.contents(path);
        const isOld = Buffer.compare(left, old.file) === 0;
        if (!isOld && Buffer.compare(left, fresh.file) !== 0) throw new Error(`neither, after step ${step}`);
        outcomes.add(isOld ? 'old' : 'new');
        if (fired === 0) break;
      }
    }
    expect(outcomes).toEqual(new Set(['old', 'new']));
  });
});

describe('retention', () => {
  it('leaves the newest, when the power goes at any step', () => {
    for (const loss of ['unsynced', 'torn', 'nothing'] as Loss[]) {
      for (let step = 1; ; step++) {
        const scene = new Scene(new Random(step), OLD + 1, small(new Random(7)));
        scene.write();
        scene.disk.failAt(scene.disk.steps + step, 'crash');
        try {
          removeOlder(scene.disk, DIRECTORY, OLD + 1);
        } catch (error) {
          if (!(error instanceof PowerLoss)) throw error;
        }
        const fired = scene.disk.fired;
        scene.disk.crash(loss);
        expect(scene.isNew()).toBe(true);
        if (fired === 0) break;
      }
    }
  });
});
