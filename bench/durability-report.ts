/** Turns what `bench:durability` measured into tables, and the goals with what was reached. */
import type { DiskTimes, SyncTimes } from './durability-disk.ts';
import type { PhaseResult } from './durability-load.ts';
import { CASES, nameOf, type RestartResults, type RestartSample, type Source } from './durability-restart.ts';
import { NAMES, SIDES, type Side } from './durability-servers.ts';
import type { SnapshotResults, SnapshotSample } from './durability-snapshot.ts';
import { type LogPair, type LogSample, PIPELINES, type Policy } from './durability-throughput.ts';
import { atLeast, atMost, type Goal, goalTable, spread } from './goals.ts';
import { median, table } from './report.ts';

export interface DurabilityResults {
  /** Lines about the machine, the versions and the command lines. */
  setting: string[];
  disk: DiskTimes | undefined;
  log: LogPair[];
  snapshots: SnapshotResults | undefined;
  restarts: RestartResults | undefined;
}

const MIB = 1024 ** 2;

function mib(bytes: number): string {
  return (bytes / MIB).toFixed(0);
}

// ---------------------------------------------------------------- goals

function pairsOf(results: DurabilityResults, policy: Policy, pipeline: number, oneCore = true): LogPair[] {
  return results.log.filter((pair) => pair.policy === policy && pair.pipeline === pipeline && pair.oneCore === oneCore);
}

function speedRatios(pairs: readonly LogPair[]): number[] {
  return pairs.map((pair) => pair.ours.requestsPerSecond / pair.theirs.requestsPerSecond);
}

/** Peak of resident memory above what it was before, as a percentage of the data. */
function extraPercent(sample: SnapshotSample, phase: PhaseResult): number {
  return ((phase.peakResidentBytes - phase.residentBytes) / sample.usedBytes) * 100;
}

function restartsOf(results: RestartResults, side: Side, from: Source, oneCore: boolean): RestartSample[] {
  return results.samples
    .filter((sample) => sample.side === side && sample.from === from && sample.oneCore === oneCore)
    .sort((a, b) => a.round - b.round);
}

/** How many times as fast as redis-server from its RDB file, round by round. */
function restartRatios(results: RestartResults, side: Side, from: Source, oneCore: boolean): number[] {
  const theirs = restartsOf(results, 'theirs', 'RDB', oneCore);
  return restartsOf(results, side, from, oneCore).map(({ seconds }, round) => theirs[round].seconds / seconds);
}

function goals(results: DurabilityResults): Goal[] {
  const { snapshots, restarts } = results;
  const ours = snapshots === undefined ? [] : snapshots.samples.filter(({ side }) => side === 'ours');
  const pauses = ours.map(({ during }) => during.pauses?.maxMs ?? Number.NaN);
  const latencies = ours.map(({ during }) => during.maxUs / 1000);
  const extra = ours.map((sample) => extraPercent(sample, sample.during));
  const restart = restarts === undefined ? [] : restartRatios(restarts, 'ours', 'snapshot', true);
  return [
    ...atLeast('SET everysec -P 16: speed', speedRatios(pairsOf(results, 'everysec', 16)), 1.2),
    ...atLeast('SET always -P 1: speed', speedRatios(pairsOf(results, 'always', 1)), 1),
    ...atMost('snapshot: longest pause of the event loop', pauses, 8, 1, ' ms'),
    ...atMost('snapshot: longest latency', latencies, 8, 1, ' ms'),
    ...atMost('snapshot: extra memory, of the data', extra, 30, 1, ' %'),
    ...atLeast("restart from the snapshot: speed, to Redis's from its RDB", restart, 1),
  ];
}

function goalSection(results: DurabilityResults): string[] {
  const found = goals(results);
  if (found.length === 0) return [];
  return [
    '## Goals',
    'Speeds are Millrace to Redis: the median over the rounds of the ratio within a round, and its range. Pauses and memory ' +
      'count as reached when the worst round has reached them.',
    goalTable(found),
  ];
}

// ---------------------------------------------------------------- log

function logRow(name: string, pairs: readonly LogPair[]): string[] {
  const both = (value: (sample: LogSample) => number, digits: number): string =>
    SIDES.map((side) => median(pairs.map((pair) => value(pair[side]))).toFixed(digits)).join(' / ');
  return [
    name,
    both((sample) => sample.requestsPerSecond / 1000, 1),
    spread(speedRatios(pairs), 2),
    both((sample) => sample.cpuUs, 2),
    median(pairs.map((pair) => pair.ours.cpuUs / pair.theirs.cpuUs)).toFixed(2),
    both((sample) => sample.p50Ms, 2),
    both((sample) => sample.p99Ms, 2),
  ];
}

function logSection(results: DurabilityResults, policy: Policy): string[] {
  const rows = [true, false].flatMap((oneCore) =>
    PIPELINES.flatMap((pipeline) => {
      const pairs = pairsOf(results, policy, pipeline, oneCore);
      return pairs.length === 0 ? [] : [logRow(`SET -P ${pipeline}${oneCore ? '' : ', all cores'}`, pairs)];
    }),
  );
  if (rows.length === 0) return [];
  const head = ['load', 'thousand req/s', 'ratio (range)', 'CPU µs/req', 'CPU ratio', 'p50 ms', 'p99 ms'];
  return [
    `## A log with appendfsync ${policy}`,
    ...(policy === 'always' && results.disk !== undefined ? [diskText(results.disk)] : []),
    'Millrace / Redis. CPU is that of all threads until everything is synced.',
    table(head, rows),
  ];
}

export function diskText(disk: DiskTimes): string {
  const times = ({ medianMs, longestMs }: SyncTimes): string =>
    `${medianMs.toFixed(2)} ms (longest ${longestMs.toFixed(1)})`;
  return (
    `A write of 4 KiB and its fdatasync take ${times(disk.growing)} at the end of a file that grows and ` +
    `${times(disk.overwriting)} over bytes written before; ${disk.fileSystem}.`
  );
}

// ---------------------------------------------------------------- snapshots

function phaseRow(name: string, side: Side, phases: readonly PhaseResult[]): string[] {
  const ms = (value: (phase: PhaseResult) => number): string =>
    spread(
      phases.map((phase) => value(phase) / 1000),
      2,
    );
  const pauses = phases.flatMap(({ pauses }) => (pauses === undefined ? [] : [pauses.maxMs]));
  return [
    `${NAMES[side]}, ${name}`,
    ms((phase) => phase.p50Us),
    ms((phase) => phase.p99Us),
    ms((phase) => phase.p999Us),
    ms((phase) => phase.maxUs),
    pauses.length === 0 ? '-' : spread(pauses, 2),
    ms((phase) => phase.ownPauseUs),
  ];
}

function snapshotSection({ rate, idlePausesMs, samples }: SnapshotResults): string[] {
  const bySide = SIDES.map((side) => ({ side, mine: samples.filter((sample) => sample.side === side) }));
  const latencies = bySide.flatMap(({ side, mine }) => [
    phaseRow(
      'during the snapshot',
      side,
      mine.map(({ during }) => during),
    ),
    phaseRow(
      'as long without',
      side,
      mine.map(({ without }) => without),
    ),
  ]);
  latencies.push(['a process of Node that does nothing', '-', '-', '-', '-', spread(idlePausesMs, 2), '-']);
  const facts = bySide.map(({ side, mine }) => {
    const all = (value: (sample: SnapshotSample) => number, digits: number): string => spread(mine.map(value), digits);
    const copied = (sample: SnapshotSample): number => (sample.copyOnWriteBytes / sample.usedBytes) * 100;
    return [
      NAMES[side],
      (median(mine.map(({ keys }) => keys)) / 1e6).toFixed(2),
      mib(median(mine.map(({ usedBytes }) => usedBytes))),
      all(({ during }) => during.seconds, 2),
      mib(median(mine.map((sample) => sample.fileBytes))),
      side === 'ours' ? '-' : all(({ forkUs }) => forkUs / 1000, 1),
      all((sample) => extraPercent(sample, sample.during), 1),
      all((sample) => extraPercent(sample, sample.without), 1),
      all(copied, 1),
    ];
  });
  return [
    '## A snapshot under load',
    `Half GET half SET over all keys (16 bytes, values of 100), ${rate} requests a second whatever the server does: a third ` +
      'of what the slower one answers at -P 1. Milliseconds from the moment a request was due. The event loop is watched ' +
      'every millisecond from inside the process; so is a process that does nothing, alone on the same core, which shows what ' +
      'the machine takes. The load generator is a Node program and has pauses of its own.',
    table(['', 'p50', 'p99', 'p99.9', 'longest', 'longest pause of the event loop', "the load's own"], latencies),
    'Memory in % of used_memory: the peak of the resident memory above what it was at the beginning, during the snapshot and ' +
      'without one; and what was copied because of the snapshot (INFO rdb_last_cow_size): in Redis pages that the parent or ' +
      'the child changed, in Millrace what was saved and not yet written at most. The resident memory of redis-server leaves ' +
      "out its child's, so its growth is the last column.",
    table(
      [...['', 'M keys', 'used MiB', 'seconds', 'file MiB', 'fork ms'], ...['RSS growth %', 'without %', 'copied %']],
      facts,
    ),
  ];
}

// ---------------------------------------------------------------- restart

function restartSection(results: RestartResults): string[] {
  const rows = CASES.map((each) => {
    const { side, from } = each;
    // The file that redis-server wrote serves both.
    const data = results.data.find((other) => other.from === from && other.side === side);
    const rdb = results.data.find((other) => other.from === 'RDB');
    const times = (oneCore: boolean, value: (sample: RestartSample) => number): string =>
      spread(restartsOf(results, side, from, oneCore).map(value), 2);
    return [
      nameOf(each),
      mib((data ?? rdb)?.fileBytes ?? Number.NaN),
      times(true, ({ seconds }) => seconds),
      spread(restartRatios(results, side, from, true), 2),
      times(true, ({ cpuSeconds }) => cpuSeconds),
      times(false, ({ seconds }) => seconds),
      spread(restartRatios(results, side, from, false), 2),
    ];
  });
  const used = SIDES.map((side) => {
    const of = results.data.find((each) => each.side === side);
    return `${mib(of?.usedBytes ?? Number.NaN)} MiB in ${NAMES[side]}`;
  });
  const keys = ((results.data[0]?.keys ?? Number.NaN) / 1e6).toFixed(2);
  return [
    '## Restart',
    `${keys} M keys of 16 bytes with values of 100: used_memory ${used.join(', ')}. Seconds from the start of the process to ` +
      "the first answer that is not -LOADING, files in the page cache; speed relative to redis-server's from its RDB file.",
    table(['', 'file MiB', 'one core: s', 'speed', 'CPU s', 'all cores: s', 'speed'], rows),
  ];
}

export function durabilityReport(results: DurabilityResults): string {
  const { snapshots, restarts } = results;
  const sections = [
    '# A durable node beside Redis',
    results.setting.map((line) => `- ${line}`).join('\n'),
    ...goalSection(results),
    ...logSection(results, 'everysec'),
    ...logSection(results, 'always'),
    ...(snapshots === undefined ? [] : snapshotSection(snapshots)),
    ...(restarts === undefined ? [] : restartSection(restarts)),
  ];
  return `${sections.join('\n\n')}\n`;
}
