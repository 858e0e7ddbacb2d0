/**
 * What goes between the main thread and a worker: requests one way, replies the other, each over a ring. Requests and
 * replies too large for a ring travel as a message on a port, announced by a record in the ring, so that order is kept.
 *
 * ```
 * request record
 *   +0 u32 length | +4 u32 command row | +8 u32 session | +12 u32 sequence in the session | +16 u32 flags, shard in the upper half | +20 u32 database
 *   +24 f64 time, ms since 1970 | +32 u32 argument count | +36 u32 random seed
 *   +40 u32 length of each argument, then their bytes back to back   (with FLAG_BLOB: those two come by the port)
 * reply record
 *   +0 u32 length | +4 u32 command row | +8 u32 session | +12 u32 sequence | +16 u32 flags, shard in the upper half | +20 u32 reply bytes
 *   +24 f64 microseconds the command took | +32 the reply's bytes                  (with FLAG_BLOB: by the port)
 *   with FLAG_EXCERPT, of a slow command: then u16 length of the excerpt of its arguments (excerpt.ts) and its bytes
 * ```
 */
import type { MessagePort } from 'node:worker_threads';
import type { Call } from './call.ts';
import { receiveBytes, sendBytes } from './portbytes.ts';
import type { Reply } from './reply.ts';
import { Ring } from './ring.ts';

export const FLAG_BLOB = 1;
export const FLAG_RESP3 = 2;
export const FLAG_NO_TOUCH = 4;
export const FLAG_EXCERPT = 8;

/** In place of a session's number, which begin with 1: a command of an entry of a group's log. */
export const NO_SESSION = 0;
/** In place of a shard: the command needs several, or all. */
export const SEVERAL_SHARDS = 0xffff;

export const REQUEST_BYTES = 40;
export const REPLY_BYTES = 32;

/** Words of the doorbell block that a worker and the main thread share. */
export const BELL_WORKER = 0;
export const BELL_WORKER_SLEEPS = 1;
export const BELL_STOP = 2;

/** The memory and port that the two ends of a link are made from; travels in workerData. */
export interface LinkMemory {
  requests: SharedArrayBuffer;
  replies: SharedArrayBuffer;
  bells: SharedArrayBuffer;
}

export function allocateLink(ringBytes: number): LinkMemory {
  return {
    requests: Ring.allocate(ringBytes),
    replies: Ring.allocate(ringBytes),
    bells: new SharedArrayBuffer(64),
  };
}

/** The main thread's end. */
export class MainLink {
  readonly bells: Int32Array;
  readonly replies: Ring;
  private readonly requests: Ring;
  private readonly port: MessagePort;
  private unpublished = false;

  constructor(memory: LinkMemory, port: MessagePort) {
    this.bells = new Int32Array(memory.bells);
    this.requests = Ring.writer(memory.requests);
    this.replies = Ring.reader(memory.replies);
    this.port = port;
  }

  /** Queues the request in `call` for the worker; false when the ring is full. The worker sees it after `ring`. */
  send(call: Call, row: number, shard: number, session: number, sequence: number, seed: number): boolean {
    const argc = call.argc;
    let bytes = argc * 4;
    for (let i = 0; i < argc; i++) bytes += call.len[i];
    const blob = REQUEST_BYTES + bytes > this.requests.maxRecord;
    const at = this.requests.reserve(REQUEST_BYTES + (blob ? 0 : bytes));
    if (at === 0) return false;
    const u32 = this.requests.u32;
    const word = at >>> 2;
    u32[word + 1] = row;
    u32[word + 2] = session;
    u32[word + 3] = sequence;
    const flags =
      (blob ? FLAG_BLOB : 0) | (call.reply.protocol === 3 ? FLAG_RESP3 : 0) | (call.noTouch ? FLAG_NO_TOUCH : 0);
    u32[word + 4] = flags | (shard << 16);
    u32[word + 5] = call.db;
    this.requests.f64[(at + 24) >>> 3] = call.nowMs;
    u32[word + 8] = argc;
    u32[word + 9] = seed;
    if (blob) this.sendBlob(call, bytes);
    else writeArguments(call, u32, this.requests.u8, at + REQUEST_BYTES);
    this.unpublished = true;
    return true;
  }

  private sendBlob(call: Call, bytes: number): void {
    const message = new Uint8Array(new SharedArrayBuffer((bytes + 3) & ~3));
    writeArguments(call, new Uint32Array(message.buffer), message, 0);
    this.port.postMessage(message.buffer);
  }

  /** Shows the worker what was sent, and wakes it if it sleeps. Once per tick. */
  ring(): void {
    if (!this.unpublished) return;
    this.unpublished = false;
    this.requests.publish();
    Atomics.add(this.bells, BELL_WORKER, 1);
    if (Atomics.load(this.bells, BELL_WORKER_SLEEPS) === 1) Atomics.notify(this.bells, BELL_WORKER);
  }

  /** The bytes of the reply record at `at` when it has FLAG_BLOB. */
  takeBlob(): Uint8Array {
    return receiveBytes(this.port);
  }

  stop(): void {
    Atomics.store(this.bells, BELL_STOP, 1);
    Atomics.add(this.bells, BELL_WORKER, 1);
    Atomics.notify(this.bells, BELL_WORKER);
  }
}

function writeArguments(call: Call, u32: Uint32Array, u8: Uint8Array, start: number): void {
  const argc = call.argc;
  let at = start + argc * 4;
  const buf = call.buf;
  for (let i = 0; i < argc; i++) {
    const length = call.len[i];
    const from = call.off[i];
    u32[(start >>> 2) + i] = length;
    if (length <= 64) for (let k = 0; k < length; k++) u8[at + k] = buf[from + k];
    else u8.set(buf.subarray(from, from + length), at);
    at += length;
  }
}

/** A worker's end. */
export class WorkerLink {
  readonly bells: Int32Array;
  readonly requests: Ring;
  private readonly replies: Ring;
  private readonly port: MessagePort;
  /** The arguments of the request received last, when they came by the port: it may be received again. */
  private blob: Uint8Array | undefined = undefined;

  constructor(memory: LinkMemory, port: MessagePort) {
    this.bells = new Int32Array(memory.bells);
    this.requests = Ring.reader(memory.requests);
    this.replies = Ring.writer(memory.replies);
    this.port = port;
  }

  /**
   * Sets `call` to the request record at `at`, the next in the ring. It stays there until `release`: a request that finds
   * its shard locked is received again.
   */
  receive(at: number, call: Call): void {
    const u32 = this.requests.u32;
    const word = at >>> 2;
    const flags = u32[word + 4];
    call.reply.protocol = flags & FLAG_RESP3 ? 3 : 2;
    call.noTouch = (flags & FLAG_NO_TOUCH) !== 0;
    call.db = u32[word + 5];
    call.setClock(this.requests.f64[(at + 24) >>> 3]);
    call.argc = u32[word + 8];
    call.random.reseed(u32[word + 9]);
    call.reserveArgs(call.argc);
    if ((flags & FLAG_BLOB) === 0) {
      readArguments(call, u32, this.requests.u8, at + REQUEST_BYTES);
    } else {
      this.blob ??= receiveBytes(this.port);
      readArguments(call, new Uint32Array(this.blob.buffer), this.blob, 0);
    }
  }

  /** The request record at `at` has been run. */
  release(at: number): void {
    this.blob = undefined;
    this.requests.release(at);
  }

  /**
   * Sends the reply in `reply` for the request record at `at`, with the excerpt of a slow command's arguments; false when
   * the ring is full.
   */
  send(at: number, reply: Reply, elapsedUs: number, excerpt: Uint8Array | undefined): boolean {
    const excerptBytes = excerpt === undefined ? 0 : 2 + excerpt.length;
    const blob = REPLY_BYTES + reply.length + excerptBytes > this.replies.maxRecord;
    const to = this.replies.reserve(REPLY_BYTES + (blob ? 0 : reply.length) + excerptBytes);
    if (to === 0) return false;
    const from = this.requests.u32;
    const u32 = this.replies.u32;
    const word = to >>> 2;
    u32[word + 1] = from[(at >>> 2) + 1];
    u32[word + 2] = from[(at >>> 2) + 2];
    u32[word + 3] = from[(at >>> 2) + 3];
    const flags = (blob ? FLAG_BLOB : 0) | (excerpt === undefined ? 0 : FLAG_EXCERPT);
    u32[word + 4] = flags | (from[(at >>> 2) + 4] & 0xffff0000);
    u32[word + 5] = reply.length;
    this.replies.f64[(to + 24) >>> 3] = elapsedUs;
    if (blob) {
      sendBytes(this.port, reply.u8.subarray(0, reply.length));
    } else {
      copyShort(this.replies.u8, to + REPLY_BYTES, reply.u8, reply.length);
    }
    if (excerpt !== undefined) {
      const behind = to + REPLY_BYTES + (blob ? 0 : reply.length);
      this.replies.u8[behind] = excerpt.length & 255;
      this.replies.u8[behind + 1] = excerpt.length >>> 8;
      this.replies.u8.set(excerpt, behind + 2);
    }
    return true;
  }

  publish(): void {
    this.replies.publish();
  }
}

function readArguments(call: Call, u32: Uint32Array, u8: Uint8Array, start: number): void {
  call.buf = u8;
  let at = start + call.argc * 4;
  for (let i = 0; i < call.argc; i++) {
    const length = u32[(start >>> 2) + i];
    call.off[i] = at;
    call.len[i] = length;
    at += length;
  }
}

function copyShort(to: Uint8Array, at: number, from: Uint8Array, length: number): void {
  if (length <= 64) for (let i = 0; i < length; i++) to[at + i] = from[i];
  else to.set(from.subarray(0, length), at);
}
