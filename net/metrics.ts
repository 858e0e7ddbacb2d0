/**
 * What the node counts over time, for INFO: rates over the last seconds, the highest memory use, the delay of the event
 * loop, and since when the shards' counters count (CONFIG RESETSTAT). Main thread; one timer, ten times a second.
 *
 * The counters of shards lie in their arenas and are written under the shards' locks. They are read here without, and
 * never set back: what they were at the last reset is subtracted.
 */
import { monitorEventLoopDelay, performance } from 'node:perf_hooks';
import {
  COUNTER_EVICTED,
  COUNTER_EXPIRED,
  COUNTER_HITS,
  COUNTER_LAZY_FREED,
  COUNTER_MISSES,
  COUNTER_USED_BYTES,
} from '../engine/arena.ts';
import type { Shards } from '../engine/shards.ts';
import type { LatencyMonitor } from './latency.ts';

const SAMPLE_MS = 100;
/** A rate is the mean of so many samples, as in Redis: 1.6 seconds. */
const SAMPLES = 16;
/** How finely the delay of the event loop is looked at: its timer wakes the process this often. */
const LOOP_RESOLUTION_MS = 20;
const RESET_COUNTERS = [COUNTER_HITS, COUNTER_MISSES, COUNTER_EXPIRED, COUNTER_EVICTED, COUNTER_LAZY_FREED];

/** How fast a count grows. */
class Rate {
  private readonly samples = new Float64Array(SAMPLES);
  private next = 0;
  private lastCount = 0;

  sample(count: number, elapsedMs: number): void {
    const grown = Math.max(0, count - this.lastCount);
    this.lastCount = count;
    this.samples[this.next] = elapsedMs > 0 ? (grown * 1000) / elapsedMs : 0;
    this.next = (this.next + 1) % SAMPLES;
  }

  reset(): void {
    this.samples.fill(0);
    this.lastCount = 0;
  }

  get perSecond(): number {
    return this.samples.reduce((sum, each) => sum + each, 0) / SAMPLES;
  }
}

/** The counts that rates are made of. */
export interface Counts {
  commands: number;
  inputBytes: number;
  outputBytes: number;
}

export class Metrics {
  readonly operations = new Rate();
  readonly input = new Rate();
  readonly output = new Rate();
  /** The highest used_memory seen; sampled, and looked at by whoever asks for it. */
  peakUsedBytes = 0;
  /** used_memory of the empty shards. */
  readonly startupBytes: number;
  /** Share of time, 0 to 1, in which the main thread worked instead of waiting, over the last sample. */
  loopUtilization = 0;
  private readonly shards: Shards;
  private readonly latency: LatencyMonitor;
  private readonly counts: () => Counts;
  private readonly baseline = new Map<number, number>();
  /** How late the event loop was, in nanoseconds with LOOP_RESOLUTION_MS: since the reset, and since the last spike. */
  private readonly loop = monitorEventLoopDelay({ resolution: LOOP_RESOLUTION_MS });
  private readonly recentLoop = monitorEventLoopDelay({ resolution: LOOP_RESOLUTION_MS });
  private lastUtilization = performance.eventLoopUtilization();
  private lastSampleMs = performance.now();
  private readonly timer: NodeJS.Timeout;

  constructor(shards: Shards, latency: LatencyMonitor, counts: () => Counts) {
    this.shards = shards;
    this.latency = latency;
    this.counts = counts;
    this.startupBytes = this.usedBytes();
    this.loop.enable();
    this.timer = setInterval(() => this.sample(), SAMPLE_MS).unref();
  }

  /** used_memory: bytes in use in all arenas. */
  usedBytes(): number {
    const used = this.total(COUNTER_USED_BYTES);
    this.peakUsedBytes = Math.max(this.peakUsedBytes, used);
    return used;
  }

  /** A counter of the shards, summed, since the node started. */
  total(counter: number): number {
    let sum = 0;
    for (const arena of this.shards.arenas) sum += arena.f64[counter];
    return sum;
  }

  /** The same since CONFIG RESETSTAT. */
  sinceReset(counter: number): number {
    return this.total(counter) - (this.baseline.get(counter) ?? 0);
  }

  /** Milliseconds by which the event loop was late, at a percentile from 0 to 100. */
  loopDelayMs(percentile: number): number {
    if (this.loop.count === 0) return 0;
    const ns = percentile === 100 ? this.loop.max : this.loop.percentile(percentile);
    return Math.max(0, ns / 1e6 - LOOP_RESOLUTION_MS);
  }

  reset(): void {
    for (const counter of RESET_COUNTERS) this.baseline.set(counter, this.total(counter));
    for (const rate of [this.operations, this.input, this.output]) rate.reset();
    this.loop.reset();
  }

  stop(): void {
    clearInterval(this.timer);
    this.loop.disable();
    this.recentLoop.disable();
  }

  private sample(): void {
    const nowMs = performance.now();
    const elapsedMs = nowMs - this.lastSampleMs;
    this.lastSampleMs = nowMs;
    const { commands, inputBytes, outputBytes } = this.counts();
    this.operations.sample(commands, elapsedMs);
    this.input.sample(inputBytes, elapsedMs);
    this.output.sample(outputBytes, elapsedMs);
    this.usedBytes();
    this.sampleLoop();
  }

  private sampleLoop(): void {
    const utilization = performance.eventLoopUtilization();
    this.loopUtilization = performance.eventLoopUtilization(utilization, this.lastUtilization).utilization;
    this.lastUtilization = utilization;
    // A second monitor, which costs its own timer, runs only while somebody wants to hear of single delays.
    if (this.latency.thresholdMs === 0) {
      this.recentLoop.disable();
      return;
    }
    this.recentLoop.enable();
    const lateMs = this.recentLoop.count === 0 ? 0 : this.recentLoop.max / 1e6 - LOOP_RESOLUTION_MS;
    if (lateMs < this.latency.thresholdMs) return;
    this.latency.note('event-loop', lateMs);
    // Only now: a reset also forgets the delay that is going on, if this timer comes round before the monitor's own.
    this.recentLoop.reset();
  }
}
