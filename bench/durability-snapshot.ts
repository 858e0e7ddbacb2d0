/**
 * A snapshot of a gibibyte under load, in both servers: what it does to latencies, to the event loop and to memory, how
 * long it takes, how large it is. Each server is alone; every round starts it anew and fills it until used_memory is there.
 */
import { join } from 'node:path';
import type { FillResult, SnapshotResult } from './durability-load.ts';
import { pausesOption } from './durability-pauses.ts';
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
export const SNAPSHOT_FILE = /\.mrs$|\.rdb$/;

export interface SnapshotSample extends SnapshotResult {
  side: Side;
  round: number;
  keys: number;
  fileBytes: number;
}

export interface SnapshotResults {
  rate: number;
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

export async function measureSnapshots(plan: Plan): Promise<SnapshotResults> {
  const rate = await findRate(plan);
  const samples: SnapshotSample[] = [];
  for (let round = 0; round < plan.rounds; round++) {
    for (const side of inOrder(round)) {
      progress(`round ${round + 1} of ${plan.rounds}: snapshot of ${NAMES[side]} at ${rate} requests a second`);
      samples.push(await snapshotOf(plan, side, round, rate));
    }
  }
  return { rate, samples };
}
