/** Turns what `bench:cluster` measured into tables, and the goals with what was reached. */
import { CATCH_UP_RATE, type CatchUpSample } from './cluster-catchup.ts';
import { type KillResults, killWords } from './cluster-kills.ts';
import { SATURATION_CLIENTS, SATURATION_PIPELINE, type SaturationResult } from './cluster-saturation.ts';
import type { LoadResult } from './cluster-servers.ts';
import {
  DURABLE_PIPELINES,
  type DurableSample,
  type Sample,
  SPEED_PIPELINES,
  type SpeedResults,
} from './cluster-throughput.ts';
import type { DiskTimes } from './durability-disk.ts';
import type { Latencies } from './durability-openloop.ts';
import { diskText } from './durability-report.ts';
import { atLeast, atMost, type Goal, goalTable, spread } from './goals.ts';
import { median, table } from './report.ts';

export interface ClusterResults {
  /** Lines about the machine, the versions and the command lines. */
  setting: string[];
  kills: KillResults[];
  disk: DiskTimes | undefined;
  durable: DurableSample[];
  speed: SpeedResults | undefined;
  catchUps: CatchUpSample[];
  saturation: SaturationResult | undefined;
  /** Parts that could not be measured, and why. */
  failures: { part: string; why: string }[];
}

const GIB = 1024 ** 3;

/** The smallest value that so many percent of the values do not exceed. */
export function percentile(values: readonly number[], percent: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.max(0, Math.ceil((sorted.length * percent) / 100) - 1)] ?? Number.NaN;
}

/** How often so fast as another that was measured beside it, round by round. */
function ratios(samples: readonly Sample<LoadResult>[], pipeline: number, what: number, beside: number): number[] {
  return samples
    .filter((sample) => sample.pipeline === pipeline)
    .map(({ results }) => results[what].requestsPerSecond / results[beside].requestsPerSecond);
}

// ---------------------------------------------------------------- goals

function killGoals({ log, kills, acknowledged, lost, isSame }: KillResults): Goal[] {
  const seconds = kills.map(({ servingMs }) => servingMs / 1000);
  const what = `${kills.length} leader kills, log ${log === 'disk' ? 'on disk' : 'in memory'}`;
  return [
    ...atMost(`${what}: serving again, p50`, [percentile(seconds, 50)], 0.6, 2, ' s'),
    ...atMost(`${what}: serving again, p99`, [percentile(seconds, 99)], 1.5, 2, ' s'),
    {
      what: `${what}: acknowledged writes lost`,
      wanted: '0',
      measured: `${lost.length} of ${acknowledged}`,
      isReached: lost.length === 0,
    },
    { what: `${what}: the same state on all nodes`, wanted: 'yes', measured: isSame ? 'yes' : 'no', isReached: isSame },
  ];
}

function goals({ kills, durable, speed, catchUps, saturation, failures }: ClusterResults): Goal[] {
  const p99 = catchUps.map(({ before, during }) => during.p99Us / before.p99Us);
  return [
    ...kills.flatMap(killGoals),
    ...DURABLE_PIPELINES.flatMap((pipeline) =>
      atLeast(`durable SET -P ${pipeline}: to etcd's puts`, ratios(durable, pipeline, 0, 1), 10),
    ),
    ...atLeast('SET -P 16, log in memory: to a single node', ratios(speed?.set ?? [], 16, 0, 1), 0.5),
    ...atLeast('linearizable GET -P 16 at the leader: to a single node', ratios(speed?.get ?? [], 16, 0, 1), 0.8),
    ...atMost("a follower catches up: the leader's p99, to its quiet p99", p99, 3, 2, ''),
    ...(saturation === undefined
      ? []
      : [
          {
            what: `${saturation.seconds.toFixed(0)} s of -c ${SATURATION_CLIENTS} -P ${SATURATION_PIPELINE}: elections`,
            wanted: '0',
            measured: String(saturation.termAfter - saturation.termBefore),
            isReached:
              saturation.termAfter === saturation.termBefore && saturation.isSameLeader && saturation.trouble === '',
          },
        ]),
    ...failures.map(({ part }) => ({ what: part, wanted: '', measured: 'failed', isReached: false })),
  ];
}

// ---------------------------------------------------------------- sections

function killSection(all: readonly KillResults[]): string[] {
  const rows = all.map(({ log, kills, acknowledged, unknown, lost }) => {
    const times = (values: number[]): string[] =>
      [50, 99, 100].map((percent) => (percentile(values, percent) / 1000).toFixed(2));
    return [
      log === 'disk' ? 'disk, appendfsync always' : 'memory',
      String(kills.length),
      ...times(kills.map(({ servingMs }) => servingMs)),
      ...times(kills.map(({ backMs }) => backMs)).slice(0, 2),
      String(acknowledged),
      String(unknown),
      String(lost.length),
    ];
  });
  const head = [
    ...['log', 'kills', 'serving p50 s', 'p99', 'longest', 'back p50 s', 'p99'],
    ...['acknowledged', 'unknown', 'lost'],
  ];
  return [
    '## The leader is killed',
    `SIGKILL to the leader while ${killWords()} write through Clerk. Serving: until a survivor acknowledged a write that was ` +
      'sent after the kill, both being asked every few milliseconds. Back: from the start of the killed node until it is a voter ' +
      'that has caught up. In the end every acknowledged write is looked for, and the state hashes are compared.',
    table(head, rows),
    ...all
      .filter(({ lost }) => lost.length > 0)
      .map(({ log, lost }) => `Lost (${log}): ${lost.slice(0, 10).join('; ')}`),
  ];
}

/** Thousand requests a second, times and processors of one of the things measured together. */
function loadCells(results: readonly LoadResult[]): string[] {
  const middle = (value: (result: LoadResult) => number, digits: number): string =>
    median(results.map(value)).toFixed(digits);
  return [
    middle((result) => result.requestsPerSecond / 1000, 1),
    middle((result) => result.p50Ms, 2),
    middle((result) => result.p99Ms, 2),
    middle((result) => result.serverCpu, 2),
    middle((result) => result.loadCpu, 2),
  ];
}

const LOAD_HEAD = ['thousand req/s', 'p50 ms', 'p99 ms', "servers' cores", "load's cores"];

function durableSection(samples: readonly DurableSample[], disk: DiskTimes | undefined): string[] {
  const rows = DURABLE_PIPELINES.flatMap((pipeline) => {
    const mine = samples.filter((sample) => sample.pipeline === pipeline);
    const cells = (i: number): string[] => loadCells(mine.map(({ results }) => results[i]));
    return [
      [`SET -P ${pipeline}`, ...cells(0), spread(ratios(samples, pipeline, 0, 1), 2)],
      [`etcd, 50 x ${pipeline} puts`, ...cells(1), '1'],
    ];
  });
  return [
    '## Durable on a majority',
    ...(disk === undefined ? [] : [diskText(disk)]),
    'Every node syncs before it says that it has an entry. The same keys and values, 50 connections to the leader, each with so ' +
      'many requests under way, by redis-benchmark and bench/cluster-etcd-load.ts. Cores are processors kept busy: by all three ' +
      'servers together, and by the load, which shares them.',
    table(['load', ...LOAD_HEAD, 'ratio (range)'], rows),
  ];
}

function speedSection({ set, get, follower }: SpeedResults): string[] {
  const rowsOf = (samples: readonly Sample<LoadResult>[], names: readonly string[]): string[][] =>
    SPEED_PIPELINES.flatMap((pipeline) => {
      const mine = samples.filter((sample) => sample.pipeline === pipeline);
      return names.map((name, i) => [
        `${mine[0]?.what ?? ''} -P ${pipeline}, ${name}`,
        ...loadCells(mine.map(({ results }) => results[i])),
        i === 1 ? '1' : spread(ratios(samples, pipeline, i, 1), 2),
      ]);
    });
  const levels = [...new Set(follower.map(({ what }) => what))];
  const followerRows = levels.map((level) => {
    const mine = follower.filter(({ what }) => what === level);
    const single = (round: number): number =>
      get.find((sample) => sample.round === round && sample.pipeline === mine[0].pipeline)?.results[1]
        .requestsPerSecond ?? Number.NaN;
    const to = mine.map(({ round, results }) => results[0].requestsPerSecond / single(round));
    return [
      `GET -P ${mine[0].pipeline} at a follower, ${level}`,
      ...loadCells(mine.map(({ results }) => results[0])),
      spread(to, 2),
    ];
  });
  return [
    '## With the log in memory, beside a single node',
    'At the leader, 50 connections, random keys. The ratio is to the single node, which is not pinned to a core either. Reads at a ' +
      'follower that are not linearizable say so in every command (`READ session GET …`).',
    table(
      ['load', ...LOAD_HEAD, 'ratio (range)'],
      [
        ...rowsOf(set, ['three nodes', 'single']),
        ...rowsOf(get, ['three nodes', 'single', 'three nodes with a lease']),
        ...followerRows,
      ],
    ),
  ];
}

function catchUpSection(samples: readonly CatchUpSample[]): string[] {
  const phases: readonly [string, (sample: CatchUpSample) => Latencies][] = [
    ['before: two nodes', (sample) => sample.before],
    ['while the third catches up', (sample) => sample.during],
    ['after: all three', (sample) => sample.after],
  ];
  const rows = phases.map(([name, of]) => {
    const ms = (value: (phase: Latencies) => number): string =>
      spread(
        samples.map((sample) => value(of(sample)) / 1000),
        2,
      );
    return [
      name,
      ms((p) => p.p50Us),
      ms((p) => p.p99Us),
      ms((p) => p.p999Us),
      ms((p) => p.maxUs),
      ms((p) => p.ownPauseUs),
    ];
  });
  const all = (value: (sample: CatchUpSample) => number, digits: number): string => spread(samples.map(value), digits);
  return [
    '## A follower catches up by snapshot',
    `A follower is stopped, ${all(({ usedBytes }) => usedBytes / GIB, 2)} GiB are written (${all(({ keys }) => keys / 1e6, 2)} M keys of 16 ` +
      `bytes with values of 100), the leader's log is cut, and the follower is started again: caught up after ` +
      `${all(({ seconds }) => seconds, 1)} s, by a snapshot instead of ${all(({ cutEntries }) => cutEntries, 0)} entries. Meanwhile half GET half ` +
      `SET at the leader, ${CATCH_UP_RATE} requests a second whatever it does; milliseconds from the moment a request was due.`,
    table(['', 'p50', 'p99', 'p99.9', 'longest', "the load's own pause"], rows),
  ];
}

function saturationSection(result: SaturationResult): string[] {
  const thousand = (values: readonly number[]): string =>
    values.length === 0 ? '-' : (median(values) / 1000).toFixed(1);
  return [
    '## Saturated',
    `redis-benchmark -c ${SATURATION_CLIENTS} -P ${SATURATION_PIPELINE} at the leader for ${result.seconds.toFixed(0)} s, SET and GET in turn, log in memory: ` +
      `${thousand(result.setsPerSecond)} thousand SET and ${thousand(result.getsPerSecond)} thousand GET a second. Term ` +
      `${result.termBefore} before, ${result.termAfter} after; the same leader: ${result.isSameLeader ? 'yes' : 'NO'}. A new connection ` +
      `that asked it INFO once a second waited ${result.longestAnswerMs.toFixed(0)} ms at most. Cores kept busy: ${result.serverCpu.toFixed(2)} by the nodes, ` +
      `${result.loadCpu.toFixed(2)} by the load.${result.trouble === '' ? '' : ` The load ended before its time: ${result.trouble}.`}`,
  ];
}

export function clusterReport(results: ClusterResults): string {
  const { kills, durable, disk, speed, catchUps, saturation, failures } = results;
  const all = [...durable, ...(speed?.set ?? []), ...(speed?.get ?? []), ...(speed?.follower ?? [])];
  const interruptions = all.flatMap((sample) => sample.results).reduce((sum, each) => sum + each.interruptions, 0);
  const sections = [
    '# Three nodes',
    results.setting.map((line) => `- ${line}`).join('\n'),
    '## Goals',
    'Speeds are the median over the rounds of the ratio within a round, and its range; latencies count in the worst round. That a ' +
      'standalone node is no slower for all this is told by bench:redis.',
    goalTable(goals(results)),
    ...(interruptions > 0 ? [`Runs repeated because the leader changed in the middle of them: ${interruptions}.`] : []),
    ...failures.map(({ part, why }) => `${part} failed: ${why}`),
    ...(kills.length === 0 ? [] : killSection(kills)),
    ...(durable.length === 0 ? [] : durableSection(durable, disk)),
    ...(speed === undefined || speed.set.length === 0 ? [] : speedSection(speed)),
    ...(catchUps.length === 0 ? [] : catchUpSection(catchUps)),
    ...(saturation === undefined ? [] : saturationSection(saturation)),
  ];
  return `${sections.join('\n\n')}\n`;
}
