/**
 * Compares Millrace with redis-server by redis-benchmark: `npm run bench:redis`, `-- --help` for the options.
 *
 * Every round starts both servers anew and then alternates between them test by test, so that the two numbers of a ratio
 * were measured within seconds of each other; the one not being measured is stopped (SIGSTOP) meanwhile. Where there are
 * two cores and taskset, the servers have core 0 and the load generators core 1. The tables give the median over the
 * rounds, and ratios are taken within a round first.
 */
import { writeFileSync } from 'node:fs';
import { chosen, MAX_COUNT, MAX_PORT, readArguments, refuse, whole } from '../test/support/arguments.ts';
import type { LatencyResult } from './load.ts';
import {
  ask,
  childrenCpuSeconds,
  LOAD_CORE,
  onCore,
  pinned,
  run,
  SERVER_CORE,
  Server,
  type ServerSpec,
} from './proc.ts';
import { benchmarkWords, readBenchmark } from './redis-benchmark.ts';
import { machine, ownVersion, type Results, report, type ThroughputSample } from './report.ts';

const CLIENTS = 50;
const MEMORY_KEYS = 1_000_000;
const EXPIRE_SECONDS = 86_400;
const LATENCY_RATES = [10_000, 40_000];
/** Requests per run, so that one takes about a second; tests with long replies set a lower limit of their own. */
const REQUESTS = new Map([
  [1, 100_000],
  [16, 1_000_000],
  [64, 2_000_000],
]);
/**
 * Requests of each test that a fresh server answers before anything is measured, so that its code is compiled and its
 * buffers have grown. Both servers get them.
 */
const WARM_UP_REQUESTS = 100_000;
const WARM_UP_PIPELINE = 16;
/** A quick run takes this part of the requests and seconds. */
const QUICK = 0.2;

interface Test {
  name: string;
  /** redis-benchmark's own test, or a command given to it. */
  args: readonly string[];
  maxRequests?: number;
  /** A key to delete before, so that the test begins as it does in a run of the whole list. */
  clears?: string;
}

const builtIn = (name: string, maxRequests?: number): Test => ({
  name: name.toUpperCase(),
  args: ['-t', name],
  maxRequests,
});
const range = (count: number): Test => ({
  name: `LRANGE_${count}`,
  args: ['LRANGE', 'mylist', '0', String(count - 1)],
  maxRequests: Math.round(10_000_000 / count),
});

/** The default list of redis-benchmark 7.0, in its order, and XADD, which it has no test for. */
const TESTS: readonly Test[] = [
  ...['ping_inline', 'ping_mbulk', 'set', 'get', 'incr', 'lpush', 'rpush', 'lpop', 'rpop'].map((name) => builtIn(name)),
  ...['sadd', 'hset', 'spop', 'zadd', 'zpopmin'].map((name) => builtIn(name)),
  { name: 'LPUSH (for LRANGE)', args: ['-t', 'lpush'], clears: 'mylist' },
  ...[100, 300, 500, 600].map(range),
  builtIn('mset', 200_000),
  { name: 'XADD', args: ['XADD', 'mystream', '*', 'myfield', 'data'], maxRequests: 500_000, clears: 'mystream' },
];

/** What the constant server is asked, and compared by: SET and GET. */
const FLOOR_TESTS = TESTS.slice(2, 4);

const MAX_PIPELINE = 10_000;
const SECTIONS = ['throughput', 'latency', 'memory'];
const HELP = `Usage: npm run bench:redis -- [options]

  --quick                 2 rounds and a fifth of the requests
  --rounds N              rounds (5)
  --only a,b              of ${SECTIONS.join(', ')} (all)
  --tests A,B             of ${TESTS.map((test) => test.name).join(', ')} (all)
  --pipelines 1,16        pipeline depths (1,16,64)
  --keyspace N            redis-benchmark -r N: random keys instead of one
  --port N                first of three ports to use (20100)
  --under-test COMMAND    what to measure (node dist/net/main.js --port {port} --dir {dir} --save '')
  --against COMMAND       what to compare with (redis-server --port {port} --dir {dir} --save '' --appendonly no)
  --names A,B             their names in the tables (Millrace,Redis)
  --out FILE              where to write the report (bench/RESULTS.md for a whole run, else nowhere)
`;

const { values: options } = readArguments(HELP, {
  options: {
    quick: { type: 'boolean', default: false },
    rounds: { type: 'string' },
    only: { type: 'string', default: SECTIONS.join(',') },
    tests: { type: 'string', default: TESTS.map((test) => test.name).join(',') },
    pipelines: { type: 'string', default: [...REQUESTS.keys()].join(',') },
    keyspace: { type: 'string' },
    port: { type: 'string', default: '20100' },
    'under-test': { type: 'string', default: "node dist/net/main.js --port {port} --dir {dir} --save ''" },
    against: { type: 'string', default: "redis-server --port {port} --dir {dir} --save '' --appendonly no" },
    names: { type: 'string', default: 'Millrace,Redis' },
    out: { type: 'string' },
  },
});

const scale = options.quick ? QUICK : 1;
const rounds = whole('--rounds', options.rounds ?? (options.quick ? '2' : '5'), 1, MAX_COUNT);
const sections = chosen('--only', options.only, SECTIONS);
const testNames = chosen(
  '--tests',
  options.tests.toUpperCase(),
  TESTS.map((test) => test.name.toUpperCase()),
);
const tests = TESTS.filter((test) => testNames.includes(test.name.toUpperCase()));
const pipelines = options.pipelines.split(',').map((depth) => whole('--pipelines', depth, 1, MAX_PIPELINE));
if (options.keyspace !== undefined) whole('--keyspace', options.keyspace, 1, MAX_COUNT);
const [ourName, theirName] = options.names.split(',');
if (theirName === undefined) refuse(`--names takes two names with a comma between them, not '${options.names}'`);
const specs: [ServerSpec, ServerSpec] = [
  { name: ourName, command: options['under-test'] },
  { name: theirName, command: options.against },
];
const firstPort = whole('--port', options.port, 1, MAX_PORT);

function progress(text: string): void {
  if (process.stderr.isTTY) process.stderr.write(`\r\x1b[K${text}`);
  else process.stderr.write(`${text}\n`);
}

function requestsOf(test: Test, pipeline: number): number {
  const wanted = Math.min(REQUESTS.get(pipeline) ?? 100_000 * pipeline, test.maxRequests ?? Number.POSITIVE_INFINITY);
  return Math.max(pipeline * CLIENTS, Math.round(wanted * scale));
}

function wordsOf(test: Test, pipeline: number, port: number, requests: number): string[] {
  return benchmarkWords(port, { clients: CLIENTS, pipeline, requests, keyspace: options.keyspace, args: test.args });
}

/** Runs one test of redis-benchmark against a server that is alone on its core; with what it took of the load's CPU. */
async function benchmark(
  server: Server,
  test: Test,
  pipeline: number,
  requests = requestsOf(test, pipeline),
): Promise<ThroughputSample & { loadUs: number }> {
  if (test.clears !== undefined) await ask(server.port, 'DEL', test.clears);
  const words = wordsOf(test, pipeline, server.port, requests);
  const cpuBefore = server.cpuSeconds();
  const loadBefore = childrenCpuSeconds();
  const csv = await run(onCore(LOAD_CORE, words));
  const cpuUs = ((server.cpuSeconds() - cpuBefore) * 1e6) / requests;
  const loadUs = ((childrenCpuSeconds() - loadBefore) * 1e6) / requests;
  return { ...readBenchmark(words, server.name, csv), cpuUs, loadUs };
}

async function loadRun<T>(...args: string[]): Promise<T> {
  const script = new URL('load.ts', import.meta.url).pathname;
  return JSON.parse(await run(onCore(LOAD_CORE, ['node', script, ...args]))) as T;
}

/** Measures the same thing on both servers, one right after the other, in the order of the round. */
async function inTurn<T>(servers: [Server, Server], round: number, measure: (server: Server) => Promise<T>) {
  const results: T[] = [];
  for (const index of round % 2 === 0 ? [0, 1] : [1, 0]) {
    await servers[index].resume();
    results[index] = await measure(servers[index]);
    servers[index].pause();
  }
  return { ours: results[0], theirs: results[1] };
}

async function warmUp(servers: [Server, Server], round: number): Promise<void> {
  progress(`round ${round + 1} of ${rounds}: warming up`);
  for (const test of tests) {
    const requests = Math.min(WARM_UP_REQUESTS, requestsOf(test, WARM_UP_PIPELINE));
    await inTurn(servers, round, (server) => benchmark(server, test, WARM_UP_PIPELINE, requests));
  }
  await inTurn(servers, round, (server) => ask(server.port, 'FLUSHALL'));
}

/** The server of floor.ts, which answers constants, while the two others are stopped. */
async function measureFloor(test: Test, pipeline: number, results: Results): Promise<void> {
  const spec = { name: 'a constant server', command: `node bench/floor.ts {port} ${pipeline}` };
  const server = await Server.start(spec, firstPort + 2);
  try {
    await benchmark(server, test, pipeline);
    results.floors.push({ test: test.name, pipeline, ...(await benchmark(server, test, pipeline)) });
  } finally {
    await server.stop();
  }
}

async function throughputRound(servers: [Server, Server], round: number, results: Results): Promise<void> {
  await warmUp(servers, round);
  for (const pipeline of pipelines) {
    for (const test of tests) {
      progress(`round ${round + 1} of ${rounds}: ${test.name} -P ${pipeline}`);
      const pair = await inTurn(servers, round, (server) => benchmark(server, test, pipeline));
      results.throughput.push({ test: test.name, pipeline, ...pair });
    }
    for (const test of FLOOR_TESTS.filter((floor) => tests.includes(floor))) {
      progress(`round ${round + 1} of ${rounds}: ${test.name} of a constant server -P ${pipeline}`);
      await measureFloor(test, pipeline, results);
    }
    // What one depth has piled up in lists and streams is not carried into the next.
    await inTurn(servers, round, (server) => ask(server.port, 'FLUSHALL'));
  }
}

async function latencyRound(servers: [Server, Server], round: number, results: Results): Promise<void> {
  for (const rate of LATENCY_RATES) {
    for (const command of ['GET', 'SET']) {
      progress(`round ${round + 1} of ${rounds}: latency of ${command} at ${rate}/s`);
      const seconds = String(Math.max(1, 5 * scale));
      const pair = await inTurn(servers, round, (server) => {
        const load = [
          '--port',
          String(server.port),
          '--command',
          command,
          '--rate',
          String(rate),
          '--seconds',
          seconds,
        ];
        return loadRun<LatencyResult>('latency', ...load);
      });
      results.latency.push({ command, rate, ...pair });
    }
  }
}

/** Fills fresh servers, each alone, and compares what they hold before and after. */
async function measureMemory(results: Results): Promise<void> {
  for (const spec of specs) {
    for (const expiry of [false, true]) {
      progress(`memory per key: ${spec.name}${expiry ? ', with expiry' : ''}`);
      const server = await Server.start(spec, firstPort);
      try {
        const used = await server.usedBytes();
        const resident = server.residentBytes();
        const expire = ['--expire-seconds', expiry ? String(EXPIRE_SECONDS) : '0'];
        await loadRun('fill', '--port', String(server.port), '--keys', String(MEMORY_KEYS), ...expire);
        results.memory.push({
          server: spec.name,
          expiry,
          usedPerKey: ((await server.usedBytes()) - used) / MEMORY_KEYS,
          residentPerKey: (server.residentBytes() - resident) / MEMORY_KEYS,
        });
      } finally {
        await server.stop();
      }
    }
  }
}

async function startBoth(): Promise<[Server, Server]> {
  const first = await Server.start(specs[0], firstPort);
  first.pause();
  try {
    const second = await Server.start(specs[1], firstPort + 1);
    second.pause();
    return [first, second];
  } catch (error) {
    await first.stop();
    throw error;
  }
}

async function setting(): Promise<string[]> {
  const [ours, theirs] = await startBoth();
  try {
    await theirs.resume();
    const theirVersion = await theirs.version();
    const words = wordsOf(TESTS[2], 16, firstPort, requestsOf(TESTS[2], 16));
    return [
      new Date().toISOString().slice(0, 10),
      ...machine(),
      `${ourName} ${ownVersion()}: \`${specs[0].command}\``,
      `${theirName} ${theirVersion}: \`${specs[1].command}\``,
      `load: \`${words.join(' ')}\` and the like`,
      `${rounds} rounds, each with fresh servers, warmed up, measured in turn${options.quick ? '; a quick run' : ''}`,
      pinned ? `servers on core ${SERVER_CORE}, load on core ${LOAD_CORE}` : 'nothing pinned to cores',
    ];
  } finally {
    await Promise.all([ours.stop(), theirs.stop()]);
  }
}

async function main(): Promise<void> {
  const results: Results = {
    ourName,
    theirName,
    setting: await setting(),
    throughput: [],
    floors: [],
    latency: [],
    memory: [],
  };
  if (sections.includes('throughput') || sections.includes('latency')) {
    for (let round = 0; round < rounds; round++) {
      const servers = await startBoth();
      try {
        if (sections.includes('throughput')) await throughputRound(servers, round, results);
        if (sections.includes('latency')) await latencyRound(servers, round, results);
      } finally {
        await Promise.all(servers.map((server) => server.stop()));
      }
    }
  }
  if (sections.includes('memory')) await measureMemory(results);
  progress('');

  const text = report(results);
  process.stdout.write(text);
  const whole = sections.length === SECTIONS.length && tests.length === TESTS.length && !options.quick;
  const out = options.out ?? (whole ? new URL('RESULTS.md', import.meta.url).pathname : undefined);
  if (out !== undefined) writeFileSync(out, `# Measured\n\n${text}`);
}

main().catch((error: unknown) => {
  console.error(error instanceof Error ? error.message : error);
  process.exitCode = 1;
});
