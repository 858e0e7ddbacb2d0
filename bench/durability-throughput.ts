/**
 * SET with a log, beside redis-server with the same setting: `appendfsync everysec` and `always`, one request at a time and
 * sixteen. Every round starts both servers anew.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import {
  benchmark,
  benchmarkLoad,
  inTurn,
  LOG_OPTIONS,
  type Plan,
  progress,
  type Side,
  specOf,
  withBoth,
} from './durability-servers.ts';
import type { Server, ServerSpec } from './proc.ts';
import { type BenchmarkResult, benchmarkWords } from './redis-benchmark.ts';

export type Policy = 'everysec' | 'always';
export const PIPELINES = [1, 16];

/** Requests of a run, so that it takes some seconds: several of the log's syncs fall into it. */
const REQUESTS: Record<number, number> = { 1: 400_000, 16: 5_000_000 };
const WARM_UP_REQUESTS = 200_000;
const QUICK = 0.05;
/** Longer than the second after which everything is written and synced: the CPU for that belongs to the run. */
const SETTLE_MS = 1200;

export interface LogSample extends BenchmarkResult {
  /** Of all threads, up to the last sync. */
  cpuUs: number;
}

export interface LogPair {
  policy: Policy;
  /** Whether the servers had one core, else all. */
  oneCore: boolean;
  pipeline: number;
  round: number;
  ours: LogSample;
  theirs: LogSample;
}

export function logSpec(side: Side, policy: Policy): ServerSpec {
  return specOf(side, `${LOG_OPTIONS} --appendfsync ${policy}`);
}

export function requestsOf(plan: Plan, pipeline: number): number {
  return REQUESTS[pipeline] * (plan.quick ? QUICK : 1);
}

/** The load as it is told. */
export function loadCommand(plan: Plan): string {
  return benchmarkWords(plan.firstPort, benchmarkLoad('set', 16, requestsOf(plan, 16))).join(' ');
}

async function measure(server: Server, pipeline: number, requests: number): Promise<LogSample> {
  const cpuBefore = server.cpuSeconds();
  const result = await benchmark(server, 'set', pipeline, requests);
  await sleep(SETTLE_MS);
  return { ...result, cpuUs: ((server.cpuSeconds() - cpuBefore) * 1e6) / requests };
}

export async function measureThroughput(plan: Plan, policy: Policy, oneCore: boolean): Promise<LogPair[]> {
  const core = oneCore ? undefined : 'any';
  const specs = { ours: { ...logSpec('ours', policy), core }, theirs: { ...logSpec('theirs', policy), core } } as const;
  const pairs: LogPair[] = [];
  const where = oneCore ? '' : ', all cores';
  for (let round = 0; round < plan.rounds; round++) {
    await withBoth(specs, plan.firstPort, async (servers) => {
      progress(`round ${round + 1} of ${plan.rounds}: warming up, appendfsync ${policy}${where}`);
      const warmUp = Math.min(WARM_UP_REQUESTS, requestsOf(plan, 16));
      await inTurn(servers, round, (server) => benchmark(server, 'set', 16, warmUp));
      for (const pipeline of PIPELINES) {
        progress(`round ${round + 1} of ${plan.rounds}: SET -P ${pipeline}, appendfsync ${policy}${where}`);
        const requests = requestsOf(plan, pipeline);
        const pair = await inTurn(servers, round, (server) => measure(server, pipeline, requests));
        pairs.push({ policy, oneCore, pipeline, round, ...pair });
      }
    });
  }
  return pairs;
}
