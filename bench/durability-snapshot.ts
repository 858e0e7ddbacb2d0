/**
 * A snapshot of a gibibyte under load, in both servers: what it does to latencies, to the event loop and to memory, how
 * long it takes, how large it is. Each server is alone; every round starts it anew and fills it until used_memory is there.
 */
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { FillResult, SnapshotResult } from './durability-load.ts';
import { pausesOption, readPauses } from './durability-pauses.ts';
import {
  benchmark,
  fileBytes,
  inOrder,
  inTurn,
  load,
  makeDirectory,
  NAMES,
  NO_LOG_OPTIONS,
  type Plan,
  progress,
  removeDirectory,
  type Side,
  specOf,
  withBoth,
} from './durability-servers.ts';
import { Server, type ServerSpec } from './proc.ts';

const BYTES = 1024 ** 3;
const QUICK_BYTES = 32 * 1024 ** 2;
const SATURATION_REQUESTS = 300_000;
/** The part of what the slower server can take that the load asks for. */
const LOAD_PART = 1 / 3;
/** How long the process that does nothing is watched: about as long as a snapshot takes. */
const IDLE_SECONDS = 25;
const IDLE_START_MS = 1000;
export const SNAPSHOT_FILE = /\.mrs$|\.rdb$/;

export interface SnapshotSample extends SnapshotResult {
  side: Side;
  round: number;
  keys: number;
  fileBytes: number;
}

export interface SnapshotResults {
  rate: number;
  /** By round: the longest pause of a process of Node's that does nothing, on the servers' core and alone there. */
  idlePausesMs: number[];
  samples: SnapshotSample[];
}

export function snapshotSpec(side: Side): ServerSpec {
  return specOf(side, NO_LOG_OPTIONS);
}

/** Requests a second that both get: a third of what the slower one can answer, one at a time on each of 50 connections. */
async function findRate(plan: Plan): Promise<number> {
  progress('how much load is a third');
  const requests = SATURATION_REQUESTS / (plan.quick ? 10 : 1);
  const specs = { ours: snapshotSpec('ours'), theirs: snapshotSpec('theirs') };
  const most = await withBoth(specs, plan.firstPort, (servers) =>
    inTurn(servers, 0, async (server) => {
      const set = await benchmark(server, 'set', 1, requests);
      const get = await benchmark(server, 'get', 1, requests);
      return (set.requestsPerSecond + get.requestsPerSecond) / 2;
    }),
  );
  return Math.round((Math.min(most.ours, most.theirs) * LOAD_PART) / 1000) * 1000;
}

async function snapshotOf(plan: Plan, side: Side, round: number, rate: number): Promise<SnapshotSample> {
  const dir = makeDirectory();
  const pauses = join(dir, 'pauses.json');
  const spec = specOf(side, NO_LOG_OPTIONS, dir, side === 'ours' ? pausesOption(pauses) : '');
  const server = await Server.start(spec, plan.firstPort);
  try {
    const { keys } = await load<FillResult>(
      'fill',
      ...['--port', server.port, '--bytes', plan.quick ? QUICK_BYTES : BYTES],
    );
    const result = await load<SnapshotResult>(
      'snapshot',
      ...['--port', server.port, '--pid', server.pid, '--keys', keys, '--rate', rate],
      ...(side === 'ours' ? ['--pauses', pauses] : []),
    );
    return { ...result, side, round, keys, fileBytes: fileBytes(dir, SNAPSHOT_FILE) };
  } finally {
    await server.stop();
    removeDirectory(dir);
  }
}

/** What the machine itself takes from an event loop, watched in the same way. */
async function idlePauseMs(plan: Plan): Promise<number> {
  const dir = makeDirectory();
  const pauses = join(dir, 'pauses.json');
  const command = `node ${pausesOption(pauses)} --eval=setInterval(Boolean,1000)`;
  const idle = await Server.start({ name: 'an idle process', command, probe: async () => {} }, plan.firstPort);
  try {
    await sleep(IDLE_START_MS);
    await readPauses(idle.pid, pauses);
    await sleep((plan.quick ? 1 : IDLE_SECONDS) * 1000);
    return (await readPauses(idle.pid, pauses)).maxMs;
  } finally {
    await idle.stop();
    removeDirectory(dir);
  }
}

export async function measureSnapshots(plan: Plan): Promise<SnapshotResults> {
  const rate = await findRate(plan);
  const samples: SnapshotSample[] = [];
  const idlePausesMs: number[] = [];
  for (let round = 0; round < plan.rounds; round++) {
    progress(`round ${round + 1} of ${plan.rounds}: a process that does nothing`);
    idlePausesMs.push(await idlePauseMs(plan));
    for (const side of inOrder(round)) {
      progress(`round ${round + 1} of ${plan.rounds}: snapshot of ${NAMES[side]} at ${rate} requests a second`);
      samples.push(await snapshotOf(plan, side, round, rate));
    }
  }
  return { rate, idlePausesMs, samples };
}
