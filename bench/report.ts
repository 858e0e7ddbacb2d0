/** Turns what bench/redis.ts measured into tables: medians of per-round ratios, and the goals with what was reached. */
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { cpus, release, totalmem } from 'node:os';
import type { LatencyResult } from './load.ts';

/** One test, one pipeline depth, one round: what each of the two servers did within seconds of each other. */
export interface ThroughputPair {
  test: string;
  pipeline: number;
  ours: ThroughputSample;
  theirs: ThroughputSample;
}

export interface ThroughputSample {
  requestsPerSecond: number;
  cpuUs: number;
  p50Ms: number;
  p99Ms: number;
}

/** A server on node:net that parses nothing and answers constants, in one round. */
export interface FloorSample extends ThroughputSample {
  /** CPU of the load per request. */
  loadUs: number;
  test: string;
  pipeline: number;
}

export interface LatencyPair {
  command: string;
  rate: number;
  ours: LatencyResult;
  theirs: LatencyResult;
}

/** Bytes per key of one server, by INFO's used_memory and by resident memory. */
export interface MemorySample {
  server: string;
  expiry: boolean;
  usedPerKey: number;
  residentPerKey: number;
}

export interface Results {
  ourName: string;
  theirName: string;
  /** Lines about the machine, the versions and the command lines. */
  setting: string[];
  throughput: ThroughputPair[];
  floors: FloorSample[];
  latency: LatencyPair[];
  memory: MemorySample[];
}

export function median(values: readonly number[]): number {
  if (values.length === 0) return Number.NaN;
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

/** A Markdown table, padded so that it reads as plain text too; every column but the first is right-aligned. */
export function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const widths = head.map((title, i) => Math.max(3, title.length, ...rows.map((row) => row[i].length)));
  const line = (cells: readonly string[]): string =>
    `| ${cells.map((cell, i) => (i === 0 ? cell.padEnd(widths[i]) : cell.padStart(widths[i]))).join(' | ')} |`;
  const rule = `| ${widths.map((width, i) => (i === 0 ? '-'.repeat(width) : `${'-'.repeat(width - 1)}:`)).join(' | ')} |`;
  return [line(head), rule, ...rows.map(line)].join('\n');
}

function thousands(value: number): string {
  return value >= 1e6 ? `${(value / 1e6).toFixed(2)}M` : `${(value / 1e3).toFixed(1)}k`;
}

function ratio(value: number): string {
  return value.toFixed(2);
}

function spread(values: readonly number[]): string {
  return `${ratio(median(values))} (${ratio(Math.min(...values))}–${ratio(Math.max(...values))})`;
}

/** The pairs of one test at one depth, over all rounds. */
function rounds(results: Results, test: string, pipeline: number): ThroughputPair[] {
  return results.throughput.filter((pair) => pair.test === test && pair.pipeline === pipeline);
}

function speedRatio(pairs: readonly ThroughputPair[]): number {
  return median(pairs.map((pair) => pair.ours.requestsPerSecond / pair.theirs.requestsPerSecond));
}

function cpuRatio(pairs: readonly ThroughputPair[]): number {
  return median(pairs.map((pair) => pair.ours.cpuUs / pair.theirs.cpuUs));
}

function throughputSection(results: Results, pipeline: number): string {
  const { ourName, theirName } = results;
  const tests = [...new Set(results.throughput.filter((pair) => pair.pipeline === pipeline).map((pair) => pair.test))];
  const rows = tests.map((test) => {
    const pairs = rounds(results, test, pipeline);
    const both = (value: (sample: ThroughputSample) => number, digits: number): string =>
      `${median(pairs.map((pair) => value(pair.ours))).toFixed(digits)} / ${median(pairs.map((pair) => value(pair.theirs))).toFixed(digits)}`;
    return [
      test,
      thousands(median(pairs.map((pair) => pair.ours.requestsPerSecond))),
      thousands(median(pairs.map((pair) => pair.theirs.requestsPerSecond))),
      spread(pairs.map((pair) => pair.ours.requestsPerSecond / pair.theirs.requestsPerSecond)),
      both((sample) => sample.cpuUs, 2),
      ratio(cpuRatio(pairs)),
      both((sample) => sample.p50Ms, 2),
      both((sample) => sample.p99Ms, 2),
    ];
  });
  const head = [
    ...['test', `${ourName} req/s`, `${theirName} req/s`, 'ratio (range)', 'CPU µs/req', 'CPU ratio'],
    ...['p50 ms', 'p99 ms'],
  ];
  return `### redis-benchmark -P ${pipeline}\n\n${table(head, rows)}`;
}

function floorSection(results: Results): string {
  const { ourName, theirName, floors } = results;
  const keys = [...new Set(floors.map(({ test, pipeline }) => `${test} -P ${pipeline}`))];
  const rows = keys.map((key) => {
    const mine = floors.filter(({ test, pipeline }) => `${test} -P ${pipeline}` === key);
    const pairs = rounds(results, mine[0].test, mine[0].pipeline);
    const floorUs = median(mine.map(({ cpuUs }) => cpuUs));
    const theirUs = median(pairs.map(({ theirs }) => theirs.cpuUs));
    return [
      key,
      thousands(median(mine.map(({ requestsPerSecond }) => requestsPerSecond))),
      spread(mine.map(({ requestsPerSecond }, round) => requestsPerSecond / pairs[round].theirs.requestsPerSecond)),
      floorUs.toFixed(2),
      median(pairs.map(({ ours }) => ours.cpuUs)).toFixed(2),
      theirUs.toFixed(2),
      ratio(theirUs / floorUs),
      median(mine.map(({ loadUs }) => loadUs)).toFixed(2),
      spread(mine.map(({ loadUs }, round) => 1e6 / loadUs / pairs[round].theirs.requestsPerSecond)),
    ];
  });
  const head = [
    ...['', 'constant req/s', `to ${theirName} (range)`, 'constant µs', `${ourName} µs`, `${theirName} µs`],
    ...['at most by CPU', 'load µs', 'at most by the load (range)'],
  ];
  return (
    '### What node:net and the load leave to be won\n\nA server that reads and writes as Millrace does, parses nothing and answers ' +
    `constants (\`bench/floor.ts\`), in the same rounds. No strict bound by speed: where the load is the limit, a server that gathers its ` +
    `writes in another way may be ahead of it. By CPU per request, one that costs nothing more is so many times as cheap as ${theirName}. ` +
    `The load takes CPU too, on a core of its own: if it never waited it could ask so many times as fast as ${theirName} answered it. ` +
    `What it takes depends on how often a server wakes it, so that is no strict bound either.` +
    `\n\n${table(head, rows)}`
  );
}

function latencySection(results: Results): string {
  const keys = [...new Set(results.latency.map((pair) => `${pair.command} ${pair.rate}`))];
  const rows = keys.flatMap((key) => {
    const pairs = results.latency.filter((pair) => `${pair.command} ${pair.rate}` === key);
    return (['ours', 'theirs'] as const).map((side) => {
      const us = (value: (result: LatencyResult) => number): string =>
        Math.round(median(pairs.map((pair) => value(pair[side])))).toString();
      return [
        `${pairs[0].command} at ${thousands(pairs[0].rate)}/s`,
        side === 'ours' ? results.ourName : results.theirName,
        ...[us((r) => r.p50Us), us((r) => r.p99Us), us((r) => r.p999Us), us((r) => r.maxUs)],
      ];
    });
  });
  return [
    '### Latency at a fixed rate, one request at a time on each of 50 connections',
    '',
    'Microseconds from the moment a request was due, waiting time included (bench/load.ts), medians over the rounds.',
    'The load generator is a Node program: its own delays are in all numbers.',
    '',
    table(['load', 'server', 'p50', 'p99', 'p99.9', 'max'], rows),
  ].join('\n');
}

function memoryOf(results: Results, server: string, expiry: boolean): MemorySample[] {
  return results.memory.filter((sample) => sample.server === server && sample.expiry === expiry);
}

function memorySection(results: Results): string {
  const rows = [results.ourName, results.theirName].flatMap((server) =>
    [false, true].map((expiry) => {
      const samples = memoryOf(results, server, expiry);
      return [
        `${server}, ${expiry ? 'with expiry' : 'no expiry'}`,
        median(samples.map((sample) => sample.usedPerKey)).toFixed(1),
        median(samples.map((sample) => sample.residentPerKey)).toFixed(1),
      ];
    }),
  );
  return `### Bytes per key: 1 M keys of 16 bytes with 16-byte values\n\n${table(['', 'used_memory', 'resident'], rows)}`;
}

interface Goal {
  what: string;
  value: number;
  atLeast?: number;
  atMost?: number;
}

/** What the first release has to reach, for as much of it as was measured. */
function goals(results: Results): Goal[] {
  const found: Goal[] = [];
  const speeds: [number, number][] = [
    [1, 1.0],
    [16, 1.3],
    [64, 1.8],
  ];
  for (const test of ['SET', 'GET']) {
    for (const [pipeline, atLeast] of speeds) {
      const pairs = rounds(results, test, pipeline);
      if (pairs.length === 0) continue;
      found.push({ what: `${test} -P ${pipeline}: speed`, value: speedRatio(pairs), atLeast });
      if (pipeline !== 1) continue;
      const p99 = median(pairs.map((pair) => pair.ours.p99Ms / pair.theirs.p99Ms));
      found.push({ what: `${test} -P 1: CPU per request`, value: cpuRatio(pairs), atMost: 1.15 });
      found.push({ what: `${test} -P 1: p99 under full load`, value: p99, atMost: 1 });
    }
    for (const rate of new Set(results.latency.map((pair) => pair.rate))) {
      const pairs = results.latency.filter((pair) => pair.command === test && pair.rate === rate);
      if (pairs.length === 0) continue;
      const value = median(pairs.map((pair) => pair.ours.p99Us / pair.theirs.p99Us));
      found.push({ what: `${test} at ${thousands(rate)}/s: p99`, value, atMost: 1 });
    }
  }
  const others = new Set(
    results.throughput.map((pair) => pair.test).filter((test) => test !== 'SET' && test !== 'GET'),
  );
  for (const test of others) {
    const pairs = rounds(results, test, 16);
    if (pairs.length > 0) found.push({ what: `${test} -P 16: speed`, value: speedRatio(pairs), atLeast: 1 });
  }
  return found;
}

function goalSection(results: Results): string {
  const rows = goals(results).map(({ what, value, atLeast, atMost }) => {
    const reached = atLeast !== undefined ? value >= atLeast : value <= (atMost ?? 0);
    const wanted = atLeast !== undefined ? `≥ ${atLeast.toFixed(2)}` : `≤ ${(atMost ?? 0).toFixed(2)}`;
    return [what, wanted, ratio(value), reached ? 'yes' : 'NO'];
  });
  for (const expiry of [false, true]) {
    const samples = memoryOf(results, results.ourName, expiry);
    if (samples.length === 0) continue;
    const value = median(samples.map((sample) => sample.usedPerKey));
    const atMost = expiry ? 78 : 70;
    const what = `bytes per key, ${expiry ? 'with' : 'no'} expiry`;
    rows.push([what, `≤ ${atMost}`, value.toFixed(1), value <= atMost ? 'yes' : 'NO']);
  }
  const note = `Ratios are ${results.ourName} to ${results.theirName}: the median over the rounds of the ratio within a round.`;
  return `### Goals\n\n${note}\n\n${table(['goal', 'wanted', 'measured', 'reached'], rows)}`;
}

export function report(results: Results): string {
  const sections = [
    `## ${results.ourName} beside ${results.theirName}`,
    results.setting.map((line) => `- ${line}`).join('\n'),
  ];
  if (results.throughput.length + results.latency.length + results.memory.length > 0)
    sections.push(goalSection(results));
  for (const pipeline of new Set(results.throughput.map((pair) => pair.pipeline))) {
    sections.push(throughputSection(results, pipeline));
  }
  if (results.floors.length > 0) sections.push(floorSection(results));
  if (results.latency.length > 0) sections.push(latencySection(results));
  if (results.memory.length > 0) sections.push(memorySection(results));
  return `${sections.join('\n\n')}\n`;
}

/** What the numbers were measured on, in a few lines. */
export function machine(): string[] {
  const model = cpus()[0]?.model ?? 'unknown CPU';
  const memoryGib = (totalmem() / 1024 ** 3).toFixed(0);
  return [`machine: ${model}, ${cpus().length} cores, ${memoryGib} GiB, Linux ${release()}`, `Node ${process.version}`];
}

/** The version of the checkout in the working directory: package.json's and, where there is git, the commit. */
export function ownVersion(): string {
  const { version } = JSON.parse(readFileSync('package.json', 'utf8')) as {
    version: string;
  };
  try {
    const commit = execFileSync('git', ['describe', '--always', '--dirty'], { encoding: 'utf8', stdio: 'pipe' }).trim();
    return `${version} (${commit})`;
  } catch {
    return version;
  }
}
