import { expect, it } from 'vitest';
import { Configuration, encodeConfig } from '../../engine/raft/config.ts';
import { ENTRY_COMMAND, ENTRY_CONFIG, ENTRY_NOOP, Entry, type SnapshotMeta } from '../../engine/raft/entry.ts';
import type { Restored } from '../../engine/raft/options.ts';
import { RaftStore } from '../../engine/raft/store.ts';
import { giveUpLog, statePath } from '../../engine/raft/storestate.ts';
import { SimDisk } from '../sim/simdisk.ts';
import { seeded } from '../support/seeded.ts';

const DIRECTORY = '/data/log';
const OPTIONS = { segmentBytes: 12 * 1024, reserveBytes: 4096 };
const CONFIG = new Configuration([1, 2, 3], [], [], 3);
const IDENTITY = { clusterId: '0'.repeat(31).concat('c'), nodeId: 'ab'.repeat(16), replica: 3 };
const NOTHING = snapshot(0, 0);

function snapshot(index: number, term: number): SnapshotMeta {
  return { index, term, config: CONFIG, configIndex: 0 };
}

function entry(index: number, term: number, text = `${index} in ${term}`, kind = ENTRY_COMMAND): Entry {
  const bytes = Buffer.from(`..${text}`);
  return new Entry(index, term, kind, bytes, 2, bytes.length - 2);
}

function entries(from: number, to: number, term: number, text?: string): Entry[] {
  return Array.from({ length: to - from }, (_, i) => entry(from + i, term, text));
}

function texts(store: RaftStore, from: number, to: number, maxBytes = 1e9): string[] {
  return store
    .read(from, to, maxBytes)
    .map((e) => Buffer.from(e.bytes.subarray(e.start, e.start + e.length)).toString());
}

function disk(): SimDisk {
  return new SimDisk(seeded(1));
}

/** A store that has begun. */
function begun(on: SimDisk): RaftStore {
  const store = RaftStore.open(on, DIRECTORY, OPTIONS);
  store.begin(IDENTITY);
  store.restore(NOTHING);
  return store;
}

function reopened(on: SimDisk, meta = NOTHING): { store: RaftStore; restored: Restored } {
  const store = RaftStore.open(on, DIRECTORY, OPTIONS);
  return { store, restored: store.restore(meta) };
}

it('knows whose directory it is, and counts its lives', () => {
  const on = disk();
  const store = RaftStore.open(on, DIRECTORY, OPTIONS);
  expect(store.identity).toBeUndefined();
  expect(store.incarnation).toBe(1);
  store.begin(IDENTITY);
  expect(store.identity).toEqual(IDENTITY);
  on.crash('unsynced');
  const second = RaftStore.open(on, DIRECTORY, OPTIONS);
  expect(second.identity).toEqual(IDENTITY);
  expect(second.incarnation).toBe(2);
  on.crash('unsynced');
  expect(RaftStore.open(on, DIRECTORY, OPTIONS).incarnation).toBe(3);
});

it('keeps a term and a vote from the moment of the write, and entries from the sync on', () => {
  const on = disk();
  const store = begun(on);
  store.write({ term: 4, vote: 2 }, null, entries(1, 4, 4));
  store.sync();
  store.write({ term: 5, vote: 1 }, null, [entry(4, 5)]);
  on.crash('unsynced');
  const { restored } = reopened(on);
  expect(restored.hardState).toEqual({ term: 5, vote: 1 });
  expect(restored.isLost).toBe(false);
  expect([restored.log.lastIndex, restored.log.lastTerm]).toEqual([3, 4]);
});

it('gives entries back as they were, by bytes and by kind', () => {
  const on = disk();
  const store = begun(on);
  store.write({ term: 1, vote: 0 }, null, [
    entry(1, 1, '', ENTRY_NOOP),
    entry(2, 1, 'x'.repeat(20_000)),
    ...entries(3, 40, 1),
  ]);
  expect(store.read(1, 3, 10).map((e) => [e.index, e.term, e.kind, e.length])).toEqual([[1, 1, ENTRY_NOOP, 0]]);
  expect(texts(store, 2, 40, 100)).toEqual(['x'.repeat(20_000)]);
  expect(texts(store, 3, 6)).toEqual(['3 in 1', '4 in 1', '5 in 1']);
  expect(texts(store, 3, 40, 20)).toEqual(['3 in 1', '4 in 1', '5 in 1']);
  expect(texts(store, 38, 100)).toEqual(['38 in 1', '39 in 1']);
  expect(texts(store, 40, 100)).toEqual([]);
  expect(texts(store, 0, 2)).toEqual([]);
});

it('knows the configurations of the log, but not of entries that were replaced', () => {
  const on = disk();
  const store = begun(on);
  const config = (voters: number[], index: number, term: number) => {
    const bytes = encodeConfig(new Configuration(voters, [], [], 9));
    return new Entry(index, term, ENTRY_CONFIG, bytes, 0, bytes.length);
  };
  store.write({ term: 1, vote: 0 }, null, [config([1, 2], 1, 1), entry(2, 1), config([1, 2, 4], 3, 1)]);
  store.write({ term: 2, vote: 0 }, null, [entry(3, 2), config([1, 5], 4, 2), config([6], 5, 2)]);
  store.write({ term: 3, vote: 0 }, null, [entry(5, 3)]);
  store.close();
  const { restored } = reopened(on);
  expect(restored.configs.current.voters).toEqual([1, 5]);
  expect(restored.configs.currentIndex).toBe(4);
  expect(restored.configs.at(3).voters).toEqual([1, 2]);
});

it('replaces entries that conflict, over segments', () => {
  const on = disk();
  const store = begun(on);
  store.write({ term: 1, vote: 0 }, null, entries(1, 100, 1, 'o'.repeat(900)));
  store.sync();
  expect(store.segmentCount).toBeGreaterThan(3);
  store.write({ term: 2, vote: 0 }, null, entries(12, 15, 2));
  store.sync();
  on.crash('unsynced');
  const { store: again, restored } = reopened(on);
  expect(restored.log.lastIndex).toBe(14);
  expect([restored.log.termAt(11), restored.log.termAt(12)]).toEqual([1, 2]);
  expect(texts(again, 11, 99)).toEqual(['o'.repeat(900), '12 in 2', '13 in 2', '14 in 2']);
});

it('drops what a snapshot covers', () => {
  const on = disk();
  const store = begun(on);
  store.write({ term: 1, vote: 0 }, null, entries(1, 100, 1, 'o'.repeat(900)));
  store.sync();
  store.compact(60);
  expect(store.firstIndex).toBeGreaterThan(30);
  expect(store.firstIndex).toBeLessThanOrEqual(61);
  expect(texts(store, store.firstIndex - 1, 90)).toEqual([]);
  store.close();
  const { restored } = reopened(on, snapshot(60, 1));
  expect([restored.log.baseIndex, restored.log.lastIndex]).toEqual([60, 99]);
});

it('begins anew behind a snapshot that came from a leader', () => {
  const on = disk();
  const store = begun(on);
  store.write({ term: 1, vote: 0 }, null, entries(1, 10, 1));
  store.write({ term: 3, vote: 0 }, snapshot(50, 2), []);
  expect([store.firstIndex, store.lastIndex]).toEqual([51, 50]);
  store.write(null, null, entries(51, 53, 3));
  store.sync();
  on.crash('unsynced');
  const { store: again, restored } = reopened(on, snapshot(50, 2));
  expect([restored.log.baseIndex, restored.log.lastIndex, restored.log.lastTerm]).toEqual([50, 52, 3]);
  expect(texts(again, 50, 60)).toEqual([]);
  expect(texts(again, 51, 60)).toEqual(['51 in 3', '52 in 3']);
});

it('passes over the whole log when a crash came between a snapshot and the restart behind it', () => {
  for (const meta of [snapshot(50, 2), snapshot(5, 2), snapshot(9, 2)]) {
    const on = disk();
    const store = begun(on);
    store.write({ term: 1, vote: 2 }, null, entries(1, 10, 1));
    store.close();
    const { store: again, restored } = reopened(on, meta);
    expect(restored.hardState).toEqual({ term: 2, vote: 0 });
    expect([restored.log.baseIndex, restored.log.lastIndex]).toEqual([meta.index, meta.index]);
    again.write({ term: 2, vote: 0 }, null, entries(meta.index + 1, meta.index + 3, 2));
    again.sync();
    on.crash('unsynced');
    const third = reopened(on, meta);
    expect([third.restored.log.lastIndex, third.restored.log.lastTerm]).toEqual([meta.index + 2, 2]);
    expect(texts(third.store, meta.index + 1, 99)).toHaveLength(2);
  }
});

it('keeps what replaced an entry that a snapshot contradicts', () => {
  const on = disk();
  const store = begun(on);
  store.write({ term: 1, vote: 0 }, null, entries(1, 10, 1));
  store.write({ term: 2, vote: 0 }, null, entries(5, 8, 2));
  store.close();
  const { restored } = reopened(on, snapshot(5, 2));
  expect([restored.log.lastIndex, restored.log.lastTerm]).toEqual([7, 2]);
});

it('takes the term of entries that are newer than its state, without a vote', () => {
  const on = disk();
  const store = begun(on);
  store.write({ term: 2, vote: 3 }, null, entries(1, 3, 4));
  store.close();
  expect(reopened(on).restored.hardState).toEqual({ term: 4, vote: 0 });
});

it('says that it is lost when its log is gone, or is another', () => {
  const on = disk();
  const store = begun(on);
  store.write({ term: 2, vote: 3 }, null, entries(1, 3, 2));
  store.close();
  for (const name of on.list(DIRECTORY)) if (name.endsWith('.log')) on.unlink(`${DIRECTORY}/${name}`);
  on.syncDirectory(DIRECTORY);
  for (let life = 0; life < 2; life++) {
    const { restored } = reopened(on);
    expect(restored.isLost).toBe(true);
    expect(restored.hardState).toEqual({ term: 2, vote: 3 });
  }
  const other = disk();
  const otherStore = begun(other);
  otherStore.write({ term: 2, vote: 3 }, null, entries(1, 3, 2));
  otherStore.close();
  on.place(`${DIRECTORY}/0000000000000001.log`, other.contents(`${DIRECTORY}/0000000000000001.log`));
  expect(reopened(on).restored.isLost).toBe(true);
});

it('is lost once its log was repaired by giving up entries', () => {
  const on = disk();
  giveUpLog(on, DIRECTORY);
  expect(on.list(DIRECTORY)).toEqual([]);
  const store = begun(on);
  store.write({ term: 2, vote: 3 }, null, entries(1, 3, 2));
  store.close();
  giveUpLog(on, DIRECTORY);
  on.crash('unsynced');
  const { store: again, restored } = reopened(on);
  expect([restored.isLost, again.incarnation]).toEqual([true, 2]);
  again.begin({ ...IDENTITY, replica: 4 });
  expect(again.restore(NOTHING).isLost).toBe(false);
});

it('begins again under another identity, with nothing of what was', () => {
  const on = disk();
  const store = begun(on);
  store.write({ term: 2, vote: 3 }, null, entries(1, 30, 2, 'o'.repeat(900)));
  store.close();
  const again = RaftStore.open(on, DIRECTORY, OPTIONS);
  again.begin({ ...IDENTITY, replica: 7 });
  // The crash comes before the old log is put aside.
  on.crash('unsynced');
  const { store: third, restored } = reopened(on);
  expect(third.identity?.replica).toBe(7);
  expect(third.incarnation).toBe(3);
  expect(restored.hardState).toEqual({ term: 0, vote: 0 });
  expect([restored.isLost, restored.log.lastIndex]).toEqual([false, 0]);
  expect(third.notes).toHaveLength(1);
  expect(on.list(DIRECTORY).filter((name) => name.endsWith('.unused')).length).toBeGreaterThan(2);
});

it('refuses a log without the snapshot that it begins behind', () => {
  const on = disk();
  const store = begun(on);
  store.write({ term: 1, vote: 0 }, snapshot(50, 1), entries(51, 53, 1));
  store.close();
  const names = on.list(DIRECTORY);
  expect(() => reopened(on, snapshot(49, 1))).toThrow('Put the snapshot back');
  expect(on.list(DIRECTORY)).toEqual(names);
  expect(reopened(on, snapshot(50, 1)).restored.log.lastIndex).toBe(52);
});

it('refuses a state that is damaged, in any of its bits', () => {
  const on = disk();
  begun(on).close();
  const good = on.contents(statePath(DIRECTORY)).slice();
  for (let bit = 0; bit < good.length * 8; bit++) {
    const bad = good.slice();
    bad[bit >>> 3] ^= 1 << (bit & 7);
    on.place(statePath(DIRECTORY), bad);
    expect(() => RaftStore.open(on, DIRECTORY, OPTIONS)).toThrow('is damaged');
  }
  for (let length = 0; length < good.length; length++) {
    on.place(statePath(DIRECTORY), good.slice(0, length));
    expect(() => RaftStore.open(on, DIRECTORY, OPTIONS)).toThrow('is damaged');
  }
  on.place(statePath(DIRECTORY), good);
  expect(RaftStore.open(on, DIRECTORY, OPTIONS).identity).toEqual(IDENTITY);
});

it('lays the state out as drawn', () => {
  const on = disk();
  const store = begun(on);
  store.saveHardState({ term: 5, vote: 2 });
  const hex = Buffer.from(on.contents(statePath(DIRECTORY))).toString('hex');
  expect(hex.slice(0, 24)).toBe(`${Buffer.from('MILLRAFT').toString('hex')}01000000`);
  expect(hex.slice(32, 48)).toBe('0000000003000000');
  expect(hex.slice(56, 96)).toBe('0200000005000000000000000100000000000000');
  expect(hex.slice(96)).toBe(IDENTITY.clusterId + IDENTITY.nodeId);
});
