/**
 * Snapshots with worker threads that sweep while the main thread writes: the chunks of all of them together hold the state of
 * the moment.
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { LockSet } from '../../engine/locks.ts';
import { Random } from '../../engine/random.ts';
import { loadPairs } from '../../engine/rdb/decode.ts';
import { RdbInput } from '../../engine/rdb/input.ts';
import { releaseChunk } from '../../engine/snapshot/chunk.ts';
import { abortSnapshot, beginSnapshot, isAborted, isSwept } from '../../engine/snapshot/epoch.ts';
import { Saver } from '../../engine/snapshot/saver.ts';
import { verifyEpoch } from '../../engine/snapshot/sweep.ts';
import type { SnapshotMessage } from '../../engine/snapshot/sweeper.ts';
import { WorkerPool } from '../../net/workers.ts';
import { TestEngine } from '../support/engine.ts';
import { anyCommand } from '../support/gen/any.ts';
import { differences, stateOf } from '../support/state.ts';

const SHARDS = 6;
const WORKERS = 2;
const KEYS = 4000;
const NOW = 1_700_000_000_000;
const MIB = 1024 * 1024;

describe('a snapshot by several threads', () => {
  const engine = new TestEngine({ shards: SHARDS, arenaBytes: 64 * MIB });
  const { arenas } = engine.shards;
  const locks = new LockSet(engine.shards, 0);
  const all = new Uint8Array(SHARDS).fill(1);
  const r = new Random(3);
  let pool: WorkerPool;
  let saver: Saver;
  let chunks: Uint8Array[] = [];
  let keys = 0;
  let finished = 0;
  let current = 0;
  let fromWorkers = 0;

  function take(chunk: Uint8Array, count: number, snapshot: number): void {
    if (snapshot === current) {
      chunks.push(chunk.slice());
      keys += count;
    }
    releaseChunk(chunk, pool.snapshotPending);
  }

  beforeAll(() => {
    engine.nowMs = NOW;
    pool = new WorkerPool(WORKERS, engine.shards, engine.settings, (message) => {
      throw new Error(message);
    });
    saver = new Saver(take, pool.snapshotPending);
    for (const arena of arenas) arena.saver = saver;
    for (const port of pool.snapshotPorts) {
      port.on('message', ({ chunk, keys: count, snapshot }: SnapshotMessage) => {
        if (chunk === undefined) finished += snapshot === current ? 1 : 0;
        else take(chunk, count, snapshot);
        if (chunk !== undefined) fromWorkers += count;
      });
    }
    locks.takeMarked(all);
    for (let i = 0; i < KEYS; i++) engine.run('SET', `k:${i}`, String(i).repeat(1 + (i % 50)));
    locks.releaseAll();
  });

  afterAll(() => {
    for (const port of pool.snapshotPorts) port.close();
    pool.stop();
  });

  /** Some writes with all locks, as one command after the other would have them. */
  function write(): void {
    locks.takeMarked(all);
    for (let i = 0; i < 40; i++) {
      const command = r.below(2) === 0 ? anyCommand(r) : ['APPEND', `k:${r.below(KEYS)}`, 'x'];
      if (!/^flush/i.test(String(command[0]))) engine.run(...command);
    }
    if (r.below(4) === 0) engine.run('DEL', ...Array.from({ length: 30 }, () => `k:${r.below(KEYS)}`));
    locks.releaseAll();
  }

  function begin(): Map<string, string> {
    chunks = [];
    keys = 0;
    finished = 0;
    locks.takeMarked(all);
    const was = stateOf(engine);
    current = beginSnapshot(arenas, NOW);
    locks.releaseAll();
    return was;
  }

  /** Writes until the sweeps are over and every worker has said so. */
  async function finish(): Promise<void> {
    while (!arenas.every(isSwept) || finished < WORKERS) {
      write();
      await new Promise((resolve) => setTimeout(resolve, r.below(3)));
    }
    saver.flush(current);
    locks.takeMarked(all);
    for (const arena of arenas) verifyEpoch(arena);
    locks.releaseAll();
  }

  it('holds the state of its moment', { timeout: 60_000 }, async () => {
    for (let round = 0; round < 8; round++) {
      const was = begin();
      if (round % 4 === 2) {
        write();
        abortSnapshot(arenas);
        await finish();
        expect(isAborted(arenas)).toBe(true);
        continue;
      }
      await finish();
      expect(keys).toBe(was.size);
      const loaded = new TestEngine({ shards: 2, arenaBytes: 64 * MIB });
      loaded.nowMs = NOW;
      loaded.call.setClock(NOW);
      for (const chunk of chunks) loadPairs(loaded.call, new RdbInput(chunk, 0, chunk.length));
      expect(differences(was, stateOf(loaded))).toEqual([]);
    }
    expect(saver.savedKeys).toBeGreaterThan(100);
    expect(fromWorkers).toBeGreaterThan(100);
    expect(pool.snapshotPending[0]).toBe(0);
  });
});
