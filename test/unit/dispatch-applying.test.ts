/** Writes of entries that have to wait for reads that workers have: their fence goes with the wait. */
import { beforeEach, expect, it } from 'vitest';
import { Blocking } from '../../net/blocking.ts';
import type { Dispatcher } from '../../net/dispatch.ts';
import { APPLY_LATER, APPLYING, Applying } from '../../net/dispatch-applying.ts';
import { MainShards } from '../../net/dispatch-shards.ts';
import type { WorkerPool } from '../../net/workers.ts';
import { TestEngine } from '../support/engine.ts';

const engine = new TestEngine({ shards: 2, arenaBytes: 16 * 1024 * 1024 });
const { call, table } = engine;
const row = table.topLevel.find(({ name }) => name === 'set')!;
let shards: MainShards;
let blocking: Blocking;
let applying: Applying;

beforeEach(() => {
  shards = new MainShards(call, { settledMs: 0 }, true);
  blocking = new Blocking();
  const dispatcher = { call, shards, blocking, runsHere: () => false, run: () => {} } as unknown as Dispatcher;
  const workers = { ofShard: () => 0, sendApplied: () => true } as unknown as WorkerPool;
  applying = new Applying(dispatcher, workers, new Uint8Array(table.rows.length).fill(1));
  engine.run('set', 'key', 'value');
  call.hashKey(1);
  // A worker has a read of that shard, and somebody waits for a key, so that the write must run here.
  shards.queued[call.arena.shard] = 1;
  blocking.count = 1;
  expect(applying.apply(row, row.id, false, 0, 0)).toBe(APPLY_LATER);
  expect(shards.fences.encloses(call.arena.shard)).toBe(true);
});

it('also when nobody waits any more, and a worker may have the write', () => {
  blocking.count = 0;
  expect(applying.apply(row, row.id, false, 0, 0)).toBe(APPLYING);
  expect(shards.fences.count).toBe(0);
});

it('also when the write is given up for a snapshot', () => {
  applying.giveUp();
  expect(shards.fences.count).toBe(0);
});
