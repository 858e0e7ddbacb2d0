/**
 * The parts, one at a time, in process: `npm run bench:micro`, or `npm run bench:micro -- table alloc` for some files.
 *
 * Every file of bench/micro exports as its default a function that gives benches: `{ name, fn, operations? }`, where one
 * call of `fn` makes so many operations (1 when it is not said). Calls of less than a microsecond measure the clock, so
 * `fn` should make some hundreds. Times are per operation; p99 is the 99th percentile of the calls of `fn`, each
 * divided by its operations, and shows pauses of the collector and the like. Each file runs in a process of its own, so
 * that what the compiler learned from one does not slow another, and runs as in a server: compiled, with its hints to V8 and its
 * huge pages.
 */
import { spawnSync } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { basename } from 'node:path';
import { fileURLToPath } from 'node:url';
import '../net/v8flags.ts';
import { Bench } from 'tinybench';
import { restartTuned } from '../net/restart.ts';
import { MAX_COUNT, readArguments, refuse, whole } from '../test/support/arguments.ts';
import { machine, ownVersion, table } from './report.ts';

export interface MicroBench {
  name: string;
  fn: () => void;
  operations?: number;
}

const directory = new URL('micro/', import.meta.url);
const names = readdirSync(directory)
  .filter((file) => file.endsWith('.js'))
  .map((file) => basename(file, '.js'));

const { values: options, positionals: wanted } = readArguments(
  `Usage: npm run bench:micro -- [--time MS] [${names.join('] [')}]`,
  {
    allowPositionals: true,
    options: {
      time: { type: 'string', default: '500' },
      'table-only': { type: 'boolean', default: false },
    },
  },
);

const timeMs = whole('--time', options.time, 1, MAX_COUNT);
const strange = wanted.find((name) => !names.includes(name));
if (strange !== undefined) refuse(`there is no bench/micro/${strange}.ts`);

async function suite(file: string): Promise<MicroBench[]> {
  const module = (await import(new URL(file, directory).href)) as { default?: () => MicroBench[] };
  if (module.default === undefined) throw new Error(`bench/micro/${file} has no default export`);
  return module.default();
}

/** Runs one file's benches and gives a row of the table for each. */
async function measure(file: string): Promise<string[][]> {
  const benches = await suite(file);
  const bench = new Bench({ time: timeMs, warmupTime: timeMs / 5 });
  for (const { name, fn } of benches) bench.add(name, fn);
  await bench.run();
  return bench.tasks.map((task, i) => {
    const { result } = task;
    if (result.state !== 'completed') {
      const reason = 'error' in result ? `: ${result.error}` : '';
      throw new Error(`${file}: ${task.name} ${result.state}${reason}`);
    }
    const operations = benches[i].operations ?? 1;
    const ns = (ms: number): string => ((ms * 1e6) / operations).toFixed(1);
    const perSecond = (operations * 1000) / result.latency.p50 / 1e6;
    return [task.name, ns(result.latency.p50), ns(result.latency.p99), perSecond.toFixed(2)];
  });
}

async function main(): Promise<void> {
  if (!options['table-only']) {
    console.log([...machine(), `Millrace ${ownVersion()}`].map((line) => `- ${line}`).join('\n'));
    for (const name of wanted.length > 0 ? wanted : names) {
      const args = [fileURLToPath(import.meta.url), '--table-only', '--time', String(timeMs), name];
      const { status } = spawnSync(process.execPath, args, { stdio: 'inherit' });
      if (status !== 0) process.exitCode = 1;
    }
    return;
  }
  const rows = await measure(`${wanted[0]}.js`);
  console.log(`\n### ${wanted[0]}\n\n${table(['', 'median ns', 'p99 ns', 'million/s'], rows)}`);
}

restartTuned();
await main();
