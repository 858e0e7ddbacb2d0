/**
 * One client connection: the requests that arrived, the replies that go out, and what the client has set (name,
 * database, protocol, …). It belongs to the thread whose `Clients` opened it, and knows its wire only as a `Transport`, so
 * that a WebSocket or another thread can carry it too.
 *
 * Requests run straight from the reader's buffer, in batches: all that arrived together. Replies of all batches of a tick
 * gather in the thread's one reply buffer and go out at the tick's end, one write a session: written one after the other
 * they find the clients' threads awake, where each write between two batches would have to wake one (a third of the
 * server's time at 64 pipelined requests). Only the unfinished tail of the input, or input that has to
 * wait, is copied into the session.
 *
 * Replies keep the order of requests. While other threads hold some of its requests, every request takes a number from
 * `nextSeq`, and replies that come before their turn (`nextReply`) are put aside. With none outstanding, which is
 * usual, none of this costs anything.
 */
import type { CommandRow } from '../engine/command.ts';
import type { Clients } from './clients.ts';
import { DONE, type Executor, QUEUED, STALLED } from './executor.ts';
import { Parser, PROTOCOL_ERROR } from './parser.ts';
import type { Scheduler } from './scheduler.ts';

export interface Transport {
  /**
   * Sends `length` bytes from `start` on. Returns how many bytes wait unsent now: when it is not 0, the transport may still
   * read from `bytes`, and the caller must not write there again.
   */
  write(bytes: Uint8Array, start: number, length: number): number;
  /** Bytes given to `write` and not yet sent. When they are all sent, the transport calls `session.drained()`. */
  readonly pendingBytes: number;
  /** Stops and restarts `session.receive`. */
  pause(): void;
  resume(): void;
  /** Closes the connection when everything written is sent. */
  close(): void;
  /** Closes it now. */
  destroy(): void;
}

/** CLIENT REPLY. A skipped reply is that of the next command; SKIP_NEXT is set while CLIENT REPLY SKIP itself runs. */
export const REPLY_ON = 0;
export const REPLY_OFF = 1;
export const REPLY_SKIP_NEXT = 2;
export const REPLY_SKIP = 3;
export type ReplyMode = typeof REPLY_ON | typeof REPLY_OFF | typeof REPLY_SKIP_NEXT | typeof REPLY_SKIP;

/** Bits of `state`; all clear in the usual case, which is all that the batch loop looks at. */
const MUTED = 1 << 0;
const OUTSTANDING = 1 << 1;
const CLOSING = 1 << 2;
const OUTPUT_FULL = 1 << 3;
const STALLING = 1 << 4;
const IN_BACKLOG = 1 << 5;
const DEAD = 1 << 6;
const HELD = 1 << 7;
/** With any of these set no request is run. */
const STOPPED = CLOSING | OUTPUT_FULL | STALLING | IN_BACKLOG | DEAD;
/** With any of these set, a session whose client sends no more is not closed: not yet, or not again. */
const BUSY = STOPPED | OUTSTANDING | HELD;

/** A batch's replies beyond this are written before the batch ends, to stay within the processor's cache. */
const EARLY_WRITE_BYTES = 256 * 1024;
const KEPT_INPUT_BYTES = 256 * 1024;
/** As much output is let go whatever the limits are, as in Redis: else nobody could set them right again. */
const UNCOUNTED_BYTES = 16 * 1024;
/** Input that waits, beyond which the session stops reading. */
const WAITING_INPUT_BYTES = 64 * 1024;
/** A session's buffer grows to what the unfinished request announces, but at most to so many times what has arrived. */
const TRUSTED_GROWTH = 4;

/** The window of a new session and the widest, in requests; with large replies, so many that they fit into so many bytes. */
const FIRST_WINDOW = 32;
const LARGEST_WINDOW = 1024;
const LARGE_REPLY_BYTES = 16 * 1024;
const WINDOW_BYTES = 16 * 1024 * 1024;

/** Below this many bytes a loop is faster than making a view for `set`. */
const LOOP_BYTES = 64;

const EMPTY = new Uint8Array(0);

export class Session {
  readonly id: number;
  readonly clients: Clients;
  readonly transport: Transport;
  readonly addr: string;
  readonly laddr: string;
  readonly fd: number;
  readonly createdMs: number;
  /** When its last batch ran. */
  lastActiveMs: number;
  name = '';
  libName = '';
  libVer = '';
  readonly user = 'default';
  db = 0;
  protocol = 2;
  /** CLIENT NO-EVICT and NO-TOUCH. */
  noEvict = false;
  noTouch = false;
  /** The last command it ran. */
  lastRow: CommandRow | undefined = undefined;
  replyMode: ReplyMode = REPLY_ON;
  /** The number of the next request, while any reply is outstanding; 32 bits. */
  nextSeq = 0;
  /** When its unsent output first exceeded the soft limit; 0 = it does not. */
  softLimitSinceMs = 0;
  /** On a replica (net/replica/reads.ts): how its reads are served, and how old what they see may be at `bounded`. */
  consistency = 0;
  maxAgeMs = 0;
  /** The last entry of the group's log that it has written, or was given a fence for. */
  fence = 0;
  /** Bytes it has received, and up to which of them its reads may be served. */
  received = 0;
  permitted = 0;
  /** The end of its read that waits for the leader's word, in bytes received (0: none does), and since when; performance.now(). */
  unreadEnd = 0;
  unreadSinceMs = 0;
  /** Where the request that runs ends, and where the bytes end that it came with: as offsets in one buffer. */
  private requestAt = 0;
  private batchEnd = 0;
  /** Whether it waits in a blocking command; set and cleared by `Blocking`. */
  blocked = false;
  /** Bytes of the batch that runs now, or ran last. */
  batchBytes = 0;
  private readonly executor: Executor;
  private readonly scheduler: Scheduler;
  private readonly parser: Parser;
  private authenticated: boolean;
  private state = 0;
  private nextReply = 0;
  /** How many requests other threads may hold at once: grows with every reply, and shrinks to what large ones allow. */
  private window = FIRST_WINDOW;
  private stash: Map<number, Uint8Array> | undefined = undefined;
  /** Numbers of outstanding requests whose replies CLIENT REPLY suppresses. */
  private mutedSeqs: Set<number> | undefined = undefined;
  /** Input that waits: input[inputStart, inputEnd), beginning with a request's first byte. */
  private input: Uint8Array = EMPTY;
  private inputStart = 0;
  private inputEnd = 0;
  private readingPaused = false;
  private inputEnded = false;
  /** Replies and pushes that came from elsewhere, not yet written. */
  private out: Uint8Array = EMPTY;
  private outLength = 0;
  private touched = false;
  /** Pieces of its output that wait for the log. */
  private heldCount = 0;
  private running = false;
  /** Where the replies of the running batch, as far as they are not written, begin in the thread's reply buffer. */
  private replyStart = 0;

  constructor(clients: Clients, transport: Transport, id: number, addr: string, laddr: string, fd: number) {
    this.id = id;
    this.clients = clients;
    this.transport = transport;
    this.addr = addr;
    this.laddr = laddr;
    this.fd = fd;
    this.createdMs = Date.now();
    this.lastActiveMs = this.createdMs;
    this.executor = clients.executor;
    this.scheduler = clients.scheduler;
    this.parser = new Parser(clients.limits);
    this.authenticated = clients.limits.requirePass === '';
    this.updateAuth();
  }

  // ---------------------------------------------------------------- input

  /** Bytes from the client. They are the caller's again when this returns. */
  receive(buf: Uint8Array, length: number): void {
    this.clients.netInputBytes += length;
    this.clients.reads++;
    this.received += length;
    if ((this.state & (CLOSING | DEAD)) !== 0) return;
    if (this.inputStart === this.inputEnd && (this.state & STOPPED) === 0 && this.scheduler.admits()) {
      const at = this.run(buf, 0, length);
      if (at < length && (this.state & (CLOSING | DEAD)) === 0) this.keep(buf, at, length);
      return;
    }
    this.keep(buf, 0, length);
    if ((this.state & STOPPED) === 0 && this.inputEnd - this.inputStart >= this.parser.needed) {
      if (this.scheduler.admits()) this.runInput();
      else this.enqueue();
    }
  }

  /** The client will send no more. What it asked so far is answered first. */
  ended(): void {
    this.inputEnded = true;
    // Nobody is left to take what a blocking command waits for.
    if (this.blocked) return this.kill();
    this.closeWhenIdle();
  }

  private closeWhenIdle(): void {
    if (!this.inputEnded || (this.state & BUSY) !== 0) return;
    // Replies of this tick may still wait in the thread's reply buffer.
    this.scheduler.writeReplies();
    if ((this.state & BUSY) !== 0) return;
    this.state |= CLOSING;
    this.transport.close();
  }

  /** It begins to wait in a blocking command. */
  block(): void {
    this.blocked = true;
    // The end of the connection has to be seen, whatever arrives before it.
    if (this.readingPaused) {
      this.readingPaused = false;
      this.transport.resume();
    }
    if (this.inputEnded) this.kill();
  }

  /** From within a command: whoever was resumed by it runs before this session's next command. */
  yieldTurn(): void {
    this.enqueue();
  }

  /** The scheduler's call: the session has come up in the backlog. */
  takeTurn(): void {
    this.state &= ~IN_BACKLOG;
    if ((this.state & STOPPED) === 0) this.runInput();
  }

  /** After STALLED: offers the waiting request again, in a turn of its own. */
  resume(): void {
    if ((this.state & STALLING) === 0) return;
    this.state &= ~STALLING;
    this.enqueue();
  }

  /** The same for a blocking command that may find something now: before all others that wait for their turn. */
  wake(): void {
    if ((this.state & STALLING) === 0) return;
    this.state &= ~STALLING;
    if ((this.state & (IN_BACKLOG | DEAD)) !== 0) return;
    this.state |= IN_BACKLOG;
    this.scheduler.enqueueWoken(this);
  }

  private enqueue(): void {
    if ((this.state & (IN_BACKLOG | DEAD)) !== 0) return;
    this.state |= IN_BACKLOG;
    this.scheduler.enqueue(this);
  }

  private runInput(): void {
    if (this.inputStart < this.inputEnd) this.inputStart = this.run(this.input, this.inputStart, this.inputEnd);
    if (this.inputStart === this.inputEnd || (this.state & (CLOSING | DEAD)) !== 0) {
      this.inputStart = 0;
      this.inputEnd = 0;
      if (this.input.length > KEPT_INPUT_BYTES) this.input = EMPTY;
    }
    if (this.readingPaused && (this.state & STOPPED) === 0) {
      this.readingPaused = false;
      this.transport.resume();
    }
    this.closeWhenIdle();
  }

  /** Lets go of an input buffer that an idle session keeps for its next cut request. */
  releaseIdleInput(): void {
    if (this.inputStart === this.inputEnd) this.input = EMPTY;
  }

  /** Copies buf[from, to) behind the waiting input. */
  private keep(buf: Uint8Array, from: number, to: number): void {
    const added = to - from;
    const waiting = this.inputEnd - this.inputStart;
    if (waiting + added > this.clients.limits.queryBufferBytes) {
      this.clients.log(
        'warning',
        `Closing client that reached max query buffer length: ${this.clients.describe(this)}`,
      );
      this.kill();
      return;
    }
    if (this.inputEnd + added > this.input.length) this.makeRoom(waiting, added);
    this.input.set(buf.subarray(from, to), this.inputEnd);
    this.inputEnd += added;
    if ((this.state & STOPPED) !== 0 && waiting + added > WAITING_INPUT_BYTES && !this.readingPaused && !this.blocked) {
      this.readingPaused = true;
      this.transport.pause();
    }
  }

  private makeRoom(waiting: number, added: number): void {
    const total = waiting + added;
    const wanted = Math.max(total, Math.min(this.parser.needed, total * TRUSTED_GROWTH));
    let target = this.input;
    if (wanted > target.length) {
      let capacity = 1024;
      while (capacity < wanted) capacity *= 2;
      // A long value's buffer is no longer than the value: doubling would waste up to half of it.
      target = new Uint8Array(capacity > KEPT_INPUT_BYTES && wanted > total ? wanted : capacity);
    }
    target.set(this.input.subarray(this.inputStart, this.inputEnd), 0);
    this.input = target;
    this.inputStart = 0;
    this.inputEnd = waiting;
  }

  /** Runs the requests in buf[start, end) as far as they are complete and allowed; returns how far it came. */
  private run(buf: Uint8Array, start: number, end: number): number {
    const executor = this.executor;
    const scheduler = this.scheduler;
    const parser = this.parser;
    const call = executor.call;
    const reply = call.reply;
    const nowMs = scheduler.nowMs;
    if (call.nowMs !== nowMs) call.setClock(nowMs);
    call.session = this;
    call.row = undefined;
    call.db = this.db;
    call.noTouch = this.noTouch;
    reply.protocol = this.protocol;
    this.lastActiveMs = nowMs;
    this.batchBytes = end - start;
    this.batchEnd = end;
    this.replyStart = reply.length;
    this.running = true;
    executor.beginBatch();
    let at = start;
    while (at < end) {
      const next = parser.parse(call, buf, at, end);
      if (next < 0) {
        if (next === PROTOCOL_ERROR) this.refuse();
        break;
      }
      if (call.argc !== 0) {
        const mark = reply.length;
        this.requestAt = next;
        const outcome = executor.execute(this);
        if (outcome === STALLED) {
          this.state |= STALLING;
          break;
        }
        if (outcome !== DONE || this.state !== 0) this.settle(outcome, mark);
        if (reply.length > EARLY_WRITE_BYTES) this.writeEarly();
        if (--scheduler.credit <= 0 && scheduler.overBudget() && next < end) this.enqueue();
      } else if ((this.state & MUTED) !== 0) {
        // In Redis a request that asks for nothing uses up CLIENT REPLY SKIP, too.
        this.endSkip();
      }
      at = next;
      if ((this.state & STOPPED) !== 0) break;
    }
    this.running = false;
    if (call.row !== undefined) this.lastRow = call.row;
    executor.endBatch();
    if (reply.length > this.replyStart) scheduler.write(this, this.replyStart, reply.length);
    if ((this.state & CLOSING) !== 0) {
      scheduler.writeReplies();
      this.closeIfAnswered();
    }
    return at;
  }

  /** Answers bytes that are no request, and closes. */
  private refuse(): void {
    const reply = this.executor.call.reply;
    const text = this.parser.error;
    this.state |= CLOSING;
    this.clients.log('verbose', `Protocol error (${text}) from client: ${this.clients.describe(this)}`);
    if (text === '') return this.kill();
    // Not through reply.error: the text may hold a byte of the client's, to be sent back as it is.
    const mark = reply.length;
    reply.errors++;
    reply.lastError = 'ERR';
    reply.ascii(`-${text}\r\n`);
    this.settle(DONE, mark);
  }

  /** What a command leaves to do when the session is in an unusual state, or the command is another thread's now. */
  private settle(outcome: typeof DONE | typeof QUEUED, mark: number): void {
    const reply = this.executor.call.reply;
    const muted = this.isMuted;
    if (outcome === QUEUED) {
      if (muted) (this.mutedSeqs ??= new Set()).add(this.nextSeq);
      this.nextSeq = (this.nextSeq + 1) >>> 0;
      this.state |= OUTSTANDING;
      // Replies of the batch so far go first, behind those of earlier batches.
      if (mark > this.replyStart) {
        this.scheduler.write(this, this.replyStart, mark);
        this.replyStart = mark;
      }
    } else {
      if (muted) reply.rewind(mark);
      if ((this.state & OUTSTANDING) !== 0) {
        (this.stash ??= new Map()).set(this.nextSeq, reply.u8.slice(mark, reply.length));
        this.nextSeq = (this.nextSeq + 1) >>> 0;
        reply.rewind(mark);
      }
    }
    this.endSkip();
  }

  /** After a request: CLIENT REPLY SKIP is for the one behind it. */
  private endSkip(): void {
    if (this.replyMode === REPLY_SKIP_NEXT) this.replyMode = REPLY_SKIP;
    else if (this.replyMode === REPLY_SKIP) this.setReplyMode(REPLY_ON);
  }

  /** Whether the reply to the request that runs is kept back. */
  get isMuted(): boolean {
    return this.replyMode === REPLY_OFF || this.replyMode === REPLY_SKIP;
  }

  setReplyMode(mode: ReplyMode): void {
    this.replyMode = mode;
    if (mode === REPLY_ON) this.state &= ~MUTED;
    else this.state |= MUTED;
  }

  /** On a replica: something it wrote is in the state, with this entry of the log. */
  settled(index: number): void {
    if (index > this.fence) this.fence = index;
  }

  // ---------------------------------------------------------------- output

  /** The reply to the request that was QUEUED as number `seq`. Written by the next `clients.flush()`. */
  deliver(seq: number, from: Uint8Array, start: number, length: number): void {
    if ((this.state & DEAD) !== 0) return;
    if (seq !== this.nextReply) {
      (this.stash ??= new Map()).set(seq, from.slice(start, start + length));
      return;
    }
    this.deliverNext(from, start, length);
    while (this.nextReply !== this.nextSeq && this.stash !== undefined) {
      const early = this.stash.get(this.nextReply);
      if (early === undefined) break;
      this.stash.delete(this.nextReply);
      this.deliverNext(early, 0, early.length);
    }
    if (this.nextReply === this.nextSeq) this.state &= ~OUTSTANDING;
    this.touch();
  }

  private deliverNext(from: Uint8Array, start: number, length: number): void {
    const muted = this.mutedSeqs?.delete(this.nextReply) === true;
    if (!muted) this.append(from, start, length);
    this.nextReply = (this.nextReply + 1) >>> 0;
    if (length >= LARGE_REPLY_BYTES)
      this.window = Math.max(1, Math.min(this.window, Math.floor(WINDOW_BYTES / length)));
    else if (this.window < LARGEST_WINDOW) this.window++;
  }

  /** An out-of-band message (a RESP3 push), whole; goes between two replies. Written by the next `clients.flush()`. */
  push(from: Uint8Array, start: number, length: number): void {
    if ((this.state & (DEAD | CLOSING)) !== 0) return;
    // To itself, from a command of its own: behind the replies of the batch so far.
    if (this.running) {
      this.executor.call.reply.raw(from, start, length);
      return;
    }
    this.append(from, start, length);
    this.touch();
  }

  private touch(): void {
    if (this.touched) return;
    this.touched = true;
    this.scheduler.touch(this);
  }

  private append(from: Uint8Array, start: number, length: number): void {
    if (this.outLength + length > this.out.length) {
      if (this.out.length === 0) this.out = this.clients.takeBuffer();
      let capacity = this.out.length;
      while (capacity < this.outLength + length) capacity *= 2;
      if (capacity > this.out.length) {
        const grown = new Uint8Array(capacity);
        grown.set(this.out.subarray(0, this.outLength));
        this.out = grown;
      }
    }
    const { out, outLength } = this;
    if (length <= LOOP_BYTES) for (let i = 0; i < length; i++) out[outLength + i] = from[start + i];
    else out.set(from.subarray(start, start + length), outLength);
    this.outLength = outLength + length;
  }

  /** Writes what was delivered. */
  flush(): void {
    this.touched = false;
    if (this.outLength > 0) {
      const out = this.out;
      const length = this.outLength;
      this.out = EMPTY;
      this.outLength = 0;
      if (!this.scheduler.holds(this, out, length) && this.send(out, 0, length)) this.clients.giveBuffer(out);
    }
    if ((this.state & CLOSING) !== 0) this.closeIfAnswered();
    else this.closeWhenIdle();
  }

  /** In the middle of a long batch: writes its replies so far, and all that wait before them. */
  private writeEarly(): void {
    const reply = this.executor.call.reply;
    if (reply.length > this.replyStart) this.scheduler.write(this, this.replyStart, reply.length);
    this.scheduler.writeReplies();
    this.replyStart = 0;
  }

  /** The scheduler's calls: a piece of output begins to wait for the log; it was written. */
  hold(): void {
    this.heldCount++;
    this.state |= HELD;
  }

  release(): void {
    if (--this.heldCount > 0) return;
    this.state &= ~HELD;
    if ((this.state & CLOSING) !== 0) this.closeIfAnswered();
    else this.closeWhenIdle();
  }

  /** The scheduler's call: sends replies of a batch, bytes[start, end). True when `bytes` may be used again. */
  writeRange(bytes: Uint8Array, start: number, end: number): boolean {
    return this.send(bytes, start, end - start);
  }

  /** True when `bytes` may be used again. */
  private send(bytes: Uint8Array, start: number, length: number): boolean {
    if ((this.state & DEAD) !== 0) return true;
    const transport = this.transport;
    const limits = this.clients.limits;
    const waiting = transport.pendingBytes;
    this.clients.netOutputBytes += length;
    this.clients.writes++;
    if (limits.outputHardBytes > 0 && waiting + length > Math.max(limits.outputHardBytes, UNCOUNTED_BYTES)) {
      this.clients.outputLimitReached(this);
      return true;
    }
    if (waiting === 0) {
      const pending = transport.write(bytes, start, length);
      if (pending === 0) return true;
      this.outputWaits(pending);
      return false;
    }
    // Behind output that already waits, an exact copy takes less memory than the whole buffer.
    this.outputWaits(transport.write(bytes.slice(start, start + length), 0, length));
    return true;
  }

  private outputWaits(pending: number): void {
    const limits = this.clients.limits;
    if (limits.outputSoftBytes > 0 && pending > limits.outputSoftBytes) this.clients.watchOutput(this);
    if (pending > limits.backpressureBytes) this.state |= OUTPUT_FULL;
  }

  /** The transport has sent everything. */
  drained(): void {
    this.softLimitSinceMs = 0;
    if ((this.state & OUTPUT_FULL) === 0) return;
    this.state &= ~OUTPUT_FULL;
    this.enqueue();
  }

  // ---------------------------------------------------------------- end

  /** Whether its client has said that it will send no more. It may have gone altogether. */
  get hasHungUp(): boolean {
    return this.inputEnded;
  }

  /** A blocking command comes up when its client has hung up: what it would take might be lost, so it is not run, nor what is behind it. */
  hangUp(): typeof DONE {
    this.closeAfterReply();
    return DONE;
  }

  /** No more requests; the connection closes when those that ran are answered. */
  closeAfterReply(): void {
    this.state |= CLOSING;
  }

  /** How many of the bytes it has received end with the request that runs. */
  get requestEnd(): number {
    return this.received - (this.batchEnd - this.requestAt);
  }

  /** Whether another thread still owes a reply to a request of this session. */
  get hasOutstanding(): boolean {
    return (this.state & OUTSTANDING) !== 0;
  }

  /**
   * Whether other threads hold as many of its requests as they may. What they hold is answered whether the client reads
   * or not, so this bounds what a client that does not read can make us keep.
   */
  get windowFull(): boolean {
    return (this.state & OUTSTANDING) !== 0 && (this.nextSeq - this.nextReply) >>> 0 >= this.window;
  }

  get closing(): boolean {
    return (this.state & CLOSING) !== 0;
  }

  private closeIfAnswered(): void {
    if ((this.state & (OUTSTANDING | HELD | DEAD)) === 0) this.transport.close();
  }

  /** Disconnects now, with whatever is unsent. */
  kill(): void {
    this.gone();
    this.transport.destroy();
  }

  /** The connection is closed, whoever did it. */
  gone(): void {
    if ((this.state & DEAD) !== 0) return;
    this.state |= DEAD;
    this.input = EMPTY;
    this.inputStart = 0;
    this.inputEnd = 0;
    this.out = EMPTY;
    this.outLength = 0;
    this.stash = undefined;
    this.clients.remove(this);
  }

  // ---------------------------------------------------------------- what the client set

  /** Whether it must authenticate before anything else. */
  get authRequired(): boolean {
    return this.parser.restricted;
  }

  setAuthenticated(authenticated: boolean): void {
    this.authenticated = authenticated;
    this.updateAuth();
  }

  /** To be called when requirepass changed. */
  updateAuth(): void {
    this.parser.restricted = this.clients.limits.requirePass !== '' && !this.authenticated;
  }

  /** Bytes of requests not yet run, with the batch that is running. */
  get inputBytes(): number {
    return this.running ? this.batchBytes : this.inputEnd - this.inputStart;
  }

  get inputCapacity(): number {
    return this.input.length;
  }

  /** Bytes of replies that no write has taken yet. */
  get replyBytes(): number {
    return this.outLength + (this.running ? this.executor.call.reply.length - this.replyStart : 0);
  }

  get isRunning(): boolean {
    return this.running;
  }
}
