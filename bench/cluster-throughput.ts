/**
 * What three nodes answer a second: durable SET beside etcd's puts; SET and GET with the log in memory beside a single node. Every
 * round starts all servers anew, warms them up, and measures them in turn; those not being measured are stopped in their tracks.
 */
import { Etcd } from './cluster-etcd.ts';
import type { EtcdLoadResult } from './cluster-etcd-load.ts';
import {
  benchmark,
  type ClusterPlan,
  DISK_LOG,
  eachInTurn,
  Group,
  type LoadResult,
  MEMORY_LOG,
  type Measured,
  NODES,
  pause,
  runScript,
  SingleNode,
  withCpu,
} from './cluster-servers.ts';
import { CLIENTS, KEYSPACE, progress } from './durability-servers.ts';
import type { BenchmarkLoad } from './redis-benchmark.ts';

/** One load on two or more, within seconds of each other. */
export interface Sample<T> {
  what: string;
  pipeline: number;
  round: number;
  results: T[];
}

const QUICK = 0.1;
/** Between the first ports of servers that run at the same time. */
const PORTS_EACH = 20;

function keyed(pipeline: number, requests: number, args: readonly string[]): BenchmarkLoad {
  return { clients: CLIENTS, pipeline, requests: Math.round(requests), keyspace: KEYSPACE, args };
}

/** At the leader, or the one node. */
function benchmarkAt(measured: Measured, load: BenchmarkLoad): Promise<LoadResult> {
  return benchmark(measured, load, () => measured.ready());
}

const SET = ['-t', 'set'];
const GET = ['GET', 'key:__rand_int__'];

// ---------------------------------------------------------------- durable SET

export const DURABLE_PIPELINES = [1, 16];
const DURABLE_REQUESTS: Record<number, number> = { 1: 100_000, 16: 1_000_000 };
const DURABLE_WARM_UP = 300_000;
const ETCD_SECONDS = 5;

/** The second is etcd. */
export type DurableSample = Sample<LoadResult>;

export async function measureDurable(plan: ClusterPlan): Promise<DurableSample[]> {
  const scale = plan.quick ? QUICK : 1;
  const samples: DurableSample[] = [];
  for (let round = 0; round < plan.rounds; round++) {
    progress(`durable SET, round ${round + 1} of ${plan.rounds}: start`);
    const group = await Group.start('three nodes', DISK_LOG, plan.firstPort);
    try {
      pause(group);
      const etcd = await Etcd.start(plan.firstPort + PORTS_EACH);
      try {
        pause(etcd);
        const both: readonly Measured[] = [group, etcd];
        const measure = (pipeline: number, part: number): Promise<LoadResult[]> =>
          eachInTurn(both, round, async (measured) => {
            if (measured === group) return benchmarkAt(group, keyed(pipeline, DURABLE_REQUESTS[pipeline] * part, SET));
            const load = ['--port', await etcd.ready(), '--connections', CLIENTS, '--streams', pipeline];
            const result = await withCpu(etcd.servers, () =>
              runScript<EtcdLoadResult>('cluster-etcd-load.ts', ...load, '--seconds', ETCD_SECONDS * part),
            );
            return { ...result, interruptions: 0 };
          });
        await measure(16, (DURABLE_WARM_UP / DURABLE_REQUESTS[16]) * scale);
        for (const pipeline of DURABLE_PIPELINES) {
          progress(`durable SET, round ${round + 1} of ${plan.rounds}: -P ${pipeline}`);
          samples.push({ what: 'SET', pipeline, round, results: await measure(pipeline, scale) });
        }
      } finally {
        await etcd.stop();
      }
    } finally {
      await group.stop();
    }
  }
  return samples;
}

// ---------------------------------------------------------------- log in memory

export const SPEED_PIPELINES = [1, 16, 64];
const SPEED_REQUESTS: Record<number, number> = { 1: 150_000, 16: 1_500_000, 64: 3_000_000 };
const SPEED_WARM_UP = 500_000;
const FOLLOWER_PIPELINE = 16;
const FOLLOWER_REQUESTS = 600_000;

/** Reads at a follower, by what they ask for. */
const FOLLOWER_READS: readonly [what: string, args: readonly string[]][] = [
  ['linearizable', GET],
  ['session', ['READ', 'session', ...GET]],
  ['stale', ['READ', 'stale', ...GET]],
];

/** In SET and GET the second is a single node; in GET the third is a group whose leader reads by its lease. */
export interface SpeedResults {
  set: Sample<LoadResult>[];
  get: Sample<LoadResult>[];
  /** At a follower of the first group, -P 16; `what` is the level. */
  follower: Sample<LoadResult>[];
}

export async function measureSpeed(plan: ClusterPlan): Promise<SpeedResults> {
  const results: SpeedResults = { set: [], get: [], follower: [] };
  for (let round = 0; round < plan.rounds; round++) {
    progress(`log in memory, round ${round + 1} of ${plan.rounds}: start`);
    const started: { measured: Measured; stop: () => Promise<void> }[] = [];
    const keep = <M extends Measured & { stop(): Promise<void> }>(measured: M): M => {
      started.push({ measured, stop: () => measured.stop() });
      pause(measured);
      return measured;
    };
    try {
      const group = keep(await Group.start('three nodes', MEMORY_LOG, plan.firstPort));
      const single = keep(await SingleNode.start(plan.firstPort + PORTS_EACH));
      const lease = keep(
        await Group.start('three nodes, lease', `${MEMORY_LOG} --leader-lease yes`, plan.firstPort + 2 * PORTS_EACH),
      );
      await speedRound(plan, round, group, single, lease, results);
    } finally {
      await Promise.all(started.map(({ stop }) => stop()));
    }
  }
  return results;
}

async function speedRound(
  plan: ClusterPlan,
  round: number,
  group: Group,
  single: SingleNode,
  lease: Group,
  results: SpeedResults,
): Promise<void> {
  const scale = plan.quick ? QUICK : 1;
  const measure = (all: readonly Measured[], pipeline: number, requests: number, args: readonly string[]) =>
    eachInTurn(all, round, (measured) => benchmarkAt(measured, keyed(pipeline, requests * scale, args)));
  const say = (what: string): void => progress(`log in memory, round ${round + 1} of ${plan.rounds}: ${what}`);

  say('warming up');
  // Also writes the keys that are read later.
  await measure([group, single, lease], 16, SPEED_WARM_UP, SET);
  await measure([group, single, lease], 16, SPEED_WARM_UP, GET);
  for (const pipeline of SPEED_PIPELINES) {
    say(`SET -P ${pipeline}`);
    const set = await measure([group, single], pipeline, SPEED_REQUESTS[pipeline], SET);
    results.set.push({ what: 'SET', pipeline, round, results: set });
  }
  for (const pipeline of SPEED_PIPELINES) {
    say(`GET -P ${pipeline}`);
    const get = await measure([group, single, lease], pipeline, SPEED_REQUESTS[pipeline], GET);
    results.get.push({ what: 'GET', pipeline, round, results: get });
  }
  for (const [what, args] of FOLLOWER_READS) {
    say(`GET at a follower, ${what}`);
    const load = keyed(FOLLOWER_PIPELINE, FOLLOWER_REQUESTS * scale, args);
    const findPort = async (): Promise<number> => group.ports[((await group.leader()) + 1) % NODES];
    const follower = await eachInTurn([group], round, () => benchmark(group, load, findPort));
    results.follower.push({ what, pipeline: FOLLOWER_PIPELINE, round, results: follower });
  }
}
