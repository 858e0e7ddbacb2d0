/**
 * Who waits in a blocking command: sessions by the keys they wait for, in the order in which they came, with a timer for
 * each that has a deadline. Main thread; the dispatcher puts sessions in and takes them out.
 *
 * A waiting session keeps its request, and is resumed when somebody has written one of its keys: then the request runs
 * again, and a session that finds nothing keeps its place. A write wakes the first few of a queue; each that got
 * something, or ended, wakes another of the queue in which it was woken, so that a push costs the same however many wait, and those who
 * came first are served first. Queues go by a key's bytes alone, without its database, since MOVE, COPY and SWAPDB write into
 * other databases than their client's: a session woken for nothing waits on.
 *
 * While nobody waits, this costs each command one comparison, of `count`. While somebody does, it costs each write a
 * look at a small table of hashes for each of its keys; a string is made only for keys that are likely waited for.
 */
import type { Call } from '../engine/call.ts';
import type { CommandRow } from '../engine/command.ts';
import { ERR } from '../engine/errors.ts';
import { keyArgumentsOf } from '../engine/locks.ts';
import type { Reply } from '../engine/reply.ts';
import type { Session } from './session.ts';

/** Why a session goes on without an element. */
export const WAITING = 0;
export const TIMED_OUT = 1;
export const UNBLOCKED = 2;
type End = typeof WAITING | typeof TIMED_OUT | typeof UNBLOCKED;

/** setTimeout takes no longer delays. */
const MAX_TIMER_MS = 0x7fffffff;
/** Sessions of a queue that a write wakes at once. */
const WOKEN_AT_ONCE = 4;
/** Slots of the table that tells which hashes nobody waits for. */
const HASH_SLOTS = 4096;

export class Waiter {
  readonly session: Session;
  /** The group of its command, which tells the type of value it waits for. */
  readonly group: string;
  readonly keys: string[] = [];
  readonly hashes: number[] = [];
  end: End = WAITING;
  /** Resumed, and has not tried again yet. */
  awake = false;
  /** The queues in which it was woken; none: in all of its own. */
  readonly wokenIn: Waiter[][] = [];
  timer: NodeJS.Timeout | undefined = undefined;

  constructor(session: Session, group: string) {
    this.session = session;
    this.group = group;
  }

  /** Lets it try again: because of one key, whose queue is given, or any. */
  wake(queue?: Waiter[]): void {
    if (queue === undefined) this.wokenIn.length = 0;
    else if ((!this.awake || this.wokenIn.length > 0) && !this.wokenIn.includes(queue)) this.wokenIn.push(queue);
    this.awake = true;
    this.session.wake();
  }
}

export class Blocking {
  /** How many sessions wait. */
  count = 0;
  private readonly waiters = new Map<Session, Waiter>();
  private readonly queues = new Map<string, Waiter[]>();
  /** How many times a hash of this slot is waited for. */
  private readonly hashed = new Uint32Array(HASH_SLOTS);
  /** Queues of the keys found by `concerns`. */
  private readonly found: Waiter[][] = [];

  of(session: Session): Waiter | undefined {
    return session.blocked ? this.waiters.get(session) : undefined;
  }

  /** Lets the session wait for the keys of the request in `call`, for `call.blockMs`. */
  add(session: Session, call: Call, row: CommandRow): Waiter {
    const waiter = new Waiter(session, row.group);
    this.waiters.set(session, waiter);
    this.count++;
    const keys = keyArgumentsOf(call, row);
    // A move waits for its source only.
    if (isMove(row)) keys.length = 1;
    const known = new Set<string>();
    for (const i of keys) {
      const key = latin1(call, i);
      if (known.has(key)) continue;
      known.add(key);
      call.hashKey(i);
      waiter.keys.push(key);
      waiter.hashes.push(call.hash & (HASH_SLOTS - 1));
      this.hashed[call.hash & (HASH_SLOTS - 1)]++;
      const queue = this.queues.get(key);
      if (queue === undefined) this.queues.set(key, [waiter]);
      else queue.push(waiter);
    }
    if (call.blockMs > 0) this.arm(waiter, Date.now() + call.blockMs);
    // Last: a session whose client has hung up ends here, and is then taken out again.
    session.block();
    return waiter;
  }

  private arm(waiter: Waiter, deadlineMs: number): void {
    const leftMs = Math.max(0, deadlineMs - Date.now());
    waiter.timer = setTimeout(
      () => {
        if (Date.now() < deadlineMs) this.arm(waiter, deadlineMs);
        else this.finish(waiter, TIMED_OUT);
      },
      Math.min(leftMs, MAX_TIMER_MS),
    );
  }

  private finish(waiter: Waiter, end: End): boolean {
    if (waiter.end !== WAITING) return false;
    waiter.end = end;
    waiter.session.resume();
    return true;
  }

  /** CLIENT UNBLOCK: false when the session does not wait. */
  unblock(session: Session, withError: boolean): boolean {
    const waiter = this.of(session);
    return waiter !== undefined && this.finish(waiter, withError ? UNBLOCKED : TIMED_OUT);
  }

  /** Whether the session waited, and is to be told that it waits no more. */
  hasEnded(session: Session): boolean {
    const waiter = this.of(session);
    return waiter !== undefined && waiter.end !== WAITING;
  }

  /** Whether the wait is over without an element: then `reply` gets what the client reads. */
  endOf(waiter: Waiter, reply: Reply): boolean {
    if (waiter.end === WAITING) return false;
    if (waiter.end === TIMED_OUT) reply.nilArray();
    else reply.error(ERR.UNBLOCKED);
    return true;
  }

  /** The session waits no more: it has its reply, or its connection ended. */
  remove(session: Session): void {
    const waiter = this.of(session);
    if (waiter === undefined) return;
    session.blocked = false;
    this.waiters.delete(session);
    this.count--;
    clearTimeout(waiter.timer);
    for (const hash of waiter.hashes) this.hashed[hash]--;
    for (const key of waiter.keys) {
      const queue = this.queues.get(key) as Waiter[];
      queue.splice(queue.indexOf(waiter), 1);
      if (queue.length === 0) this.queues.delete(key);
    }
    if (!waiter.awake) return;
    for (const queue of this.wakingQueues(waiter)) queue.find((next) => !next.awake)?.wake(queue);
  }

  /** The queues in which the waiter was woken, and still others wait or itself does. */
  private wakingQueues(waiter: Waiter): Waiter[][] {
    if (waiter.wokenIn.length > 0) return waiter.wokenIn;
    return waiter.keys.map((key) => this.queues.get(key) ?? []);
  }

  /**
   * The waiter was resumed and found nothing; nor would those find anything that wait for the same type in the same
   * database. The next that waits for something else is woken in its place.
   */
  sleep(waiter: Waiter): void {
    if (!waiter.awake) return;
    waiter.awake = false;
    const queues = [...this.wakingQueues(waiter)];
    waiter.wokenIn.length = 0;
    for (const queue of queues) {
      for (let i = queue.indexOf(waiter) + 1; i < queue.length; i++) {
        const next = queue[i];
        if (next.awake || (next.group === waiter.group && next.session.db === waiter.session.db)) continue;
        next.wake(queue);
        break;
      }
    }
  }

  /** Whether anybody waits for a key of the request in `call`; `wakeFound` then resumes them. */
  concerns(call: Call, row: CommandRow): boolean {
    this.found.length = 0;
    for (const i of keyArgumentsOf(call, row)) {
      call.hashKey(i);
      if (this.hashed[call.hash & (HASH_SLOTS - 1)] === 0) continue;
      const queue = this.queues.get(latin1(call, i));
      if (queue !== undefined) this.found.push(queue);
    }
    return this.found.length > 0;
  }

  /** Resumes the first of those who wait for what `concerns` has found. */
  wakeFound(): void {
    for (const queue of this.found) {
      for (let i = 0; i < queue.length && i < WOKEN_AT_ONCE; i++) queue[i].wake(queue);
    }
    this.found.length = 0;
  }

  /** After the write in `call` over all shards: those who wait for its keys or, where it names none, all. */
  wakeBehind(call: Call, row: CommandRow): void {
    if (keyArgumentsOf(call, row).length === 0) this.wakeAll();
    else if (this.concerns(call, row)) this.wakeFound();
  }

  /** After a command that may have written any key. */
  wakeAll(): void {
    for (const waiter of this.waiters.values()) waiter.wake();
  }
}

/** Whether a blocking command moves an element to its second key, rather than only taking some. */
export function isMove(row: CommandRow): boolean {
  return row.lastKey === 2;
}

function latin1(call: Call, i: number): string {
  const { buf, off, len } = call;
  return Buffer.from(buf.buffer, buf.byteOffset + off[i], len[i]).toString('latin1');
}
