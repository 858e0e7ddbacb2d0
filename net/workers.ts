/**
 * The worker threads of a node, seen from the main thread: which worker owns which shards, sending requests, receiving
 * replies. A worker that dies takes the process down: nothing may run on half a node.
 */
import { MessageChannel, type MessagePort, Worker } from 'node:worker_threads';
import type { Call } from '../engine/call.ts';
import { unpackExcerpt } from '../engine/excerpt.ts';
import { allocateLink, FLAG_BLOB, FLAG_EXCERPT, MainLink, NO_SESSION, REPLY_BYTES } from '../engine/link.ts';
import type { Settings } from '../engine/settings.ts';
import type { Shards } from '../engine/shards.ts';
import { TickClock } from '../engine/tickclock.ts';
import type { WorkerData } from '../engine/worker.ts';
import type { Session } from './session.ts';

const RING_BYTES = 1024 * 1024;

/** A reply from a worker; reused for each. The bytes are good until `releaseReply`. */
export class WorkerReply {
  row = 0;
  session = 0;
  sequence = 0;
  shard = 0;
  elapsedUs = 0;
  u8: Uint8Array = new Uint8Array(0);
  start = 0;
  length = 0;
  /** The arguments of a slow command, for the slow log. */
  excerpt: string[] | undefined = undefined;
}

export class WorkerPool {
  /** Called when workers have replies: take them all with `nextReply`. */
  onReplies: () => void = () => {};
  /** By worker: where its chunks of snapshots come (SnapshotMessage); and the bytes of all of them until they are released. */
  readonly snapshotPorts: MessagePort[] = [];
  readonly snapshotPending = new Int32Array(new SharedArrayBuffer(4));
  private readonly links: MainLink[] = [];
  private readonly threads: Worker[] = [];
  private readonly owner: Uint16Array;
  private readonly bell: Int32Array;
  private readonly reply = new WorkerReply();
  private replyLink = 0;
  private replyAt = 0;
  private stopping = false;
  /** By what time workers may expire keys. */
  readonly clock = new TickClock();

  /** Word 0: what other threads ring when they have something for this one. */
  get mainBell(): SharedArrayBuffer {
    return this.bell.buffer as SharedArrayBuffer;
  }

  /** Starts `count` workers (at most one per shard); worker i has thread number i + 1. `isReplica`: see WorkerData. */
  constructor(
    count: number,
    shards: Shards,
    settings: Settings,
    onDeath: (message: string) => void,
    isReplica = false,
  ) {
    const shardCount = shards.arenas.length;
    const workers = Math.min(count, shardCount);
    this.owner = new Uint16Array(shardCount);
    const mainBell = new SharedArrayBuffer(64);
    this.bell = new Int32Array(mainBell);
    for (let i = 0; i < workers; i++) {
      const from = Math.floor((i * shardCount) / workers);
      const to = Math.floor(((i + 1) * shardCount) / workers);
      this.owner.fill(i, from, to);
      const memory = allocateLink(RING_BYTES);
      const { port1, port2 } = new MessageChannel();
      const snapshots = new MessageChannel();
      this.snapshotPorts.push(snapshots.port1);
      const data: WorkerData = {
        thread: i + 1,
        arenas: shards.arenas.map((arena) => arena.buffer),
        settings: settings.buffer,
        link: memory,
        port: port2,
        mainBell,
        clock: this.clock.buffer,
        snapshotPort: snapshots.port2,
        snapshotPending: this.snapshotPending.buffer,
        from,
        to,
        isReplica,
      };
      // The entry is a file of its own; from source it is TypeScript, which Node runs as it is.
      const entry = new URL(
        import.meta.url.endsWith('.ts') ? '../engine/worker.ts' : '../engine/worker.js',
        import.meta.url,
      );
      const thread = new Worker(entry, {
        workerData: data,
        transferList: [port2, snapshots.port2],
        name: `shard-worker-${i}`,
      });
      thread.on('error', (error) => onDeath(`worker ${i} failed: ${error.stack ?? error.message}`));
      thread.on('exit', (code) => {
        if (!this.stopping) onDeath(`worker ${i} (shards ${from} to ${to - 1}) ended with code ${code}`);
      });
      this.threads.push(thread);
      this.links.push(new MainLink(memory, port1));
    }
    this.listen();
  }

  get count(): number {
    return this.threads.length;
  }

  ofShard(shard: number): number {
    return this.owner[shard];
  }

  /** Queues the request in `call` for a worker; false when its ring is full. Seen by the worker after `ring`. */
  send(worker: number, call: Call, row: number, shard: number, session: Session, seed: number): boolean {
    return this.links[worker].send(call, row, shard, session.id, session.nextSeq, seed);
  }

  /** The same for a command of a group's entry: the reply comes with NO_SESSION, and `ticket` as its number. */
  sendApplied(worker: number, call: Call, row: number, shard: number, ticket: number, seed: number): boolean {
    return this.links[worker].send(call, row, shard, NO_SESSION, ticket, seed);
  }

  /** Shows the workers what was queued, waking those that sleep. Once per tick. */
  ring(): void {
    for (const link of this.links) link.ring();
  }

  /** Sleeps on the bell without blocking the event loop. */
  private listen(): void {
    const rung = Atomics.load(this.bell, 0);
    this.onReplies();
    const wait = Atomics.waitAsync(this.bell, 0, rung);
    if (wait.async) wait.value.then(() => this.listen());
    else setImmediate(() => this.listen());
  }

  /** The next reply of any worker; undefined when there is none now. `releaseReply` before the next call. */
  nextReply(): WorkerReply | undefined {
    for (let tried = 0; tried < this.links.length; tried++) {
      const link = this.links[this.replyLink];
      const at = link.replies.peek();
      if (at !== 0) return this.read(link, at);
      this.replyLink = (this.replyLink + 1) % this.links.length;
    }
    return undefined;
  }

  private read(link: MainLink, at: number): WorkerReply {
    const reply = this.reply;
    const u32 = link.replies.u32;
    const word = at >>> 2;
    this.replyAt = at;
    reply.row = u32[word + 1];
    reply.session = u32[word + 2];
    reply.sequence = u32[word + 3];
    reply.shard = u32[word + 4] >>> 16;
    reply.length = u32[word + 5];
    reply.elapsedUs = link.replies.f64[(at + 24) >>> 3];
    const isBlob = (u32[word + 4] & FLAG_BLOB) !== 0;
    reply.excerpt = undefined;
    if ((u32[word + 4] & FLAG_EXCERPT) !== 0) {
      const behind = at + REPLY_BYTES + (isBlob ? 0 : reply.length);
      const { u8 } = link.replies;
      reply.excerpt = unpackExcerpt(u8, behind + 2, u8[behind] | (u8[behind + 1] << 8));
    }
    if (isBlob) {
      reply.u8 = link.takeBlob();
      reply.start = 0;
    } else {
      reply.u8 = link.replies.u8;
      reply.start = at + REPLY_BYTES;
    }
    return reply;
  }

  releaseReply(): void {
    this.links[this.replyLink].replies.release(this.replyAt);
  }

  /** Ends the threads after what they are doing. */
  stop(): void {
    this.stopping = true;
    for (const link of this.links) link.stop();
  }
}
