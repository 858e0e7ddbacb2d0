/**
 * What the parts of `bench:cluster` share: three nodes of a group as processes of this machine, three of etcd, a single node, and
 * loads on them. Nothing is pinned to a core: three nodes and their load share all of them, as the system puts them.
 */
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { makeDirectory, type Plan, removeDirectory } from './durability-servers.ts';
import { ask, childrenCpuSeconds, onCore, run, Server } from './proc.ts';
import { type BenchmarkLoad, type BenchmarkResult, benchmarkWords, readBenchmark } from './redis-benchmark.ts';

export interface ClusterPlan extends Plan {
  kills: number;
  /** Of saturation. */
  seconds: number;
}

export const NODES = 3;
/** A peer's port is this far from its node's. */
const PEER_PORT_DISTANCE = 10;
const WAIT_MS = 60_000;
const LOOK_MS = 20;
/** After servers were stopped in their tracks and go on: time to agree again before anything is measured. */
const SETTLE_MS = 1000;
/** Runs that may be lost to a change of the leader before a load counts as impossible. */
const MAX_INTERRUPTIONS = 3;
/** What a write is answered when the leader is lost; redis-benchmark ends with it. */
const INTERRUPTION = /Error from server: (NOTAPPLIED|UNKNOWN|CLUSTERDOWN)/;

const MAIN = fileURLToPath(new URL('../dist/net/main.js', import.meta.url));

export const MEMORY_LOG = '--appendonly no';
export const DISK_LOG = '--appendonly yes --appendfsync always';

export function singleCommand(options: string): string {
  return `node ${MAIN} --port {port} --dir {dir} --save '' ${options}`;
}

/** A command line as it is told: without this machine's paths. */
export function tell(command: string): string {
  return command.replace(MAIN, 'dist/net/main.js');
}

/** Waits until `find` gives something; what it throws meanwhile counts as nothing. */
export async function waitFor<T>(what: string, find: () => Promise<T | undefined>): Promise<T> {
  let trouble: unknown;
  for (const deadline = Date.now() + WAIT_MS; Date.now() < deadline; await sleep(LOOK_MS)) {
    const found = await find().catch((error: unknown) => {
      trouble = error;
      return undefined;
    });
    if (found !== undefined) return found;
  }
  throw new Error(`${what}: not after ${WAIT_MS} ms${trouble instanceof Error ? ` (${trouble.message})` : ''}`);
}

/** Some servers that answer together, and are measured together. */
export interface Measured {
  readonly name: string;
  readonly servers: readonly Server[];
  /** Resolves when they serve again, with the port to load. */
  ready(): Promise<number>;
}

export function pause({ servers }: Measured): void {
  for (const server of servers) server.pause();
}

async function resume(measured: Measured): Promise<void> {
  for (const server of measured.servers) server.unpause();
  await sleep(SETTLE_MS);
  await measured.ready();
}

/** Measures the same on all of them, one right after the other, in an order that changes with the round. */
export async function eachInTurn<M extends Measured, T>(
  all: readonly M[],
  round: number,
  measure: (measured: M) => Promise<T>,
): Promise<T[]> {
  const results: T[] = [];
  for (let i = 0; i < all.length; i++) {
    const index = (i + round) % all.length;
    await resume(all[index]);
    results[index] = await measure(all[index]);
    pause(all[index]);
  }
  return results;
}

/** Waits until all are started; none of them is left when one does not. */
export async function startAll(starting: readonly Promise<Server>[]): Promise<Server[]> {
  const started = await Promise.allSettled(starting);
  const failed = started.find((each) => each.status === 'rejected');
  const servers = started.flatMap((each) => (each.status === 'fulfilled' ? [each.value] : []));
  if (failed === undefined) return servers;
  await Promise.all(servers.map((server) => server.kill()));
  throw failed.reason;
}

// ---------------------------------------------------------------- nodes

/** What a node says of itself. */
export interface NodeStatus {
  role: string;
  term: number;
  /** Ids of replicas: whom it takes for the leader, and its own. */
  leader: string;
  replica: string;
  commit: number;
  applied: number;
  voters: string[];
  learners: string[];
}

export async function statusOf(port: number): Promise<NodeStatus> {
  const info = await ask(port, 'INFO', 'replication');
  const field = (name: string): string => new RegExp(`^raft_${name}:(.*?)\r?$`, 'm').exec(info)?.[1] ?? '';
  const list = (name: string): string[] => field(name).split(',').filter(Boolean);
  return {
    role: field('role'),
    term: Number(field('term')),
    commit: Number(field('commit')),
    applied: Number(field('applied')),
    leader: field('leader'),
    replica: field('replica'),
    voters: list('voters'),
    learners: list('learners'),
  };
}

export class SingleNode implements Measured {
  readonly name = 'a single node';
  readonly servers: readonly Server[];

  private constructor(server: Server) {
    this.servers = [server];
  }

  static async start(port: number): Promise<SingleNode> {
    return new SingleNode(
      await Server.start({ name: 'a node', command: singleCommand(MEMORY_LOG), core: 'any' }, port),
    );
  }

  async ready(): Promise<number> {
    await this.servers[0].answers();
    return this.servers[0].port;
  }

  async stop(): Promise<void> {
    await this.servers[0].kill();
  }
}

/** A group of three. Their directories outlive their processes. */
export class Group implements Measured {
  readonly name: string;
  servers: readonly Server[] = [];
  readonly ports: readonly number[];
  private readonly dirs: readonly string[];
  private readonly commands: readonly string[];

  private constructor(name: string, options: string, firstPort: number) {
    this.name = name;
    this.ports = Array.from({ length: NODES }, (_, i) => firstPort + i);
    this.dirs = this.ports.map(() => makeDirectory());
    this.commands = this.ports.map((_, i) => groupCommand(options, firstPort, i).replace('{dir}', this.dirs[i]));
  }

  /** Starts all three and waits until one leads and the others follow. */
  static async start(name: string, options: string, firstPort: number): Promise<Group> {
    const group = new Group(name, options, firstPort);
    try {
      group.servers = await startAll(group.ports.map((_, i) => group.startNode(i)));
      await group.whole();
      return group;
    } catch (error) {
      await group.stop();
      throw error;
    }
  }

  private startNode(i: number): Promise<Server> {
    return Server.start({ name: `node ${i + 1}`, command: this.commands[i], core: 'any' }, this.ports[i]);
  }

  /** Starts a node again whose process has ended. */
  async restart(i: number): Promise<void> {
    const server = await this.startNode(i);
    this.servers = this.servers.map((old, at) => (at === i ? server : old));
  }

  /** The index of the node that leads in the highest term, once it has answered a write. */
  leader(): Promise<number> {
    return waitFor('a leader', async () => {
      const statuses = await Promise.all(this.ports.map((port) => statusOf(port).catch(() => undefined)));
      let leader = -1;
      let term = -1;
      for (const [i, status] of statuses.entries()) {
        if (status?.role !== 'leader' || status.term < term) continue;
        leader = i;
        term = status.term;
      }
      if (leader < 0) return undefined;
      await ask(this.ports[leader], 'SET', 'bench:leader', String(leader));
      return leader;
    });
  }

  /** Serves when all three agree who leads. */
  async ready(): Promise<number> {
    const leader = await waitFor('agreement on the leader', async () => {
      const found = await this.leader();
      const statuses = await Promise.all(this.ports.map(statusOf));
      return statuses.every(({ leader: of }) => of === statuses[found].replica) ? found : undefined;
    });
    return this.ports[leader];
  }

  /** Resolves when all are voters and have applied what was committed at the leader when this was called. */
  async whole(): Promise<void> {
    const leader = await statusOf(await this.ready());
    await Promise.all(
      this.ports.map((port, i) => waitFor(`node ${i + 1} of the group`, () => isWhole(port, leader.commit))),
    );
  }

  async stop(): Promise<void> {
    await Promise.all(this.servers.map((server) => server.kill()));
    for (const dir of this.dirs) removeDirectory(dir);
  }
}

async function isWhole(port: number, commit: number): Promise<true | undefined> {
  const { role, applied, replica, voters, learners } = await statusOf(port);
  const isVoter = voters.length === NODES && voters.includes(replica) && learners.length === 0;
  return isVoter && (role === 'leader' || role === 'follower') && applied >= commit ? true : undefined;
}

export function groupCommand(options: string, firstPort: number, i: number): string {
  const peer = (at: number): string => `n${at + 1}=127.0.0.1:${firstPort + PEER_PORT_DISTANCE + at}`;
  const initial = Array.from({ length: NODES }, (_, at) => peer(at)).join(',');
  const peerPort = firstPort + PEER_PORT_DISTANCE + i;
  return `${singleCommand(options)} --name n${i + 1} --peer-port ${peerPort} --initial-cluster ${initial}`;
}

// ---------------------------------------------------------------- load

export interface LoadResult extends BenchmarkResult {
  /** Processors that all servers together kept busy, and the load on them. */
  serverCpu: number;
  loadCpu: number;
  /** Runs before this one that were lost to a change of the leader. */
  interruptions: number;
}

/** Runs redis-benchmark against one of the servers, and looks what all of them and it used. `findPort` tells which one. */
export async function benchmark(
  { name, servers }: Measured,
  load: BenchmarkLoad,
  findPort: () => Promise<number>,
): Promise<LoadResult> {
  for (let interruptions = 0; ; interruptions++) {
    const words = benchmarkWords(await findPort(), load);
    try {
      const result = await withCpu(servers, async () => readBenchmark(words, name, await run(words)));
      return { ...result, interruptions };
    } catch (error) {
      const isInterrupted = error instanceof Error && INTERRUPTION.test(error.message);
      if (!isInterrupted || interruptions === MAX_INTERRUPTIONS) throw error;
    }
  }
}

/** Does some work, at the end of which a process that put load on the servers ends. */
export async function withCpu<T>(
  servers: readonly Server[],
  work: () => Promise<T>,
): Promise<T & { serverCpu: number; loadCpu: number }> {
  const used = (): number => servers.reduce((sum, server) => sum + server.cpuSeconds(), 0);
  const before = used();
  const loadBefore = childrenCpuSeconds();
  const startMs = performance.now();
  const result = await work();
  const seconds = (performance.now() - startMs) / 1000;
  return { ...result, serverCpu: (used() - before) / seconds, loadCpu: (childrenCpuSeconds() - loadBefore) / seconds };
}

/** Runs a script of the bench and gives the line of JSON that it prints. */
export async function runScript<T>(script: string, ...args: (string | number)[]): Promise<T> {
  const path = join(import.meta.dirname, script);
  return JSON.parse(await run(onCore('any', ['node', path, ...args.map(String)]))) as T;
}
