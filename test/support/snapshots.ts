/**
 * Snapshots of a test engine as two threads would take them: one runs the commands and saves what they change, the other
 * one sweeps; each with arena objects and a saver of its own over the same memory.
 */
import type { Arena } from '../../engine/arena.ts';
import { loadPairs } from '../../engine/rdb/decode.ts';
import { RdbInput } from '../../engine/rdb/input.ts';
import { Shards } from '../../engine/shards.ts';
import { releaseChunk } from '../../engine/snapshot/chunk.ts';
import { beginSnapshot, isAborted, isSwept } from '../../engine/snapshot/epoch.ts';
import { Saver } from '../../engine/snapshot/saver.ts';
import { sweepStep, verifyEpoch } from '../../engine/snapshot/sweep.ts';
import { TestEngine } from './engine.ts';

export class TestSnapshots {
  readonly pending = new Int32Array(new SharedArrayBuffer(4));
  readonly engine: TestEngine;
  /** Chunks of the last snapshot begun, and the keys said to be in them. */
  chunks: Uint8Array[] = [];
  keys = 0;
  private readonly sweeping: Arena[];
  private readonly savers: Saver[] = [];
  private snapshot = 0;

  constructor(engine: TestEngine) {
    this.engine = engine;
    this.sweeping = new Shards(engine.shards.arenas.map((arena) => arena.buffer)).arenas;
    for (const arenas of [engine.shards.arenas, this.sweeping]) {
      const saver = new Saver((chunk, keys, snapshot) => this.take(chunk, keys, snapshot), this.pending);
      for (const arena of arenas) arena.saver = saver;
      this.savers.push(saver);
    }
  }

  /** Saved by the commands, and by the sweep. */
  get savedKeys(): [number, number] {
    return [this.savers[0].savedKeys, this.savers[1].savedKeys];
  }

  get isSwept(): boolean {
    return this.sweeping.every(isSwept);
  }

  get isAborted(): boolean {
    return isAborted(this.sweeping);
  }

  begin(nowMs: number): void {
    this.chunks = [];
    this.keys = 0;
    this.snapshot = beginSnapshot(this.engine.shards.arenas, nowMs);
  }

  private take(chunk: Uint8Array, keys: number, snapshot: number): void {
    if (snapshot !== this.snapshot) throw new Error(`a chunk of snapshot ${snapshot} during ${this.snapshot}`);
    this.chunks.push(chunk.slice());
    this.keys += keys;
    releaseChunk(chunk, this.pending);
  }

  step(shard: number, buckets: number): void {
    sweepStep(this.sweeping[shard], this.savers[1], buckets);
  }

  /** Sweeps what is left, and hands out the rest. */
  finish(): void {
    for (let shard = 0; shard < this.sweeping.length; shard++) while (!this.isDone(shard)) this.step(shard, 100);
    if (!this.isAborted) for (const saver of this.savers) saver.flush(this.snapshot);
    for (const arena of this.sweeping) verifyEpoch(arena);
  }

  private isDone(shard: number): boolean {
    return isSwept(this.sweeping[shard]);
  }

  /** An engine that has loaded the chunks, at the clock of the snapshot's moment. */
  load(nowMs: number): TestEngine {
    const loaded = new TestEngine({ shards: this.sweeping.length, arenaBytes: 64 * 1024 * 1024 });
    loaded.nowMs = nowMs;
    loaded.call.setClock(nowMs);
    let keys = 0;
    for (const chunk of this.chunks) keys += loadPairs(loaded.call, new RdbInput(chunk, 0, chunk.length));
    if (keys !== this.keys) throw new Error(`${keys} keys in chunks that say ${this.keys}`);
    loaded.verify();
    return loaded;
  }
}
