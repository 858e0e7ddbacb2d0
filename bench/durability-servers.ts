/**
 * What the parts of `bench:durability` share: the command lines of the two servers, their data directories, and runs of
 * redis-benchmark and of the load generator on the load's core.
 */
import { mkdtempSync, readdirSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { LOAD_CORE, onCore, run, Server, type ServerSpec } from './proc.ts';
import { type BenchmarkLoad, type BenchmarkResult, benchmarkWords, readBenchmark } from './redis-benchmark.ts';

export const CLIENTS = 50;
export const KEYSPACE = 100_000;
/** Which of the two servers: ours or the one beside it. */
export type Side = 'ours' | 'theirs';
export const SIDES: readonly Side[] = ['ours', 'theirs'];
export const NAMES: Record<Side, string> = { ours: 'Millrace', theirs: 'Redis' };

/** How long a whole run measures, or a quick one that only shows that it works. */
export interface Plan {
  quick: boolean;
  rounds: number;
  firstPort: number;
}

const MAIN = fileURLToPath(new URL('../dist/net/main.js', import.meta.url));
const LOAD = fileURLToPath(new URL('durability-load.ts', import.meta.url));

/** The log is never cut by itself, so that no snapshot falls into what is measured; both servers know these words. */
export const LOG_OPTIONS = "--save '' --appendonly yes --auto-aof-rewrite-percentage 0";
export const NO_LOG_OPTIONS = "--save '' --appendonly no";

/** A server with the given options; `nodeOptions` are for the runtime of ours. */
export function specOf(side: Side, options: string, dir = '{dir}', nodeOptions = ''): ServerSpec {
  const program = side === 'ours' ? `node ${nodeOptions} ${MAIN}` : 'redis-server';
  return { name: NAMES[side], command: `${program} --port {port} --dir ${dir} ${options}` };
}

/** A command line as it is told: without this machine's paths. */
export function tell(spec: ServerSpec): string {
  return spec.command.replace(MAIN, 'dist/net/main.js').replace(/ {2,}/g, ' ');
}

export function progress(text: string): void {
  if (process.stderr.isTTY) process.stderr.write(`\r\x1b[K${text}`);
  else if (text !== '') process.stderr.write(`${text}\n`);
}

/** The sides in the order in which a round measures them: who goes first changes, so that no drift favours one. */
export function inOrder(round: number): readonly Side[] {
  return round % 2 === 0 ? SIDES : [...SIDES].reverse();
}

const directories = new Set<string>();
process.on('exit', () => {
  // A server that was killed a moment ago may still be writing there.
  for (const dir of directories) rmSync(dir, { recursive: true, force: true, maxRetries: 5 });
});

/** A directory that is gone when the bench ends, at the latest. */
export function makeDirectory(): string {
  const dir = mkdtempSync(join(tmpdir(), 'bench-'));
  directories.add(dir);
  return dir;
}

export function removeDirectory(dir: string): void {
  rmSync(dir, { recursive: true, force: true });
  directories.delete(dir);
}

/** Bytes of the files in a directory and below it whose path matches, as their length tells. */
export function fileBytes(dir: string, pattern: RegExp): number {
  const paths = readdirSync(dir, { recursive: true, encoding: 'utf8' }).filter((path) => pattern.test(path));
  return paths.reduce((sum, path) => sum + statSync(join(dir, path)).size, 0);
}

/** Runs the load generator and gives what it measured. */
export async function load<T>(...args: (string | number)[]): Promise<T> {
  return JSON.parse(await run(onCore(LOAD_CORE, ['node', LOAD, ...args.map(String)]))) as T;
}

export function benchmarkLoad(test: string, pipeline: number, requests: number): BenchmarkLoad {
  return { clients: CLIENTS, pipeline, requests, keyspace: KEYSPACE, args: ['-t', test] };
}

export async function benchmark(
  server: Server,
  test: string,
  pipeline: number,
  requests: number,
): Promise<BenchmarkResult> {
  const words = benchmarkWords(server.port, benchmarkLoad(test, pipeline, requests));
  return readBenchmark(words, server.name, await run(onCore(LOAD_CORE, words)));
}

/** Starts both servers, each stopped in its tracks until it is its turn. */
export async function withBoth<T>(
  specs: Record<Side, ServerSpec>,
  firstPort: number,
  use: (servers: Record<Side, Server>) => Promise<T>,
): Promise<T> {
  const started: Server[] = [];
  const dirs = SIDES.map(() => makeDirectory());
  try {
    for (const [i, side] of SIDES.entries()) {
      const command = specs[side].command.replace('{dir}', dirs[i]);
      started.push(await Server.start({ ...specs[side], command }, firstPort + i));
      started[i].pause();
    }
    return await use({ ours: started[0], theirs: started[1] });
  } finally {
    await Promise.all(started.map((server) => server.stop()));
    for (const dir of dirs) removeDirectory(dir);
  }
}

/** Measures the same on both, one right after the other. */
export async function inTurn<T>(
  servers: Record<Side, Server>,
  round: number,
  measure: (server: Server) => Promise<T>,
): Promise<Record<Side, T>> {
  const results: Partial<Record<Side, T>> = {};
  for (const side of inOrder(round)) {
    await servers[side].resume();
    results[side] = await measure(servers[side]);
    servers[side].pause();
  }
  return results as Record<Side, T>;
}
