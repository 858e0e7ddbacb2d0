/**
 * The load generator of `bench:durability`, a process of its own so that it can have a core of its own:
 *
 *   node bench/durability-load.ts fill --port 6379 [--keys 1000000 | --bytes 1073741824]
 *   node bench/durability-load.ts snapshot --port 6379 --pid PID --keys 1000000 --rate 40000 [--pauses FILE]
 *
 * `fill` sets keys until there are so many, or until used_memory is so large. `snapshot` asks at a fixed rate whatever the
 * server does, half GET half SET over all keys, and meanwhile takes a snapshot (BGSAVE), then waits as long again without
 * one. Request i is due at start + i/rate and its time runs from then, and requests that are due go out whether or not
 * earlier ones were answered, so that a pause of the server counts against every request that fell into it. What this
 * program itself was late by is told too. Both print one line of JSON.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import type { Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { RawClient } from '../test/support/redis.ts';
import { putSet, SET_BYTES, SET_REPLY_BYTES } from './durability-data.ts';
import { type Latencies, OpenLoop, open } from './durability-openloop.ts';
import { type LoopPauses, readPauses } from './durability-pauses.ts';

const CONNECTIONS = 50;
const FILL_BATCH = 500;
const BATCHES_AHEAD = 4;
/** Between two looks at used_memory. */
const FILL_STEP = 50_000;
const WARM_UP_MS = 2000;
/** Between the snapshot and the time without one. */
const REST_MS = 1000;
/** A snapshot of little data is over at once, too soon for a percentile of a thousand. */
const LEAST_QUIET_MS = 1000;
/** How often it is looked whether the snapshot is over. */
const LOOK_MS = 10;
const SNAPSHOT_TIMEOUT_MS = 240_000;

export interface FillResult {
  keys: number;
  usedBytes: number;
}

/** What one stretch of time was like: latencies, the server's memory, and the pauses of both event loops. */
export interface PhaseResult extends Latencies {
  residentBytes: number;
  peakResidentBytes: number;
  /** Of the server's event loop; undefined where nobody measures them. */
  pauses: LoopPauses | undefined;
}

export interface SnapshotResult {
  usedBytes: number;
  during: PhaseResult;
  without: PhaseResult;
  /** As INFO tells them after the snapshot. */
  forkUs: number;
  copyOnWriteBytes: number;
}

async function info(client: RawClient, section: string, field: string): Promise<string> {
  const value = new RegExp(`^${field}:(\\S+)`, 'm').exec(await client.run('INFO', section))?.[1];
  if (value === undefined) throw new Error(`INFO ${section} has no ${field}`);
  return value;
}

/** Sets keys [from, to) with some batches ahead of the replies. */
async function fillRange(socket: Socket, from: number, to: number): Promise<void> {
  let wanted = 0;
  let failure = '';
  let wake = (): void => {};
  const received = (data: Buffer): void => {
    if (data.includes(0x2d)) failure = data.toString('latin1', 0, 200);
    wanted -= data.length / SET_REPLY_BYTES;
    wake();
  };
  socket.on('data', received);
  const until = async (most: number): Promise<void> => {
    while (wanted > most && failure === '') {
      await new Promise<void>((resolve) => {
        wake = resolve;
      });
    }
    if (failure !== '') throw new Error(failure);
  };
  for (let next = from; next < to; ) {
    const end = Math.min(to, next + FILL_BATCH);
    const batch = Buffer.allocUnsafe((end - next) * SET_BYTES);
    wanted += end - next;
    for (let at = 0; next < end; next++) at = putSet(batch, at, next);
    socket.write(batch);
    await until(BATCHES_AHEAD * FILL_BATCH);
  }
  await until(0);
  socket.off('data', received);
}

async function fill(port: number, most: number, bytes: number): Promise<FillResult> {
  const client = await RawClient.connect(port);
  const socket = await open(port);
  const usedBytes = async (): Promise<number> => Number(await info(client, 'memory', 'used_memory'));
  let keys = 0;
  while (keys < most && (await usedBytes()) < bytes) {
    const end = Math.min(most, keys + FILL_STEP);
    await fillRange(socket, keys, end);
    keys = end;
  }
  const result = { keys, usedBytes: await usedBytes() };
  socket.removeAllListeners('close');
  socket.destroy();
  client.close();
  return result;
}

/** The server's resident memory and, since `resetPeak`, its peak, which the kernel keeps. */
class Memory {
  private readonly pid: number;

  constructor(pid: number) {
    this.pid = pid;
  }

  resetPeak(): void {
    writeFileSync(`/proc/${this.pid}/clear_refs`, '5');
  }

  private read(field: string): number {
    const status = readFileSync(`/proc/${this.pid}/status`, 'latin1');
    return Number(new RegExp(`^${field}:\\s+(\\d+) kB`, 'm').exec(status)?.[1] ?? Number.NaN) * 1024;
  }

  get residentBytes(): number {
    return this.read('VmRSS');
  }

  get peakBytes(): number {
    return this.read('VmHWM');
  }
}

async function snapshot(
  port: number,
  pid: number,
  keys: number,
  rate: number,
  pausesFile: string,
): Promise<SnapshotResult> {
  const control = await RawClient.connect(port);
  const sockets = await Promise.all(Array.from({ length: CONNECTIONS }, () => open(port)));
  const memory = new Memory(pid);
  const load = new OpenLoop(sockets, keys, rate);
  await sleep(WARM_UP_MS);
  const usedBytes = Number(await info(control, 'memory', 'used_memory'));

  /** The result is read at the end: requests due in a phase may be answered after it. */
  const measure = async (work: () => Promise<void>): Promise<() => PhaseResult> => {
    if (pausesFile !== '') await readPauses(pid, pausesFile);
    memory.resetPeak();
    const { residentBytes } = memory;
    const phase = load.begin();
    await work();
    phase.endMs = performance.now();
    const peakResidentBytes = memory.peakBytes;
    const pauses = pausesFile === '' ? undefined : await readPauses(pid, pausesFile);
    return () => ({ ...phase.result(), residentBytes, peakResidentBytes, pauses });
  };

  const during = await measure(async () => {
    const reply = await control.run('BGSAVE');
    if (!reply.startsWith('+')) throw new Error(`BGSAVE: ${reply}`);
    const deadline = performance.now() + SNAPSHOT_TIMEOUT_MS;
    while ((await info(control, 'persistence', 'rdb_bgsave_in_progress')) !== '0') {
      if (performance.now() > deadline) throw new Error('the snapshot does not end');
      await sleep(LOOK_MS);
    }
  });
  const status = await info(control, 'persistence', 'rdb_last_bgsave_status');
  if (status !== 'ok') throw new Error(`the snapshot failed: ${status}`);
  const forkUs = Number(await info(control, 'stats', 'latest_fork_usec'));
  const copyOnWriteBytes = Number(await info(control, 'persistence', 'rdb_last_cow_size'));
  await sleep(REST_MS);
  const without = await measure(() => sleep(Math.max(LEAST_QUIET_MS, during().seconds * 1000)));
  await load.stop();
  control.close();
  return { usedBytes, during: during(), without: without(), forkUs, copyOnWriteBytes };
}

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    port: { type: 'string', default: '6379' },
    keys: { type: 'string' },
    bytes: { type: 'string' },
    pid: { type: 'string', default: '0' },
    rate: { type: 'string', default: '40000' },
    pauses: { type: 'string', default: '' },
  },
});

const port = Number(values.port);
if (positionals[0] === 'fill' && (values.keys !== undefined || values.bytes !== undefined)) {
  const limits = [values.keys, values.bytes].map((value) => Number(value ?? Number.POSITIVE_INFINITY));
  console.log(JSON.stringify(await fill(port, limits[0], limits[1])));
} else if (positionals[0] === 'snapshot') {
  const { pid, keys, rate, pauses } = values;
  console.log(JSON.stringify(await snapshot(port, Number(pid), Number(keys), Number(rate), pauses)));
} else {
  console.error('usage: node bench/durability-load.ts fill|snapshot --port N ...');
  process.exitCode = 1;
}
