/**
 * What the nodes of a local cluster do, a line for each: asked of them twice a second, drawn over the lines before on a terminal,
 * printed anew where something has changed on anything else. A node that does not answer keeps nobody waiting.
 */
import type { ChildProcess } from 'node:child_process';
import { type Address, Connection } from './client/connection.ts';
import { humanBytes } from './info/format.ts';

const SILENCE_MS = 2000;
/** On what is no terminal, changes of numbers alone are printed so rarely. */
const PLAIN_MS = 10_000;

const HEADER = row('node', 'port', 'role', 'term', 'commit', 'applied', 'keys', 'ops/s', 'memory');

export class NodeStatus {
  readonly name: string;
  readonly address: Address;
  private readonly child: ChildProcess;
  private readonly password: string | undefined;
  private connection: Connection | undefined = undefined;
  private isAsking = false;
  private info = '';
  private hasAnswered = false;

  constructor(name: string, address: Address, child: ChildProcess, password: string | undefined) {
    this.name = name;
    this.address = address;
    this.child = child;
    this.password = password;
  }

  /** Asks the node, unless it still owes an answer. */
  async ask(): Promise<void> {
    if (this.isAsking || this.hasEnded) return;
    this.isAsking = true;
    try {
      if (this.connection === undefined || !this.connection.isOpen) {
        const { password } = this;
        this.connection = await Connection.open(this.address, {
          password,
          consistency: undefined,
          silenceMs: SILENCE_MS,
        });
      }
      this.info = String(await this.connection.send(['INFO']));
      this.hasAnswered = true;
    } catch {
      this.info = '';
    } finally {
      this.isAsking = false;
    }
  }

  /** What it is: changes rarely. */
  get state(): string {
    if (this.hasEnded) return 'ended';
    if (this.info === '') return this.hasAnswered ? 'silent' : 'starting';
    if (this.field('loading') === '1') return 'loading';
    return this.field('raft_role') || this.field('role');
  }

  get line(): string {
    const { name, address, state } = this;
    if (this.info === '' || this.hasEnded) return row(name, String(address.port), state);
    return row(
      name,
      String(address.port),
      state,
      this.field('raft_term'),
      this.field('raft_commit'),
      this.field('raft_applied'),
      String(this.keys),
      this.field('instantaneous_ops_per_sec'),
      humanBytes(Number(this.field('used_memory'))),
    );
  }

  close(): void {
    this.connection?.close();
  }

  private get hasEnded(): boolean {
    return this.child.exitCode !== null || this.child.signalCode !== null;
  }

  /** Of all databases. */
  private get keys(): number {
    let keys = 0;
    for (const [, count] of this.info.matchAll(/^db\d+:keys=(\d+)/gm)) keys += Number(count);
    return keys;
  }

  private field(name: string): string {
    return new RegExp(`^${name}:(.*?)\\r?$`, 'm').exec(this.info)?.[1] ?? '';
  }
}

type Output = NodeJS.WritableStream & { isTTY?: boolean; columns?: number };

export class StatusBoard {
  private readonly nodes: readonly NodeStatus[];
  private readonly out: Output;
  private lines = 0;
  private states = '';
  private printedAtMs = 0;

  constructor(nodes: readonly NodeStatus[], out: Output) {
    this.nodes = nodes;
    this.out = out;
  }

  /** Asks all nodes, and shows what is known by now. */
  refresh(): void {
    for (const node of this.nodes) void node.ask();
    if (this.out.isTTY === true) this.draw();
    else this.print();
  }

  close(): void {
    for (const node of this.nodes) node.close();
  }

  /** Over what stood there. */
  private draw(): void {
    // A line that wraps could not be drawn over.
    const width = (this.out.columns ?? 80) - 1;
    const text = [HEADER, ...this.nodes.map((node) => node.line)].map((line) => line.slice(0, width));
    const up = this.lines === 0 ? '' : `\x1b[${this.lines}A`;
    this.out.write(`${up}${text.map((line) => `\r\x1b[2K${line}\n`).join('')}`);
    this.lines = text.length;
  }

  private print(): void {
    const states = this.nodes.map(({ state }) => state).join(' ');
    const nowMs = performance.now();
    if (states === this.states && nowMs - this.printedAtMs < PLAIN_MS) return;
    this.out.write(`${[...(this.states === '' ? [HEADER] : []), ...this.nodes.map(({ line }) => line)].join('\n')}\n`);
    this.states = states;
    this.printedAtMs = nowMs;
  }
}

function row(name: string, port: string, state: string, ...numbers: string[]): string {
  return `${name.padEnd(5)}${port.padEnd(7)}${state.padEnd(13)}${numbers.map((text) => text.padStart(10)).join('')}`;
}
