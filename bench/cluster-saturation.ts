/** Clients ask more of the leader than it can do, for minutes: it has to stay the leader, that is to say, no term may begin. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { type ClusterPlan, Group, MEMORY_LOG, statusOf, withCpu } from './cluster-servers.ts';
import { KEYSPACE, progress } from './durability-servers.ts';
import { benchmarkWords, readBenchmark } from './redis-benchmark.ts';

export const SATURATION_CLIENTS = 500;
export const SATURATION_PIPELINE = 64;
/** Of each SET and GET, then again. */
const REQUESTS = 500_000;
const LOOK_MS = 1000;

export interface SaturationResult {
  seconds: number;
  /** What the load ended with before its time: an error that a node answered. */
  trouble: string;
  termBefore: number;
  /** The highest of all nodes. */
  termAfter: number;
  isSameLeader: boolean;
  setsPerSecond: number[];
  getsPerSecond: number[];
  /** From the question to the answer of a new connection to the leader, once a second. */
  longestAnswerMs: number;
  serverCpu: number;
  loadCpu: number;
}

export function saturationWords(port: number): string[] {
  const load = { clients: SATURATION_CLIENTS, pipeline: SATURATION_PIPELINE, requests: REQUESTS, keyspace: KEYSPACE };
  return benchmarkWords(port, { ...load, args: ['-t', 'set,get', '-l'] });
}

export async function measureSaturation(plan: ClusterPlan): Promise<SaturationResult> {
  const group = await Group.start('three nodes', MEMORY_LOG, plan.firstPort);
  try {
    const leader = await group.leader();
    const port = group.ports[leader];
    const highestTerm = async (): Promise<number> =>
      Math.max(...(await Promise.all(group.ports.map(statusOf))).map(({ term }) => term));
    const termBefore = await highestTerm();
    const { output, ...rest } = await withCpu(group.servers, () => saturate(plan, port));
    const termAfter = await highestTerm();
    const speeds = (test: string): number[] =>
      output
        .split('\n')
        .filter((line) => line.startsWith(`"${test}"`))
        .map((line) => readBenchmark(saturationWords(port), 'three nodes', line).requestsPerSecond);
    return {
      termBefore,
      termAfter,
      isSameLeader: (await group.leader()) === leader,
      setsPerSecond: speeds('SET'),
      getsPerSecond: speeds('GET'),
      ...rest,
    };
  } finally {
    await group.stop();
  }
}

async function saturate(
  plan: ClusterPlan,
  port: number,
): Promise<Pick<SaturationResult, 'seconds' | 'trouble' | 'longestAnswerMs'> & { output: string }> {
  // It is ended in the middle, and what it has printed by then must not wait in a buffer of its own.
  const child = spawn('stdbuf', ['-oL', ...saturationWords(port)], { stdio: ['ignore', 'pipe', 'pipe'] });
  const ended = once(child, 'close');
  try {
    let output = '';
    let complaint = '';
    child.stdout.on('data', (data) => (output += data));
    child.stderr.on('data', (data) => (complaint += data));
    let longestAnswerMs = 0;
    const startMs = performance.now();
    for (let leftMs = plan.seconds * 1000; leftMs > 0; leftMs = startMs + plan.seconds * 1000 - performance.now()) {
      progress(`saturation: ${(leftMs / 1000).toFixed(0)} s left`);
      await sleep(Math.min(LOOK_MS, leftMs));
      if (child.exitCode !== null) break;
      const askedMs = performance.now();
      await statusOf(port);
      longestAnswerMs = Math.max(longestAnswerMs, performance.now() - askedMs);
    }
    const trouble = child.exitCode === null ? '' : complaint || `exit code ${child.exitCode}`;
    return { output, longestAnswerMs, trouble: trouble.trim(), seconds: (performance.now() - startMs) / 1000 };
  } finally {
    child.kill('SIGTERM');
    await ended;
  }
}
