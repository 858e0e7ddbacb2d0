/**
 * What happens when a command was slow: the slow log keeps it, the latency monitor counts it. Main thread; costs one
 * comparison per timed command while none is slow.
 *
 * Commands that count as fast are timed in runs (stats.ts). When a run takes much longer than usual, one of its commands
 * was slow, but only for a run of one is it known which: then, as with a worker that could not say, the entry
 * has the command's name alone and says so.
 */
import type { Call } from '../engine/call.ts';
import { type CommandRow, FAST, SKIP_SLOWLOG } from '../engine/command.ts';
import { excerptArguments } from '../engine/excerpt.ts';
import { NAMES, OPTIONS, type Traits } from './config-options.ts';
import type { LatencyMonitor } from './latency.ts';
import type { Session } from './session.ts';
import type { SlowLog } from './slowlog.ts';

/** With a threshold below this, every command is timed alone. */
const EXACT_BELOW_US = 1000;
const REDACTED = '(redacted)';

export class CommandWatch {
  /** What a command must take to concern anybody here: the lower of the two thresholds. */
  thresholdUs = Number.POSITIVE_INFINITY;
  readonly slowLog: SlowLog;
  readonly latency: LatencyMonitor;
  private slowerThanUs = Number.POSITIVE_INFINITY;

  constructor(slowLog: SlowLog, latency: LatencyMonitor) {
    this.slowLog = slowLog;
    this.latency = latency;
  }

  /** slowlog-log-slower-than (negative: off) and latency-monitor-threshold (0: off). */
  setThresholds(slowerThanUs: number, latencyMs: number): void {
    this.slowerThanUs = slowerThanUs < 0 ? Number.POSITIVE_INFINITY : slowerThanUs;
    this.latency.thresholdMs = latencyMs;
    this.thresholdUs = Math.min(this.slowerThanUs, latencyMs > 0 ? latencyMs * 1000 : Number.POSITIVE_INFINITY);
  }

  /** Whether a command's own time must be known, however fast it is. */
  get needsExactTimes(): boolean {
    return this.thresholdUs < EXACT_BELOW_US;
  }

  /** The command in `call` took `elapsedUs`, which is at least `thresholdUs`. */
  slow(call: Call, row: CommandRow, elapsedUs: number): void {
    const args = excerptArguments(call);
    redact(args, row.name);
    this.note(row, elapsedUs, args, call.session as Session);
  }

  /** One of `calls` commands that ran together took about `elapsedUs`; `call` holds it if it is the only one. */
  slowRun(call: Call, row: CommandRow, calls: number, elapsedUs: number, isIntact: boolean): void {
    if (calls === 1 && isIntact) return this.slow(call, row, elapsedUs);
    const args = [...row.name.split('|'), `... (arguments not kept: one of ${calls} in a pipeline)`];
    this.note(row, elapsedUs, args, call.session as Session);
  }

  /** A command that ran on a worker; `session` is undefined when its connection is gone. */
  slowOnWorker(row: CommandRow, elapsedUs: number, excerpt: string[] | undefined, session: Session | undefined): void {
    this.note(row, elapsedUs, excerpt ?? [...row.name.split('|'), '... (arguments not kept)'], session);
  }

  private note(row: CommandRow, elapsedUs: number, args: string[], session: Session | undefined): void {
    this.latency.note((row.flags & FAST) !== 0 ? 'fast-command' : 'command', elapsedUs / 1000);
    if (elapsedUs < this.slowerThanUs || (row.flags & SKIP_SLOWLOG) !== 0) return;
    this.slowLog.add(args, elapsedUs, session?.addr ?? '?:0', session?.name ?? '');
  }
}

/** Takes passwords out of a request's arguments. */
function redact(args: string[], name: string): void {
  if (name === 'auth') {
    args.fill(REDACTED, 1);
  } else if (name === 'hello') {
    const at = args.findIndex((arg, i) => i > 1 && arg.toLowerCase() === 'auth');
    if (at > 0) args.fill(REDACTED, at + 1, at + 3);
  } else if (name === 'config|set') {
    for (let i = 2; i + 1 < args.length; i += 2) if (isSensitive(args[i])) args[i + 1] = REDACTED;
  }
}

function isSensitive(typed: string): boolean {
  const option = NAMES.get(typed.toLowerCase());
  return option !== undefined && (OPTIONS[option] as Traits<never>).sensitive === true;
}
