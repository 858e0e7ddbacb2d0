/**
 * Writing a snapshot, seen from the main thread: chunks go in as they come from the shards' threads, a thread of the pool
 * compresses, checksums and writes them, and `finish` resolves when the file is durable under its name. Handing over a
 * chunk costs one message, about 10 us; its bytes are shared, not copied.
 *
 * One writer makes one file. Whatever goes wrong, the file that had the name before is untouched: the new one exists
 * under a temporary name until the last moment. After an error the writer swallows what still comes, so producers need
 * not look; `finish` rejects with the error, which `onError` tells at once.
 */
import { MessageChannel, type MessagePort } from 'node:worker_threads';
import { releaseChunk } from './chunk.ts';
import { type PlainSnapshotError, SnapshotError } from './file-errors.ts';
import type { BackgroundPool } from './pool.ts';
import type { SnapshotTarget, Summary } from './write-file.ts';

/** What the task is given when it starts. */
export interface WriteTask {
  target: SnapshotTarget;
  port: MessagePort;
  pending: Int32Array;
  state: SharedArrayBuffer;
}

/** What the port carries to the task: a chunk, or that there are no more. */
export type WriteMessage = { chunk: Uint8Array; keys: number } | 'finish';

/** What a task ends with: errors as data, since cloning would drop their class. */
export type WriteOutcome = { summary: Summary } | { error: PlainSnapshotError };

/**
 * What both threads see of one file being written: the thread of the pool writes all but `stop`.
 *
 * ```
 * +0 i32 stop: 1 = the file is not wanted any more | +8 f64 taken: bytes of chunks done with | +16 f64 written: bytes of the file
 * ```
 */
export class WriteState {
  readonly buffer: SharedArrayBuffer;
  private readonly i32: Int32Array;
  private readonly f64: Float64Array;

  constructor(buffer = new SharedArrayBuffer(24)) {
    this.buffer = buffer;
    this.i32 = new Int32Array(buffer);
    this.f64 = new Float64Array(buffer);
  }

  get stopped(): boolean {
    return Atomics.load(this.i32, 0) !== 0;
  }

  stop(): void {
    Atomics.store(this.i32, 0, 1);
  }

  get takenBytes(): number {
    return this.f64[1];
  }

  set takenBytes(bytes: number) {
    this.f64[1] = bytes;
  }

  get writtenBytes(): number {
    return this.f64[2];
  }

  set writtenBytes(bytes: number) {
    this.f64[2] = bytes;
  }
}

export class SnapshotWriter {
  /** Called when writing has failed before `finish`, which would tell of it too: what is still to come is for nothing. */
  onError: (error: SnapshotError) => void = () => {};
  /** Bytes of the chunks of this file handed over, and their keys. */
  bytesIn = 0;
  keys = 0;
  private readonly pool: BackgroundPool;
  private readonly pending: Int32Array;
  private shared = new WriteState();
  /**
   * open: chunks go to the thread; discarding: they are thrown away here, since the file is given up; finishing: there are
   * no more; idle: no file.
   */
  private state: 'idle' | 'open' | 'finishing' | 'discarding' = 'idle';
  private port: MessagePort | undefined = undefined;
  /** Bytes of the chunks sent to the thread. */
  private sentBytes = 0;
  private outcome: Promise<Summary> | undefined = undefined;

  /**
   * `pending` is the word that producers look at: whoever emits a chunk adds its size, and it is taken off when the chunk
   * is written or thrown away.
   */
  constructor(pool: BackgroundPool, pending: Int32Array) {
    this.pool = pool;
    this.pending = pending;
  }

  /** Bytes of the file so far; those of the chunks are `bytesIn`. */
  get bytesWritten(): number {
    return this.shared.writtenBytes;
  }

  /** Begins a file. One at a time: `finish` or `abort` comes before the next. */
  start(target: SnapshotTarget): void {
    if (this.outcome !== undefined) throw new Error('snapshot: a file is being written already');
    const { port1, port2 } = new MessageChannel();
    this.shared = new WriteState();
    this.bytesIn = 0;
    this.keys = 0;
    this.sentBytes = 0;
    this.state = 'open';
    this.port = port1;
    port1.on('message', (plain: PlainSnapshotError) => this.onError(SnapshotError.fromPlain(plain)));
    const task: WriteTask = { target, port: port2, pending: this.pending, state: this.shared.buffer };
    this.outcome = this.pool
      .run('writeSnapshot', task, [port2])
      .then(ended, (cause) => this.died(target, cause))
      .finally(() => port1.close());
    // A failure is told by `finish`; until that is called it is not an unhandled one.
    this.outcome.catch(() => {});
  }

  /** Hands over a chunk: whole RDB items over a SharedArrayBuffer that nobody writes until it is released. */
  write(chunk: Uint8Array, keys: number): void {
    this.bytesIn += chunk.length;
    this.keys += keys;
    if (this.state === 'open') {
      this.port!.postMessage({ chunk, keys } satisfies WriteMessage);
      this.sentBytes += chunk.length;
    } else if (this.state === 'discarding') releaseChunk(chunk, this.pending);
    else throw new Error(`snapshot: a chunk for a writer that is ${this.state}`);
  }

  /** Resolves when the file is durable under its name; rejects with a SnapshotError when there is no such file. */
  finish(): Promise<Summary> {
    return this.end('finishing');
  }

  /** Throws the file away, after the frame being written. What is handed over until it resolves is thrown away too. */
  async abort(): Promise<void> {
    this.shared.stop();
    await this.end('discarding').catch(() => {});
  }

  private async end(state: 'finishing' | 'discarding'): Promise<Summary> {
    if (this.outcome === undefined) throw new Error('snapshot: no file is being written');
    this.port!.postMessage('finish' satisfies WriteMessage);
    this.state = state;
    try {
      return await this.outcome;
    } finally {
      this.state = 'idle';
      this.outcome = undefined;
    }
  }

  /** The thread is gone, and with it the chunks in its queue. Its temporary file is removed at the node's next start. */
  private died(target: SnapshotTarget, cause: unknown): never {
    if (this.state === 'open') this.state = 'discarding';
    Atomics.sub(this.pending, 0, this.sentBytes - this.shared.takenBytes);
    const words = cause instanceof Error ? cause.message : String(cause);
    const error = new SnapshotError(
      'THREAD',
      `the thread writing ${target.path} died: ${words}`,
      target.path,
      -1,
      cause,
    );
    this.onError(error);
    throw error;
  }
}

function ended(outcome: WriteOutcome): Summary {
  if ('error' in outcome) throw SnapshotError.fromPlain(outcome.error);
  return outcome.summary;
}
