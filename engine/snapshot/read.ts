/**
 * Reading a snapshot, seen from the main thread: a thread of the pool reads, verifies and decompresses the next chunks while
 * the main thread loads the current one. Pull-style: `await next()` gives the chunk that is ready, nearly always without
 * waiting. At most `AHEAD` chunks lie ready, so memory is bounded by the largest ones; they are moved, not copied.
 */
import { MessageChannel, type MessagePort } from 'node:worker_threads';
import type { DecodedHeader, SnapshotFooter } from './file.ts';
import { type PlainSnapshotError, SnapshotError } from './file-errors.ts';
import type { BackgroundPool } from './pool.ts';

/** Chunks read before they are asked for. */
const AHEAD = 2;

/** A chunk as it was handed to the writer: whole RDB items. */
export interface SnapshotChunk {
  bytes: Uint8Array;
  keys: number;
}

/** Where chunks come from: the reader below, or a SnapshotFileReader where there is no pool. */
export interface ChunkSource {
  readonly file: string;
  readonly header: DecodedHeader;
  readonly footer: SnapshotFooter;
  /** Progress: bytes of the file whose chunks have been given out, and bytes of the file. */
  readonly bytesDone: number;
  readonly bytesAll: number;
  /** The next chunk, verified; undefined after the last, when all that the footer says has been seen to be true. */
  next(): Promise<SnapshotChunk | undefined> | SnapshotChunk | undefined;
  close(): Promise<void> | void;
}

export interface ReadTask {
  path: string;
  port: MessagePort;
  /** Chunks that may be sent at once; one more for each 'more'. */
  ahead: number;
}

/** To the task: room for one more chunk, or the end. */
export type ReadMessage = 'more' | 'close';

/** From the task, in this order: what the file says of itself, its chunks, its end; or an error at any place. */
export type ReadReply =
  | { kind: 'open'; header: DecodedHeader; footer: SnapshotFooter; bytesAll: number }
  | { kind: 'chunk'; bytes: Uint8Array; keys: number; bytesDone: number }
  | { kind: 'end' }
  | { kind: 'error'; error: PlainSnapshotError };

export class SnapshotReader implements ChunkSource {
  readonly file: string;
  readonly header: DecodedHeader;
  readonly footer: SnapshotFooter;
  readonly bytesAll: number;
  bytesDone: number;
  private readonly replies: Replies;

  private constructor(file: string, replies: Replies, open: Extract<ReadReply, { kind: 'open' }>) {
    this.file = file;
    this.header = open.header;
    this.footer = open.footer;
    this.bytesAll = open.bytesAll;
    this.bytesDone = open.header.sizeBytes;
    this.replies = replies;
  }

  /** Opens a file and starts reading ahead. Rejects with a SnapshotError when header or footer are not whole. */
  static async open(pool: BackgroundPool, file: string): Promise<SnapshotReader> {
    const replies = new Replies(pool, file);
    try {
      const open = await replies.take();
      if (open.kind !== 'open') throw new Error(`snapshot: ${open.kind} before the header of ${file}`);
      return new SnapshotReader(file, replies, open);
    } catch (error) {
      await replies.close();
      throw error;
    }
  }

  async next(): Promise<SnapshotChunk | undefined> {
    const reply = await this.replies.take();
    if (reply.kind === 'end') return undefined;
    if (reply.kind !== 'chunk') throw new Error(`snapshot: ${reply.kind} where a chunk belongs`);
    this.bytesDone = reply.bytesDone;
    this.replies.more();
    return reply;
  }

  /** Ends the reading, wherever it is. */
  close(): Promise<void> {
    return this.replies.close();
  }
}

/** The task's replies as a queue of promises. */
class Replies {
  private readonly port: MessagePort;
  private readonly task: Promise<void>;
  private readonly queue: ReadReply[] = [];
  /** Set when nothing more comes: what every further `take` gives. */
  private last: SnapshotError | 'end' | undefined = undefined;
  private waiting: (() => void) | undefined = undefined;

  constructor(pool: BackgroundPool, file: string) {
    const { port1, port2 } = new MessageChannel();
    this.port = port1;
    port1.on('message', (reply: ReadReply) => {
      this.queue.push(reply);
      this.wake();
    });
    this.task = pool.run('readSnapshot', { path: file, port: port2, ahead: AHEAD }, [port2]).catch((cause) => {
      const words = cause instanceof Error ? cause.message : String(cause);
      const error = new SnapshotError('THREAD', `the thread reading ${file} died: ${words}`, file, -1, cause);
      this.queue.push({ kind: 'error', error: error.plain() });
      this.wake();
    });
  }

  async take(): Promise<ReadReply> {
    while (this.queue.length === 0 && this.last === undefined) {
      await new Promise<void>((resolve) => {
        this.waiting = resolve;
      });
    }
    const reply = this.queue.shift();
    if (reply?.kind === 'error') this.last = SnapshotError.fromPlain(reply.error);
    if (reply?.kind === 'end') this.last = 'end';
    if (this.last instanceof SnapshotError) throw this.last;
    return reply ?? { kind: 'end' };
  }

  more(): void {
    this.port.postMessage('more' satisfies ReadMessage);
  }

  async close(): Promise<void> {
    this.port.postMessage('close' satisfies ReadMessage);
    await this.task;
    this.port.close();
  }

  private wake(): void {
    this.waiting?.();
    this.waiting = undefined;
  }
}
