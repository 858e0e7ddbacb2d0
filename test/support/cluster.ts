/**
 * A cluster of nodes as processes on this machine, for tests that kill, pause and part them. Each has a directory that outlives
 * it. What nodes say to each other goes straight, or through proxies that a test can break pair by pair and direction by
 * direction, or through namespaces of the kernel whose routes can be made to swallow.
 *
 * With proxies: node i is known to the others at 127.0.1.(i + 1), where its proxy listens, while it listens at 127.0.0.1, on the
 * same port. Whoever connects says its name in its first frame, so the proxy knows which pair the connection is of, whoever
 * of the two opened it.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Argument } from '../../net/client/arguments.ts';
import { type Address, Connection } from '../../net/client/connection.ts';
import type { Consistency } from '../../net/client/index.ts';
import { ReplyError } from '../../net/client/index.ts';
import type { Reply } from '../../net/client/reply.ts';
import type { Arg } from './engine.ts';
import { Netns } from './netns.ts';
import { Lane, TcpProxy } from './proxy.ts';
import type { Direction } from './proxy-pipe.ts';
import { freePort, RawClient } from './redis.ts';

const MAIN = fileURLToPath(new URL('../../net/main.ts', import.meta.url));
const NODE = fileURLToPath(new URL('../../node_modules/.bin/node', import.meta.url));
const LOOPBACK = '127.0.0.1';
/** Processes share the processors with everything else that a machine does. */
const WAIT_MS = 60_000;
/** A connection of a test gives up on a node that is silent for so long. */
const SILENCE_MS = 5000;
/** RAFT HASH waits for its entry, for 5 s. */
const HASH_MS = 10_000;

export const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

/** One command on a connection of its own. */
export async function ask(node: ClusterNode, ...words: Arg[]): Promise<string> {
  const client = await RawClient.connect(node.address.port);
  try {
    return await client.run(...words);
  } finally {
    client.close();
  }
}

export interface ClusterOptions {
  readonly nodes?: number;
  /** What peers speak through. */
  readonly through?: 'proxies' | 'namespaces';
  /** For every node. */
  readonly flags?: readonly string[];
}

/** One node: a directory, addresses, and a process now and then. */
export class ClusterNode {
  readonly index: number;
  readonly name: string;
  readonly dir: string;
  /** Where clients connect. */
  readonly address: Address;
  /** What all its processes have printed. */
  output = '';
  isPaused = false;
  child: ChildProcess | undefined = undefined;
  readonly command: readonly string[];
  private exited: Promise<void> = Promise.resolve();

  constructor(index: number, name: string, dir: string, address: Address, command: readonly string[]) {
    this.index = index;
    this.name = name;
    this.dir = dir;
    this.address = address;
    this.command = command;
  }

  get addressText(): string {
    return `${this.address.host}:${this.address.port}`;
  }

  get running(): boolean {
    return this.child !== undefined && this.child.exitCode === null && this.child.signalCode === null;
  }

  /** Starts its process, with flags beside those of the cluster; does not wait for it to be ready. */
  start(...flags: readonly string[]): void {
    if (this.running) throw new Error(`${this.name} is running`);
    const [command, ...args] = this.command;
    const child = spawn(command, [...args, ...flags], { stdio: ['ignore', 'pipe', 'pipe'] });
    const keep = (data: Buffer): void => {
      this.output += data.toString();
    };
    child.stdout.on('data', keep);
    child.stderr.on('data', keep);
    this.child = child;
    this.isPaused = false;
    this.exited = new Promise((resolve) => child.once('close', () => resolve()));
  }

  /** Ends its process at once, paused or not. */
  async kill(): Promise<void> {
    this.child?.kill('SIGKILL');
    await this.exited;
  }

  /** Asks its process to end. */
  async shutdown(): Promise<void> {
    this.child?.kill('SIGTERM');
    await this.exited;
  }

  /** Stops its process where it is. */
  pause(): void {
    this.isPaused = this.child?.kill('SIGSTOP') ?? false;
  }

  resume(): void {
    this.child?.kill('SIGCONT');
    this.isPaused = false;
  }

  connect(consistency?: Consistency, silenceMs = SILENCE_MS): Promise<Connection> {
    return Connection.open(this.address, { password: undefined, consistency, silenceMs });
  }

  /** One command on a connection of its own. Error replies are values; rejects when the node is not there. */
  ask(...args: Argument[]): Promise<Reply> {
    return this.askFor(1000, ...args);
  }

  /** The same of a command that may take so long. */
  async askFor(silenceMs: number, ...args: Argument[]): Promise<Reply> {
    const connection = await this.connect(undefined, silenceMs);
    try {
      return await connection.send(args);
    } finally {
      connection.close();
    }
  }
}

export class LocalCluster {
  readonly nodes: readonly ClusterNode[];
  readonly netns: Netns | undefined;
  private readonly dir: string;
  private readonly proxies: readonly TcpProxy[];
  /** Lanes by opener and target: `lanes[a][b]` are connections that a opened to b. */
  private readonly lanes: readonly (readonly Lane[])[];

  private constructor(
    dir: string,
    nodes: readonly ClusterNode[],
    netns: Netns | undefined,
    proxies: readonly TcpProxy[],
    lanes: readonly (readonly Lane[])[],
  ) {
    this.dir = dir;
    this.nodes = nodes;
    this.netns = netns;
    this.proxies = proxies;
    this.lanes = lanes;
  }

  /** Starts all nodes and waits until one of them leads. */
  static async start({ nodes: count = 3, through, flags = [] }: ClusterOptions = {}): Promise<LocalCluster> {
    const dir = mkdtempSync(join(tmpdir(), 'millrace-cluster-'));
    const netns = through === 'namespaces' ? new Netns(count) : undefined;
    const names = Array.from({ length: count }, (_, i) => `node-${i + 1}`);
    const ports = await Promise.all(names.map(async () => ({ client: await freePort(), peer: await freePort() })));
    const hosts = names.map((_, i) => netns?.addresses[i] ?? (through === 'proxies' ? `127.0.1.${i + 1}` : LOOPBACK));
    const lanes = lanesOf(count);
    const proxies: TcpProxy[] = [];
    if (through === 'proxies') {
      for (let i = 0; i < count; i++) {
        const port = ports[i].peer;
        const sort = (first: Buffer): Lane | undefined => lanes[names.findIndex((name) => says(first, name))]?.[i];
        proxies.push(await TcpProxy.start({ targetPort: port, port, host: hosts[i], sort }));
      }
    }
    const initial = names.map((name, i) => `${name}=${hosts[i]}:${ports[i].peer}`).join(',');
    const nodes = names.map((name, i) => {
      const bind = netns === undefined ? [LOOPBACK, ...new Set(hosts.slice(i, i + 1))] : [hosts[i]];
      const own = [
        ...['--name', name, '--initial-cluster', initial, '--port', String(ports[i].client), '--dir', join(dir, name)],
        ...['--bind', ...new Set(bind), '--arena-size', '256mb', '--workers', '1', '--shards', '4', '--save', ''],
        ...(through === 'proxies' ? ['--peer-bind', LOOPBACK] : []),
      ];
      const command = [...(netns?.inside(i) ?? []), NODE, MAIN, ...own, ...flags];
      return new ClusterNode(i, name, join(dir, name), { host: bind[0], port: ports[i].client }, command);
    });
    const cluster = new LocalCluster(dir, nodes, netns, proxies, lanes);
    try {
      for (const node of nodes) node.start();
      await cluster.waitForLeader();
    } catch (error) {
      await cluster.close();
      throw error;
    }
    return cluster;
  }

  /** Where clients connect, for a Clerk. */
  get addresses(): string[] {
    return this.nodes.map((node) => node.addressText);
  }

  /** The node that says it leads, in the highest term; undefined when none does. */
  async leader(): Promise<ClusterNode | undefined> {
    const asked = this.nodes.filter((node) => node.running && !node.isPaused);
    const terms = await Promise.all(asked.map((node) => leadingTerm(node).catch(() => -1)));
    const highest = Math.max(-1, ...terms);
    return highest < 0 ? undefined : asked[terms.indexOf(highest)];
  }

  /** Waits until some node leads and serves writes. */
  async waitForLeader(waitMs = WAIT_MS): Promise<ClusterNode> {
    for (const until = Date.now() + waitMs; Date.now() < until; await sleep(20)) {
      const leader = await this.leader();
      // A write that is answered: whoever was deposed meanwhile cannot.
      const reply = await leader?.ask('DEL', 'cluster:probe').catch(() => undefined);
      if (leader !== undefined && typeof reply === 'number') return leader;
    }
    throw new Error(`no node leads after ${waitMs} ms:\n${this.output}`);
  }

  /** Waits until every node answers linearizable reads, and is a voter. */
  async waitForAll(waitMs = WAIT_MS): Promise<void> {
    const until = Date.now() + waitMs;
    for (const node of this.nodes) {
      while (!(await isWhole(node, this.nodes.length).catch(() => false))) {
        if (!node.running) throw new Error(`${node.name} has ended:\n${this.output}`);
        if (Date.now() > until) throw new Error(`${node.name} is not whole after ${waitMs} ms:\n${this.output}`);
        await sleep(50);
      }
    }
  }

  /** What each node holds as of one entry: its index and a hash. */
  async states(waitMs = WAIT_MS): Promise<string[]> {
    const until = Date.now() + waitMs;
    for (let tries = 0; ; tries++) {
      const first = await this.nodes[tries % this.nodes.length].ask('RAFT', 'HASH');
      const [index] = String(first).split(' ');
      const all = await Promise.all(this.nodes.map((node) => node.askFor(HASH_MS, 'RAFT', 'HASH', index)));
      // Keys that are due move the group on: then some node is past that entry, and says so.
      if (all.every((reply) => typeof reply === 'string')) return all as string[];
      if (Date.now() > until) throw new Error(`no entry that all nodes tell of after ${waitMs} ms: ${all.join(', ')}`);
      await sleep(50);
    }
  }

  /** Nodes beside this one. */
  others(node: ClusterNode): ClusterNode[] {
    return this.nodes.filter((other) => other !== node);
  }

  /** What `from` says to `to`, with proxies; whoever opened the connection. */
  link(from: ClusterNode, to: ClusterNode): Direction {
    return this.lanes[from.index][to.index].toServer;
  }

  /** Nothing that `from` says reaches `to` any more, in silence. With proxies or namespaces. */
  drop(from: ClusterNode, to: ClusterNode): void {
    if (this.netns === undefined) this.link(from, to).isDropping = true;
    else this.netns.blackhole(from.index, to.index);
  }

  /** Neither hears the other. */
  part(a: ClusterNode, b: ClusterNode): void {
    this.drop(a, b);
    this.drop(b, a);
  }

  /** Connections between two nodes are reset, and refused until `heal`. With proxies. */
  sever(a: ClusterNode, b: ClusterNode): void {
    this.lanes[a.index][b.index].sever();
    this.lanes[b.index][a.index].sever();
  }

  /** Says to a node again what a peer has said to it from the beginning of a connection, the newest but `age`. With proxies. */
  async replay(node: ClusterNode, age: number): Promise<void> {
    const proxy = this.proxies[node.index];
    await proxy.replay(proxy.recording(age));
  }

  /** Undoes whatever was done to the network. */
  heal(): void {
    this.netns?.healAll();
    const lanes = this.lanes.flat();
    // First all of them: two lanes share their directions.
    for (const lane of lanes) if (lane.isDropping) lane.cut();
    for (const lane of lanes) lane.heal();
  }

  /** What all nodes have printed, for the message of a failure. */
  get output(): string {
    return this.nodes.map(({ name, output }) => `--- ${name}\n${output.slice(-3000)}`).join('\n');
  }

  /** Ends and removes everything. */
  async close(): Promise<void> {
    await Promise.all(this.nodes.map((node) => node.kill()));
    await Promise.all(this.proxies.map((proxy) => proxy.stop()));
    this.netns?.close();
    rmSync(this.dir, { recursive: true, force: true });
  }
}

/** For each ordered pair what goes from one to the other, and in lanes: those two directions, seen by the one that opened. */
function lanesOf(count: number): Lane[][] {
  const lanes: Lane[][] = Array.from({ length: count }, () => []);
  for (let a = 0; a < count; a++) {
    lanes[a][a] = new Lane();
    for (let b = 0; b < a; b++) {
      lanes[a][b] = new Lane();
      lanes[b][a] = new Lane(lanes[a][b].toClient, lanes[a][b].toServer);
    }
  }
  return lanes;
}

/** Whether a peer's first frame holds this name: as FlatBuffers write strings, length first and a zero behind. */
function says(frame: Buffer, name: string): boolean {
  const text = Buffer.alloc(4 + name.length + 1);
  text.writeUInt32LE(name.length);
  text.write(name, 4);
  return frame.includes(text);
}

async function isWhole(node: ClusterNode, count: number): Promise<boolean> {
  const status = await node.ask('RAFT', 'STATUS');
  if (!(status instanceof Map)) return false;
  const voters = String(status.get('voters')).split(' ');
  if (voters.length !== count || !voters.includes(String(status.get('replica')))) return false;
  return status.get('learners') === '' && typeof (await node.ask('EXISTS', 'cluster:probe')) === 'number';
}

/** The term in which a node leads; -1: it does not. */
async function leadingTerm(node: ClusterNode): Promise<number> {
  const info = await node.ask('INFO', 'replication');
  if (info instanceof ReplyError || !/^role:master\r?$/m.test(String(info))) return -1;
  return Number(/^raft_term:(\d+)/m.exec(String(info))?.[1]);
}
