/**
 * A load at a fixed rate that does not wait for replies: half GET half SET over all keys. Request i is due at start + i/rate,
 * and its time runs from then. All of it runs in one event loop, and what that was late by is told, since it is in the
 * latencies. For durability-load.ts.
 */
import { connect, type Socket } from 'node:net';
import { build, type Histogram } from 'hdr-histogram-js';
import { GET_REPLY_BYTES, putGet, putSet, randomBits, SET_BYTES, SET_REPLY_BYTES } from './durability-data.ts';

/** Requests under way on one connection at most; a second's pause at 400,000 a second is well below. */
const MAX_WAITING = 16_384;
/** How long to wait for the last replies. */
const DRAIN_MS = 5000;

export interface Latencies {
  seconds: number;
  requests: number;
  p50Us: number;
  p99Us: number;
  p999Us: number;
  maxUs: number;
  /** By how much this program was late at most. */
  ownPauseUs: number;
}

export function open(port: number): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connect(port, '127.0.0.1', () => resolve(socket));
    socket.setNoDelay(true);
    socket.once('error', reject);
    socket.once('close', () => reject(new Error('the server closed the connection')));
  });
}

/** A stretch of time with the latencies of the requests that were due in it. */
export class Phase {
  readonly startMs = performance.now();
  endMs = Number.POSITIVE_INFINITY;
  ownPauseMs = 0;
  // Microseconds up to a minute, to three digits.
  private readonly histogram: Histogram = build({
    lowestDiscernibleValue: 1,
    highestTrackableValue: 60_000_000,
    numberOfSignificantValueDigits: 3,
  });

  record(latencyMs: number): void {
    this.histogram.recordValue(Math.max(1, Math.round(latencyMs * 1000)));
  }

  result(): Latencies {
    const { histogram } = this;
    return {
      seconds: (this.endMs - this.startMs) / 1000,
      requests: histogram.totalCount,
      p50Us: histogram.getValueAtPercentile(50),
      p99Us: histogram.getValueAtPercentile(99),
      p999Us: histogram.getValueAtPercentile(99.9),
      maxUs: histogram.maxValue,
      ownPauseUs: Math.round(this.ownPauseMs * 1000),
    };
  }
}

/** One connection: what is due in a turn of the event loop goes out in one write, and replies come back in order. */
class Lane {
  private readonly socket: Socket;
  private readonly record: (dueMs: number) => void;
  private readonly dueMs = new Float64Array(MAX_WAITING);
  private sent = 0;
  private answered = 0;
  private output = Buffer.allocUnsafe(64 * 1024);
  private outputBytes = 0;
  /** Bytes of the reply under way that are still to come. */
  private missing = 0;

  constructor(socket: Socket, record: (dueMs: number) => void) {
    this.socket = socket;
    this.record = record;
    socket.on('data', (data) => this.received(data));
  }

  get idle(): boolean {
    return this.sent === this.answered;
  }

  ask(dueMs: number, keys: number): void {
    if (this.sent - this.answered === MAX_WAITING) throw new Error('the server answers far too late');
    if (this.outputBytes + SET_BYTES > this.output.length) this.flush();
    const bits = randomBits();
    const key = Math.floor((bits / 2 ** 32) * keys);
    this.outputBytes =
      (bits & 1) === 0 ? putSet(this.output, this.outputBytes, key) : putGet(this.output, this.outputBytes, key);
    this.dueMs[this.sent++ % MAX_WAITING] = dueMs;
  }

  flush(): void {
    if (this.outputBytes === 0) return;
    this.socket.write(Buffer.from(this.output.subarray(0, this.outputBytes)));
    this.outputBytes = 0;
  }

  private received(data: Buffer): void {
    for (let at = 0; at < data.length; ) {
      if (this.missing === 0) {
        if (data[at] === 0x2b) this.missing = SET_REPLY_BYTES;
        else if (data[at] === 0x24 && data[at + 1] !== 0x2d) this.missing = GET_REPLY_BYTES;
        else throw new Error(`an unexpected reply: ${data.toString('latin1', at, at + 200)}`);
      }
      const took = Math.min(this.missing, data.length - at);
      at += took;
      this.missing -= took;
      if (this.missing === 0) this.record(this.dueMs[this.answered++ % MAX_WAITING]);
    }
  }
}

/** The load itself: runs from `start` to `stop`, and sorts what it measures into the phases that are begun meanwhile. */
export class OpenLoop {
  private readonly lanes: Lane[];
  private readonly sockets: Socket[];
  private readonly keys: number;
  private readonly intervalMs: number;
  private readonly startMs = performance.now();
  private readonly phases: Phase[] = [];
  private next = 0;
  private lastTurnMs = performance.now();
  private stopMs = Number.POSITIVE_INFINITY;
  private readonly ended: Promise<void>;

  constructor(sockets: Socket[], keys: number, rate: number) {
    this.sockets = sockets;
    this.keys = keys;
    this.intervalMs = 1000 / rate;
    this.lanes = sockets.map((socket) => new Lane(socket, (dueMs) => this.record(dueMs)));
    this.ended = new Promise((resolve, reject) => this.turn(resolve, reject));
    this.ended.catch(() => {});
  }

  begin(): Phase {
    const phase = new Phase();
    this.phases.push(phase);
    return phase;
  }

  private record(dueMs: number): void {
    const phase = this.phases.find(({ startMs, endMs }) => startMs <= dueMs && dueMs < endMs);
    phase?.record(performance.now() - dueMs);
  }

  /** setImmediate comes round after every look at the sockets; a timer could not keep a rate of more than 1000 a second. */
  private turn(resolve: () => void, reject: (error: Error) => void): void {
    const { lanes, intervalMs, startMs } = this;
    const now = performance.now();
    const phase = this.phases.at(-1);
    if (phase !== undefined && now < phase.endMs && this.lastTurnMs >= phase.startMs) {
      phase.ownPauseMs = Math.max(phase.ownPauseMs, now - this.lastTurnMs);
    }
    this.lastTurnMs = now;
    for (
      let dueMs = startMs + this.next * intervalMs;
      dueMs <= now && dueMs < this.stopMs;
      dueMs = startMs + this.next * intervalMs
    ) {
      lanes[this.next++ % lanes.length].ask(dueMs, this.keys);
    }
    for (let i = 0; i < lanes.length; i++) lanes[i].flush();
    if (now > this.stopMs + DRAIN_MS) reject(new Error(`replies still missing ${DRAIN_MS} ms after the end`));
    else if (now >= this.stopMs && lanes.every((lane) => lane.idle)) resolve();
    else setImmediate(() => this.turn(resolve, reject));
  }

  /** Resolves when the last reply is in. */
  async stop(): Promise<void> {
    this.stopMs = performance.now();
    await this.ended;
    for (const socket of this.sockets) {
      socket.removeAllListeners('close');
      socket.destroy();
    }
  }
}
