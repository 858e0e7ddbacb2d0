/**
 * A replica at work: the loop between the core, the storage, the peers and the state machine. Main thread.
 *
 * ```
 * timer, peers' messages, clients' writes and reads, storage's reports
 *        └─> core ──ready()──> storage.write ─> persisted ─┐
 *              ^               peers.send                  │
 *              │               applier.commit ─> applied ──┤
 *              └───────────────────────────────────────────┘
 * ```
 * Peers come first: their frames are handed to the core as they are read, and answered at the end of that read, whatever clients
 * want; the clients' part of a turn is bounded (scheduler.ts).
 */

import type { CommandRow } from '../../engine/command.ts';
import { RaftCore } from '../../engine/raft/core.ts';
import type { LogIndex, ReplicaId, SnapshotMeta } from '../../engine/raft/entry.ts';
import type { Message } from '../../engine/raft/message.ts';
import type { RaftOptions, Restored } from '../../engine/raft/options.ts';
import { TOO_MUCH, TRANSFERRING } from '../../engine/raft/refusal.ts';
import { LEADER } from '../../engine/raft/replica.ts';
import type { ReplicaStorage } from '../../engine/raft/storage.ts';
import type { TickClock } from '../../engine/tickclock.ts';
import type { Forward, ForwardReply, PeerMessage } from '../../proto/messages.ts';
import type { Dispatcher } from '../dispatch.ts';
import type { Outcome } from '../executor.ts';
import { ServerLimits } from '../limits.ts';
import { Parser } from '../parser.ts';
import type { Replication } from '../replication.ts';
import type { Session } from '../session.ts';
import { Applier } from './applier.ts';
import { ANSWER_MS, errorBytes, Forwarded, Forwards, NOT_APPLIED_TEXT, UNKNOWN_TEXT } from './forwards.ts';
import { type Attempt, type PASS, ReplicaFront } from './front.ts';
import { LeaseClock } from './leaseclock.ts';
import { type Proposal, Proposals, requestOf } from './proposals.ts';
import { Reads } from './reads.ts';
import { CLOCK, type GroupState } from './state.ts';

export const TICK_MS = 30;
/** Late ticks made up for at once: after a stall the leader's frames are read first, before anybody is thought to be silent. */
const TICKS_AT_ONCE = 2;
/** A clock entry, so that keys which are due go although nobody writes. */
const CLOCK_EVERY_MS = 100;

/** Of the connections to the others (net/peer/peers.ts), what the loop needs. */
export interface PeerPort {
  send(m: Message): void;
  sendTo(replica: ReplicaId, message: PeerMessage): boolean;
  flush(): void;
  sendSnapshot(to: ReplicaId, term: number, meta: SnapshotMeta, path: string): void;
}

export interface ReplicaHooks {
  /** The replica has begun or ceased to lead, or follows another leader. */
  onLeader(leader: ReplicaId): void;
  /** A member lacks what the log no longer has: a snapshot that ends at `atLeast` or later is to be sent to it. */
  onSnapshotWanted(replica: ReplicaId, atLeast: LogIndex): void;
  /** The snapshot that was stepped in is to replace the state; `installed` when it has. */
  onInstall(meta: SnapshotMeta): void;
  /** This node has no memory for what an entry asks for. */
  onFull(index: LogIndex): void;
  /** Entries of so many bytes go into the log. */
  onEntries(bytes: number): void;
  /** When the next key expires, ms since 1970. */
  nextExpiryMs(): number;
}

export class Replica implements Replication {
  readonly core: RaftCore;
  readonly proposals: Proposals;
  readonly applier: Applier;
  readonly reads: Reads;
  readonly forwards: Forwards;
  readonly front: ReplicaFront;
  readonly state: GroupState;
  private readonly storage: ReplicaStorage;
  private readonly peers: PeerPort;
  private readonly hooks: ReplicaHooks;
  private readonly dispatcher: Dispatcher;
  private readonly clock: TickClock;
  private readonly leaseClock = new LeaseClock(TICK_MS);
  /** Messages that follow a batch, until it is durable. */
  private readonly afterWrite: { batch: number; messages: readonly Message[] }[] = [];
  private timer: NodeJS.Timeout | undefined = undefined;
  private tickedMs = 0;
  private leader: ReplicaId = 0;
  private term = 0;
  private driving = false;
  private again = false;
  /** Sessions have got replies that others have sent. */
  private hasAnswered = false;
  private clockMs = 0;
  isClosed = false;
  /** That it has won. */
  elections = 0;

  constructor(
    options: RaftOptions,
    restored: Restored,
    storage: ReplicaStorage,
    peers: PeerPort,
    dispatcher: Dispatcher,
    clock: TickClock,
    state: GroupState,
    hooks: ReplicaHooks,
  ) {
    this.core = new RaftCore(options, restored);
    this.storage = storage;
    this.peers = peers;
    this.dispatcher = dispatcher;
    this.clock = clock;
    this.state = state;
    this.hooks = hooks;
    this.proposals = new Proposals(this.core);
    this.proposals.onGivenUp = (proposal) =>
      this.fail(proposal, proposal.index === 0 ? NOT_APPLIED_TEXT : UNKNOWN_TEXT);
    this.reads = new Reads(
      this.core,
      () => this.tellTime(),
      () => this.leaseClock.ms(),
    );
    this.applier = new Applier(dispatcher, state, {
      entryAt: (index) => this.core.entryAt(index),
      fetch: (from, to, maxBytes) => storage.fetch(from, to, maxBytes),
      applied: (index, nowMs) => this.onApplied(index, nowMs),
      settled: (proposal, index, ours) => this.onSettled(proposal, index, ours),
      abandoned: (proposal, command) => this.fail(proposal, UNKNOWN_TEXT, command),
      more: () => setImmediate(() => this.drive()),
      full: (index) => hooks.onFull(index),
    });
    this.applier.serve(this.proposals);
    this.applier.restart(restored.snapshot.index, 0);
    this.reads.advance(restored.snapshot.index);
    this.forwards = new Forwards({
      group: options.group,
      leader: () => this.core.state.leader,
      send: (to, message) => (to === this.id ? this.keepForward(message as Forward) : peers.sendTo(to, message)),
      blocked: (target, database, request, waitMs, index) => {
        const isLate = this.applier.appliedIndex > index || !this.applier.isSettled;
        this.front.blockForwarded(target as Attempt, database, request, waitMs, isLate);
      },
    });
    this.front = new ReplicaFront(
      dispatcher,
      this.core,
      this.proposals,
      this.forwards,
      this.reads,
      // Whatever this node takes from its own clients.
      new Parser(new ServerLimits()),
      () => this.proposals.isEmpty && this.applier.appliedIndex === this.core.state.log.lastIndex,
    );
    storage.onPersisted = (batch) => this.onPersisted(batch);
  }

  start(): void {
    this.tickedMs = performance.now();
    this.clock.enter(0);
    this.timer = setInterval(() => this.onTimer(), TICK_MS);
    this.drive();
  }

  stop(): void {
    this.isClosed = true;
    clearInterval(this.timer);
  }

  get id(): ReplicaId {
    return this.core.state.id;
  }

  get isLeader(): boolean {
    return this.core.isLeader;
  }

  // ---------------------------------------------------------------- what comes in

  /** Leases are looked at by the time of now, not by that of the last tick. */
  private tellTime(): void {
    if (this.core.state.options.leaseTicks > 0) this.core.setClock(this.leaseClock.ticks());
  }

  private onTimer(): void {
    const nowMs = performance.now();
    let due = Math.floor((nowMs - this.tickedMs) / TICK_MS);
    if (due <= 0) return;
    this.tickedMs += due * TICK_MS;
    due = Math.min(due, TICKS_AT_ONCE);
    const clock = this.leaseClock.ticks();
    for (let i = 0; i < due; i++) this.core.tick(clock);
    this.lookAround(nowMs);
    this.drive();
  }

  /** What is looked at once a tick. */
  private lookAround(nowMs: number): void {
    const { front, core } = this;
    if (core.state.leader !== 0) front.ledMs = nowMs;
    else if (front.isLeaderless) {
      this.reads.giveUp();
      front.resume();
    }
    if (this.forwards.expire(nowMs)) this.hasAnswered = true;
    this.reads.expire(nowMs);
    for (let late = this.proposals.takeOverdue(0, nowMs - ANSWER_MS); late !== undefined; ) {
      this.fail(late, UNKNOWN_TEXT);
      late = this.proposals.takeOverdue(0, nowMs - ANSWER_MS);
    }
    front.lookAround();
    // Questions that nobody has answered are asked again.
    this.reads.ask();
    if (core.isLeader) this.keepTime(nowMs);
  }

  /** Keys that are due go by the clock of the log: without writes it needs an entry of its own. */
  private keepTime(nowMs: number): void {
    const wallMs = Date.now();
    if (nowMs - this.clockMs < CLOCK_EVERY_MS || this.hooks.nextExpiryMs() > wallMs) return;
    if (wallMs <= this.applier.nowMs || !this.proposals.isEmpty || this.core.state.transferee !== 0) return;
    this.clockMs = nowMs;
    this.proposals.stageWords(wallMs, [CLOCK], undefined);
  }

  /** A message of a peer. */
  step(m: Message): void {
    this.tellTime();
    this.core.step(m);
  }

  onForward(from: ReplicaId, m: Forward): void {
    this.front.forwarded(new Forwarded(from, m, (to, message) => this.peers.sendTo(to, message)));
  }

  /** This node leads now, and has what it wanted to forward. */
  private keepForward(m: Forward): boolean {
    const deliver = (_to: ReplicaId, reply: PeerMessage): boolean => {
      this.forwards.answered(reply as ForwardReply);
      this.hasAnswered = true;
      return true;
    };
    this.front.forwarded(new Forwarded(this.id, m, deliver));
    this.again = true;
    return true;
  }

  onForwardReply(m: ForwardReply): void {
    this.forwards.answered(m);
    this.hasAnswered = true;
  }

  onUnreachable(replica: ReplicaId): void {
    this.core.unreachable(replica);
    this.forwards.lost(replica);
    this.hasAnswered = true;
    this.drive();
  }

  private onPersisted(batch: number): void {
    if (this.isClosed) return;
    while (this.afterWrite.length > 0 && this.afterWrite[0].batch <= batch) {
      for (const m of this.afterWrite[0].messages) this.peers.send(m);
      this.afterWrite.shift();
    }
    this.core.persisted(batch);
    this.drive();
  }

  // ---------------------------------------------------------------- the loop

  /** Does what the core wants done, until it wants nothing. */
  drive(): void {
    // Within a client's command the call is that command's; the end of the turn comes back here.
    if (this.isClosed || this.dispatcher.isInBatch) return;
    if (this.driving) {
      this.again = true;
      return;
    }
    this.driving = true;
    do {
      this.again = false;
      this.front.endTurn();
      do this.proposals.seal();
      while (this.serveReady());
      // The others work while this node applies.
      this.peers.flush();
      this.applier.run();
      this.forwards.flush();
    } while (this.again);
    this.driving = false;
    this.peers.flush();
    if (this.hasAnswered) {
      // Sessions may wait for the replies to what they forwarded.
      this.hasAnswered = false;
      this.dispatcher.resumeStalled();
    }
    this.dispatcher.flushClients();
  }

  /** Whether something came of it at once, upon which the core may want more. */
  private serveReady(): boolean {
    const { core, storage, peers } = this;
    const out = core.ready();
    for (const m of out.messages) peers.send(m);
    let isPersisted = false;
    if (out.batch !== 0) {
      isPersisted = storage.write(out.batch, out.hardState, out.snapshot, out.entries);
      if (isPersisted) {
        for (const m of out.afterWrite) peers.send(m);
        core.persisted(out.batch);
      } else if (out.afterWrite.length > 0) {
        this.afterWrite.push({ batch: out.batch, messages: out.afterWrite });
      }
      let bytes = 0;
      for (let i = 0; i < out.entries.length; i++) bytes += out.entries[i].length;
      this.hooks.onEntries(bytes);
    }
    if (out.snapshot !== null) {
      this.applier.abandon(out.snapshot.index);
      this.hooks.onInstall(out.snapshot);
    }
    this.applier.commit(out.committedFrom, out.committedTo);
    for (const read of out.readStates) this.reads.answered(read);
    for (const { replica, from, to, maxBytes } of out.fetches) {
      void storage.fetch(from, to, maxBytes).then((entries) => {
        if (this.isClosed) return;
        core.fetched(replica, entries);
        this.drive();
      });
    }
    for (const { replica, atLeast } of out.snapshots) this.hooks.onSnapshotWanted(replica, atLeast);
    this.noticeLeader();
    return isPersisted || out.committedTo > out.committedFrom;
  }

  private noticeLeader(): void {
    const { leader, term, role } = this.core.state;
    if (leader === this.leader && term === this.term) return;
    if (role === LEADER) {
      this.elections++;
      this.proposals.giveUpOverwritten(this.core.state.electionIndex, term);
    }
    this.leader = leader;
    this.term = term;
    this.front.endPlanning();
    this.hooks.onLeader(leader);
    if (leader === 0) return;
    this.front.ledMs = performance.now();
    this.front.resume();
  }

  private onApplied(index: LogIndex, nowMs: number): void {
    this.core.applied(index);
    this.clock.advance(nowMs);
    this.reads.advance(index);
    this.front.resume();
    this.dispatcher.advanceClock(nowMs);
    this.dispatcher.exclusive.run();
    this.again = true;
  }

  /** Proposals up to the applied index that were not taken were overwritten, or are hidden in a snapshot. */
  private onSettled(proposal: Proposal, index: LogIndex, ours: boolean): void {
    if (ours) this.dispatcher.writes.evicted(proposal.evictedBytes);
    if (!ours) this.fail(proposal, NOT_APPLIED_TEXT);
    else for (const target of proposal.targets) target?.settled?.(index);
  }

  private fail(proposal: Proposal, text: string, from = 0): void {
    this.dispatcher.writes.evicted(proposal.evictedBytes);
    this.hasAnswered = true;
    const bytes = errorBytes(text);
    for (let i = from; i < proposal.targets.length; i++) {
      proposal.targets[i]?.deliver(proposal.seqs[i], bytes, 0, bytes.length);
    }
  }

  /** The state is the snapshot's now. */
  installed(index: LogIndex, nowMs: number): void {
    for (
      let lost = this.proposals.takeOverdue(index, 0);
      lost !== undefined;
      lost = this.proposals.takeOverdue(index, 0)
    ) {
      this.fail(lost, UNKNOWN_TEXT);
    }
    this.applier.resume(index, nowMs);
    this.onApplied(index, this.applier.nowMs);
    this.drive();
  }

  // ---------------------------------------------------------------- for the dispatcher

  execute(session: Session, row: CommandRow): Outcome | typeof PASS {
    return this.front.execute(session, row);
  }

  get settledMs(): number {
    return this.applier.nowMs;
  }

  get isSettled(): boolean {
    return this.applier.isSettled;
  }

  endTurn(): void {
    this.proposals.seal();
    this.reads.ask();
    this.drive();
  }

  replied(ticket: number, from: Uint8Array, start: number, length: number): void {
    this.applier.replied(ticket, from, start, length);
  }

  progressed(): void {
    if (this.applier.isBehind) this.drive();
  }

  forget(session: Session): void {
    this.front.forget(session);
  }

  // ---------------------------------------------------------------- for operators

  /** Proposes bytes of the server's own, resolved when they are applied here. Rejects with an error text. */
  proposeOwn(words: readonly string[]): Promise<LogIndex> {
    return new Promise((resolve, reject) => {
      if (!this.core.isLeader) return reject(new Error('this node does not lead'));
      if (this.core.state.transferee !== 0) return reject(new Error('leadership is being handed over'));
      this.proposals.stageWords(this.nextMs(), words, {
        deliver: (_seq, from, start, length) => {
          const text = Buffer.from(from.subarray(start, start + length)).toString();
          if (text.startsWith('-')) reject(new Error(text.slice(1).trim()));
          else resolve(this.applier.appliedIndex);
        },
      });
      setImmediate(() => this.drive());
    });
  }

  /** Proposes an entry of the server's own, here or at the leader; whether anything comes of it shows in the state. */
  introduce(words: readonly string[]): void {
    if (this.core.isLeader) {
      if (this.core.state.transferee === 0) this.proposals.stageWords(this.nextMs(), words, undefined);
    } else {
      this.forwards.add(requestOf(words), 0, 2, { deliver: () => {} }, undefined, 0);
    }
    this.drive();
  }

  private nextMs(): number {
    return Math.max(Date.now(), this.applier.nowMs);
  }

  /** Hands leadership to another voter; false where that cannot be. */
  transferTo(replica: ReplicaId): boolean {
    this.proposals.seal(true);
    const isPossible = this.core.transferTo(replica);
    this.drive();
    return isPossible;
  }

  /** Makes these the members; why not, or ''. */
  changeMembers(voters: readonly ReplicaId[], learners: readonly ReplicaId[]): string {
    this.proposals.seal();
    const index = this.core.proposeChange(voters, learners);
    this.drive();
    if (index > 0) return '';
    if (index === TRANSFERRING) return 'leadership is being handed over';
    if (index === TOO_MUCH) return 'too many writes wait for a majority';
    return index === -1 ? 'this node does not lead' : index === -4 ? 'another change is under way' : 'no such change';
  }
}
