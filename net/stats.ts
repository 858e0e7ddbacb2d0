/**
 * What INFO commandstats, latencystats and errorstats report, and what a command costs on average. Main thread only:
 * workers send how long a command took with its reply.
 *
 * A clock reading costs a tenth of a fast command, so a run of equal fast commands in one batch is timed as a whole and
 * shared out evenly; everything else is timed alone. A run is closed when another command follows or the batch ends.
 */
import { Float64Histogram, type JsHistogram } from 'hdr-histogram-js';
import { type CommandRow, type CommandTable, FAST } from '../engine/command.ts';

/** Weight of a new measurement in the moving average of a command's cost. */
const COST_WEIGHT = 0.1;
/**
 * A measurement counts as this many times the cost so far and this much more at most: the processor may have been taken away
 * in between, for milliseconds, and one such reading must not turn a cheap command into one for workers.
 */
const OUTLIER_FACTOR = 4;
const OUTLIER_US = 20;
const HIGHEST_NS = 60e9;
/**
 * Commands of more arguments, or of longer replies, are timed alone even if they count as fast: an HSET of a thousand
 * fields belongs into the slow log like any other.
 */
const SHARED_ARGUMENTS = 16;
const SHARED_REPLY_BYTES = 4096;
/** Fast by their flags, but slow with what they delete or move. */
const NEVER_SHARED = new Set(['unlink', 'move']);

/**
 * `histogram.recordValueWithCount(ns, count)` for a histogram from 1 with two digits, in a tenth of its time (about 10 instead of
 * 155 ns), since it takes the place of a value from its bits: 256 values in the first bucket, 128 in each that follows.
 */
export function addCount(histogram: JsHistogram, ns: number, count: number): void {
  if (ns > 0x7fffffff) {
    histogram.recordValueWithCount(ns, count);
    return;
  }
  const bucket = Math.max(0, 24 - Math.clz32(ns));
  histogram.addToCountAtIndex((bucket << 7) + (ns >>> bucket), count);
  histogram.updateMinAndMax(ns);
  histogram.addToTotalCount(count);
}

export class CommandStats {
  readonly rows: readonly CommandRow[];
  readonly calls: Float64Array;
  readonly totalUs: Float64Array;
  readonly rejected: Float64Array;
  readonly failed: Float64Array;
  /** Moving average of microseconds per call. */
  readonly costUs: Float64Array;
  readonly latency: (JsHistogram | undefined)[];
  readonly errors = new Map<string, number>();
  totalCommands = 0;
  totalErrors = 0;
  /** latency-tracking: whether histograms are kept. */
  tracking = true;
  /** Whether every command is timed alone: for thresholds that a shared time would blur. */
  exact = false;
  /**
   * A run of commands timed together is told to `onLongRun` when it took this much longer than so many calls of that
   * command usually take: then one of them was slow.
   */
  longRunUs = Number.POSITIVE_INFINITY;
  onLongRun: (id: number, calls: number, excessUs: number) => void = () => {};

  private runRow = -1;
  private runCalls = 0;
  private runStartMs = 0;
  /** 1 for rows whose calls may share a clock reading. */
  private readonly shared: Uint8Array;

  constructor(table: CommandTable) {
    this.rows = table.rows;
    const count = table.rows.length;
    this.calls = new Float64Array(count);
    this.totalUs = new Float64Array(count);
    this.rejected = new Float64Array(count);
    this.failed = new Float64Array(count);
    this.costUs = new Float64Array(count);
    this.latency = new Array(count).fill(undefined);
    const mayShare = (row: CommandRow): boolean => (row.flags & FAST) !== 0 && !NEVER_SHARED.has(row.name);
    this.shared = Uint8Array.from(table.rows, (row) => (mayShare(row) || row.name === 'set' ? 1 : 0));
  }

  /** The time at which the batch's first command starts. */
  beginBatch(nowMs: number): void {
    this.runStartMs = nowMs;
    this.runRow = -1;
    this.runCalls = 0;
  }

  /** A command with so many arguments is about to run. */
  starting(id: number, argc: number): void {
    if (id === this.runRow && argc <= SHARED_ARGUMENTS) return;
    if (this.runCalls > 0) this.closeSharedRun();
    this.runRow = id;
  }

  /** It ran. Returns its own microseconds when it was timed alone, else 0. */
  finished(id: number, argc: number, replyBytes: number): number {
    this.runCalls++;
    if (this.shared[id] === 1 && argc <= SHARED_ARGUMENTS && replyBytes <= SHARED_REPLY_BYTES && !this.exact) return 0;
    // What ran before it in the same run took the usual time, as far as can be told.
    const othersUs = (this.runCalls - 1) * this.costUs[id];
    return Math.max(0, this.closeRun() - othersUs);
  }

  endBatch(): void {
    if (this.runCalls > 0) this.closeSharedRun();
    this.runRow = -1;
  }

  private closeSharedRun(): void {
    const id = this.runRow;
    const calls = this.runCalls;
    const usualUs = (calls - 1) * this.costUs[id];
    const elapsedUs = this.closeRun();
    if (elapsedUs - usualUs >= this.longRunUs) this.onLongRun(id, calls, elapsedUs - usualUs);
  }

  private closeRun(): number {
    const nowMs = performance.now();
    const elapsedUs = (nowMs - this.runStartMs) * 1000;
    this.record(this.runRow, this.runCalls, elapsedUs);
    this.runStartMs = nowMs;
    this.runRow = -1;
    this.runCalls = 0;
    return elapsedUs;
  }

  /** Counts `count` calls of a row that took `elapsedUs` together. */
  record(id: number, count: number, elapsedUs: number): void {
    this.calls[id] += count;
    this.totalUs[id] += elapsedUs;
    this.totalCommands += count;
    const each = elapsedUs / count;
    const costUs = this.costUs[id];
    this.costUs[id] += (Math.min(each, costUs * OUTLIER_FACTOR + OUTLIER_US) - costUs) * COST_WEIGHT;
    if (!this.tracking) return;
    const ns = Math.max(0, Math.min(HIGHEST_NS, Math.round(each * 1000)));
    addCount(this.histogram(id), ns, count);
  }

  /** Nanoseconds per call; made when first needed, 30 KiB. Doubles, since 32-bit counts are full within the hour. */
  private histogram(id: number): JsHistogram {
    let histogram = this.latency[id];
    if (histogram === undefined) {
      histogram = new Float64Histogram(1, HIGHEST_NS, 2);
      this.latency[id] = histogram;
    }
    return histogram;
  }

  /** An error reply with this code; `id` -1 when no command was found. */
  error(id: number, code: string, rejected: boolean): void {
    this.totalErrors++;
    this.errors.set(code, (this.errors.get(code) ?? 0) + 1);
    if (id < 0) return;
    if (rejected) this.rejected[id]++;
    else this.failed[id]++;
  }

  /** CONFIG RESETSTAT. What commands cost on average stays: dispatch goes by it. */
  reset(): void {
    for (const counts of [this.calls, this.totalUs, this.rejected, this.failed]) counts.fill(0);
    this.latency.fill(undefined);
    this.errors.clear();
    this.totalCommands = 0;
    this.totalErrors = 0;
  }
}
