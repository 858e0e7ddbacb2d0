/**
 * One direction of what a proxy carries: what happens to its bytes (Direction, for all connections of a lane), and the carrying
 * (Pipe, for one connection). Bytes are swallowed, flipped, delayed, throttled, held, in this order.
 */
import type net from 'node:net';

/** Of each connection and direction, so many first bytes are kept. */
const RECORDED_BYTES = 1024 * 1024;
/** A throttled direction sends in slices of this length. */
const SLICE_MS = 10;
/** More chunks than these wait with the source: backpressure reaches it. */
const QUEUED_CHUNKS = 256;

/** What happens to the bytes of one direction. Any field may be changed at any time. */
export class Direction {
  /** Bytes vanish, and so does the news that a connection has ended. */
  isDropping = false;
  /** Bytes arrive so much later, in order. */
  delayMs = 0;
  /** 0: as fast as it goes. */
  bytesPerSec = 0;
  /** Bytes that came from the source, swallowed or not. */
  bytes = 0;
  private isHolding = false;
  /** The byte to be damaged, counted from the next one to come; -1: none. */
  private flipAt = -1;
  private readonly pipes = new Set<Pipe>();

  get holds(): boolean {
    return this.isHolding;
  }

  /** Keeps everything back until `release`; nothing is lost. */
  hold(): void {
    this.isHolding = true;
  }

  release(): void {
    this.isHolding = false;
    for (const pipe of this.pipes) pipe.pump();
  }

  /** Turns one bit of a byte to come: the one behind `skip` others. */
  flipBit(skip = 0): void {
    this.flipAt = skip;
  }

  /** As at the beginning. */
  heal(): void {
    this.isDropping = false;
    this.delayMs = 0;
    this.bytesPerSec = 0;
    this.flipAt = -1;
    this.release();
  }

  /** For a pipe: it belongs to this direction, or no more. */
  add(pipe: Pipe): void {
    this.pipes.add(pipe);
  }

  remove(pipe: Pipe): void {
    this.pipes.delete(pipe);
  }

  /** For a pipe: turns the bit that is due, if it is in this chunk. */
  damage(chunk: Buffer): void {
    if (this.flipAt < 0) return;
    if (this.flipAt < chunk.length) {
      chunk[this.flipAt] ^= 1;
      this.flipAt = -1;
    } else {
      this.flipAt -= chunk.length;
    }
  }
}

export class Pipe {
  /** What the source said, from the connection's beginning. */
  readonly recorded: Buffer[] = [];
  private recordedBytes = 0;
  private readonly from: net.Socket;
  private readonly to: net.Socket;
  private readonly direction: Direction;
  private readonly queue: { chunk: Buffer; dueMs: number }[] = [];
  private hasEnded = false;
  private timer: NodeJS.Timeout | undefined = undefined;

  constructor(from: net.Socket, to: net.Socket, direction: Direction) {
    this.from = from;
    this.to = to;
    this.direction = direction;
    direction.add(this);
    from.on('data', (chunk: Buffer) => this.take(chunk));
    from.on('end', () => {
      this.hasEnded = !direction.isDropping;
      this.pump();
    });
    to.on('drain', () => this.pump());
    // Whoever looked at its first bytes has stopped it.
    from.resume();
  }

  private take(chunk: Buffer): void {
    const { direction } = this;
    direction.bytes += chunk.length;
    if (this.recordedBytes < RECORDED_BYTES) {
      this.recorded.push(Buffer.from(chunk));
      this.recordedBytes += chunk.length;
    }
    if (direction.isDropping) return;
    direction.damage(chunk);
    this.queue.push({ chunk, dueMs: performance.now() + direction.delayMs });
    this.pump();
  }

  /** Passes on what is due; to be called whenever that may have become more. */
  pump(): void {
    if (this.timer === undefined && !this.to.destroyed) this.pass();
    if (this.queue.length > QUEUED_CHUNKS) this.from.pause();
    else this.from.resume();
  }

  private pass(): void {
    const { direction, queue } = this;
    let budget = direction.bytesPerSec === 0 ? Number.POSITIVE_INFINITY : (direction.bytesPerSec * SLICE_MS) / 1000;
    while (queue.length > 0) {
      if (direction.holds || this.to.writableNeedDrain) return;
      const { chunk, dueMs } = queue[0];
      const waitMs = dueMs - performance.now();
      if (waitMs > 0) return this.later(waitMs);
      if (budget <= 0) return this.later(SLICE_MS);
      const bytes = Math.max(1, Math.min(chunk.length, Math.floor(budget)));
      this.to.write(chunk.subarray(0, bytes));
      budget -= bytes;
      if (bytes === chunk.length) queue.shift();
      else queue[0].chunk = chunk.subarray(bytes);
    }
    if (this.hasEnded && !direction.holds) this.to.end();
    // A slice that used its share up is the last one until the next.
    else if (budget <= 0) this.later(SLICE_MS);
  }

  private later(ms: number): void {
    this.timer = setTimeout(() => {
      this.timer = undefined;
      this.pump();
    }, ms);
  }

  close(): void {
    clearTimeout(this.timer);
    this.direction.remove(this);
    this.queue.length = 0;
  }
}
