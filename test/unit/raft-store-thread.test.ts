import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { NUMBER_DURABLE, NUMBER_SYNCS, NUMBER_WRITTEN } from '../../engine/log/link.ts';
import { Configuration, EMPTY_CONFIG, encodeConfig } from '../../engine/raft/config.ts';
import { ENTRY_COMMAND, ENTRY_CONFIG, Entry, type SnapshotMeta } from '../../engine/raft/entry.ts';
import { openRaftStorage, type RaftStorage } from '../../net/raftstorage.ts';

const IDENTITY = { clusterId: 'c0'.repeat(16), nodeId: 'ab'.repeat(16), replica: 3 };
const NOTHING = snapshot(0, 0);

let directory = '';
let deaths: string[] = [];
const open: RaftStorage[] = [];

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'raft-store-'));
  deaths = [];
});

afterEach(async () => {
  for (const storage of open.splice(0)) await storage.close();
  rmSync(directory, { recursive: true });
  expect(deaths).toEqual([]);
});

function snapshot(index: number, term: number): SnapshotMeta {
  return { index, term, config: EMPTY_CONFIG, configIndex: 0 };
}

async function start(policy: 'always' | 'everysec' | 'no' = 'always'): Promise<RaftStorage> {
  const storage = await openRaftStorage(join(directory, 'log'), policy, (text) => deaths.push(text));
  open.push(storage);
  return storage;
}

async function begun(policy?: 'always' | 'everysec' | 'no'): Promise<RaftStorage> {
  const storage = await start(policy);
  await storage.begin(IDENTITY);
  await storage.restore(NOTHING);
  return storage;
}

async function stop(storage: RaftStorage): Promise<void> {
  open.splice(open.indexOf(storage), 1);
  await storage.close();
}

function entry(index: number, term: number, text = `${index} in ${term}`): Entry {
  const bytes = Buffer.from(`..${text}`);
  return new Entry(index, term, ENTRY_COMMAND, bytes, 2, bytes.length - 2);
}

/** Resolves when this batch is persisted; what was told until then. */
function persisted(storage: RaftStorage, batch: number): Promise<number[]> {
  const told: number[] = [];
  return new Promise((resolve) => {
    storage.onPersisted = (upTo) => {
      told.push(upTo);
      if (upTo >= batch) resolve(told);
    };
  });
}

async function texts(storage: RaftStorage, from: number, to: number, maxBytes = 1e9): Promise<string[]> {
  const entries = await storage.fetch(from, to, maxBytes);
  return entries.map((e) => Buffer.from(e.bytes.subarray(e.start, e.start + e.length)).toString());
}

it('persists batches, many at once, and gives them back after a restart', async () => {
  const storage = await begun();
  expect([storage.identity, storage.incarnation]).toEqual([IDENTITY, 1]);
  const done = persisted(storage, 500);
  storage.write(1, { term: 2, vote: 3 }, null, [entry(1, 2)]);
  for (let batch = 2; batch <= 500; batch++) storage.write(batch, null, null, [entry(batch, 2)]);
  const told = await done;
  expect(told.length).toBeLessThan(250);
  expect(told).toEqual(told.toSorted((a, b) => a - b));
  expect(await texts(storage, 499, 999)).toEqual(['499 in 2', '500 in 2']);
  expect(await texts(storage, 1, 100, 10)).toEqual(['1 in 2']);
  await stop(storage);
  const again = await start();
  expect([again.identity, again.incarnation]).toEqual([IDENTITY, 2]);
  const restored = await again.restore(NOTHING);
  expect(restored.hardState).toEqual({ term: 2, vote: 3 });
  expect([restored.log.lastIndex, restored.log.lastTerm, restored.isLost]).toEqual([500, 2, false]);
});

it('has a batch with nothing in it at once, but not before those that come first', async () => {
  const storage = await begun();
  const told: number[] = [];
  storage.onPersisted = (batch) => told.push(batch);
  expect(storage.write(1, null, null, [])).toBe(true);
  expect(storage.write(2, null, null, [])).toBe(true);
  expect(storage.write(3, null, null, [entry(1, 1)])).toBe(false);
  expect(storage.write(4, null, null, [])).toBe(false);
  expect(told).toEqual([]);
  const done = persisted(storage, 5);
  expect(storage.write(5, null, null, [])).toBe(false);
  expect((await done).at(-1)).toBe(5);
  expect(storage.write(6, null, null, [])).toBe(true);
});

it.each(['always', 'everysec', 'no'] as const)(
  'takes entries of all sizes, more than its ring holds: %s',
  async (policy) => {
    const storage = await begun(policy);
    const sizes = [0, 1, 60_000, 5_000_000, 4_000_000, 100, 3_999_999, 4_194_304, 4_194_272, 4_194_273, 7];
    const done = persisted(storage, sizes.length);
    for (let i = 0; i < sizes.length; i++) {
      storage.write(i + 1, null, null, [entry(i + 1, 1, String.fromCharCode(97 + i).repeat(sizes[i]))]);
    }
    await done;
    await stop(storage);
    const again = await start();
    expect((await again.restore(NOTHING)).log.lastIndex).toBe(sizes.length);
    for (let i = 0; i < sizes.length; i++) {
      const [text] = await texts(again, i + 1, i + 2);
      expect(text === String.fromCharCode(97 + i).repeat(sizes[i])).toBe(true);
    }
  },
);

it.each([
  ['always', NUMBER_DURABLE],
  ['everysec', NUMBER_WRITTEN],
] as const)('tells of a batch when all of its entries are where they should be: %s', async (policy, number) => {
  const storage = await begun(policy);
  let last = 0;
  const write = (batch: number, count: number, size: number) => {
    const entries = Array.from({ length: count }, () => entry(++last, 1, 'x'.repeat(size)));
    return new Promise<void>((resolve) => {
      storage.onPersisted = (upTo) => {
        expect(upTo).toBe(batch);
        expect(storage.numbers[number]).toBe(last);
        resolve();
      };
      storage.write(batch, null, null, entries);
    });
  };
  for (let batch = 1; batch <= 20; batch++) await write(batch, 3, 10);
  // More than the ring holds.
  await write(21, 9, 2_500_000);
});

it('syncs as its policy says, and as a new one says', async () => {
  const storage = await begun('no');
  const { numbers } = storage;
  const durable = async (index: number) => {
    while (numbers[NUMBER_DURABLE] !== index) await new Promise((resolve) => setTimeout(resolve, 5));
  };
  const write = async (batch: number) => {
    const done = persisted(storage, batch);
    storage.write(batch, null, null, [entry(batch, 1)]);
    await done;
  };
  await write(1);
  await new Promise((resolve) => setTimeout(resolve, 1200));
  expect([numbers[NUMBER_WRITTEN], numbers[NUMBER_DURABLE]]).toEqual([1, 0]);
  storage.setPolicy('always');
  await durable(1);
  storage.setPolicy('everysec');
  await write(2);
  await write(3);
  await durable(3);
  // What comes last is synced too, though nothing follows it.
  expect(numbers[NUMBER_SYNCS]).toBeLessThan(4);
});

it('looks far back for entries while it writes others', async () => {
  const storage = await begun('no');
  const done = persisted(storage, 30);
  for (let batch = 1; batch <= 30; batch++)
    storage.write(batch, null, null, [entry(batch, 1, `${batch}`.repeat(500_000))]);
  await done;
  await stop(storage);
  const again = await start('no');
  await again.restore(NOTHING);
  const found = [again.fetch(3, 5, 1e9), again.fetch(30, 31, 1e9), again.fetch(1, 2, 1e9)];
  again.compact(1);
  const written = persisted(again, 1);
  again.write(1, null, null, [entry(31, 1)]);
  await written;
  const indexes = (await Promise.all(found)).map((entries) => entries.map(({ index }) => index));
  expect(indexes).toEqual([[3, 4], [30], [1]]);
});

it('replaces, begins anew behind a snapshot, drops, and keeps configurations', async () => {
  const storage = await begun();
  const bytes = encodeConfig(new Configuration([1, 2], [], [], 9));
  const first = persisted(storage, 3);
  storage.write(1, { term: 1, vote: 0 }, null, [entry(1, 1), entry(2, 1), entry(3, 1)]);
  storage.write(2, { term: 2, vote: 0 }, null, [entry(2, 2)]);
  storage.write(3, null, snapshot(10, 2), [new Entry(11, 2, ENTRY_CONFIG, bytes, 0, bytes.length), entry(12, 2)]);
  await first;
  expect(await texts(storage, 1, 99)).toEqual([]);
  expect((await storage.fetch(11, 99, 1e9)).map((e) => e.kind)).toEqual([ENTRY_CONFIG, ENTRY_COMMAND]);
  storage.compact(10);
  await stop(storage);
  const again = await start();
  const restored = await again.restore(snapshot(10, 2));
  expect([restored.log.lastIndex, restored.configs.currentIndex]).toEqual([12, 11]);
  expect(restored.configs.current.voters).toEqual([1, 2]);
});

it('refuses to open what is damaged, and says why', async () => {
  const storage = await begun();
  storage.write(1, { term: 1, vote: 0 }, snapshot(10, 1), [entry(11, 1)]);
  await stop(storage);
  const second = await start();
  await expect(second.restore(NOTHING)).rejects.toMatchObject({ code: 'CORRUPT', name: 'LogError' });
  await stop(second);
  rmSync(join(directory, 'log', 'raft.state'));
  writeFileSync(join(directory, 'log', 'raft.state'), 'rubbish');
  await expect(start()).rejects.toMatchObject({ code: 'CORRUPT' });
});

it('is lost without its log', async () => {
  const storage = await begun();
  storage.write(1, { term: 1, vote: 0 }, null, [entry(1, 1)]);
  await stop(storage);
  for (const name of readdirSync(join(directory, 'log'))) {
    if (name.endsWith('.log')) rmSync(join(directory, 'log', name));
  }
  const second = await start();
  expect((await second.restore(NOTHING)).isLost).toBe(true);
  await second.begin({ ...IDENTITY, replica: 9 });
  expect((await second.restore(NOTHING)).isLost).toBe(false);
  expect(second.identity?.replica).toBe(9);
});
