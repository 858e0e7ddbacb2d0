/**
 * A node on a directory of its own that outlives it: started, killed without warning, and started again there, as a crash
 * and a restart would. `ready` tells when its data is loaded.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { freePort, RawClient } from './redis.ts';

const MAIN = fileURLToPath(new URL('../../net/main.ts', import.meta.url));
const NODE = fileURLToPath(new URL('../../node_modules/.bin/node', import.meta.url));
const READY_MS = 20_000;

export function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

/** Resolves when the condition holds; rejects with `what` after ten seconds. */
export async function until(what: string, condition: () => boolean | Promise<boolean>): Promise<void> {
  const giveUpAt = Date.now() + 10_000;
  while (!(await condition())) {
    if (Date.now() > giveUpAt) throw new Error(`it did not come to this: ${what}`);
    await sleep(10);
  }
}

export class DurableNode {
  readonly port: number;
  readonly child: ChildProcess;
  /** What it printed so far, and of that what went to standard error. */
  output = '';
  errors = '';
  private readonly exited: Promise<void>;

  private constructor(port: number, child: ChildProcess) {
    this.port = port;
    this.child = child;
    child.stdout?.on('data', (data: Buffer) => {
      this.output += data.toString();
    });
    child.stderr?.on('data', (data: Buffer) => {
      this.output += data.toString();
      this.errors += data.toString();
    });
    this.exited = new Promise((resolve) => child.once('close', () => resolve()));
  }

  /** Starts a process on the directory; `before` is what stands before the program, such as a tracer. Waits for nothing. */
  static async spawn(dir: string, flags: readonly string[], before: readonly string[] = []): Promise<DurableNode> {
    const port = await freePort();
    const own = [MAIN, '--port', String(port), '--arena-size', '256mb', '--save', '', '--dir', dir, ...flags];
    const [command, ...args] = [...before, NODE, ...own];
    return new DurableNode(port, spawn(command, args, { stdio: ['ignore', 'pipe', 'pipe'] }));
  }

  /** The same, and waits until its data is loaded. */
  static async start(dir: string, flags: readonly string[], before: readonly string[] = []): Promise<DurableNode> {
    const node = await DurableNode.spawn(dir, flags, before);
    await node.ready();
    return node;
  }

  /** Resolves when commands run; rejects when the process ends instead. */
  async ready(): Promise<void> {
    const giveUpAt = Date.now() + READY_MS;
    while (Date.now() < giveUpAt) {
      if (!this.running) throw new Error(`the node ended before it was ready:\n${this.output}`);
      const client = await RawClient.connect(this.port).catch(() => undefined);
      const reply = await client?.run('EXISTS', 'nosuchkey').catch(() => undefined);
      client?.close();
      if (reply?.startsWith(':')) return;
      await sleep(10);
    }
    this.child.kill('SIGKILL');
    throw new Error(`the node is not ready after ${READY_MS} ms:\n${this.output}`);
  }

  get running(): boolean {
    return this.child.exitCode === null && this.child.signalCode === null;
  }

  connect(): Promise<RawClient> {
    return RawClient.connect(this.port);
  }

  /** Runs commands on a connection of their own; their replies. */
  async ask(...commands: (string | number)[][]): Promise<string[]> {
    const client = await this.connect();
    try {
      return await client.pipeline(commands);
    } finally {
      client.close();
    }
  }

  /** Ends it at once, whatever it does. */
  kill(): Promise<void> {
    this.child.kill('SIGKILL');
    return this.exited;
  }

  /** Its exit code, when it has ended by itself; null when a signal ended it. */
  async end(): Promise<number | null> {
    await this.exited;
    return this.child.exitCode;
  }
}
