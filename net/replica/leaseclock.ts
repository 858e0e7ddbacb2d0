/**
 * The clock by which a leader's lease runs out, and by which it is told how old what a node reads is: it goes on while the process is stopped, and
 * while the machine is suspended, which the monotonic clock of the system does not see. The wall clock does; where that is set forward a
 * lease ends too early, which harms nothing. Main thread; a reading costs two clocks, 0.1 us.
 */

/** Of the wall clock against the monotonic one, in ms: less is how finely they are read, and how they are kept together. */
const DRIFT_MS = 10;

export class LeaseClock {
  private readonly tickMs: number;
  private readonly startMs = performance.now();
  /** What the wall clock is ahead of the monotonic one. */
  private aheadMs = Date.now() - performance.now();
  private suspendedMs = 0;

  constructor(tickMs: number) {
    this.tickMs = tickMs;
  }

  /** Whole ticks since the start; never goes back. */
  ticks(): number {
    return Math.floor(this.ms() / this.tickMs);
  }

  /** Milliseconds since the start. */
  ms(): number {
    const nowMs = performance.now();
    const aheadMs = Date.now() - nowMs;
    const jumpMs = aheadMs - this.aheadMs;
    if (jumpMs > DRIFT_MS) this.suspendedMs += jumpMs;
    if (Math.abs(jumpMs) > DRIFT_MS) this.aheadMs = aheadMs;
    return nowMs - this.startMs + this.suspendedMs;
  }
}
