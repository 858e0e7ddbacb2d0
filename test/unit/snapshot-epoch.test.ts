/** Snapshots step by step: what is saved when, what becomes of chunks and their memory, and how one ends early. */
import type { MessagePort } from 'node:worker_threads';
import { describe, expect, it } from 'vitest';
import { LockSet } from '../../engine/locks.ts';
import { RDB_OPCODE_SELECTDB } from '../../engine/rdb/opcodes.ts';
import { Shards } from '../../engine/shards.ts';
import { releaseChunk } from '../../engine/snapshot/chunk.ts';
import {
  abortSnapshot,
  beginSnapshot,
  isAborted,
  isSwept,
  SNAPSHOT_ABORTED,
  SNAPSHOT_ABORTING,
  SNAPSHOT_IDLE,
  SNAPSHOT_SWEEPING,
  snapshotState,
} from '../../engine/snapshot/epoch.ts';
import { CHUNK_BYTES, PENDING_PAUSE_BYTES, Saver } from '../../engine/snapshot/saver.ts';
import { sweepStep, verifyEpoch } from '../../engine/snapshot/sweep.ts';
import { type SnapshotMessage, SWEEP_BLOCKED, SWEEP_IDLE, SWEEP_MORE, Sweeper } from '../../engine/snapshot/sweeper.ts';
import { TestEngine } from '../support/engine.ts';
import { TestSnapshots } from '../support/snapshots.ts';
import { differences, stateOf } from '../support/state.ts';

const NOW = 1_700_000_000_000;
const MIB = 1024 * 1024;

function newEngine(shards = 1): TestEngine {
  const engine = new TestEngine({ shards, arenaBytes: 64 * MIB });
  engine.nowMs = NOW;
  return engine;
}

function fill(engine: TestEngine, count: number, bytes = 10): void {
  for (let i = 0; i < count; i++) engine.run('SET', `k:${i}`, `${i}`.padEnd(bytes, '-'));
}

describe('saving before a change', () => {
  it('saves what is written, once, and nothing that is read', () => {
    const engine = newEngine();
    const snapshots = new TestSnapshots(engine);
    fill(engine, 100);
    snapshots.begin(NOW);
    for (let i = 0; i < 100; i++) engine.run('GET', `k:${i}`);
    expect(snapshots.savedKeys).toEqual([0, 0]);
    for (let round = 0; round < 3; round++) for (let i = 0; i < 10; i++) engine.run('APPEND', `k:${i}`, 'x');
    engine.run('SET', 'new', '1');
    engine.run('DEL', 'new');
    expect(snapshots.savedKeys).toEqual([10, 0]);
    snapshots.finish();
    expect(snapshots.savedKeys).toEqual([10, 90]);
  });

  it('leaves out what had expired by then, whoever meets it', () => {
    const engine = newEngine();
    const snapshots = new TestSnapshots(engine);
    fill(engine, 30);
    for (let i = 0; i < 20; i++) engine.run('PEXPIRE', `k:${i}`, i < 10 ? 5 : 50);
    engine.nowMs = NOW + 10;
    const was = stateOf(engine);
    expect(was.size).toBe(20);
    snapshots.begin(NOW + 10);
    engine.run('SET', 'k:0', 'again');
    engine.nowMs = NOW + 100;
    engine.expire();
    snapshots.finish();
    expect(snapshots.keys).toBe(20);
    expect(differences(was, stateOf(snapshots.load(NOW + 10)))).toEqual([]);
  });

  it('is refused to a thread that has no saver', () => {
    const engine = newEngine();
    fill(engine, 10);
    beginSnapshot(engine.shards.arenas, NOW);
    expect(() => engine.run('SET', 'k:1', 'x')).toThrow('cannot save');
    expect(engine.run('GET', 'k:1')).toContain('1---');
  });
});

describe('a snapshot under way', () => {
  it('is one at a time', () => {
    const engine = newEngine(2);
    const snapshots = new TestSnapshots(engine);
    fill(engine, 10);
    snapshots.begin(NOW);
    expect(() => snapshots.begin(NOW)).toThrow('under way');
    snapshots.finish();
    snapshots.begin(NOW);
    snapshots.finish();
    expect(snapshots.keys).toBe(10);
  });

  it('ends when what is not saved is flushed, and only then', () => {
    const engine = newEngine(2);
    const [one, other] = engine.shards.arenas;
    const snapshots = new TestSnapshots(engine);
    engine.run('FLUSHALL');
    fill(engine, 500);
    snapshots.begin(NOW);
    engine.call.db = 3;
    engine.run('FLUSHDB');
    engine.call.db = 0;
    snapshots.step(0, 10_000);
    expect([one, other].map(snapshotState)).toEqual([SNAPSHOT_IDLE, SNAPSHOT_SWEEPING]);
    engine.call.db = 1;
    engine.run('SET', 'elsewhere', '1');
    engine.run('FLUSHDB');
    expect([one, other].map(snapshotState)).toEqual([SNAPSHOT_ABORTED, SNAPSHOT_ABORTING]);
    expect(isAborted(engine.shards.arenas)).toBe(true);
    const saved = snapshots.savedKeys;
    engine.call.db = 0;
    for (let i = 0; i < 100; i++) engine.run('APPEND', `k:${i}`, 'x');
    snapshots.finish();
    expect(snapshots.savedKeys).toEqual(saved);
    expect(snapshotState(other)).toBe(SNAPSHOT_ABORTED);
    snapshots.begin(NOW);
    snapshots.finish();
    expect([snapshots.isAborted, snapshots.keys]).toEqual([false, 500]);
  });

  it('is over once it is swept: a flush or an abort comes too late', () => {
    const engine = newEngine();
    const snapshots = new TestSnapshots(engine);
    fill(engine, 100);
    snapshots.begin(NOW);
    snapshots.finish();
    engine.run('FLUSHALL');
    abortSnapshot(engine.shards.arenas);
    expect(snapshots.isAborted).toBe(false);
    expect(snapshots.keys).toBe(100);
  });

  it('does not hand out what a thread has left of an aborted one', () => {
    const engine = newEngine();
    const snapshots = new TestSnapshots(engine);
    fill(engine, 50);
    snapshots.begin(NOW);
    engine.run('SET', 'k:1', 'x');
    abortSnapshot(engine.shards.arenas);
    snapshots.finish();
    snapshots.begin(NOW);
    snapshots.finish();
    expect(snapshots.keys).toBe(50);
    snapshots.load(NOW);
  });

  it('keeps its state through a table that shrinks to nothing and grows again', () => {
    const engine = newEngine();
    const snapshots = new TestSnapshots(engine);
    fill(engine, 2000);
    const was = stateOf(engine);
    snapshots.begin(NOW);
    snapshots.step(0, 120);
    for (let i = 0; i < 1990; i++) engine.run('DEL', `k:${i}`);
    engine.verify();
    snapshots.step(0, 1);
    fill(engine, 2500, 20);
    snapshots.finish();
    expect(differences(was, stateOf(snapshots.load(NOW)))).toEqual([]);
  });
});

describe('chunks', () => {
  it('begin with their database, are of some size, and larger for a large value', () => {
    const engine = newEngine();
    const snapshots = new TestSnapshots(engine);
    fill(engine, 3000, 1000);
    engine.run('SET', 'large', 'x'.repeat(5 * MIB));
    const was = stateOf(engine);
    snapshots.begin(NOW);
    snapshots.finish();
    const { chunks } = snapshots;
    for (const chunk of chunks) expect([...chunk.subarray(0, 2)]).toEqual([RDB_OPCODE_SELECTDB, 0]);
    const lengths = chunks.map((chunk) => chunk.length).sort((a, b) => a - b);
    expect(lengths.filter((length) => length > 5 * MIB).length).toBe(1);
    for (const length of lengths.slice(1, -1)) expect(length - CHUNK_BYTES).toBeLessThan(1200);
    chunks.reverse();
    expect(differences(was, stateOf(snapshots.load(NOW)))).toEqual([]);
    expect(snapshots.pending[0]).toBe(0);
  });

  it('use memory again that was released, and none that was not', () => {
    const engine = newEngine();
    fill(engine, 8000, 1000);
    const pending = new Int32Array(new SharedArrayBuffer(4));
    const out: Uint8Array[] = [];
    const used = new Set<ArrayBufferLike>();
    let releases = true;
    const saver = new Saver((chunk) => {
      used.add(chunk.buffer);
      if (releases) releaseChunk(chunk, pending);
      else out.push(chunk);
    }, pending);
    const [arena] = engine.shards.arenas;
    arena.saver = saver;
    const snapshot = (): void => {
      const number = beginSnapshot([arena], NOW);
      while (!sweepStep(arena, saver, 100));
      saver.flush(number);
    };
    snapshot();
    expect(used.size).toBe(1);
    expect(pending[0]).toBe(0);
    releases = false;
    snapshot();
    expect(out.length).toBeGreaterThan(5);
    expect(used.size).toBe(out.length);
    expect(pending[0]).toBe(out.reduce((sum, chunk) => sum + chunk.length, 0));
    for (const chunk of out) releaseChunk(chunk, pending);
    releases = true;
    snapshot();
    expect(used.size).toBe(out.length);
    expect(pending[0]).toBe(0);
  });

  it('that a large value grew out of is used again', () => {
    const engine = newEngine();
    for (let i = 0; i < 100; i++) engine.run('SET', `k:${i}`, 'x'.repeat(300_000));
    const pending = new Int32Array(new SharedArrayBuffer(4));
    const small = new Set<ArrayBufferLike>();
    const saver = new Saver((chunk) => {
      if (chunk.byteOffset > 0) small.add(chunk.buffer);
      releaseChunk(chunk, pending);
    }, pending);
    const [arena] = engine.shards.arenas;
    arena.saver = saver;
    for (let round = 0; round < 2; round++) {
      const number = beginSnapshot([arena], NOW);
      while (!sweepStep(arena, saver, 100));
      saver.flush(number);
      engine.run('FLUSHALL');
      fill(engine, 8000, 1000);
    }
    expect(small.size).toBe(1);
  });
});

describe('a sweep', () => {
  it('saves large values one to a step', () => {
    const engine = newEngine();
    const saver = new Saver(() => {}, new Int32Array(new SharedArrayBuffer(4)));
    const [arena] = engine.shards.arenas;
    arena.saver = saver;
    for (let i = 0; i < 20; i++) engine.run('SET', `k:${i}`, 'x'.repeat(200_000));
    beginSnapshot([arena], NOW);
    let steps = 0;
    for (let before = 0; !sweepStep(arena, saver, 1000); before = saver.savedKeys, steps++) {
      expect(saver.savedKeys - before).toBe(1);
    }
    expect(saver.savedKeys).toBe(20);
    expect(steps).toBeGreaterThanOrEqual(19);
    verifyEpoch(arena);
  });
});

/** A worker's sweeper over two of three shards, and what it has sent. */
class OneSweeper {
  readonly engine = newEngine(3);
  readonly arenas = new Shards(this.engine.shards.arenas.map((arena) => arena.buffer)).arenas;
  readonly pending = new Int32Array(new SharedArrayBuffer(4));
  readonly sent: SnapshotMessage[] = [];
  readonly sweeper: Sweeper;

  constructor() {
    const shards = new Shards(this.arenas.map((arena) => arena.buffer));
    const port = { postMessage: (message: SnapshotMessage) => this.sent.push(message) } as unknown as MessagePort;
    this.sweeper = new Sweeper(shards.arenas, 0, 2, new LockSet(shards, 1), port, this.pending);
    for (const arena of this.engine.shards.arenas) arena.saver = new Saver(() => {}, this.pending);
    fill(this.engine, 3000);
  }

  /** Slices until one says other than that there is more. */
  slices(): number {
    for (;;) {
      const state = this.sweeper.slice();
      if (state !== SWEEP_MORE) return state;
    }
  }
}

describe("a worker's sweeper", () => {
  it('has nothing to do between snapshots, and says once when all shards are swept', () => {
    const one = new OneSweeper();
    const { arenas, sent } = one;
    expect(one.sweeper.slice()).toBe(SWEEP_IDLE);
    const snapshot = beginSnapshot(one.engine.shards.arenas, NOW);
    expect(one.slices()).toBe(SWEEP_IDLE);
    expect(arenas.map(isSwept)).toEqual([true, true, false]);
    expect(sent).toEqual([]);
    const saver = new Saver(() => {}, one.pending);
    while (!sweepStep(arenas[2], saver, 100));
    expect(one.slices()).toBe(SWEEP_IDLE);
    expect(sent.map((message) => [message.snapshot, message.chunk === undefined])).toEqual([
      [snapshot, false],
      [snapshot, true],
    ]);
    expect(sent[0].keys + saver.savedKeys).toBe(3000);
    expect(one.slices()).toBe(SWEEP_IDLE);
    expect(sent.length).toBe(2);
  });

  it('tries again for a lock that another thread has, and sweeps what it can get meanwhile', () => {
    const one = new OneSweeper();
    beginSnapshot(one.engine.shards.arenas, NOW);
    one.arenas[0].tryLock(0);
    expect(one.slices()).toBe(SWEEP_BLOCKED);
    expect(one.arenas.map(isSwept)).toEqual([false, true, false]);
    one.arenas[0].unlock();
    expect(one.slices()).toBe(SWEEP_IDLE);
    expect(one.arenas.map(isSwept)).toEqual([true, true, false]);
  });

  it('waits while the file is far behind', () => {
    const one = new OneSweeper();
    beginSnapshot(one.engine.shards.arenas, NOW);
    one.pending[0] = PENDING_PAUSE_BYTES + 1;
    expect(one.sweeper.slice()).toBe(SWEEP_MORE);
    expect(one.arenas.map(isSwept)).toEqual([false, false, false]);
    one.pending[0] = 0;
    one.slices();
    expect(one.arenas.map(isSwept)).toEqual([true, true, false]);
  });

  it('says that it has its part of an aborted snapshot without a chunk', () => {
    const one = new OneSweeper();
    const snapshot = beginSnapshot(one.engine.shards.arenas, NOW);
    one.sweeper.slice();
    abortSnapshot(one.arenas);
    one.slices();
    while (!sweepStep(one.arenas[2], new Saver(() => {}, one.pending), 100));
    one.slices();
    expect(one.sent).toEqual([{ snapshot, chunk: undefined, keys: 0 }]);
    for (const arena of one.arenas) verifyEpoch(arena);
  });
});
