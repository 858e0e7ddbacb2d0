import { expect, it } from 'vitest';
import { EMPTY_CONFIG } from '../../engine/raft/config.ts';
import { ENTRY_COMMAND, ENTRY_NOOP, Entry, type SnapshotMeta } from '../../engine/raft/entry.ts';
import { MemoryStorage } from '../../engine/raft/memorystorage.ts';
import { RaftStore } from '../../engine/raft/store.ts';
import { SimDisk } from '../sim/simdisk.ts';
import { seeded } from '../support/seeded.ts';

const DIRECTORY = '/data/log';
const IDENTITY = { clusterId: 'c0'.repeat(16), nodeId: 'ab'.repeat(16), replica: 3 };

function snapshot(index: number, term: number): SnapshotMeta {
  return { index, term, config: EMPTY_CONFIG, configIndex: 0 };
}

function entry(index: number, term: number, kind = ENTRY_COMMAND): Entry {
  const bytes = Buffer.from(`..${index} in ${term}`);
  return new Entry(index, term, kind, bytes, 2, bytes.length - 2);
}

async function begun(disk: SimDisk): Promise<MemoryStorage> {
  const storage = new MemoryStorage(disk, DIRECTORY);
  await storage.begin(IDENTITY);
  expect((await storage.restore(snapshot(0, 0))).isLost).toBe(false);
  return storage;
}

it('gives back what it was given, without what was replaced or dropped', async () => {
  const storage = await begun(new SimDisk(seeded(1)));
  const texts = async (from: number, to: number) =>
    (await storage.fetch(from, to, 1e9)).map((e) =>
      Buffer.from(e.bytes.subarray(e.start, e.start + e.length)).toString(),
    );
  storage.write(1, { term: 1, vote: 0 }, null, [entry(1, 1, ENTRY_NOOP), entry(2, 1), entry(3, 1)]);
  expect(await texts(1, 9)).toEqual(['1 in 1', '2 in 1', '3 in 1']);
  expect((await storage.fetch(1, 9, 1)).map((e) => [e.index, e.kind])).toEqual([[1, ENTRY_NOOP]]);
  storage.write(2, { term: 2, vote: 0 }, null, [entry(3, 2), entry(4, 2)]);
  storage.compact(2);
  expect(await texts(2, 9)).toEqual([]);
  expect(await texts(3, 9)).toEqual(['3 in 2', '4 in 2']);
  storage.write(3, null, snapshot(20, 3), [entry(21, 3)]);
  expect(await texts(4, 9)).toEqual([]);
  expect(await texts(21, 30)).toEqual(['21 in 3']);
});

it('has every batch at once', async () => {
  const storage = await begun(new SimDisk(seeded(1)));
  for (let batch = 1; batch <= 5; batch++) expect(storage.write(batch, null, null, [entry(batch, 1)])).toBe(true);
});

it('knows in its next life that it is lost, until it begins as another replica', async () => {
  const disk = new SimDisk(seeded(1));
  await begun(disk);
  disk.crash('unsynced');
  const second = new MemoryStorage(disk, DIRECTORY);
  expect([second.identity, second.incarnation]).toEqual([IDENTITY, 2]);
  expect((await second.restore(snapshot(0, 0))).isLost).toBe(true);
  const third = new MemoryStorage(disk, DIRECTORY);
  await third.begin({ ...IDENTITY, replica: 4 });
  expect((await third.restore(snapshot(0, 0))).isLost).toBe(false);
  expect([third.identity?.replica, third.incarnation]).toEqual([4, 3]);
});

it('is lost on a disk, and a disk is lost in memory', async () => {
  const disk = new SimDisk(seeded(1));
  await begun(disk);
  expect(RaftStore.open(disk, DIRECTORY).restore(snapshot(0, 0)).isLost).toBe(true);
  const other = new SimDisk(seeded(1));
  const store = RaftStore.open(other, DIRECTORY);
  store.begin(IDENTITY);
  store.restore(snapshot(0, 0));
  store.write({ term: 7, vote: 1 }, null, []);
  store.close();
  const { isLost, hardState } = await new MemoryStorage(other, DIRECTORY).restore(snapshot(0, 0));
  expect([isLost, hardState.term]).toEqual([true, 7]);
});
