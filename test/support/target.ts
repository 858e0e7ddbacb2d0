/**
 * The servers that a client suite runs against: a node, and redis-server, which shows that the suite asks for nothing but
 * what Redis does. Both as processes on a port, to be killed and started again there.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { freePort, redisAvailable, waitForPort } from './redis.ts';

const MAIN = fileURLToPath(new URL('../../net/main.ts', import.meta.url));
const NODE = fileURLToPath(new URL('../../node_modules/.bin/node', import.meta.url));

export const TARGETS = redisAvailable ? (['millrace', 'redis-server'] as const) : (['millrace'] as const);
export type TargetName = (typeof TARGETS)[number];

const started = new Map<string, Target>();

export class Target {
  readonly name: TargetName;
  readonly port: number;
  private readonly flags: readonly string[];
  private readonly dir = mkdtempSync(join(tmpdir(), 'millrace-'));
  private child: ChildProcess | undefined = undefined;

  private constructor(name: TargetName, port: number, flags: readonly string[]) {
    this.name = name;
    this.port = port;
    this.flags = flags;
  }

  /** Starts one with flags that both kinds understand. */
  static async start(name: TargetName, ...flags: string[]): Promise<Target> {
    const target = new Target(name, await freePort(), flags);
    await target.run();
    return target;
  }

  /** One that the suites of a file share, for RESP2 and RESP3; `stopShared` ends them. */
  static async shared(name: TargetName, ...flags: string[]): Promise<Target> {
    const key = [name, ...flags].join(' ');
    const target = started.get(key) ?? (await Target.start(name, ...flags));
    started.set(key, target);
    return target;
  }

  static async stopShared(): Promise<void> {
    await Promise.all([...started.values()].map((target) => target.kill()));
    started.clear();
  }

  /** Starts it (again) and waits until it accepts connections. */
  async run(): Promise<void> {
    mkdirSync(this.dir, { recursive: true });
    const common = ['--port', String(this.port), '--bind', '127.0.0.1', ...this.flags];
    this.child =
      this.name === 'millrace'
        ? spawn(NODE, [MAIN, ...common, '--arena-size', '256mb', '--save', '', '--dir', this.dir], { stdio: 'ignore' })
        : spawn('redis-server', [...common, '--save', '', '--appendonly', 'no', '--dir', this.dir], {
            stdio: 'ignore',
          });
    await waitForPort(this.port);
  }

  /** Kills it, as a crash would, and waits until it is gone. */
  async kill(): Promise<void> {
    const child = this.child;
    if (child === undefined) return;
    this.child = undefined;
    const gone = new Promise((resolve) => child.once('exit', resolve));
    child.kill('SIGKILL');
    await gone;
    rmSync(this.dir, { recursive: true, force: true });
  }
}
