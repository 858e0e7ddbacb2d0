/** Runs of redis-benchmark: its words, and what it prints. Used by the benches, which say where it runs. */

export interface BenchmarkResult {
  requestsPerSecond: number;
  p50Ms: number;
  p99Ms: number;
}

export interface BenchmarkLoad {
  clients: number;
  pipeline: number;
  requests: number;
  /** Random keys out of so many; undefined: the same key always. */
  keyspace?: number | string;
  /** One of its own tests (`-t set`), or a command. */
  args: readonly string[];
}

export function benchmarkWords(port: number, load: BenchmarkLoad): string[] {
  const words = ['redis-benchmark', '-p', port, '--csv', '-c', load.clients, '-n', load.requests, '-P', load.pipeline];
  const random = load.keyspace === undefined ? [] : ['-r', load.keyspace];
  return [...words, ...random, ...load.args].map(String);
}

/** What a run of one test printed; throws when that was trouble. `whom` was asked. */
export function readBenchmark(words: readonly string[], whom: string, csv: string): BenchmarkResult {
  // The title may hold commas: "test","rps","avg_latency_ms","min_latency_ms","p50…","p95…","p99…","max…".
  const fields = csv.trim().split('\n').at(-1)?.split('","') ?? [];
  const numbers = fields.slice(-7).map((field) => Number(field.replaceAll('"', '')));
  if (numbers.length !== 7 || numbers.some(Number.isNaN) || csv.includes('Error')) {
    throw new Error(`${words.join(' ')} against ${whom} printed:\n${csv}`);
  }
  return { requestsPerSecond: numbers[0], p50Ms: numbers[3], p99Ms: numbers[5] };
}
