/**
 * Hit ratios of eviction, ours and Redis's: replays the same traces as a cache would be used (GET, and SET after a miss)
 * against redis-server over a socket and against the engine in process, and prints a table.
 *
 *     npm run bench:hit-ratio        see USAGE
 *
 * Both get the trace in the same batches (all GETs of a batch, then SETs for its misses). Redis runs in real time, at
 * `--rate` operations per second or as fast as it goes; the engine's clock then advances at the rate that Redis reached,
 * so that access clocks tick equally often per operation. Ratios are of the trace's last two thirds. The engine runs
 * twice: with the same maxmemory, and with as much as makes it hold as many keys as Redis did, which compares the
 * choice of victims alone.
 */
import net from 'node:net';
import { COUNTER_EVICTED, COUNTER_KEYS, COUNTER_USED_BYTES } from '../engine/arena.ts';
import { Call } from '../engine/call.ts';
import { type CommandRow, CommandTable } from '../engine/command.ts';
import { stringRows } from '../engine/commands/string.ts';
import { makeEvictor } from '../engine/eviction.ts';
import { execute } from '../engine/execute.ts';
import { Random } from '../engine/random.ts';
import { MAXMEMORY_POLICIES, Settings } from '../engine/settings.ts';
import { Shards } from '../engine/shards.ts';
import { chosen, MAX_COUNT, readArguments, refuse, whole } from '../test/support/arguments.ts';
import { RedisServer, redisAvailable, redisVersion } from '../test/support/redis.ts';

const TRACE_NAMES = ['zipf', 'scan', 'shift'] as const;
type TraceName = (typeof TRACE_NAMES)[number];
const USAGE = `Usage: npm run bench:hit-ratio -- [options]

  --ops N            operations of a trace (2000000)
  --maxmemory-mb N   what both may take (32)
  --rate N           operations a second of Redis; 0 is as fast as it goes (0)
  --policies a,b     of ${MAXMEMORY_POLICIES.join(', ')} (allkeys-lru,allkeys-lfu)
  --traces a,b       of ${TRACE_NAMES.join(', ')} (all)
  --samples N        maxmemory-samples (5)
`;

const { values: options } = readArguments(USAGE, {
  options: {
    ops: { type: 'string', default: '2000000' },
    'maxmemory-mb': { type: 'string', default: '32' },
    rate: { type: 'string', default: '0' },
    policies: { type: 'string', default: 'allkeys-lru,allkeys-lfu' },
    traces: { type: 'string', default: TRACE_NAMES.join(',') },
    samples: { type: 'string', default: '5' },
  },
});
const OPS = whole('--ops', options.ops, 1, MAX_COUNT);
const MAXMEMORY = whole('--maxmemory-mb', options['maxmemory-mb'], 1, MAX_COUNT) * 1024 * 1024;
const RATE = whole('--rate', options.rate, 0, MAX_COUNT);
const SAMPLES = whole('--samples', options.samples, 1, MAX_COUNT);
const WANTED_TRACES = chosen('--traces', options.traces, TRACE_NAMES) as TraceName[];
const WANTED_POLICIES = chosen('--policies', options.policies, MAXMEMORY_POLICIES);

const KEYS = 1_000_000;
const KEY_BYTES = 12;
const VALUE_BYTES = 100;
const BATCH = 256;
const SHARDS = 8;
const ARENA_BYTES = 256 * 1024 * 1024;
/** The part of the trace that fills the cache and is not counted. */
const WARM = Math.floor(OPS / 3);

// Traces: one key number per operation.

/** Ranks by Zipf's law with exponent 0.99, by inversion of the cumulative distribution. */
class Zipf {
  private readonly cumulative = new Float64Array(KEYS);

  constructor() {
    let sum = 0;
    for (let i = 0; i < KEYS; i++) this.cumulative[i] = sum += (i + 1) ** -0.99;
    for (let i = 0; i < KEYS; i++) this.cumulative[i] /= sum;
  }

  rank(random: Random): number {
    const u = random.next() / 4294967296;
    let low = 0;
    let high = KEYS - 1;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.cumulative[middle] < u) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}

const zipf = new Zipf();

const TRACES: Record<TraceName, () => Uint32Array> = {
  /** Zipf over a million keys. */
  zipf() {
    const random = new Random(7);
    return Uint32Array.from({ length: OPS }, () => zipf.rank(random));
  },
  /** The same, with every fourth operation part of a sequential scan over keys that are used only there. */
  scan() {
    const random = new Random(7);
    let next = KEYS;
    return Uint32Array.from({ length: OPS }, (_, i) => (i % 4 === 0 ? next++ : zipf.rank(random)));
  },
  /** Zipf whose ranks move to other keys, a tenth of the popular ones at a time, twenty times in all. */
  shift() {
    const random = new Random(7);
    const keyOfRank = Uint32Array.from({ length: KEYS }, (_, i) => i);
    const period = Math.ceil(OPS / 20);
    return Uint32Array.from({ length: OPS }, (_, i) => {
      if (i % period === period - 1) {
        for (let n = 0; n < KEYS / 100; n++) {
          const one = random.below(KEYS / 10);
          const other = random.below(KEYS);
          const key = keyOfRank[one];
          keyOfRank[one] = keyOfRank[other];
          keyOfRank[other] = key;
        }
      }
      return keyOfRank[zipf.rank(random)];
    });
  },
};

interface Result {
  hitRatio: number;
  keys: number;
  evicted: number;
  opsPerSecond: number;
}

function writeKey(to: Uint8Array, at: number, key: number): void {
  to[at] = 107;
  to[at + 1] = 58;
  for (let i = KEY_BYTES - 1; i >= 2; i--) {
    to[at + i] = 48 + (key % 10);
    key = Math.floor(key / 10);
  }
}

// Redis, over a socket.

const KEY_BLANK = 'k'.repeat(KEY_BYTES);
const GET = Buffer.from(`*2\r\n$3\r\nGET\r\n$${KEY_BYTES}\r\n${KEY_BLANK}\r\n`);
const SET = Buffer.from(
  `*3\r\n$3\r\nSET\r\n$${KEY_BYTES}\r\n${KEY_BLANK}\r\n$${VALUE_BYTES}\r\n${'v'.repeat(VALUE_BYTES)}\r\n`,
);
const HIT_BYTES = `$${VALUE_BYTES}\r\n\r\n`.length + VALUE_BYTES;
const MISS_BYTES = 5;

class RedisCache {
  private readonly socket: net.Socket;
  private readonly out = Buffer.alloc(BATCH * SET.length);
  private readonly missed = new Uint8Array(BATCH);
  private pending: Buffer = Buffer.alloc(0);
  private readonly arrived: (() => void)[] = [];

  constructor(port: number) {
    this.socket = net.connect(port, '127.0.0.1');
    this.socket.setNoDelay(true);
    this.socket.on('data', (data: Buffer) => {
      this.pending = this.pending.length === 0 ? data : Buffer.concat([this.pending, data]);
      this.arrived.shift()?.();
    });
  }

  private async more(): Promise<void> {
    await new Promise<void>((resolve) => this.arrived.push(resolve));
  }

  private async take(bytes: number): Promise<Buffer> {
    while (this.pending.length < bytes) await this.more();
    const taken = this.pending.subarray(0, bytes);
    this.pending = this.pending.subarray(bytes);
    return taken;
  }

  /** One batch; returns how many GETs hit. */
  async batch(trace: Uint32Array, from: number, to: number): Promise<number> {
    const count = to - from;
    for (let i = 0; i < count; i++) {
      GET.copy(this.out, i * GET.length);
      writeKey(this.out, (i + 1) * GET.length - KEY_BYTES - 2, trace[from + i]);
    }
    this.socket.write(Buffer.from(this.out.subarray(0, count * GET.length)));
    let hits = 0;
    for (let i = 0; i < count; i++) {
      while (this.pending.length < MISS_BYTES) await this.more();
      this.missed[i] = this.pending[1] === 45 ? 1 : 0;
      hits += 1 - this.missed[i];
      await this.takeFast(this.missed[i] === 1 ? MISS_BYTES : HIT_BYTES);
    }
    let length = 0;
    for (let i = 0; i < count; i++) {
      if (this.missed[i] === 0) continue;
      SET.copy(this.out, length);
      writeKey(this.out, length + GET.length - KEY_BYTES - 2, trace[from + i]);
      length += SET.length;
    }
    if (length > 0) this.socket.write(Buffer.from(this.out.subarray(0, length)));
    if (length > 0) await this.take((length / SET.length) * 5);
    return hits;
  }

  private takeFast(bytes: number): Promise<Buffer> | undefined {
    if (this.pending.length < bytes) return this.take(bytes);
    this.pending = this.pending.subarray(bytes);
    return undefined;
  }

  close(): void {
    this.socket.destroy();
  }
}

async function runRedis(trace: Uint32Array, policy: string): Promise<Result> {
  const server = await RedisServer.start([
    '--maxmemory',
    String(MAXMEMORY),
    '--maxmemory-policy',
    policy,
    '--maxmemory-samples',
    String(SAMPLES),
  ]);
  const client = await server.connect();
  const cache = new RedisCache(server.port);
  const startedAt = performance.now();
  let hits = 0;
  for (let from = 0; from < OPS; from += BATCH) {
    if (RATE > 0) {
      const aheadMs = (from / RATE) * 1000 - (performance.now() - startedAt);
      if (aheadMs > 2) await new Promise((resolve) => setTimeout(resolve, aheadMs));
    }
    const found = await cache.batch(trace, from, Math.min(OPS, from + BATCH));
    if (from >= WARM) hits += found;
  }
  const seconds = (performance.now() - startedAt) / 1000;
  const keys = Number((await client.run('dbsize')).slice(1));
  const evicted = Number(/evicted_keys:(\d+)/.exec(await client.run('info', 'stats'))?.[1]);
  cache.close();
  client.close();
  server.stop();
  return { hitRatio: hits / (OPS - Math.ceil(WARM / BATCH) * BATCH), keys, evicted, opsPerSecond: OPS / seconds };
}

// Ours, in process.

class EngineCache {
  readonly shards = Shards.create(SHARDS, ARENA_BYTES, 16, [3, 4]);
  private readonly settings = new Settings();
  private readonly call = new Call(this.shards, this.settings);
  private readonly evictor = makeEvictor(this.shards, this.settings, 0);
  private readonly missed = new Uint8Array(BATCH);
  private readonly get: CommandRow;
  private readonly set: CommandRow;

  constructor(policy: string, maxmemory: number) {
    this.settings.set('maxmemory', maxmemory);
    this.settings.set('maxmemory-policy', MAXMEMORY_POLICIES.indexOf(policy as (typeof MAXMEMORY_POLICIES)[number]));
    this.settings.set('maxmemory-samples', SAMPLES);
    const table = new CommandTable(stringRows);
    this.get = table.find(Buffer.from('get'), 0, 3) as CommandRow;
    this.set = table.find(Buffer.from('set'), 0, 3) as CommandRow;
    const { call } = this;
    call.buf = new Uint8Array(KEY_BYTES + VALUE_BYTES).fill(118);
    call.len[1] = KEY_BYTES;
    call.off[2] = KEY_BYTES;
    call.len[2] = VALUE_BYTES;
  }

  batch(trace: Uint32Array, from: number, to: number, nowMs: number): number {
    this.call.setClock(nowMs);
    let hits = 0;
    for (let i = from; i < to; i++) {
      this.run(this.get, 2, trace[i]);
      this.missed[i - from] = this.call.reply.length === MISS_BYTES ? 1 : 0;
      hits += 1 - this.missed[i - from];
    }
    for (let i = from; i < to; i++) if (this.missed[i - from] === 1) this.run(this.set, 3, trace[i]);
    return hits;
  }

  private run(row: CommandRow, argc: number, key: number): void {
    const { call } = this;
    writeKey(call.buf, 0, key);
    call.argc = argc;
    call.begin(row);
    call.reply.length = 0;
    execute(call, row, this.evictor);
  }

  sum(counter: number): number {
    return this.shards.arenas.reduce((sum, arena) => sum + arena.f64[counter], 0);
  }
}

function runEngine(
  trace: Uint32Array,
  policy: string,
  maxmemory: number,
  opsPerSecond: number,
): Result & { used: number } {
  const cache = new EngineCache(policy, maxmemory);
  const startedAt = performance.now();
  let hits = 0;
  for (let from = 0; from < OPS; from += BATCH) {
    const nowMs = 1_700_000_000_000 + (from / opsPerSecond) * 1000;
    const found = cache.batch(trace, from, Math.min(OPS, from + BATCH), nowMs);
    if (from >= WARM) hits += found;
  }
  return {
    hitRatio: hits / (OPS - Math.ceil(WARM / BATCH) * BATCH),
    keys: cache.sum(COUNTER_KEYS),
    evicted: cache.sum(COUNTER_EVICTED),
    opsPerSecond: (OPS / (performance.now() - startedAt)) * 1000,
    used: cache.sum(COUNTER_USED_BYTES),
  };
}

function show(name: string, result: Result): void {
  const ratio = `${(result.hitRatio * 100).toFixed(2)} %`.padStart(9);
  const rate = `${Math.round(result.opsPerSecond / 1000)}k ops/s`;
  console.log(
    `  ${name.padEnd(26)} ${ratio}  ${String(result.keys).padStart(8)} keys  ${String(result.evicted).padStart(8)} evicted  ${rate}`,
  );
}

if (!redisAvailable) refuse('redis-server is not installed: nothing to compare with');
console.log(
  `redis ${redisVersion}, node ${process.version}: ${OPS} operations, maxmemory ${options['maxmemory-mb']} MB, ` +
    `${KEY_BYTES}-byte keys, ${VALUE_BYTES}-byte values, ${KEYS} popular keys, samples ${SAMPLES}`,
);
for (const traceName of WANTED_TRACES) {
  const trace = TRACES[traceName]();
  for (const policy of WANTED_POLICIES) {
    const redis = await runRedis(trace, policy);
    const same = runEngine(trace, policy, MAXMEMORY, redis.opsPerSecond);
    const equal = runEngine(trace, policy, same.used * (redis.keys / same.keys), redis.opsPerSecond);
    console.log(`${traceName}, ${policy}`);
    show('redis', redis);
    show('millrace, same maxmemory', same);
    show('millrace, as many keys', equal);
  }
}
