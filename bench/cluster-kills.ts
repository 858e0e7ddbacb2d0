/**
 * The leader is killed (SIGKILL) again and again while clients write: how long until another node acknowledges a write, and whether
 * everything that was acknowledged is there at the end. Each time the killed node is started again and has to be a voter that has
 * caught up before the next leader is killed.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { Clerk, ClerkError } from '../net/client/index.ts';
import { RawClient } from '../test/support/redis.ts';
import { type ClusterPlan, DISK_LOG, Group, MEMORY_LOG, NODES, waitFor } from './cluster-servers.ts';
import { progress } from './durability-servers.ts';
import { ask } from './proc.ts';

export const LOGS = { disk: DISK_LOG, memory: MEMORY_LOG };
export type Log = keyof typeof LOGS;

/** Clients that write without end, one write at a time each: half of them count, half of them set keys that nobody sets twice. */
const CLERKS = 4;
const WRITERS_EACH = 4;
/** Between two writes of a client, so that the processors are not what decides. */
const PAUSE_MS = 10;
/** How often a write is sent to each survivor after a kill. */
const PROBE_MS = 5;
const PROBE_TIMEOUT_MS = 30_000;
const KEYS_A_READ = 500;

export interface KillSample {
  /** Until a survivor acknowledged a write that was sent after the kill. */
  servingMs: number;
  /** From the start of the killed node until it is a voter that has caught up. */
  backMs: number;
}

export interface KillResults {
  log: Log;
  kills: KillSample[];
  acknowledged: number;
  /** Writes whose outcome their client does not know. */
  unknown: number;
  /** What was acknowledged and is not there, or not as it was: what is wrong with it. */
  lost: string[];
  /** Whether the state hashes of the three agree at the end. */
  isSame: boolean;
}

/** One client: it knows what of its writes was acknowledged. */
class Writer {
  readonly name: string;
  readonly counts: boolean;
  acknowledged = 0;
  unknown = 0;
  isStopping = false;
  /** Of a client that sets keys: those whose outcome it does not know. */
  readonly doubtful = new Set<number>();
  readonly done: Promise<void>;
  private readonly clerk: Clerk;
  private tried = 0;

  constructor(clerk: Clerk, name: string, counts: boolean) {
    this.clerk = clerk;
    this.name = name;
    this.counts = counts;
    this.done = this.run();
    this.done.catch(() => {});
  }

  private key(i: number): string {
    return `key:${this.name}:${i}`;
  }

  private async run(): Promise<void> {
    while (!this.isStopping) {
      const i = this.tried++;
      try {
        if (this.counts) await this.clerk.command('INCR', this.name);
        else await this.clerk.put(this.key(i), i);
        this.acknowledged++;
      } catch (error) {
        if (!(error instanceof ClerkError)) throw error;
        if (error.code === 'UNKNOWN_OUTCOME') this.unknown++;
        this.doubtful.add(i);
      }
      await sleep(PAUSE_MS);
    }
  }

  /** What is wrong with what is there. */
  async check(): Promise<string[]> {
    if (this.counts) {
      const found = Number(await this.clerk.get(this.name));
      const isRight = found >= this.acknowledged && found <= this.acknowledged + this.unknown;
      return isRight ? [] : [`${this.name} is ${found}: ${this.acknowledged} acknowledged, ${this.unknown} unknown`];
    }
    const wrong: string[] = [];
    for (let from = 0; from < this.tried; from += KEYS_A_READ) {
      const indexes = Array.from({ length: Math.min(KEYS_A_READ, this.tried - from) }, (_, i) => from + i);
      const values = await this.clerk.command('MGET', ...indexes.map((i) => this.key(i)));
      if (!Array.isArray(values)) throw new Error(`MGET: ${values}`);
      for (const i of indexes) {
        if (values[i - from] === String(i) || (values[i - from] === null && this.doubtful.has(i))) continue;
        wrong.push(`${this.key(i)} is ${values[i - from]}`);
      }
    }
    return wrong;
  }
}

/** Resolves when a survivor has acknowledged a write. All are asked every few milliseconds, whatever they owe. */
async function firstAcknowledged(clients: readonly RawClient[], kill: number): Promise<void> {
  let isOver = false;
  await new Promise<void>((resolve, reject) => {
    const deadline = performance.now() + PROBE_TIMEOUT_MS;
    const probe = (): void => {
      if (isOver) return;
      if (performance.now() > deadline) {
        isOver = true;
        reject(new Error(`no node acknowledges a write ${PROBE_TIMEOUT_MS} ms after kill ${kill + 1}`));
        return;
      }
      for (const client of clients) {
        client.run('SET', 'bench:probe', String(kill)).then(
          (reply) => {
            if (!reply.startsWith('+')) return;
            isOver = true;
            resolve();
          },
          () => {},
        );
      }
      setTimeout(probe, PROBE_MS);
    };
    probe();
  });
}

async function killLeader(group: Group, kill: number): Promise<KillSample> {
  const leader = await group.leader();
  const survivors = group.ports.filter((_, i) => i !== leader);
  const clients = await Promise.all(survivors.map((port) => RawClient.connect(port)));
  const startMs = performance.now();
  const dead = group.servers[leader].kill();
  await firstAcknowledged(clients, kill);
  const servingMs = performance.now() - startMs;
  for (const client of clients) client.close();
  await dead;
  const startedMs = performance.now();
  await group.restart(leader);
  await group.whole();
  return { servingMs, backMs: performance.now() - startedMs };
}

/** The index and hash of each node's state, once no node's is behind. */
async function areStatesSame(group: Group): Promise<boolean> {
  return waitFor('one index on all nodes', async () => {
    const hashes = await Promise.all(group.ports.map(async (port) => (await ask(port, 'RAFT', 'HASH')).split(' ')));
    if (new Set(hashes.map(([index]) => index)).size > 1) return undefined;
    return new Set(hashes.map(([, hash]) => hash)).size === 1;
  });
}

export async function measureKills(plan: ClusterPlan, log: Log): Promise<KillResults> {
  const group = await Group.start('three nodes', LOGS[log], plan.firstPort);
  const nodes = group.ports.map((port) => `127.0.0.1:${port}`);
  const clerks = Array.from({ length: CLERKS }, () => new Clerk({ nodes }));
  const writers = clerks.flatMap((clerk, c) =>
    Array.from({ length: WRITERS_EACH }, (_, w) => new Writer(clerk, `w${c * WRITERS_EACH + w}`, w % 2 === 0)),
  );
  try {
    const kills: KillSample[] = [];
    for (let kill = 0; kill < plan.kills; kill++) {
      const last = kills.at(-1);
      const before =
        last === undefined ? '' : ` (${last.servingMs.toFixed(0)} ms, back after ${last.backMs.toFixed(0)})`;
      progress(`leader kill ${kill + 1} of ${plan.kills}, log ${log}${before}`);
      kills.push(await killLeader(group, kill));
    }
    for (const writer of writers) writer.isStopping = true;
    await Promise.all(writers.map(({ done }) => done));
    await group.whole();
    const lost = (await Promise.all(writers.map((writer) => writer.check()))).flat();
    const sum = (of: (writer: Writer) => number): number => writers.reduce((total, writer) => total + of(writer), 0);
    return {
      log,
      kills,
      acknowledged: sum((writer) => writer.acknowledged),
      unknown: sum((writer) => writer.unknown),
      lost,
      isSame: await areStatesSame(group),
    };
  } finally {
    for (const writer of writers) writer.isStopping = true;
    for (const clerk of clerks) clerk.close();
    await group.stop();
  }
}

export function killWords(): string {
  return `${CLERKS * WRITERS_EACH} clients, each a write every ${PAUSE_MS} ms or so, on ${NODES} nodes`;
}
