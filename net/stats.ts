/**
 * What INFO commandstats, latencystats and errorstats report, and what a command costs on average. Main thread only:
 * workers send how long a command took with its reply.
 *
 * A clock reading costs a tenth of a fast command, so a run of equal fast commands in one batch is timed as a whole and
 * shared out evenly; everything else is timed alone. A run is closed when another command follows or the batch ends.
 */
import { build, type Histogram } from 'hdr-histogram-js';
import { type CommandRow, type CommandTable, FAST } from '../engine/command.ts';

/** Weight of a new measurement in the moving average of a command's cost. */
const COST_WEIGHT = 0.1;
const HIGHEST_US = 60 * 1_000_000;

export class CommandStats {
  readonly rows: readonly CommandRow[];
  readonly calls: Float64Array;
  readonly totalUs: Float64Array;
  readonly rejected: Float64Array;
  readonly failed: Float64Array;
  /** Moving average of microseconds per call. */
  readonly costUs: Float64Array;
  readonly latency: (Histogram | undefined)[];
  readonly errors = new Map<string, number>();
  totalCommands = 0;
  totalErrors = 0;
  /** latency-tracking: whether histograms are kept. */
  tracking = true;

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
    this.shared = Uint8Array.from(table.rows, (row) => (row.flags & FAST || row.name === 'set' ? 1 : 0));
  }

  /** The time at which the batch's first command starts. */
  beginBatch(nowMs: number): void {
    this.runStartMs = nowMs;
    this.runRow = -1;
    this.runCalls = 0;
  }

  /** A command is about to run. */
  starting(id: number): void {
    if (id === this.runRow) return;
    if (this.runCalls > 0) this.closeRun();
    this.runRow = id;
  }

  /** It ran. Returns its own microseconds when it was timed alone, else 0. */
  finished(id: number): number {
    this.runCalls++;
    return this.shared[id] === 1 ? 0 : this.closeRun();
  }

  endBatch(): void {
    if (this.runCalls > 0) this.closeRun();
    this.runRow = -1;
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
    this.costUs[id] += (each - this.costUs[id]) * COST_WEIGHT;
    if (this.tracking) this.histogram(id).recordValueWithCount(Math.min(HIGHEST_US * 1000, Math.round(each * 1000)), count);
  }

  /** Nanoseconds per call; made when first needed. */
  private histogram(id: number): Histogram {
    let histogram = this.latency[id];
    if (histogram === undefined) {
      histogram = build({ lowestDiscernibleValue: 1, highestTrackableValue: HIGHEST_US * 1000, numberOfSignificantValueDigits: 2 });
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

  /** CONFIG RESETSTAT. */
  reset(): void {
    for (const counts of [this.calls, this.totalUs, this.rejected, this.failed, this.costUs]) counts.fill(0);
    this.latency.fill(undefined);
    this.errors.clear();
    this.totalCommands = 0;
    this.totalErrors = 0;
  }
}
