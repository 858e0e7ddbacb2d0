/**
 * Engines for simulated replicas, used again from one life to the next, since nobody gives the memory of an engine back soon. Each
 * hashes in its own way, as each start of a node does, so that no order of tables can be the same by accident.
 */
import { resetArena } from '../../../engine/alloc.ts';
import { abortSnapshot, isSwept } from '../../../engine/snapshot/epoch.ts';
import { TestEngine } from '../../support/engine.ts';
import { TestSnapshots } from '../../support/snapshots.ts';

const SHARDS = 2;
const ARENA_BYTES = 8 * 1024 * 1024;
const SWEEP_BUCKETS = 1000;

/** An engine, and what takes snapshots of it. */
export interface Borrowed {
  readonly engine: TestEngine;
  readonly snapshots: TestSnapshots;
}

const idle: Borrowed[] = [];
let made = 0;

export function borrowEngine(): Borrowed {
  const borrowed = idle.pop() ?? make();
  empty(borrowed);
  return borrowed;
}

export function returnEngine(borrowed: Borrowed): void {
  idle.push(borrowed);
}

function make(): Borrowed {
  made++;
  const engine = new TestEngine({
    shards: SHARDS,
    arenaBytes: ARENA_BYTES,
    hashSeeds: [made * 77 + 1, made * 991 + 2],
  });
  return { engine, snapshots: new TestSnapshots(engine) };
}

function empty({ engine, snapshots }: Borrowed): void {
  const { arenas } = engine.shards;
  for (const arena of arenas) if (!arena.lockedBy(0)) arena.tryLock(0);
  abortSnapshot(arenas);
  for (let shard = 0; shard < arenas.length; shard++) {
    resetArena(arenas[shard]);
    while (!isSwept(arenas[shard])) snapshots.step(shard, SWEEP_BUCKETS);
  }
  engine.call.db = 0;
  engine.call.random.reseed(1);
}
