/**
 * LATENCY: the last spikes of each kind of event that took `latency-monitor-threshold` or longer. Main thread. Events are
 * `command`, `fast-command` (net/watch.ts) and `event-loop` (net/metrics.ts).
 */

/** Samples kept per event; within one second only the largest counts, as in Redis. */
const MAX_SAMPLES = 160;

export interface LatencySample {
  atSec: number;
  ms: number;
}

export interface LatencySeries {
  /** Oldest first. */
  samples: LatencySample[];
  /** The worst since the event was reset, even if its sample is gone. */
  maxMs: number;
}

export class LatencyMonitor {
  /** latency-monitor-threshold, ms; 0 = off. */
  thresholdMs = 0;
  readonly events = new Map<string, LatencySeries>();

  /** Notes that `event` took `ms`, if that is over the threshold. */
  note(event: string, ms: number): void {
    if (this.thresholdMs === 0 || ms < this.thresholdMs) return;
    const rounded = Math.floor(ms);
    const atSec = Math.floor(Date.now() / 1000);
    let series = this.events.get(event);
    if (series === undefined) {
      series = { samples: [], maxMs: 0 };
      this.events.set(event, series);
    }
    series.maxMs = Math.max(series.maxMs, rounded);
    const last = series.samples.at(-1);
    if (last !== undefined && last.atSec === atSec) last.ms = Math.max(last.ms, rounded);
    else series.samples.push({ atSec, ms: rounded });
    if (series.samples.length > MAX_SAMPLES) series.samples.shift();
  }

  /** Forgets the named events, or all; returns how many it had. */
  reset(names: readonly string[]): number {
    let count = 0;
    for (const name of names.length > 0 ? names : [...this.events.keys()]) if (this.events.delete(name)) count++;
    return count;
  }
}
