/**
 * A real redis-server to compare with: started on a free port, spoken to in raw RESP so that replies are compared byte
 * for byte. `available` is false where it is not installed, and tests then skip with a message.
 */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import net from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Arg } from './engine.ts';

export const redisVersion = /v=(\S+)/.exec(
  spawnSync('redis-server', ['--version'], { encoding: 'utf8' }).stdout ?? '',
)?.[1];
export const redisAvailable = redisVersion !== undefined;

export function encodeCommand(args: readonly Arg[]): Buffer {
  const parts: Buffer[] = [Buffer.from(`*${args.length}\r\n`)];
  for (const arg of args) {
    const bytes = typeof arg === 'object' ? Buffer.from(arg) : Buffer.from(String(arg), 'utf8');
    parts.push(Buffer.from(`$${bytes.length}\r\n`), bytes, Buffer.from('\r\n'));
  }
  return Buffer.concat(parts);
}

/** Where the reply that begins at `at` ends; -1 when it is not all there. */
export function replyEnd(buf: Buffer, at: number): number {
  const line = buf.indexOf('\r\n', at);
  if (line < 0) return -1;
  const kind = String.fromCharCode(buf[at]);
  const text = buf.toString('latin1', at + 1, line);
  let end = line + 2;
  if ('$=!'.includes(kind)) {
    const length = Number(text);
    if (length < 0) return end;
    return end + length + 2 <= buf.length ? end + length + 2 : -1;
  }
  if ('*~>%|'.includes(kind)) {
    const count = Number(text) * (kind === '%' || kind === '|' ? 2 : 1);
    for (let i = 0; i < count; i++) {
      end = replyEnd(buf, end);
      if (end < 0) return -1;
    }
  }
  return end;
}

/** One raw connection: sends commands, gets each reply's bytes as a Latin-1 string. */
export class RawClient {
  private readonly socket: net.Socket;
  private chunks: Buffer = Buffer.alloc(0);
  private readonly waiting: { resolve: (reply: string) => void; reject: (error: Error) => void }[] = [];

  private constructor(socket: net.Socket) {
    this.socket = socket;
    socket.on('data', (data: Buffer) => this.received(data));
    socket.on('error', () => {});
    socket.on('close', () => {
      for (const waiter of this.waiting.splice(0)) waiter.reject(new Error('connection closed'));
    });
  }

  static connect(port: number): Promise<RawClient> {
    return new Promise((resolve, reject) => {
      const socket = net.connect(port, '127.0.0.1', () => resolve(new RawClient(socket)));
      socket.setNoDelay(true);
      socket.once('error', reject);
    });
  }

  private received(data: Buffer): void {
    this.chunks = this.chunks.length === 0 ? data : Buffer.concat([this.chunks, data]);
    let at = 0;
    while (this.waiting.length > 0 && at < this.chunks.length) {
      const end = replyEnd(this.chunks, at);
      if (end < 0) break;
      this.waiting.shift()?.resolve(this.chunks.toString('latin1', at, end));
      at = end;
    }
    this.chunks = this.chunks.subarray(at);
  }

  run(...args: Arg[]): Promise<string> {
    return this.pipeline([args]).then((replies) => replies[0]);
  }

  /** Sends all commands in one write and gives their replies in order. */
  pipeline(commands: readonly (readonly Arg[])[]): Promise<string[]> {
    const replies = commands.map(
      () => new Promise<string>((resolve, reject) => this.waiting.push({ resolve, reject })),
    );
    this.socket.write(Buffer.concat(commands.map(encodeCommand)));
    return Promise.all(replies);
  }

  close(): void {
    this.socket.destroy();
  }
}

export class RedisServer {
  readonly port: number;
  private readonly child: ChildProcess;
  private readonly dir: string;

  private constructor(port: number, child: ChildProcess, dir: string) {
    this.port = port;
    this.child = child;
    this.dir = dir;
  }

  /** Starts redis-server with persistence off and waits until it answers. */
  static async start(args: readonly string[] = []): Promise<RedisServer> {
    const port = await freePort();
    const dir = mkdtempSync(join(tmpdir(), 'millrace-redis-'));
    const child = spawn(
      'redis-server',
      ['--port', String(port), '--bind', '127.0.0.1', '--save', '', '--appendonly', 'no', '--dir', dir, ...args],
      // SORT ALPHA follows the locale.
      { stdio: 'ignore', env: { ...process.env, LC_ALL: 'C' } },
    );
    const server = new RedisServer(port, child, dir);
    await waitForPort(port);
    return server;
  }

  connect(): Promise<RawClient> {
    return RawClient.connect(this.port);
  }

  stop(): void {
    this.child.kill('SIGKILL');
    rmSync(this.dir, { recursive: true, force: true });
  }
}

export function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const probe = net.createServer();
    probe.once('error', reject);
    probe.listen(0, '127.0.0.1', () => {
      const { port } = probe.address() as net.AddressInfo;
      probe.close(() => resolve(port));
    });
  });
}

/** Resolves when something accepts connections on the port; rejects after 20 s. */
export async function waitForPort(port: number): Promise<void> {
  const giveUpAt = Date.now() + 20_000;
  for (;;) {
    const open = await new Promise<boolean>((resolve) => {
      const socket = net.connect(port, '127.0.0.1');
      socket.once('connect', () => {
        // A connection to a port that nobody listens on may get that port itself, and then meets itself.
        const isItself = socket.localPort === port;
        socket.destroy();
        resolve(!isItself);
      });
      socket.once('error', () => resolve(false));
    });
    if (open) return;
    if (Date.now() > giveUpAt) throw new Error(`nothing listens on port ${port}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}
