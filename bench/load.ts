/**
 * A small load generator, run as a process of its own so that it can have a core of its own:
 *
 *   node bench/load.ts latency --port 6379 --command GET --rate 20000 --seconds 3
 *   node bench/load.ts fill --port 6379 --keys 1000000 [--expire-seconds 86400]
 *
 * `latency` asks at a fixed rate whatever the server does: request i is due at start + i/rate, and its time runs from
 * then, not from when a busy connection got round to sending it. So a pause of the server counts against every request
 * that was due in it (no coordinated omission). One request at a time per connection, as redis-benchmark -P 1. The times
 * include this program's own delays, a few tens of microseconds, which are the same for every server.
 * `fill` sets keys of 16 bytes to values of 16 bytes. Both print one line of JSON.
 */
import { connect, type Socket } from 'node:net';
import { parseArgs } from 'node:util';
import { build } from 'hdr-histogram-js';

const CONNECTIONS = 50;
const WARM_UP_MS = 500;
/** How long to wait for the last replies once the last request is due. */
const DRAIN_MS = 5000;
const FILL_BATCH = 1000;
const LATENCY_KEYS = 100_000;
const VALUE = 'v:abcdefghijklmn';

export interface LatencyResult {
  requests: number;
  p50Us: number;
  p99Us: number;
  p999Us: number;
  maxUs: number;
}

function open(port: number): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connect(port, '127.0.0.1', () => resolve(socket));
    socket.setNoDelay(true);
    socket.once('error', reject);
    socket.once('close', () => reject(new Error('the server closed the connection')));
  });
}

function encode(...args: string[]): string {
  return `*${args.length}\r\n${args.map((arg) => `$${arg.length}\r\n${arg}\r\n`).join('')}`;
}

function key(index: number): string {
  return `key:${String(index).padStart(12, '0')}`;
}

/** Sends `count` commands in batches, each written when the replies to the one before are in. Every reply is `+OK`. */
async function fill(port: number, count: number, expireSeconds: number): Promise<void> {
  const socket = await open(port);
  const tail = expireSeconds > 0 ? ['EX', String(expireSeconds)] : [];
  let due = 0;
  let wake = (): void => {};
  let failure = '';
  socket.on('data', (data) => {
    if (data.includes(0x2d)) failure = data.toString();
    due -= data.length / '+OK\r\n'.length;
    if (due === 0) wake();
  });
  for (let from = 0; from < count; from += FILL_BATCH) {
    let batch = '';
    const to = Math.min(count, from + FILL_BATCH);
    for (let i = from; i < to; i++) batch += encode('SET', key(i), VALUE, ...tail);
    due = to - from;
    const done = new Promise<void>((resolve) => {
      wake = resolve;
    });
    socket.write(batch);
    await done;
    if (failure !== '') throw new Error(failure);
  }
  socket.removeAllListeners('close');
  socket.destroy();
}

/** One connection with at most one request under way; requests that come due meanwhile wait in `dueMs`. */
class Lane {
  private readonly socket: Socket;
  private readonly replyBytes: number;
  private readonly makeRequest: () => string;
  private readonly record: (dueMs: number) => void;
  private readonly dueMs: number[] = [];
  private sentDueMs = -1;
  private gotBytes = 0;

  constructor(socket: Socket, replyBytes: number, makeRequest: () => string, record: (dueMs: number) => void) {
    this.socket = socket;
    this.replyBytes = replyBytes;
    this.makeRequest = makeRequest;
    this.record = record;
    socket.on('data', (data) => this.received(data.length));
  }

  get idle(): boolean {
    return this.sentDueMs < 0;
  }

  ask(dueMs: number): void {
    if (this.idle) this.send(dueMs);
    else this.dueMs.push(dueMs);
  }

  private send(dueMs: number): void {
    this.sentDueMs = dueMs;
    this.socket.write(this.makeRequest(), 'latin1');
  }

  private received(bytes: number): void {
    this.gotBytes += bytes;
    if (this.gotBytes < this.replyBytes) return;
    if (this.gotBytes > this.replyBytes) throw new Error('a reply is longer than expected');
    this.gotBytes = 0;
    this.record(this.sentDueMs);
    this.sentDueMs = -1;
    const next = this.dueMs.shift();
    if (next !== undefined) this.send(next);
  }
}

async function latency(port: number, command: string, rate: number, seconds: number): Promise<LatencyResult> {
  await fill(port, LATENCY_KEYS, 0);
  const randomKey = (): string => key(Math.floor(Math.random() * LATENCY_KEYS));
  const isGet = command === 'GET';
  if (!isGet && command !== 'SET') throw new Error(`latency knows GET and SET, not ${command}`);
  const makeRequest = isGet ? () => encode('GET', randomKey()) : () => encode('SET', randomKey(), VALUE);
  const replyBytes = isGet ? encode(VALUE).length - '*1\r\n'.length : '+OK\r\n'.length;

  // Microseconds up to a minute, to three digits.
  const histogram = build({
    lowestDiscernibleValue: 1,
    highestTrackableValue: 60_000_000,
    numberOfSignificantValueDigits: 3,
  });
  const startMs = performance.now() + 10;
  const countFromMs = startMs + WARM_UP_MS;
  const endMs = countFromMs + seconds * 1000;
  const record = (dueMs: number): void => {
    if (dueMs >= countFromMs) histogram.recordValue(Math.max(1, Math.round((performance.now() - dueMs) * 1000)));
  };
  const sockets = await Promise.all(Array.from({ length: CONNECTIONS }, () => open(port)));
  const lanes = sockets.map((socket) => new Lane(socket, replyBytes, makeRequest, record));

  // setImmediate comes round after every look at the sockets; a timer could not keep a rate of more than 1000 a second.
  const intervalMs = 1000 / rate;
  let next = 0;
  await new Promise<void>((resolve, reject) => {
    const turn = (): void => {
      const now = performance.now();
      for (
        let dueMs = startMs + next * intervalMs;
        dueMs <= now && dueMs < endMs;
        dueMs = startMs + next * intervalMs
      ) {
        lanes[next % CONNECTIONS].ask(dueMs);
        next++;
      }
      if (now > endMs + DRAIN_MS) reject(new Error(`replies still missing ${DRAIN_MS} ms after the end`));
      else if (now >= endMs && lanes.every((lane) => lane.idle)) resolve();
      else setImmediate(turn);
    };
    turn();
  });
  for (const socket of sockets) {
    socket.removeAllListeners('close');
    socket.destroy();
  }
  return {
    requests: histogram.totalCount,
    p50Us: histogram.getValueAtPercentile(50),
    p99Us: histogram.getValueAtPercentile(99),
    p999Us: histogram.getValueAtPercentile(99.9),
    maxUs: histogram.maxValue,
  };
}

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    port: { type: 'string', default: '6379' },
    command: { type: 'string', default: 'GET' },
    rate: { type: 'string', default: '20000' },
    seconds: { type: 'string', default: '3' },
    keys: { type: 'string', default: '1000000' },
    'expire-seconds': { type: 'string', default: '0' },
  },
});

const port = Number(values.port);
if (positionals[0] === 'latency') {
  const result = await latency(port, values.command, Number(values.rate), Number(values.seconds));
  console.log(JSON.stringify(result));
} else if (positionals[0] === 'fill') {
  await fill(port, Number(values.keys), Number(values['expire-seconds']));
  console.log(JSON.stringify({ keys: Number(values.keys) }));
} else {
  console.error('usage: node bench/load.ts latency|fill --port N ...');
  process.exitCode = 1;
}
