/**
 * A follower comes back a gibibyte behind, to a leader whose log was cut meanwhile, so that it needs a snapshot: how long until it
 * has caught up, and what that does to the leader's latencies under a load that it bears easily.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { RawClient } from '../test/support/redis.ts';
import { type ClusterPlan, Group, NODES, runScript, statusOf } from './cluster-servers.ts';
import type { FillResult } from './durability-load.ts';
import type { Latencies } from './durability-openloop.ts';
import { progress } from './durability-servers.ts';
import { ask, onCore } from './proc.ts';

export const CATCH_UP_LOG = '--appendonly yes --appendfsync everysec';
/** Requests a second: a load that leaves most of both cores free. */
export const CATCH_UP_RATE = 5000;
const BYTES = 1024 ** 3;
const QUICK_BYTES = 64 * 1024 ** 2;
const QUIET_MS = 10_000;
const QUICK_QUIET_MS = 2000;
const TIMEOUT_MS = 300_000;
const LOOK_MS = 20;
/** A follower under load is always some entries behind; one that lacks no more than this has caught up. */
const CLOSE_ENTRIES = 64;

export interface CatchUpSample {
  keys: number;
  usedBytes: number;
  /** Entries of the log that the leader did not have any more. */
  cutEntries: number;
  /** From the start of the follower's process. */
  seconds: number;
  /** Two nodes; two and the one that catches up; all three. */
  before: Latencies;
  during: Latencies;
  after: Latencies;
}

/** The load process: `phase` begins the next, `end` gives what they were like. */
function startLoad(port: number, keys: number) {
  const args = ['--port', port, '--keys', keys, '--rate', CATCH_UP_RATE].map(String);
  const [file, ...words] = onCore('any', ['node', join(import.meta.dirname, 'cluster-load.ts'), ...args]);
  const child = spawn(file, words, { stdio: ['pipe', 'pipe', 'pipe'] });
  let output = '';
  let complaint = '';
  child.stdout.on('data', (data) => (output += data));
  child.stderr.on('data', (data) => (complaint += data));
  child.stdin.on('error', () => {});
  const ended = once(child, 'close');
  return {
    phase: () => child.stdin.write('\n'),
    end: async (): Promise<Latencies[]> => {
      child.stdin.end();
      const [code] = await ended;
      if (code !== 0) throw new Error(`the load ended with ${code}: ${complaint}`);
      return JSON.parse(output) as Latencies[];
    },
    kill: () => child.kill('SIGKILL'),
  };
}

/** The first entry that the node's log still has. */
async function firstIndex(port: number): Promise<number> {
  const client = await RawClient.connect(port);
  const status = await client.run('RAFT', 'STATUS');
  client.close();
  const index = /first-index\r\n:(\d+)/.exec(status)?.[1];
  if (index === undefined) throw new Error(`RAFT STATUS has no first-index: ${status}`);
  return Number(index);
}

/** Makes the node write a snapshot and cut its log. Resolves with the first index that it still has. */
async function cutLog(port: number): Promise<number> {
  const before = await firstIndex(port);
  const deadline = performance.now() + TIMEOUT_MS;
  // The log may have grown so much that one is under way already.
  while ((await ask(port, 'INFO', 'persistence')).includes('aof_rewrite_in_progress:1')) await sleep(LOOK_MS);
  await ask(port, 'BGREWRITEAOF');
  for (;;) {
    const first = await firstIndex(port);
    if (first > before) return first;
    if (performance.now() > deadline) throw new Error('the log is not cut');
    await sleep(LOOK_MS);
  }
}

async function caughtUp(port: number, leaderPort: number): Promise<void> {
  const deadline = performance.now() + TIMEOUT_MS;
  for (;;) {
    const leader = await statusOf(leaderPort);
    // While it loads a snapshot it may answer nothing.
    const follower = await statusOf(port).catch(() => undefined);
    if (follower !== undefined && follower.applied > 0 && leader.commit - follower.applied <= CLOSE_ENTRIES) return;
    if (performance.now() > deadline) throw new Error(`the follower has not caught up after ${TIMEOUT_MS} ms`);
    await sleep(LOOK_MS);
  }
}

async function catchUp(plan: ClusterPlan, say: (what: string) => void): Promise<CatchUpSample> {
  const group = await Group.start('three nodes', CATCH_UP_LOG, plan.firstPort);
  let load: ReturnType<typeof startLoad> | undefined;
  try {
    const leader = await group.leader();
    const port = group.ports[leader];
    const follower = (leader + 1) % NODES;
    const { applied } = await statusOf(group.ports[follower]);
    await group.servers[follower].stop();
    say('filling two nodes');
    const bytes = plan.quick ? QUICK_BYTES : BYTES;
    const { keys, usedBytes } = await runScript<FillResult>(
      'durability-load.ts',
      'fill',
      '--port',
      port,
      '--bytes',
      bytes,
    );
    say('cutting the log');
    const first = await cutLog(port);
    if (first <= applied + 1) throw new Error('the leader still has what the follower lacks');

    const quietMs = plan.quick ? QUICK_QUIET_MS : QUIET_MS;
    load = startLoad(port, keys);
    say('the load alone');
    await sleep(quietMs);
    load.phase();
    await sleep(quietMs);
    say('the follower catches up');
    load.phase();
    const startMs = performance.now();
    await group.restart(follower);
    await caughtUp(group.ports[follower], port);
    const seconds = (performance.now() - startMs) / 1000;
    load.phase();
    say('all three');
    await sleep(quietMs);
    const [before, during, after] = await load.end();
    if ((await group.leader()) !== leader) throw new Error('the leader has changed meanwhile');
    return { keys, usedBytes, cutEntries: first - applied - 1, seconds, before, during, after };
  } finally {
    load?.kill();
    await group.stop();
  }
}

export async function measureCatchUp(plan: ClusterPlan): Promise<CatchUpSample[]> {
  const samples: CatchUpSample[] = [];
  for (let round = 0; round < plan.rounds; round++) {
    samples.push(await catchUp(plan, (what) => progress(`catching up, round ${round + 1} of ${plan.rounds}: ${what}`)));
  }
  return samples;
}
