/**
 * A replicated node's commands, before the dispatcher runs any: writes go into the group's log instead, here or at the leader,
 * reads wait until they may be served. Main thread; called for each command.
 */

import { PAGE_BYTES } from '../../engine/arena.ts';
import type { Call } from '../../engine/call.ts';
import {
  arityFits,
  BLOCKING,
  COPIES,
  type CommandRow,
  DENYOOM,
  GROWS,
  SCOPE_NONE,
  WRITE,
} from '../../engine/command.ts';
import { ERR, wrongArity } from '../../engine/errors.ts';
import { ELEMENT_BYTES, Footprint } from '../../engine/footprint.ts';
import type { RaftCore } from '../../engine/raft/core.ts';
import type { LogIndex } from '../../engine/raft/entry.ts';
import { requestBytes } from '../../engine/request.ts';
import type { Dispatcher } from '../dispatch.ts';
import { MEMORY_PER_BYTE } from '../dispatch-shards.ts';
import { DONE, type Outcome, QUEUED, STALLED } from '../executor.ts';
import { Footprints, makesMuch } from '../footprints.ts';
import type { Parser } from '../parser.ts';
import type { Session } from '../session.ts';
import { errorBytes, type Forwarded, type Forwards, NO_LEADER_TEXT, NOT_APPLIED_TEXT, RETRIES } from './forwards.ts';
import { ONCE_WORDS, onceRow } from './once.ts';
import { Planner } from './planner.ts';
import type { Proposals, ReplyTarget } from './proposals.ts';
import type { Reads } from './reads.ts';

/** The command is not the front's: the dispatcher runs it. */
export const PASS = -1;
/** Without a leader for so long, clients get an error instead of waiting on. */
const PATIENCE_MS = 3000;
const PLANNING_TICKS = 3;
/** Who copies more than this waits until nothing is under way, and others until it is applied: what it takes is known only then. */
const LARGE_COPY_BYTES = 64 * 1024;
/**
 * Of a shard's memory. Who leads takes no write that needs memory while less is left, since what does not fit when it is applied
 * must fit on no replica, and memory is not laid out alike on all.
 */
const RESERVED_PART = 1 / 16;
/** Beside that part: from this on a shard takes no write any more (`canHold`), with as much again. */
const RESERVED_BYTES = 2 * 1024 * 1024;
/** A seed tells blocking commands that try again: they pass over keys of a wrong type. */
const RETRY_SEED = 1;
/** A seed tells ONCE that the client reads RESP3: every replica is to remember the same reply. */
const RESP3_SEED = 1;
/** The longest write: as an entry it has to go through to the peers in one frame, with what was staged before it. */
export const LONGEST_WRITE = 60 * 1024 * 1024;
export const TOO_LONG_TEXT = 'ERR A replicated node takes no write of more than 60 MiB';
/** The longest that a peer takes from another at once, without looking unreachable to it (UNSENT_LIMIT in net/peer/link.ts). */
export const LONGEST_FORWARD = 30 * 1024 * 1024;
export const TOO_LONG_HERE_TEXT = 'ERR A write of more than 30 MiB has to go to the node that leads; nothing was done';
/** What a blocking command makes. */
const NOTHING = new Footprint();
export const BEHIND_TEXT =
  'BEHIND This node has not heard of what this connection has written elsewhere or was given a fence for; nothing was read';
export const REMOVED_TEXT = 'CLUSTERDOWN This node was removed from its group; nothing was done';

export interface Front {
  execute(session: Session, row: CommandRow): Outcome | typeof PASS;
}

export class ReplicaFront implements Front {
  private readonly dispatcher: Dispatcher;
  private readonly call: Call;
  private readonly core: RaftCore;
  private readonly proposals: Proposals;
  private readonly forwards: Forwards;
  private readonly reads: Reads;
  private readonly planner: Planner;
  private readonly footprints: Footprints;
  private readonly isIdle: () => boolean;
  /** Sessions that wait for a leader, or for room. */
  private readonly waiting = new Set<Session>();
  /** Forwarded requests that wait for the same, in order. */
  private readonly inbox: Forwarded[] = [];
  private readonly parser: Parser;
  /** Who waits until nothing is under way, to plan a command; nobody stages anything meanwhile. */
  private planning: object | undefined = undefined;
  /** Whether a shard has little memory left; looked at once a turn. */
  private isTight = false;
  /** Ticks for which it could have planned. */
  private ignoredTurns = 0;
  /** A large copy is under way. */
  private isCopying = false;
  /** A plan was made since `endTurn`: those who waited for their turn may go on. */
  private hasPlanned = false;
  /** When there was a leader last; performance.now(). */
  ledMs = performance.now();
  /** The error for writes while the log cannot be written here: only who leads needs it. */
  trouble = '';
  /** Results of blocking commands that their sessions are to pick up. */
  private readonly attempts = new Map<Session, Attempt>();

  constructor(
    dispatcher: Dispatcher,
    core: RaftCore,
    proposals: Proposals,
    forwards: Forwards,
    reads: Reads,
    parser: Parser,
    isIdle: () => boolean,
  ) {
    this.dispatcher = dispatcher;
    this.call = dispatcher.call;
    this.core = core;
    this.proposals = proposals;
    this.forwards = forwards;
    this.reads = reads;
    this.parser = parser;
    this.isIdle = isIdle;
    this.planner = new Planner(dispatcher.call, dispatcher.table);
    this.footprints = new Footprints(dispatcher.call, dispatcher.shards);
  }

  /** Whether clients should be told that there is no leader. */
  get isLeaderless(): boolean {
    const { leader, config, id } = this.core.state;
    return leader === 0 && (performance.now() - this.ledMs > PATIENCE_MS || config.wasRemoved(id));
  }

  execute(session: Session, row: CommandRow): Outcome | typeof PASS {
    if ((row.flags & WRITE) !== 0) return this.write(session, row);
    // WAIT is about the writes before it, so it comes when they are answered.
    if (row.scope === SCOPE_NONE) {
      return row.name === 'wait' && session.hasOutstanding ? this.dispatcher.stall(session) : PASS;
    }
    // A connection sees what it wrote before.
    if (session.hasOutstanding) return this.dispatcher.stall(session);
    if (this.reads.permits(session, session.consistency, session.maxAgeMs)) return PASS;
    if (!this.isLeaderless && !this.reads.isLate(session)) return STALLED;
    this.reads.forget(session);
    return this.reject(this.isLeaderless || !this.reads.isBehind(session) ? this.leaderlessText : BEHIND_TEXT);
  }

  private reject(text: string): Outcome {
    this.call.reply.error(text);
    return DONE;
  }

  private withoutLeader(session: Session): Outcome {
    return this.isLeaderless ? this.reject(this.leaderlessText) : this.wait(session);
  }

  private get leaderlessText(): string {
    const { config, id } = this.core.state;
    return config.wasRemoved(id) ? REMOVED_TEXT : NO_LEADER_TEXT;
  }

  private wait(session: Session): Outcome {
    this.waiting.add(session);
    return STALLED;
  }

  private write(session: Session, row: CommandRow): Outcome {
    if (requestBytes(this.call) > LONGEST_WRITE) return this.reject(TOO_LONG_TEXT);
    if ((row.flags & BLOCKING) !== 0) return this.blocking(session, row);
    if (session.windowFull) return this.dispatcher.stall(session);
    const { leader } = this.core.state;
    if (this.core.isLeader) {
      // What it has sent elsewhere before this node led comes first.
      if (session.hasOutstanding && !this.forwards.isEmpty && this.forwards.has(session))
        return this.dispatcher.stall(session);
      const outcome = this.stage(session, row, session, session.nextSeq, session.protocol);
      return outcome === STALLED ? this.wait(session) : outcome;
    }
    if (leader !== 0) {
      if (requestBytes(this.call) > LONGEST_FORWARD) return this.reject(TOO_LONG_HERE_TEXT);
      this.forwards.add(this.call, this.call.db, session.protocol, session, session, session.nextSeq);
      return QUEUED;
    }
    return this.withoutLeader(session);
  }

  /** Stages the request in `call`, as the leader: QUEUED, STALLED when it has to be tried again, DONE with an error in `call.reply`. */
  private stage(owner: object, row: CommandRow, target: ReplyTarget, seq: number, protocol: number, seed = 0): Outcome {
    const { call, proposals } = this;
    if (this.trouble !== '') return this.reject(this.trouble);
    let command = row;
    let words = 0;
    if (row.name === 'once') {
      const inner = onceRow(call, this.dispatcher.table);
      if (typeof inner === 'string') return this.reject(inner);
      command = inner;
      words = ONCE_WORDS;
      if (protocol === 3) seed = RESP3_SEED;
    }
    if (this.planning !== undefined && this.planning !== owner) return STALLED;
    if (!proposals.hasRoom || this.core.state.transferee !== 0) return STALLED;
    if (this.isCopying && !this.isIdle()) return STALLED;
    this.isCopying = false;
    if (row.name === 'spop') return this.stagePop(owner, row, target, seq, protocol);
    const isIdle = makesMuch(command) && this.isIdle();
    const made = this.footprints.measure(command, words, isIdle ? 0 : Math.max(1, proposals.unappliedBytes));
    const refusal = this.refusalFor(row, command.flags, made);
    // What is under way may change how much it makes.
    if (!isIdle && (made.unsureBytes > LARGE_COPY_BYTES || (made.unsureBytes > 0 && refusal !== ''))) {
      this.planning = owner;
      return STALLED;
    }
    if (this.planning === owner) this.endPlan();
    if (refusal !== '') return this.reject(refusal);
    if (made.unsureBytes > LARGE_COPY_BYTES) this.isCopying = true;
    else proposals.willCopy(made.bytes / MEMORY_PER_BYTE);
    proposals.stage(call, call, seed, target, seq, protocol);
    return QUEUED;
  }

  /** What it takes depends on how tables came about here, so it is chosen now, from the state that it will be taken from. */
  private stagePop(owner: object, row: CommandRow, target: ReplyTarget, seq: number, protocol: number): Outcome {
    const { call, proposals } = this;
    this.planning = owner;
    if (!this.isIdle()) return STALLED;
    this.endPlan();
    this.dispatcher.shards.lockKeys(row);
    const plan = this.planner.planPop(protocol);
    if (plan !== undefined && requestBytes(plan.request) > LONGEST_WRITE) return this.reject(TOO_LONG_TEXT);
    // One that takes nothing goes into the log too: only then is it known that this node still leads.
    if (plan === undefined) proposals.stage(call, call, 0, target, seq, protocol);
    else proposals.stage(plan.request, call, 0, plan.answer(target), seq, protocol);
    return QUEUED;
  }

  private endPlan(): void {
    this.planning = undefined;
    this.hasPlanned = true;
  }

  /** Why there is no memory for the request in `call`, which makes so much beside it; '' where there is. */
  private refusalFor(row: CommandRow, flags: number, made: Footprint): string {
    if ((flags & (DENYOOM | GROWS | COPIES)) === 0) return '';
    if ((flags & DENYOOM) !== 0 && !this.dispatcher.writes.mayGrow()) return ERR.OOM;
    return this.findsRoom(row, made) ? '' : ERR.ARENA_FULL;
  }

  /** Whether every replica will have memory for the request in `call`, behind what is not applied yet. */
  private findsRoom(row: CommandRow, made: Footprint): boolean {
    const { shards } = this.dispatcher;
    const bytes = requestBytes(this.call);
    const isLong = bytes > PAGE_BYTES || made.longest > PAGE_BYTES;
    const isLarge = this.isTight || isLong || made.bytes > PAGE_BYTES;
    const all = bytes + this.call.argc * ELEMENT_BYTES + made.bytes;
    if (isLarge && shards.isTight(row, RESERVED_PART, this.comingBytes + all)) return false;
    return !isLong || shards.findsRoom(row, bytes * 2 + made.longest);
  }

  // ---------------------------------------------------------------- blocking commands

  /** A blocking command is an entry like others; when it finds nothing its session waits, and it is proposed again. */
  private blocking(session: Session, row: CommandRow): Outcome {
    const { call, dispatcher } = this;
    if (session.hasOutstanding) return dispatcher.stall(session);
    const waiter = dispatcher.blocking.of(session);
    const attempt = this.attempts.get(session);
    if (attempt !== undefined) {
      if (attempt.reply === undefined) return STALLED;
      this.attempts.delete(session);
      call.reply.raw(attempt.reply, 0, attempt.reply.length);
      dispatcher.blocking.remove(session);
      return DONE;
    }
    if (waiter !== undefined && dispatcher.blocking.endOf(waiter, call.reply)) {
      dispatcher.blocking.remove(session);
      return DONE;
    }
    if (session.hasHungUp) return session.hangUp();
    const next = new Attempt(this, session, waiter !== undefined);
    const { leader } = this.core.state;
    if (this.core.isLeader) {
      if (this.planning !== undefined || !this.proposals.hasRoom || this.core.state.transferee !== 0)
        return this.wait(session);
      if (this.trouble !== '') return this.rejectBlocking(session, this.trouble);
      const refusal = this.refusalFor(row, row.flags, NOTHING);
      if (refusal !== '') return this.rejectBlocking(session, refusal);
      this.proposals.stage(call, call, next.isRetry ? RETRY_SEED : 0, next, 0, session.protocol);
    } else if (leader !== 0) {
      if (requestBytes(call) > LONGEST_FORWARD) return this.rejectBlocking(session, TOO_LONG_HERE_TEXT);
      this.forwards.add(call, call.db, session.protocol | (next.isRetry ? RETRIES : 0), next, session, 0);
    } else {
      return this.isLeaderless ? this.rejectBlocking(session, this.leaderlessText) : this.wait(session);
    }
    this.attempts.set(session, next);
    return STALLED;
  }

  /** Its session may have waited already. */
  private rejectBlocking(session: Session, text: string): Outcome {
    this.dispatcher.blocking.remove(session);
    return this.reject(text);
  }

  /** The same of one that was forwarded. `isLate`: more is applied here than what it has seen. */
  blockForwarded(attempt: Attempt, database: number, request: Uint8Array, waitMs: number, isLate: boolean): void {
    const { call, parser, dispatcher } = this;
    parser.parse(call, request, 0, request.length);
    const row = dispatcher.table.resolve(call);
    if (row === undefined) throw new Error('replica: a forwarded command is not known here');
    call.db = database;
    call.setClock(Date.now());
    call.begin(row);
    this.block(attempt, row, waitMs);
    if (isLate) dispatcher.blocking.of(attempt.session)?.wake();
  }

  /** An attempt has found nothing: its request, in `call`, is what its session waits with. */
  block(attempt: Attempt, row: CommandRow, waitMs: number): void {
    const { session } = attempt;
    // Its client has hung up meanwhile.
    if (!this.awaits(attempt)) return;
    this.call.blockMs = waitMs;
    this.attempts.delete(session);
    const { blocking } = this.dispatcher;
    const waiter = blocking.of(session);
    if (waiter === undefined) blocking.add(session, this.call, row);
    else if (waiter.end === 0) blocking.sleep(waiter);
    else session.resume();
  }

  /** Whether its session waits for it. */
  awaits(attempt: Attempt): boolean {
    return this.attempts.get(attempt.session) === attempt;
  }

  /** The attempt came to nothing, as did its leader: there may be another. */
  repeat(attempt: Attempt): void {
    const { session } = attempt;
    if (!this.awaits(attempt)) return;
    this.attempts.delete(session);
    session.resume();
  }

  // ---------------------------------------------------------------- forwarded writes

  /** A peer's clients want these done. */
  forwarded(forwarded: Forwarded): void {
    if (this.inbox.length > 0) {
      this.inbox.push(forwarded);
      return;
    }
    if (!this.stageForwarded(forwarded)) this.inbox.push(forwarded);
  }

  /** False when it has to wait: then nothing of it was staged that is not there already. */
  private stageForwarded(forwarded: Forwarded): boolean {
    if (!this.core.isLeader) {
      if (this.planning === forwarded) this.planning = undefined;
      if (forwarded.staged === 0) forwarded.refuse(this.core.state.leader);
      else this.refuseRest(forwarded);
      return true;
    }
    const { call, parser, dispatcher } = this;
    const { request, database } = forwarded.request;
    const resp = forwarded.request.resp & ~RETRIES;
    const seed = resp === forwarded.request.resp ? 0 : RETRY_SEED;
    const { reply } = call;
    while (forwarded.at < request.length) {
      const next = parser.parse(call, request, forwarded.at, request.length);
      if (next < 0) {
        forwarded.giveUp();
        return true;
      }
      call.db = database;
      dispatcher.beginForwarded();
      const mark = reply.length;
      reply.protocol = resp;
      const isOwn = call.buf[call.off[0]] === 0;
      const row = isOwn ? undefined : dispatcher.table.resolve(call);
      if (isOwn) {
        if (!this.proposals.hasRoom || this.core.state.transferee !== 0) return false;
        this.proposals.stage(call, call, 0, forwarded, forwarded.next(), resp);
      } else if (row === undefined || !arityFits(row, call.argc) || (row.flags & WRITE) === 0) {
        reply.error(row === undefined ? ERR.SYNTAX : wrongArity(row.name));
        forwarded.deliver(forwarded.next(), reply.u8, mark, reply.length - mark);
        reply.rewind(mark);
      } else {
        call.begin(row);
        const outcome = this.stage(forwarded, row, forwarded, forwarded.staged, resp, seed);
        if (outcome === STALLED) return false;
        const seq = forwarded.next();
        if (outcome === DONE) {
          forwarded.deliver(seq, reply.u8, mark, reply.length - mark);
          reply.rewind(mark);
        }
      }
      forwarded.at = next;
    }
    forwarded.close();
    return true;
  }

  /** Leadership was lost in the middle of it: what is staged has its own fate, and what is not was not done. */
  private refuseRest(forwarded: Forwarded): void {
    const { call, parser } = this;
    const { request } = forwarded.request;
    const bytes = errorBytes(NOT_APPLIED_TEXT);
    while (forwarded.at >= 0 && forwarded.at < request.length) {
      forwarded.at = parser.parse(call, request, forwarded.at, request.length);
      forwarded.deliver(forwarded.next(), bytes, 0, bytes.length);
    }
    forwarded.close();
  }

  // ---------------------------------------------------------------- going on

  /** Once a tick. A plan's turn that its owner does not take, though nothing is under way, is over: the owner may have been refused. */
  lookAround(): void {
    if (this.planning === undefined || !this.isIdle()) this.ignoredTurns = 0;
    else if (++this.ignoredTurns >= PLANNING_TICKS) this.endPlanning();
    if (this.isWaiting) this.resume();
  }

  /** What is on its way may take in memory, records and tables with it. */
  private get comingBytes(): number {
    return this.proposals.unappliedBytes * MEMORY_PER_BYTE + RESERVED_BYTES;
  }

  /** Leadership has begun or ended. */
  endPlanning(): void {
    this.planning = undefined;
    this.ignoredTurns = 0;
  }

  /** Not while a command is staged, since those that go on use the same `call`. */
  endTurn(): void {
    this.isTight = this.core.isLeader && this.dispatcher.shards.isAnyTight(RESERVED_PART, this.comingBytes);
    if (!this.hasPlanned) return;
    this.hasPlanned = false;
    this.resume();
  }

  /** Something has changed that sessions may wait for: a leader, room, a plan's turn. */
  resume(): void {
    for (const session of this.waiting) session.resume();
    this.waiting.clear();
    while (this.inbox.length > 0 && this.stageForwarded(this.inbox[0])) this.inbox.shift();
  }

  get isWaiting(): boolean {
    return this.waiting.size > 0 || this.inbox.length > 0;
  }

  forget(session: Session): void {
    this.waiting.delete(session);
    this.reads.forget(session);
    this.attempts.delete(session);
    if (this.planning === session) this.planning = undefined;
  }
}

const NOT_APPLIED = Buffer.from(errorBytes(NOT_APPLIED_TEXT));

/** A blocking command of a session of this node on its way. */
export class Attempt implements ReplyTarget {
  readonly session: Session;
  readonly isRetry: boolean;
  reply: Uint8Array | undefined = undefined;
  private readonly front: ReplicaFront;

  constructor(front: ReplicaFront, session: Session, isRetry: boolean) {
    this.front = front;
    this.session = session;
    this.isRetry = isRetry;
  }

  block(row: CommandRow, waitMs: number): void {
    this.front.block(this, row, waitMs);
  }

  settled(index: LogIndex): void {
    this.session.settled(index);
  }

  /** Its client is gone, or waits for nothing any more: what comes now would be lost. */
  get isAbandoned(): boolean {
    return this.session.hasHungUp || !this.front.awaits(this);
  }

  deliver(_seq: number, from: Uint8Array, start: number, length: number): void {
    this.reply = from.slice(start, start + length);
    // Where nothing was done its client waits on.
    if (NOT_APPLIED.equals(this.reply)) this.front.repeat(this);
    else this.session.resume();
  }
}
