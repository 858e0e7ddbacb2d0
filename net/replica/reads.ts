/**
 * Which reads a replica may serve now. A read that may not waits in its session; all that came in one turn share one question
 * to the leader (ReadIndex), and go on when this node has applied the index it is answered with. Main thread.
 *
 * A permit covers the bytes that a session had received when the question was asked: what arrives later may have been sent
 * after a write that the answer does not know of. So a permit is a position in the session's input. What the session itself has
 * written in between it sees all the same, by its fence.
 *
 * ```
 * level          a read is served from state that
 * linearizable   is at least as new as anything acknowledged before the read was sent
 * session        has everything this connection has written, or been given a fence for
 * bounded ms     had everything acknowledged so many milliseconds ago
 * stale          is there
 * ```
 *
 * How old the state is, is known by the last question that was answered: it has what had been acknowledged when that was asked. What a
 * leader says by itself tells nothing of the kind: it may have waited in a buffer while this node stood still, and a leader cannot
 * know whether there is another by now. So `bounded` costs a question for each span of that length in which somebody reads.
 */
import type { RaftCore } from '../../engine/raft/core.ts';
import type { LogIndex } from '../../engine/raft/entry.ts';
import type { ReadState } from '../../engine/raft/ready.ts';
import type { Request } from '../../engine/request.ts';
import type { Session } from '../session.ts';
import { ANSWER_MS } from './forwards.ts';

/** Nothing was applied for so long: reads that wait for an entry are told so. */
const STUCK_MS = 3 * ANSWER_MS;

export const LINEARIZABLE = 0;
export const SESSION = 1;
export const BOUNDED = 2;
export const STALE = 3;
export const LEVELS = ['linearizable', 'session', 'bounded', 'stale'] as const;
const LEVEL_WORDS = LEVELS.map((name) => name.toUpperCase());

/** The level that argument i of a request names; -1 for none. */
export function levelOf(request: Request, i: number): number {
  for (let level = 0; level < LEVEL_WORDS.length; level++) if (request.is(i, LEVEL_WORDS[level])) return level;
  return -1;
}

interface Round {
  readonly token: number;
  /** When it was asked. */
  readonly atMs: number;
  readonly sessions: Session[];
  /** What each session had received when it was asked. */
  readonly upTo: number[];
  /** The index to apply; 0 until it is answered. */
  index: LogIndex;
}

export class Reads {
  private readonly core: RaftCore;
  /** Before the core is asked for anything that may come of a lease. */
  private readonly tellTime: () => void;
  /** Milliseconds by a clock that no pause stops (leaseclock.ts). */
  private readonly clockMs: () => number;
  private asking = new Set<Session>();
  private rounds: Round[] = [];
  /** Sessions that wait for an index, not for an answer. */
  private readonly waiting = new Map<Session, LogIndex>();
  /** The state of this node has everything that was acknowledged by then. */
  private freshAtMs = Number.NEGATIVE_INFINITY;
  private token = 0;
  private applied: LogIndex = 0;
  /** When an entry was applied last; of the tick. */
  private advancedMs = 0;
  /** Of the tick. */
  private nowMs = 0;

  constructor(core: RaftCore, tellTime: () => void, clockMs: () => number) {
    this.core = core;
    this.tellTime = tellTime;
    this.clockMs = clockMs;
  }

  /** Whether the request that `session` runs now may read; if not, the session is to stall and is resumed when it may. */
  permits(session: Session, level: number, maxAgeMs: number): boolean {
    if (level === STALE) return true;
    if (level === SESSION || session.requestEnd <= session.permitted || this.leasePermits(session)) {
      // Behind the writes of its own that were answered since, on a follower before they are applied here.
      if (session.fence <= this.applied) return true;
      this.waiting.set(session, session.fence);
      this.noteWaiting(session);
      return false;
    }
    if (level === BOUNDED && session.fence <= this.applied && this.clockMs() - this.freshAtMs <= maxAgeMs) return true;
    this.asking.add(session);
    this.noteWaiting(session);
    return false;
  }

  private noteWaiting(session: Session): void {
    if (session.unreadEnd === session.requestEnd) return;
    session.unreadEnd = session.requestEnd;
    session.unreadSinceMs = performance.now();
  }

  /** Under a lease, and with nothing to wait for, whatever the session has sent so far may read what is there. */
  private leasePermits(session: Session): boolean {
    const { core } = this;
    if (core.state.options.leaseTicks === 0 || !core.isLeader) return false;
    this.tellTime();
    if (!core.readsAtOnce) return false;
    session.permitted = session.received;
    return true;
  }

  /** Whether the read that was not permitted has waited too long: for a leader to say from where on it may be served, or for a fence. */
  isLate(session: Session): boolean {
    if (session.unreadEnd === 0 || this.nowMs - session.unreadSinceMs < ANSWER_MS) return false;
    // What is in the log will be applied, unless nothing is any more. A fence beyond may be one that nothing will ever reach.
    return session.fence <= this.applied || session.fence > this.core.state.log.lastIndex || this.isStuck;
  }

  /** Whether nothing has been applied for long: the disk takes nothing, say. */
  private get isStuck(): boolean {
    return this.nowMs - this.advancedMs >= STUCK_MS;
  }

  /** Whether the session waits for what this node does not have yet. */
  isBehind(session: Session): boolean {
    if (session.fence > this.applied) return true;
    return this.rounds.some(({ index, sessions }) => index > this.applied && sessions.includes(session));
  }

  /** At the end of a turn: asks for those that came in it. */
  ask(): void {
    if (this.asking.size === 0) return;
    const sessions = [...this.asking];
    this.asking.clear();
    const token = ++this.token;
    const upTo = sessions.map((session) => session.received);
    this.rounds.push({ token, atMs: this.clockMs(), sessions, upTo, index: 0 });
    this.tellTime();
    this.core.readIndex(token);
  }

  answered({ token, index }: ReadState): void {
    const at = this.rounds.findIndex((round) => round.token === token);
    if (at < 0) return;
    const round = this.rounds[at];
    if (index === 0) {
      // Nobody answered: asked again with whatever comes in the next turn.
      this.rounds.splice(at, 1);
      for (const session of round.sessions) if (session.unreadEnd !== 0) this.asking.add(session);
      return;
    }
    round.index = index;
    this.advance(this.applied);
  }

  /** Everything up to `applied` is in the state. */
  advance(applied: LogIndex): void {
    if (applied > this.applied) this.advancedMs = this.nowMs;
    this.applied = applied;
    for (let i = 0; i < this.rounds.length; ) {
      const { index, atMs, sessions, upTo } = this.rounds[i];
      if (index === 0 || index > applied) {
        i++;
        continue;
      }
      this.rounds.splice(i, 1);
      this.freshAtMs = Math.max(this.freshAtMs, atMs);
      for (let k = 0; k < sessions.length; k++) {
        sessions[k].permitted = Math.max(sessions[k].permitted, upTo[k]);
        sessions[k].resume();
      }
    }
    for (const [session, index] of this.waiting) {
      if (index > applied) continue;
      this.waiting.delete(session);
      session.resume();
    }
  }

  /** Once a tick: those whose reads are late are let go, to get an error. A leader may be heard and answer nothing. */
  expire(nowMs: number): void {
    this.nowMs = nowMs;
    for (const session of this.asking) if (this.isLate(session)) session.resume();
    for (const session of this.waiting.keys()) if (this.isLate(session)) session.resume();
    for (const { index, sessions } of this.rounds) {
      if (index !== 0 && !this.isStuck) continue;
      for (const session of sessions) if (this.isLate(session)) session.resume();
    }
  }

  /** Everybody who waits is let go, to find out anew: no leader answers. */
  giveUp(): void {
    for (const session of this.asking) session.resume();
    this.asking.clear();
    for (const round of this.rounds.splice(0)) for (const session of round.sessions) session.resume();
    for (const session of this.waiting.keys()) session.resume();
    this.waiting.clear();
  }

  get isWaiting(): boolean {
    return this.asking.size > 0 || this.rounds.length > 0 || this.waiting.size > 0;
  }

  forget(session: Session): void {
    session.unreadEnd = 0;
    this.asking.delete(session);
    this.waiting.delete(session);
  }
}
