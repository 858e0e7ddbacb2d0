/**
 * Servers and load generators as processes of the bench: started on chosen cores, asked over the wire, measured through
 * /proc, stopped by pid. Linux only where it measures; without taskset or a second core nothing is pinned.
 */
import { type ChildProcess, execFile, spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { connect } from 'node:net';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { splitWords } from '../net/config-file.ts';

const START_TIMEOUT_MS = 20_000;
const STOP_TIMEOUT_MS = 10_000;
const RUN_TIMEOUT_MS = 300_000;
const ASK_TIMEOUT_MS = 30_000;
/** Clock ticks of /proc/PID/stat per second; 100 on every Linux that Node runs on. */
const TICKS_PER_SECOND = 100;

export const SERVER_CORE = 0;
export const LOAD_CORE = 1;
export const pinned = availableParallelism() >= 2 && spawnSync('taskset', ['--version']).status === 0;

/** Servers that run or are stopped in their tracks: none may be left behind, however the bench ends. */
const running = new Set<ChildProcess>();
process.on('exit', () => {
  for (const child of running) child.kill('SIGKILL');
});
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(1));

/** The words that run `words` on one core, or on any where nothing can be pinned. */
export function onCore(core: number | 'any', words: readonly string[]): string[] {
  const command = words[0] === 'node' ? [process.execPath, ...words.slice(1)] : words;
  return pinned && core !== 'any' ? ['taskset', '-c', String(core), ...command] : [...command];
}

/** Runs a command to its end and gives its standard output; fails with its standard error. */
export function run(words: readonly string[]): Promise<string> {
  return new Promise((resolve, reject) => {
    const options = { timeout: RUN_TIMEOUT_MS, maxBuffer: 64 * 1024 * 1024 };
    execFile(words[0], words.slice(1), options, (error, stdout, stderr) => {
      if (error === null) resolve(stdout);
      else reject(new Error(`${words.join(' ')}\nfailed: ${stderr || stdout || error.message}`));
    });
  });
}

/** One command to a server on this machine: the text of its one reply that is no array, or an error. */
export function ask(port: number, ...args: string[]): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect(port, '127.0.0.1');
    let got = Buffer.alloc(0);
    socket.setTimeout(ASK_TIMEOUT_MS, () => socket.destroy(new Error(`no reply to ${args.join(' ')}`)));
    socket.once('error', reject);
    socket.once('close', () => reject(new Error(`the connection was closed during ${args.join(' ')}`)));
    socket.on('data', (data) => {
      got = Buffer.concat([got, data]);
      const line = got.indexOf('\r\n');
      if (line < 0) return;
      const head = got.toString('latin1', 1, line);
      const end = got[0] === 0x24 && head !== '-1' ? line + 2 + Number(head) : line;
      if (got.length < end) return;
      if (got[0] === 0x2d) reject(new Error(head));
      else resolve(end === line ? head : got.toString('utf8', line + 2, end));
      socket.destroy();
    });
    socket.write(`*${args.length}\r\n${args.map((arg) => `$${Buffer.byteLength(arg)}\r\n${arg}\r\n`).join('')}`);
  });
}

/** Seconds of CPU that a whole process, all its threads, has used: utime and stime, the 14th and 15th field. */
export function cpuSecondsOf(pid: number): number {
  return secondsOf(pid, 14);
}

/** Seconds of CPU that the children of this process have used that have ended: cutime and cstime, the 16th and 17th. */
export function childrenCpuSeconds(): number {
  return secondsOf(process.pid, 16);
}

function secondsOf(pid: number, field: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
  // The second field is the name in parentheses and may hold spaces.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return (Number(fields[field - 3]) + Number(fields[field - 2])) / TICKS_PER_SECOND;
}

/** What to start: a name for the tables, and a command line with {port} and {dir} in it. */
export interface ServerSpec {
  name: string;
  command: string;
  /** The servers' core by default. */
  core?: 'any';
  /** Resolves when it serves; by default PING. */
  probe?: (port: number) => Promise<unknown>;
}

export class Server {
  readonly name: string;
  readonly port: number;
  readonly pid: number;
  private readonly child: ChildProcess;
  private readonly dir: string;
  private readonly probe: (port: number) => Promise<unknown>;

  private constructor(spec: ServerSpec, port: number, child: ChildProcess, dir: string) {
    this.name = spec.name;
    this.probe = spec.probe ?? ((to) => ask(to, 'PING'));
    this.port = port;
    this.pid = child.pid ?? 0;
    this.child = child;
    this.dir = dir;
  }

  static async start(spec: ServerSpec, port: number): Promise<Server> {
    const dir = mkdtempSync(join(tmpdir(), 'bench-'));
    const words = splitWords(spec.command.replaceAll('{port}', String(port)).replaceAll('{dir}', dir));
    if (words === undefined || words.length === 0) throw new Error(`bad command line: ${spec.command}`);
    const [file, ...args] = onCore(spec.core ?? SERVER_CORE, words);
    const child = spawn(file, args, { stdio: ['ignore', 'ignore', 'pipe'] });
    running.add(child);
    child.once('exit', () => running.delete(child));
    let complaint = '';
    child.stderr?.on('data', (data) => {
      complaint = (complaint + data).slice(-2000);
    });
    const failed = new Promise<never>((_, reject) => {
      child.once('error', reject);
      child.once('exit', () => reject(new Error(`${spec.name} did not start: ${spec.command}\n${complaint}`)));
    });
    failed.catch(() => {});
    const server = new Server(spec, port, child, dir);
    try {
      await Promise.race([server.answers(), failed]);
      return server;
    } catch (error) {
      await server.kill();
      throw error;
    }
  }

  /** Resolves when the server answers. */
  async answers(): Promise<void> {
    const deadline = Date.now() + START_TIMEOUT_MS;
    for (;;) {
      try {
        await this.probe(this.port);
        return;
      } catch (error) {
        if (Date.now() > deadline) throw error;
      }
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }

  /** Stops the process in its tracks, so that it takes nothing from the server being measured. */
  pause(): void {
    this.child.kill('SIGSTOP');
  }

  /** Lets it go on, without waiting until it answers. */
  unpause(): void {
    this.child.kill('SIGCONT');
  }

  async resume(): Promise<void> {
    this.unpause();
    await this.answers();
  }

  async stop(): Promise<void> {
    if (this.child.exitCode === null && this.child.signalCode === null) {
      const gone = new Promise((resolve) => this.child.once('exit', resolve));
      this.child.kill('SIGCONT');
      this.child.kill('SIGTERM');
      const impatient = setTimeout(() => this.child.kill('SIGKILL'), STOP_TIMEOUT_MS);
      await gone;
      clearTimeout(impatient);
    }
    rmSync(this.dir, { recursive: true, force: true });
  }

  /** Ends the process at once, as a crash does: the signal is out when this returns. */
  async kill(): Promise<void> {
    if (this.pid !== 0 && running.has(this.child)) {
      const gone = new Promise((resolve) => this.child.once('exit', resolve));
      this.child.kill('SIGKILL');
      await gone;
    }
    rmSync(this.dir, { recursive: true, force: true });
  }

  cpuSeconds(): number {
    return cpuSecondsOf(this.pid);
  }

  residentBytes(): number {
    const status = readFileSync(`/proc/${this.pid}/status`, 'latin1');
    return Number(/^VmRSS:\s+(\d+) kB/m.exec(status)?.[1] ?? 0) * 1024;
  }

  async usedBytes(): Promise<number> {
    return Number(/^used_memory:(\d+)/m.exec(await ask(this.port, 'INFO', 'memory'))?.[1] ?? Number.NaN);
  }

  async version(): Promise<string> {
    return /^redis_version:(\S+)/m.exec(await ask(this.port, 'INFO', 'server'))?.[1] ?? 'unknown';
  }
}
