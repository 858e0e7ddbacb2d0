/**
 * Linearizable reads without log entries (Raft thesis 6.4). A leader notes its commit index, and gives it out once a majority has
 * answered a heartbeat of a round begun after the request. Rounds count within one term and are the leader's own numbers; a
 * follower's question has a number of its own as well, so a late answer never serves a later question. All requests
 * between two Readys share a round.
 */
import type { LogIndex, ReplicaId } from './entry.ts';
import type { ReadState } from './ready.ts';

/** A leader's promise to answer. */
export interface Pending {
  /** Who asks; this replica itself: 0. */
  readonly from: ReplicaId;
  /** The caller's token, or the asking follower's number. */
  readonly token: number;
  readonly incarnation: number;
  readonly index: LogIndex;
  /** Waits for this round; 0 until the round begins. */
  round: number;
}

/** A follower's question. */
interface Question {
  readonly token: number;
  readonly number: number;
  /** The tick in which it was asked. */
  readonly since: number;
}

export class Reads {
  readonly incarnation: number;
  /** The newest heartbeat round of this term. */
  round = 0;
  /** Came before the leader's no-op was committed, so without index. */
  private early: Pending[] = [];
  /** Wait for a round to begin. */
  private fresh: Pending[] = [];
  /** Ascending by round. */
  private waiting: Pending[] = [];
  private questions: Question[] = [];
  private lastQuestion = 0;
  /** When rounds began, by the clock of leases: roundFrom[i] was the first of tick roundTicks[i]. */
  private roundFrom: number[] = [];
  private roundTicks: number[] = [];

  constructor(incarnation: number) {
    this.incarnation = incarnation;
  }

  beginTerm(): void {
    this.round = 0;
    this.roundFrom.length = 0;
    this.roundTicks.length = 0;
  }

  beginRound(clock: number): number {
    this.round++;
    if (this.roundTicks[this.roundTicks.length - 1] !== clock) {
      this.roundFrom.push(this.round);
      this.roundTicks.push(clock);
    }
    for (const read of this.fresh) {
      read.round = this.round;
      this.waiting.push(read);
    }
    this.fresh = [];
    return this.round;
  }

  get wantsRound(): boolean {
    return this.fresh.length > 0;
  }

  hold(from: ReplicaId, token: number, incarnation: number): void {
    this.early.push({ from, token, incarnation, index: 0, round: 0 });
  }

  add(from: ReplicaId, token: number, incarnation: number, index: LogIndex): void {
    this.fresh.push({ from, token, incarnation, index, round: 0 });
  }

  /** The no-op is committed. */
  startEarly(commit: LogIndex): void {
    for (const { from, token, incarnation } of this.early) this.add(from, token, incarnation, commit);
    this.early = [];
  }

  /** The oldest read that waits for `round` or an earlier one. */
  takeAnswered(round: number): Pending | undefined {
    if (this.waiting.length === 0 || this.waiting[0].round > round) return undefined;
    return this.waiting.shift();
  }

  /** The tick in which `round` began; -1 when it is older than anybody still asks for. */
  tickOf(round: number): number {
    while (this.roundFrom.length > 1 && this.roundFrom[1] <= round) {
      this.roundFrom.shift();
      this.roundTicks.shift();
    }
    return this.roundFrom.length > 0 && this.roundFrom[0] <= round ? this.roundTicks[0] : -1;
  }

  ask(token: number, now: number): number {
    this.questions.push({ token, number: ++this.lastQuestion, since: now });
    return this.lastQuestion;
  }

  answer(number: number, index: LogIndex, readStates: ReadState[]): void {
    const at = this.questions.findIndex((q) => q.number === number);
    if (at >= 0) readStates.push({ token: this.questions.splice(at, 1)[0].token, index });
  }

  /** Questions asked before this tick will get no answer any more. */
  giveUp(before: number, readStates: ReadState[]): void {
    while (this.questions.length > 0 && this.questions[0].since < before) {
      readStates.push({ token: this.questions.shift()!.token, index: 0 });
    }
  }

  /** The leader has changed. Other replicas' reads are dropped: they notice themselves. */
  failAll(readStates: ReadState[]): void {
    for (const list of [this.early, this.fresh, this.waiting]) {
      for (const read of list) if (read.from === 0) readStates.push({ token: read.token, index: 0 });
      list.length = 0;
    }
    this.giveUp(Number.POSITIVE_INFINITY, readStates);
  }
}
