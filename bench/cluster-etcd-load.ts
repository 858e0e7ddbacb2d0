/**
 * Puts to one etcd node, as a process of its own:
 *
 *   node bench/cluster-etcd-load.ts --port 2379 --connections 50 --streams 16 --seconds 5
 *
 * Each of `connections` has `streams` puts under way at any time, each waits for its answer: what redis-benchmark -c 50 -P 16
 * does, with the same keys and values. etcd speaks gRPC: HTTP/2 with one stream a call. The frames are written by hand,
 * because a general client would need several times the CPU of redis-benchmark and take it from the three servers beside it.
 * Prints one line of JSON.
 *
 * ```
 * frame    +0 length u24be | +3 type u8 | +4 flags u8 | +5 stream u32be | +9 payload
 * message  +0 compressed u8 = 0 | +1 length u32be | +5 PutRequest { 1: key, 2: value }
 * put      HEADERS (END_HEADERS) | DATA (END_STREAM): message
 * answer   HEADERS | DATA: PutResponse | HEADERS (END_STREAM): grpc-status; an error has no DATA
 * ```
 *
 * (RFC 9113, RFC 7541; gRPC over HTTP/2.)
 */
import type { Socket } from 'node:net';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { build } from 'hdr-histogram-js';
import { open } from './durability-openloop.ts';
import type { BenchmarkResult } from './redis-benchmark.ts';

const WARM_UP_MS = 1000;
const KEYSPACE = 100_000;
const KEY_DIGITS = 12;
const VALUE = 'xxx';

const PREFACE = 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n';
const FRAME_HEADER_BYTES = 9;
const [DATA, HEADERS, RST_STREAM, SETTINGS, PING, GOAWAY, WINDOW_UPDATE] = [0, 1, 3, 4, 6, 7, 8];
const END_STREAM = 1;
const ACK = 1;
const END_HEADERS = 4;
/** What the server may send before it is told that there is room again: more than a run's answers. */
const WINDOW_BYTES = 2 ** 31 - 1;
const DEFAULT_WINDOW_BYTES = 65_535;

export interface EtcdLoadResult extends BenchmarkResult {
  requests: number;
}

export function frame(type: number, flags: number, stream: number, payload: Uint8Array): Buffer {
  const bytes = Buffer.alloc(FRAME_HEADER_BYTES + payload.length);
  bytes.writeUIntBE(payload.length, 0, 3);
  bytes[3] = type;
  bytes[4] = flags;
  bytes.writeUInt32BE(stream, 5);
  bytes.set(payload, FRAME_HEADER_BYTES);
  return bytes;
}

/** Header fields of a put, never indexed, so that they are the same bytes each time. Below 128 bytes each. */
function putHeaders(authority: string): Buffer {
  const text = (value: string): Buffer => Buffer.concat([Buffer.from([value.length]), Buffer.from(value, 'latin1')]);
  return Buffer.concat([
    // From the static table: ":method: POST", ":scheme: http"; then names of it, :path, :authority and content-type.
    ...[Buffer.from([0x83, 0x86, 0x04]), text('/etcdserverpb.KV/Put')],
    ...[Buffer.from([0x01]), text(authority), Buffer.from([0x0f, 0x10]), text('application/grpc')],
    ...[Buffer.from([0x00]), text('te'), text('trailers')],
  ]);
}

/** A put with a key whose digits are to be filled in; both its frames, for stream 0. */
export function putTemplate(authority: string): { bytes: Buffer; dataAt: number; digitsAt: number } {
  const headers = frame(HEADERS, END_HEADERS, 0, putHeaders(authority));
  const key = `key:${'0'.repeat(KEY_DIGITS)}`;
  const field = (number: number, value: string): string => String.fromCharCode((number << 3) | 2, value.length) + value;
  const request = Buffer.from(field(1, key) + field(2, VALUE), 'latin1');
  const message = Buffer.concat([Buffer.alloc(5), request]);
  message.writeUInt32BE(request.length, 1);
  const bytes = Buffer.concat([headers, frame(DATA, END_STREAM, 0, message)]);
  return { bytes, dataAt: headers.length, digitsAt: bytes.indexOf(key) + 'key:'.length };
}

/** One connection; calls `answered` with the time at which a put was sent. */
export class PutConnection {
  private readonly socket: Socket;
  private readonly answered: (sentMs: number) => void;
  private readonly template: { bytes: Buffer; dataAt: number; digitsAt: number };
  private rest: Buffer = Buffer.alloc(0);
  private nextStream = 1;
  /** When the put of each stream was sent; negative: and its response is here. */
  private readonly sentMs = new Map<number, number>();
  private output: Buffer[] = [];
  isStopping = false;

  constructor(socket: Socket, authority: string, answered: (sentMs: number) => void) {
    this.socket = socket;
    this.answered = answered;
    this.template = putTemplate(authority);
    const window = Buffer.alloc(4);
    window.writeUInt32BE(WINDOW_BYTES - DEFAULT_WINDOW_BYTES);
    socket.write(
      Buffer.concat([
        ...[Buffer.from(PREFACE, 'latin1'), frame(SETTINGS, 0, 0, Buffer.alloc(0))],
        frame(WINDOW_UPDATE, 0, 0, window),
      ]),
    );
    socket.on('data', (data) => this.received(data));
  }

  get waiting(): number {
    return this.sentMs.size;
  }

  start(streams: number): void {
    for (let i = 0; i < streams; i++) this.put();
    this.flush();
  }

  private put(): void {
    const { bytes, dataAt, digitsAt } = this.template;
    const put = Buffer.from(bytes);
    const stream = this.nextStream;
    this.nextStream += 2;
    put.writeUInt32BE(stream, 5);
    put.writeUInt32BE(stream, dataAt + 5);
    put.write(String(Math.floor(Math.random() * KEYSPACE)).padStart(KEY_DIGITS, '0'), digitsAt, 'latin1');
    this.output.push(put);
    this.sentMs.set(stream, performance.now());
  }

  private flush(): void {
    if (this.output.length > 0) this.socket.write(Buffer.concat(this.output));
    this.output = [];
  }

  private received(data: Buffer): void {
    const bytes = this.rest.length === 0 ? data : Buffer.concat([this.rest, data]);
    let at = 0;
    while (bytes.length - at >= FRAME_HEADER_BYTES) {
      const end = at + FRAME_HEADER_BYTES + bytes.readUIntBE(at, 3);
      if (end > bytes.length) break;
      this.onFrame(bytes[at + 3], bytes[at + 4], bytes.readUInt32BE(at + 5), bytes, at + FRAME_HEADER_BYTES, end);
      at = end;
    }
    this.rest = bytes.subarray(at);
    this.flush();
  }

  private onFrame(type: number, flags: number, stream: number, bytes: Buffer, start: number, end: number): void {
    if (type === DATA) {
      this.sentMs.set(stream, -(this.sentMs.get(stream) ?? 0));
    } else if (type === HEADERS && (flags & END_STREAM) !== 0) {
      const sentMs = this.sentMs.get(stream) ?? 0;
      if (sentMs >= 0) throw new Error(`etcd refused a put: ${bytes.toString('latin1', start, end)}`);
      this.sentMs.delete(stream);
      this.answered(-sentMs);
      if (!this.isStopping) this.put();
    } else if (type === SETTINGS && (flags & ACK) === 0) {
      this.output.push(frame(SETTINGS, ACK, 0, Buffer.alloc(0)));
    } else if (type === PING && (flags & ACK) === 0) {
      this.output.push(frame(PING, ACK, 0, bytes.subarray(start, end)));
    } else if (type === RST_STREAM || type === GOAWAY) {
      throw new Error(`etcd gave up: ${bytes.toString('latin1', start, end)}`);
    }
  }
}

async function measure(port: number, connections: number, streams: number, seconds: number): Promise<EtcdLoadResult> {
  // Microseconds up to a minute, to three digits.
  const histogram = build({
    lowestDiscernibleValue: 1,
    highestTrackableValue: 60_000_000,
    numberOfSignificantValueDigits: 3,
  });
  let isCounting = false;
  const answered = (sentMs: number): void => {
    if (isCounting) histogram.recordValue(Math.max(1, Math.round((performance.now() - sentMs) * 1000)));
  };
  const sockets = await Promise.all(Array.from({ length: connections }, () => open(port)));
  const clients = sockets.map((socket) => new PutConnection(socket, `127.0.0.1:${port}`, answered));
  for (const client of clients) client.start(streams);
  const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));
  await sleep(WARM_UP_MS);
  const startMs = performance.now();
  isCounting = true;
  await sleep(seconds * 1000);
  isCounting = false;
  const elapsedMs = performance.now() - startMs;
  for (const client of clients) client.isStopping = true;
  while (clients.some((client) => client.waiting > 0)) await sleep(1);
  for (const socket of sockets) {
    socket.removeAllListeners('close');
    socket.destroy();
  }
  return {
    requests: histogram.totalCount,
    requestsPerSecond: (histogram.totalCount / elapsedMs) * 1000,
    p50Ms: histogram.getValueAtPercentile(50) / 1000,
    p99Ms: histogram.getValueAtPercentile(99) / 1000,
  };
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const { values } = parseArgs({
    options: {
      port: { type: 'string', default: '2379' },
      connections: { type: 'string', default: '50' },
      streams: { type: 'string', default: '1' },
      seconds: { type: 'string', default: '5' },
    },
  });
  const [port, connections, streams, seconds] = [values.port, values.connections, values.streams, values.seconds].map(
    Number,
  );
  console.log(JSON.stringify(await measure(port, connections, streams, seconds)));
}
