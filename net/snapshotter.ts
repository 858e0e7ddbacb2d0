/**
 * Snapshots of the running node, one at a time, seen from the main thread: begins one at a moment when no shard has anything
 * queued, passes the chunks of all threads on to the file, and ends it when every shard is swept. What a snapshot is and
 * why it stops nobody: engine/snapshot/epoch.ts.
 */
import { randomUUID } from 'node:crypto';
import { releaseChunk } from '../engine/snapshot/chunk.ts';
import { abortSnapshot, beginSnapshot, isAborted, isSwept } from '../engine/snapshot/epoch.ts';
import type { BackgroundPool } from '../engine/snapshot/pool.ts';
import { Saver, sizesChunk } from '../engine/snapshot/saver.ts';
import type { SnapshotMessage } from '../engine/snapshot/sweeper.ts';
import { SnapshotWriter } from '../engine/snapshot/write.ts';
import type { SnapshotTarget, Summary } from '../engine/snapshot/write-file.ts';
import type { Dispatcher } from './dispatch.ts';
import { VERSION } from './version.ts';
import type { WorkerPool } from './workers.ts';

/** How often it is looked whether the sweeps are over. */
const LOOK_MS = 10;

/** What a snapshot covers: all entries of the log up to this one. */
export interface Covered {
  index: number;
  timeMs: number;
  /** On a replica: the term of that entry, and what the group's state has beside the keys. */
  term?: number;
  config?: Uint8Array;
}

export interface SnapshotDone extends Covered {
  summary: Summary;
}

export class Snapshotter {
  /** When the one under way began, ms since 1970; 0 = there is none. */
  startedMs = 0;
  private readonly dispatcher: Dispatcher;
  private readonly workers: WorkerPool;
  private readonly writer: SnapshotWriter;
  private readonly saver: Saver;
  /** The number of the snapshot whose chunks are wanted; 0 = none. */
  private current = 0;
  /** Workers that have said that they have no more of it. */
  private finishedWorkers = 0;
  private failure: Error | undefined = undefined;

  constructor(dispatcher: Dispatcher, workers: WorkerPool, pool: BackgroundPool) {
    this.dispatcher = dispatcher;
    this.workers = workers;
    this.writer = new SnapshotWriter(pool, workers.snapshotPending);
    this.writer.onError = (error) => {
      this.failure = error;
      abortSnapshot(this.arenas);
    };
    this.saver = new Saver((chunk, keys, snapshot) => this.receive({ chunk, keys, snapshot }), workers.snapshotPending);
    this.saver.reserve();
    for (const arena of this.arenas) arena.saver = this.saver;
    dispatcher.shards.saver = this.saver;
    for (const port of workers.snapshotPorts) {
      port.on('message', (message: SnapshotMessage) => this.receive(message));
      port.unref();
    }
  }

  private get arenas() {
    return this.dispatcher.call.shards.arenas;
  }

  get isRunning(): boolean {
    return this.startedMs !== 0;
  }

  /** Keys and bytes of the file under way so far. */
  get keys(): number {
    return this.writer.keys;
  }

  /** Bytes saved and not yet written: what a snapshot takes beside the data. And the most there have been, during the last one. */
  pendingPeakBytes = 0;

  get pendingBytes(): number {
    return this.workers.snapshotPending[0];
  }

  private receive(message: SnapshotMessage): void {
    if (message.chunk === undefined) {
      if (message.snapshot === this.current) this.finishedWorkers++;
    } else if (message.snapshot === this.current) {
      this.writer.write(message.chunk, message.keys);
    } else {
      releaseChunk(message.chunk, this.workers.snapshotPending);
    }
  }

  /**
   * Takes a snapshot. `cover` is called at its moment, with everything locked, and says what it covers; `target` where it
   * goes. Starts anew when a flush drops what was not saved yet. Rejects with the error of the disk.
   */
  async take(cover: () => Covered, target: (covered: Covered, id: string) => SnapshotTarget): Promise<SnapshotDone> {
    if (this.isRunning) throw new Error('snapshot: one is under way');
    this.startedMs = Date.now();
    this.pendingPeakBytes = 0;
    try {
      for (;;) {
        const done = await this.attempt(cover, target);
        if (done !== undefined) return done;
      }
    } finally {
      this.startedMs = 0;
      this.current = 0;
    }
  }

  private async attempt(
    cover: () => Covered,
    target: (covered: Covered, id: string) => SnapshotTarget,
  ): Promise<SnapshotDone | undefined> {
    await this.until(() => this.arenas.every(isSwept));
    this.failure = undefined;
    this.finishedWorkers = 0;
    const covered = await this.dispatcher.exclusively(() => {
      const now = cover();
      this.writer.start(target(now, randomUUID()));
      const sizes = sizesChunk(this.arenas);
      if (sizes.length > 0) {
        Atomics.add(this.workers.snapshotPending, 0, sizes.length);
        this.writer.write(sizes, 0);
      }
      this.current = beginSnapshot(this.arenas, now.timeMs);
      return now;
    });
    await this.until(() => this.arenas.every(isSwept));
    this.saver.flush(this.current);
    await this.until(() => this.finishedWorkers === this.workers.count);
    if (this.failure !== undefined || isAborted(this.arenas)) {
      this.current = 0;
      await this.writer.abort();
      if (this.failure !== undefined) throw this.failure;
      return undefined;
    }
    const summary = await this.writer.finish();
    return { ...covered, summary };
  }

  private async until(condition: () => boolean): Promise<void> {
    while (!condition()) {
      this.pendingPeakBytes = Math.max(this.pendingPeakBytes, this.pendingBytes);
      await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
    }
  }
}

const NO_CONFIG = new Uint8Array(0);

export function header(covered: Covered, id: string) {
  return {
    id,
    timeMs: covered.timeMs,
    groups: [{ group: 0, index: covered.index, term: covered.term ?? 0 }],
    creator: `Millrace ${VERSION}`,
    config: covered.config ?? NO_CONFIG,
  };
}
