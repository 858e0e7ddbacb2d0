/**
 * The promises about single numbers that a comparison of throughput does not show: `npm run bench:limits`.
 *
 * - growth: the longest SET while a table grows to 5 million keys (in process, one shard, no sockets)
 * - speed: GET and SET in process on one thread over 160,000 keys
 * - storm: 1 million keys that expire in the same second: until when they are gone, and the p99 of GET meanwhile; twice
 * - lag: how long after its time a key's expiry is counted, beside 1 million live keys with TTLs
 * - forget: the longest GET while a set of a million members is deleted, and until when its memory is free again
 * - tick: how late timers of the main thread run under `redis-benchmark -c 500 -P 64`
 *
 * What is measured in process runs as a server's main thread does: compiled, with its hints to V8 and its huge pages. (Where Node strips
 * the types itself, V8 looks at each access to memory whether the buffer is still there: a SET took 2 to 28 % longer in four pairs.)
 *
 * Each prints what it measured beside what was promised. `npm run bench:limits -- storm lag` runs some of them;
 * A run of all of them writes bench/LIMITS.md.
 */
import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { readArguments, refuse } from '../test/support/arguments.ts';
import '../net/v8flags.ts';
import { build, type Histogram } from 'hdr-histogram-js';
import { Call } from '../engine/call.ts';
import type { CommandRow } from '../engine/command.ts';
import { engineRows } from '../engine/commands/index.ts';
import { Settings } from '../engine/settings.ts';
import { Shards } from '../engine/shards.ts';
import { restartTuned } from '../net/restart.ts';
import { RawClient } from '../test/support/redis.ts';
import getset, { BATCH } from './micro/getset.ts';
import { LOAD_CORE, onCore, SERVER_CORE } from './proc.ts';
import { machine, ownVersion, table } from './report.ts';

const RESULTS = 'bench/LIMITS.md';
const MAIN = 'dist/net/main.js';
const PORT = 16479;
const GROWTH_KEYS = 5_000_000;
const STORM_KEYS = 1_000_000;
/** From the first of them on until their time, and of that the part in which nothing happens but reads, before a pause as long. */
const STORM_FILL_MS = 25_000;
const STORM_QUIET_MS = 2_000;
const BATCH_KEYS = 500;
const FORGET_ROUNDS = 5;
/** About ten seconds: the machine is slow for seconds at a time. */
const SPEED_ROUNDS = 300;

/** name, what was measured, what was promised */
type Row = [string, string, string];

/**
 * The longest of 5 million single SETs: in a process that has just begun, whose code is being compiled and whose memory the system
 * has yet to give it, and the third time that the table grows, after FLUSHALL.
 */
function growth(): Row[] {
  const call = new Call(Shards.create(1, 2 ** 31, 16, [1, 2]), new Settings());
  call.buf = new Uint8Array(32).fill(120);
  call.setClock(Date.now());
  const rows: Row[] = [];
  for (const time of ['first', 'second', 'third']) {
    rows.push([`longest SET while 5 M keys are inserted, ${time} time`, growOnce(call), '5 ms']);
    call.argc = 1;
    run(call, rowOf('flushall'));
  }
  rows.push(['longest step of a loop that does nothing for 10 s', us(longestStep(10_000) * 1e6), '']);
  return rows;
}

function growOnce(call: Call): string {
  const set = rowOf('set');
  const { buf } = call;
  call.argc = 3;
  call.off.set([0, 0, 16]);
  call.len.set([0, 16, 16]);
  const histogram = build({ lowestDiscernibleValue: 1, highestTrackableValue: 1e9, numberOfSignificantValueDigits: 3 });
  for (let i = 0; i < GROWTH_KEYS; i++) {
    let rest = i;
    for (let k = 15; k >= 4; k--) {
      buf[k] = 48 + (rest % 10);
      rest = Math.floor(rest / 10);
    }
    const from = performance.now();
    run(call, set);
    histogram.recordValue(Math.max(1, Math.round((performance.now() - from) * 1e6)));
  }
  return `${us(histogram.maxValue)} (p99.99 ${us(histogram.getValueAtPercentile(99.99))})`;
}

function rowOf(name: string): CommandRow {
  const row = engineRows.find((each) => each.name === name);
  if (row === undefined) throw new Error(`no command ${name}`);
  return row;
}

function run(call: Call, row: CommandRow): void {
  call.begin(row);
  row.run(call);
  call.reply.length = 0;
}

function us(ns: number): string {
  return `${(ns / 1000).toFixed(ns < 10_000 ? 1 : 0)} us`;
}

/** What the machine itself takes from whoever runs: ms between two looks at the clock, the longest of `forMs`. */
function longestStep(forMs: number): number {
  const until = performance.now() + forMs;
  let longest = 0;
  for (let last = performance.now(); last < until; ) {
    const now = performance.now();
    if (now - last > longest) longest = now - last;
    last = now;
  }
  return longest;
}

/** The best of many runs: the machine's noise only ever slows one down. */
function speed(): Row[] {
  const rows: Row[] = [];
  for (const bench of getset()) {
    let best = Number.POSITIVE_INFINITY;
    for (let round = 0; round < SPEED_ROUNDS; round++) {
      const from = performance.now();
      bench.fn();
      best = Math.min(best, performance.now() - from);
    }
    const perSecond = ((bench.operations ?? BATCH) / best / 1000).toFixed(1);
    const promised = bench.name === 'GET' ? '5 M/s' : bench.name === 'SET' ? '3 M/s' : '';
    if (promised !== '') rows.push([`${bench.name} in process, one thread, 160 k keys`, `${perSecond} M/s`, promised]);
  }
  return rows;
}

/** A node of the build on the server's core, gone at the end of `use`. */
async function withNode<T>(use: (client: RawClient) => Promise<T>): Promise<T> {
  const dir = mkdtempSync(join(tmpdir(), 'millrace-'));
  const words = onCore(SERVER_CORE, ['node', MAIN, '--port', String(PORT), '--dir', dir, '--save', '']);
  const child = spawn(words[0], words.slice(1), { stdio: 'ignore' });
  try {
    let client: RawClient | undefined;
    for (let tries = 0; client === undefined; tries++) {
      await sleep(100);
      client = await RawClient.connect(PORT).catch((error) => {
        if (tries > 50) throw error;
        return undefined;
      });
    }
    return await use(client);
  } finally {
    // The next one has the same port.
    const gone = new Promise((resolve) => child.once('exit', resolve));
    child.kill('SIGKILL');
    await gone;
    rmSync(dir, { recursive: true, force: true });
  }
}

async function fill(client: RawClient, keys: number, prefix: string, ...options: string[]): Promise<void> {
  for (let i = 0; i < keys; i += BATCH_KEYS) {
    await client.pipeline(
      Array.from({ length: BATCH_KEYS }, (_, k) => ['set', `${prefix}${i + k}`, 'value', ...options]),
    );
  }
}

async function info(client: RawClient, field: string): Promise<number> {
  const value = new RegExp(`\r\n${field}:([-0-9.]+)`).exec(await client.run('info', 'all'))?.[1];
  if (value === undefined) throw new Error(`INFO has no ${field}`);
  return Number(value);
}

function latencies(): Histogram {
  return build({ lowestDiscernibleValue: 1, highestTrackableValue: 60e6, numberOfSignificantValueDigits: 3 });
}

function p99Ms(histogram: Histogram): string {
  return `${(histogram.getValueAtPercentile(99) / 1000).toFixed(2)} ms`;
}

/** One GET after the other, of a key that lives and of those that expire in turn, while `goes` says so; in us, into `histogram`. */
async function read(reader: RawClient, goes: () => boolean, histogram: Histogram): Promise<void> {
  for (let i = 0; goes(); i++) {
    const from = performance.now();
    await reader.run('get', i % 2 === 0 ? 'live' : `storm:${i}`);
    histogram.recordValue(Math.round((performance.now() - from) * 1000));
  }
}

/** When the keys were gone, ms after their time, and how long GETs took until then, and before anything expired. */
async function oneStorm(client: RawClient, reader: RawClient) {
  const atMs = Date.now() + STORM_FILL_MS;
  await fill(client, STORM_KEYS, 'storm:', 'pxat', String(atMs));
  if (Date.now() > atMs - 2 * STORM_QUIET_MS)
    throw new Error('the machine is too slow: the keys are not there in time');
  await sleep(atMs - 2 * STORM_QUIET_MS - Date.now());
  const quiet = latencies();
  await read(reader, () => Date.now() < atMs - STORM_QUIET_MS, quiet);
  await sleep(atMs - Date.now());
  let goneMs = 0;
  const during = latencies();
  const reading = read(reader, () => goneMs === 0, during);
  while (goneMs === 0) {
    if ((await client.run('dbsize')) === ':1\r\n') goneMs = Date.now() - atMs;
    if (Date.now() > atMs + 30_000) throw new Error('the keys did not go');
    await sleep(20);
  }
  await reading;
  return { goneMs, quiet, during };
}

/** The first storm of a server finds its code not compiled; the second is as all that follow. */
async function storm(): Promise<Row[]> {
  return withNode(async (client) => {
    await client.run('set', 'live', '1');
    const reader = await RawClient.connect(PORT);
    const rows: Row[] = [];
    for (const which of ['a fresh server', 'again']) {
      const { goneMs, quiet, during } = await oneStorm(client, reader);
      rows.push(
        [`1 M keys of one expiry time gone after, ${which}`, `${(goneMs / 1000).toFixed(2)} s`, '3 s'],
        [`p99 of GET meanwhile, ${which}`, `${p99Ms(during)} (before it ${p99Ms(quiet)})`, '2 ms'],
      );
    }
    return rows;
  });
}

async function lag(): Promise<Row[]> {
  return withNode(async (client) => {
    await fill(client, STORM_KEYS, 'live:', 'ex', '86400');
    const lags: number[] = [];
    for (let i = 0; i < 100; i++) {
      const before = await info(client, 'expired_keys');
      const atMs = Date.now() + 30 + ((i * 7) % 50);
      await client.run('set', `short:${i}`, '1', 'pxat', String(atMs));
      while ((await info(client, 'expired_keys')) === before) await sleep(1);
      lags.push(Date.now() - atMs);
    }
    lags.sort((a, b) => a - b);
    return [
      ['expiry noticed beside 1 M live TTLs, 100 keys', `median ${lags[50]} ms, longest ${lags[99]} ms`, '100 ms'],
    ];
  });
}

async function forget(): Promise<Row[]> {
  return withNode(async (client) => {
    await client.run('set', 'live', '1');
    const reader = await RawClient.connect(PORT);
    const during = latencies();
    let longestFreeMs = 0;
    for (let round = 0; round < FORGET_ROUNDS; round++) {
      for (let i = 0; i < STORM_KEYS; i += BATCH_KEYS) {
        await client.run('sadd', 'big', ...Array.from({ length: BATCH_KEYS }, (_, k) => `member:${i + k}`));
      }
      const startedAt = performance.now();
      let freeMs = 0;
      const reading = read(reader, () => freeMs === 0, during);
      await client.run('del', 'big');
      while ((await info(client, 'lazyfree_pending_objects')) > 0) await sleep(10);
      freeMs = performance.now() - startedAt;
      longestFreeMs = Math.max(longestFreeMs, freeMs);
      await reading;
    }
    const longest = `${(during.maxValue / 1000).toFixed(1)} ms (p99 ${p99Ms(during)})`;
    return [
      [`longest GET while a set of 1 M members is deleted, ${FORGET_ROUNDS} times`, longest, ''],
      ['its memory is free again after, at the longest', `${(longestFreeMs / 1000).toFixed(2)} s`, ''],
    ];
  });
}

async function tick(): Promise<Row[]> {
  return withNode(async (client) => {
    const load = (requests: string): Promise<void> =>
      new Promise((resolve) => {
        const args = [
          'redis-benchmark',
          '-p',
          String(PORT),
          '-c',
          '500',
          '-P',
          '64',
          '-n',
          requests,
          '-t',
          'set,get',
          '-q',
        ];
        const words = onCore(LOAD_CORE, args);
        spawn(words[0], words.slice(1), { stdio: 'ignore' }).on('exit', () => resolve());
      });
    const late = async (doing: () => Promise<void>): Promise<string> => {
      await client.run('config', 'resetstat');
      await doing();
      const longest = await info(client, 'eventloop_delay_max_ms');
      const p99 = await info(client, 'eventloop_delay_p99_ms');
      return `p99 ${p99.toFixed(1)} ms, longest ${longest.toFixed(1)} ms`;
    };
    await load('2000000');
    const startedAt = performance.now();
    const loaded = await late(() => load('8000000'));
    const tookMs = performance.now() - startedAt;
    return [
      ['timers late under -c 500 -P 64', loaded, '10 ms'],
      ['timers late with no client, as long', await late(() => sleep(tookMs)), ''],
    ];
  });
}

const MEASURES: Record<string, () => Row[] | Promise<Row[]>> = { growth, speed, storm, lag, forget, tick };

async function main(): Promise<void> {
  const usage = `Usage: npm run bench:limits -- [${Object.keys(MEASURES).join('|')} ...]`;
  const { positionals } = readArguments(usage, { allowPositionals: true });
  const unknown = positionals.find((name) => !Object.hasOwn(MEASURES, name));
  if (unknown !== undefined) refuse(`there is no measure '${unknown}'`);
  const rows: Row[] = [];
  for (const name of positionals.length > 0 ? positionals : Object.keys(MEASURES)) {
    process.stderr.write(`${name} ...\n`);
    rows.push(...(await MEASURES[name]()));
  }
  const setting = [...machine(), `Millrace ${ownVersion()}`, new Date().toISOString().slice(0, 10)].join('; ');
  const text = `# Limits\n\n${setting}\n\n${table(['what', 'measured', 'promised'], rows)}\n`;
  process.stdout.write(text);
  if (positionals.length === 0) writeFileSync(RESULTS, text);
}

restartTuned();
await main();
