/**
 * Up to which time keys may be expired: agreed between the main thread, which gives commands their times, and workers, which
 * delete what has expired. The rule is that no command still to be run has an earlier time than one by which a key was
 * deleted; then whoever runs the commands again without those deletions comes to the same replies.
 *
 * Commands get their times in turns of the event loop. Outside of a turn a worker may take the time of its own clock, when it
 * has first raised the *floor* to it: the next turn begins at the floor at the earliest. Within one it has to make do with the
 * time at which the last turn ended. The worker raises the floor and then looks whether there is a turn; the main thread
 * says that there is one and then looks at the floor: at least one of them sees the other (Dekker; Atomics are in one order
 * for all threads). Costs the main thread three atomic operations a turn, a worker two when it has something to expire.
 *
 * ```
 * +0 i32 turns under way (0 or more) | +4 i32 the floor, ms since 1970 modulo 2^32 | +8 f64 the end of the last turn, ms since 1970
 * ```
 */

const TURNS = 0;
const FLOOR = 1;
const SETTLED = 1;
/** Workers' clocks are not further ahead than this: then the system's clock was set, and the floor is put right. */
const MAX_AHEAD_MS = 3_600_000;

export class TickClock {
  readonly buffer: SharedArrayBuffer;
  private readonly i32: Int32Array;
  private readonly f64: Float64Array;
  private depth = 0;

  constructor(buffer = new SharedArrayBuffer(16)) {
    this.buffer = buffer;
    this.i32 = new Int32Array(buffer);
    this.f64 = new Float64Array(buffer);
  }

  /** Main thread: a turn begins, or anything else that must not see keys expire. The earliest time it may give to commands. */
  enter(nowMs: number): number {
    Atomics.store(this.i32, TURNS, ++this.depth);
    const ahead = (Atomics.load(this.i32, FLOOR) - low(nowMs)) | 0;
    if (ahead > MAX_AHEAD_MS || ahead < -MAX_AHEAD_MS) Atomics.store(this.i32, FLOOR, low(nowMs));
    return ahead > 0 && ahead <= MAX_AHEAD_MS ? nowMs + ahead : nowMs;
  }

  /** Main thread: it has ended, everything queued in it is visible, and no later command is before `nowMs`. */
  leave(nowMs: number): void {
    this.depth--;
    if (this.depth === 0) this.f64[SETTLED] = nowMs;
    Atomics.store(this.i32, TURNS, this.depth);
  }

  /** Main thread, during a turn that does not end: no later command is before `nowMs`. */
  advance(nowMs: number): void {
    this.f64[SETTLED] = nowMs;
  }

  /** Whether no turn is under way: nobody wants the shards just now. */
  get isQuiet(): boolean {
    return Atomics.load(this.i32, TURNS) === 0;
  }

  /**
   * Worker: a time up to `nowMs` that no command to come is before, once those that are visible after this call have been
   * run. May be far back, while a long turn is under way.
   */
  settle(nowMs: number): number {
    const wanted = low(nowMs);
    for (let floor = Atomics.load(this.i32, FLOOR); ((wanted - floor) | 0) > 0; ) {
      const found = Atomics.compareExchange(this.i32, FLOOR, floor, wanted);
      if (found === floor) break;
      floor = found;
    }
    return this.isQuiet ? nowMs : this.f64[SETTLED];
  }
}

/** The low 32 bits of a time: two times less than 24 days apart compare by their difference. */
function low(ms: number): number {
  return (ms % 4294967296) | 0;
}
