/**
 * Nodes and connections of a process test file: shared nodes, since starting one takes long, and everything closed and
 * stopped at the end whatever happened.
 */
import { existsSync, readdirSync, readFileSync, readlinkSync } from 'node:fs';
import type { MODES } from './node.ts';
import { TestNode } from './node.ts';
import type { RawClient } from './redis.ts';
import { decode } from './replies.ts';
import { Wire } from './wire.ts';

export type Mode = (typeof MODES)[number];

export class Fleet {
  /** Nodes without flags of their own, one for each dispatch mode. */
  private readonly plain = new Map<Mode, TestNode>();
  private nodes: TestNode[] = [];
  private wires: Wire[] = [];
  private clients: RawClient[] = [];

  /** A node for one test. */
  async start(...flags: string[]): Promise<TestNode> {
    const node = await TestNode.start('--workers', '2', '--shards', '8', ...flags);
    this.nodes.push(node);
    return node;
  }

  /** The shared node of a mode, empty, and with the limits that it started with. */
  async plainNode(mode: Mode): Promise<TestNode> {
    let node = this.plain.get(mode);
    if (node === undefined) {
      node = await TestNode.start('--workers', '2', '--shards', '8', '--dispatch', mode);
      this.plain.set(mode, node);
    }
    const client = await node.connect();
    await client.pipeline([
      ['config', 'set', 'maxmemory', '0', 'client-output-buffer-limit', 'normal 0 0 0'],
      ['flushall'],
    ]);
    client.close();
    return node;
  }

  async connect(node: TestNode): Promise<RawClient> {
    const client = await node.connect();
    this.clients.push(client);
    return client;
  }

  async open(node: TestNode): Promise<Wire> {
    const wire = await Wire.connect(node.port);
    this.wires.push(wire);
    return wire;
  }

  /** To be called after each test: shared nodes stay. */
  closeAll(): void {
    for (const wire of this.wires) wire.destroy();
    for (const client of this.clients) client.close();
    for (const node of this.nodes) node.stop();
    this.wires = [];
    this.clients = [];
    this.nodes = [];
  }

  /** To be called after the last test. */
  stop(): void {
    this.closeAll();
    for (const node of this.plain.values()) node.stop();
    this.plain.clear();
  }
}

export const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

/** Megabytes of memory that a node holds; 0 where the system does not tell. */
export function residentMib(node: TestNode): number {
  const status = `/proc/${node.child.pid}/status`;
  if (!existsSync(status)) return 0;
  return Number(/VmRSS:\s+(\d+)/.exec(readFileSync(status, 'utf8'))?.[1]) / 1024;
}

/** Sockets that a node has open; 0 where the system does not tell. */
export function openSockets(node: TestNode): number {
  const files = `/proc/${node.child.pid}/fd`;
  if (!existsSync(files)) return 0;
  return readdirSync(files).filter((file) => linkOf(`${files}/${file}`).startsWith('socket:')).length;
}

function linkOf(path: string): string {
  try {
    return readlinkSync(path);
  } catch {
    return '';
  }
}

export async function infoField(client: RawClient, field: string): Promise<number> {
  return Number(new RegExp(`^${field}:(\\d+)`, 'm').exec(decode(await client.run('info')) as string)?.[1]);
}

export async function eventually(what: string, holds: () => Promise<boolean>): Promise<void> {
  for (const until = Date.now() + 10_000; !(await holds()); ) {
    if (Date.now() > until) throw new Error(`in ten seconds it did not come to this: ${what}`);
    await sleep(50);
  }
}
