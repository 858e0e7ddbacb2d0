/** A Millrace node as a process of its own, run from source on a free port. */
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { freePort, RawClient, waitForPort } from './redis.ts';

const MAIN = fileURLToPath(new URL('../../net/main.ts', import.meta.url));
const NODE = fileURLToPath(new URL('../../node_modules/.bin/node', import.meta.url));

/** What `--dispatch` takes. */
export const MODES = ['auto', 'inline', 'ring'] as const;

export class TestNode {
  readonly port: number;
  readonly child: ChildProcess;
  /** What it printed so far. */
  output = '';
  /** Its directory, when it was given none. */
  private ownDir: string | undefined = undefined;

  private constructor(port: number, child: ChildProcess) {
    this.port = port;
    this.child = child;
    child.stdout?.on('data', (data: Buffer) => {
      this.output += data.toString();
    });
    child.stderr?.on('data', (data: Buffer) => {
      this.output += data.toString();
    });
  }

  /** Starts a node with these flags, in a directory of its own if they name none, and waits until it answers. */
  static async start(...flags: string[]): Promise<TestNode> {
    const port = await freePort();
    const ownDir = flags.includes('--dir') ? undefined : mkdtempSync(join(tmpdir(), 'millrace-'));
    const dir = ownDir === undefined ? [] : ['--dir', ownDir];
    const args = [MAIN, '--port', String(port), '--arena-size', '256mb', '--save', '', ...dir, ...flags];
    const node = new TestNode(port, spawn(NODE, args, { stdio: ['ignore', 'pipe', 'pipe'] }));
    node.ownDir = ownDir;
    try {
      await waitForPort(port);
    } catch (error) {
      node.child.kill('SIGKILL');
      throw new Error(`${(error as Error).message}\n${node.output}`);
    }
    return node;
  }

  connect(): Promise<RawClient> {
    return RawClient.connect(this.port);
  }

  get running(): boolean {
    return this.child.exitCode === null && this.child.signalCode === null;
  }

  stop(): void {
    this.child.kill('SIGKILL');
    if (this.ownDir !== undefined) rmSync(this.ownDir, { recursive: true, force: true });
  }
}
