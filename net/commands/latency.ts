/** LATENCY over net/latency.ts, and LATENCY HISTOGRAM over the histograms of net/stats.ts. Main thread, cold. */
import type { JsHistogram } from 'hdr-histogram-js';
import type { Call } from '../../engine/call.ts';
import { ADMIN, type CommandRow, LOADING, NOSCRIPT, SCOPE_NONE, STALE, type TableRow } from '../../engine/command.ts';
import { NO_KEYS, rowMaker } from '../../engine/commands/rows.ts';
import { latencyDoctor, latencyGraph } from '../latency-report.ts';
import type { Node } from '../node.ts';
import { containerRow } from './subcommands.ts';

/** The first bucket of LATENCY HISTOGRAM ends here; each of the next is twice as wide. */
const FIRST_BUCKET_NS = 1024;

const HELP = [
  'DOCTOR',
  '    What the samples say, in words.',
  'GRAPH <event>',
  '    The samples of an event as a chart.',
  'HISTORY <event>',
  '    The samples of an event: time in seconds, milliseconds.',
  'LATEST',
  '    The latest sample of every event, and its worst.',
  'RESET [<event> ...]',
  '    Forgets the samples of the events, or of all.',
  'HISTOGRAM [<command> ...]',
  '    How long calls of the commands, or of all, took: microseconds and how many calls took at most as long.',
];

export function latencyRow(node: Node): CommandRow {
  const { latency } = node;

  function latest(call: Call): void {
    const reply = call.reply;
    reply.arrayHeader(latency.events.size);
    for (const [event, series] of latency.events) {
      const last = series.samples[series.samples.length - 1];
      reply.arrayHeader(4);
      reply.bulkString(event);
      reply.int(last.atSec);
      reply.int(last.ms);
      reply.int(series.maxMs);
    }
  }

  function history(call: Call): void {
    const samples = latency.events.get(call.str(2))?.samples ?? [];
    const reply = call.reply;
    reply.arrayHeader(samples.length);
    for (const sample of samples) {
      reply.arrayHeader(2);
      reply.int(sample.atSec);
      reply.int(sample.ms);
    }
  }

  function graph(call: Call): void {
    const event = call.str(2);
    const series = latency.events.get(event);
    if (series === undefined) call.reply.error(`ERR No samples available for event '${call.shown(2)}'`);
    else call.reply.verbatim('txt', latencyGraph(event, series, Math.floor(call.nowMs / 1000)));
  }

  function doctor(call: Call): void {
    call.reply.verbatim('txt', latencyDoctor(latency));
  }

  function reset(call: Call): void {
    const names: string[] = [];
    for (let i = 2; i < call.argc; i++) names.push(call.str(i));
    call.reply.int(latency.reset(names));
  }

  /** The rows asked for; a container stands for its subcommands. Unknown names are passed over. */
  function askedRows(call: Call): TableRow[] {
    if (call.argc === 2) return [...node.table.rows];
    const rows: TableRow[] = [];
    for (let i = 2; i < call.argc; i++) {
      const row = node.table.named(call.str(i));
      if (row !== undefined) rows.push(row, ...(row.subcommands ?? []));
    }
    return rows;
  }

  function histogram(call: Call): void {
    const reply = call.reply;
    const mark = reply.open();
    let count = 0;
    for (const row of askedRows(call)) {
      const recorded = node.stats.latency[row.id];
      if (recorded === undefined) continue;
      count++;
      reply.bulkString(row.name);
      reply.mapHeader(2);
      reply.bulkString('calls');
      reply.int(recorded.totalCount);
      reply.bulkString('histogram_usec');
      writeBuckets(call, recorded);
    }
    reply.closeMap(mark, count);
  }

  const row = rowMaker('server', [], SCOPE_NONE);
  const flags = ADMIN | NOSCRIPT | LOADING | STALE;
  const perCommand = 'O(N) where N is the number of commands with recorded times';
  return containerRow('latency', '2.8.13', 'A container for latency diagnostics', '2.8.13', HELP, [
    row('latency|doctor', 2, flags, NO_KEYS, '2.8.13', 'O(1)', 'Explains the latency samples', doctor),
    row('latency|graph', 3, flags, NO_KEYS, '2.8.13', 'O(1)', 'Draws the samples of an event', graph),
    row('latency|histogram', -2, flags, NO_KEYS, '7.0.0', perCommand, 'Returns how long commands took', histogram),
    row('latency|history', 3, flags, NO_KEYS, '2.8.13', 'O(1)', 'Returns the samples of an event', history),
    row('latency|latest', 2, flags, NO_KEYS, '2.8.13', 'O(1)', 'Returns the latest sample of every event', latest),
    row('latency|reset', -2, flags, NO_KEYS, '2.8.13', 'O(1)', 'Forgets samples', reset),
  ]);
}

/** Cumulative counts at the powers of two, but for those where nothing is added. */
function writeBuckets(call: Call, recorded: JsHistogram): void {
  const mark = call.reply.open();
  const total = recorded.totalCount;
  let buckets = 0;
  let cumulative = 0;
  let index = 0;
  for (let limitNs = FIRST_BUCKET_NS; cumulative < total; limitNs *= 2) {
    const before = cumulative;
    const last = recorded.countsArrayIndex(limitNs);
    while (index <= last && index < recorded.countsArrayLength) cumulative += recorded.getCountAtIndex(index++);
    if (cumulative > before) {
      call.reply.int(Math.floor(recorded.highestEquivalentValue(limitNs) / 1000));
      call.reply.int(cumulative);
      buckets++;
    }
    if (index === recorded.countsArrayLength) break;
  }
  call.reply.closeMap(mark, buckets);
}
