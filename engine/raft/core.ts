/**
 * One replica of one Raft group (Ongaro, "Consensus: Bridging Theory and Practice", 2014, and Howard and Abraham, 2020): a state
 * machine without clock, socket, file, thread or chance of its own. Ticks, messages, proposals and reports go in; what is to
 * be done comes out of `ready()` (ready.ts says how). The same inputs give the same outputs.
 *
 * One thread. A call costs what it changes; `ready()` a few checks per member. Many groups may share one storage, one
 * connection per peer and one clock: nothing here knows of the others.
 *
 * Read on in replica.ts (state), then election.ts, leader.ts, follower.ts, reads.ts, writes.ts.
 */
import { proposeChange } from './change.ts';
import { campaign, hearsLeader, onTimeoutNow, onVoteReply, onVoteRequest, voteIsDurable } from './election.ts';
import { ENTRY_COMMAND, type Entry, type LogIndex, type ReplicaId, type SnapshotMeta } from './entry.ts';
import { must } from './errors.ts';
import { onAppend, onHeartbeat, onSnapshot } from './follower.ts';
import {
  appendOwn,
  handOver,
  holdsLease,
  onAppendReply,
  onFetched,
  onHeartbeatReply,
  onOwnDurable,
  readOnLeader,
  replicate,
  tickLeader,
} from './leader.ts';
import {
  APPEND,
  APPEND_REPLY,
  HEARTBEAT,
  HEARTBEAT_REPLY,
  type Message,
  PREVOTE,
  PREVOTE_REPLY,
  READ_INDEX,
  READ_INDEX_REPLY,
  SNAPSHOT,
  TIMEOUT_NOW,
  VOTE,
  VOTE_REPLY,
} from './message.ts';
import type { RaftOptions, Restored } from './options.ts';
import { REPLICATE, SNAPSHOT_SENT } from './progress.ts';
import { NONE, Ready } from './ready.ts';
import { NOT_LEADER, TOO_MUCH, TRANSFERRING } from './refusal.ts';
import { FOLLOWER, LEADER, Replica } from './replica.ts';

export class RaftCore {
  /** For status and tests; not to be changed. */
  readonly state: Replica;
  private readonly out = new Ready();

  constructor(options: RaftOptions, restored: Restored) {
    this.state = new Replica(options, restored);
  }

  get isLeader(): boolean {
    return this.state.role === LEADER;
  }

  /** Time passes. `clock`: how many ticks have passed since the start, where that may be more than were told of (`setClock`). */
  tick(clock = this.state.clock + 1): void {
    const r = this.state;
    if (r.isLost) return;
    r.now++;
    this.setClock(clock);
    r.sinceLeader++;
    r.reads.giveUp(r.now - r.options.electionTicks, r.readStates);
    if (r.role === LEADER) tickLeader(r);
    else if (++r.elapsed >= r.timeout) campaign(r, false);
  }

  /**
   * So many ticks have passed since the start, told of or not: before anything that may read by a lease, where the caller gives ticks
   * late, or fewer than have passed. What a lease relies on is then as old as it is.
   */
  setClock(ticks: number): void {
    if (ticks > this.state.clock) this.state.clock = ticks;
  }

  /**
   * Whether this replica may read now without asking anybody: it leads by a lease, and has applied all that is committed. By the clock
   * that was set last.
   */
  get readsAtOnce(): boolean {
    const r = this.state;
    return r.knowsCommit && r.applied === r.commit && holdsLease(r);
  }

  /** A message has arrived. Those for somebody else are dropped: an address may have changed hands. */
  step(m: Message): void {
    const r = this.state;
    if (r.isLost || m.to !== r.id || m.group !== r.group) return;
    const asksForVote = m.type === VOTE || m.type === PREVOTE;
    if (m.term < r.term) {
      this.onEarlierTerm(m);
      return;
    }
    if (asksForVote && !m.force && hearsLeader(r)) return;
    if (m.term > r.term && m.type !== PREVOTE && (m.type !== PREVOTE_REPLY || m.reject)) {
      r.becomeFollower(m.term, isOfLeader(m.type) ? m.from : 0);
    }
    if (asksForVote) onVoteRequest(r, m);
    else if (isOfLeader(m.type)) this.onLeaderMessage(m);
    else this.onOther(m);
  }

  /** Its sender missed an election: it is told of the term, or an isolated leader and a replica ahead of it would both be stuck. */
  private onEarlierTerm(m: Message): void {
    const r = this.state;
    let reply: Message;
    if (isOfLeader(m.type)) reply = r.message(APPEND_REPLY, m.from);
    else if (m.type === PREVOTE) reply = r.message(PREVOTE_REPLY, m.from);
    else if (m.type === VOTE) reply = r.message(VOTE_REPLY, m.from);
    else return;
    reply.reject = true;
    r.sendAfterWrite(reply);
  }

  private onLeaderMessage(m: Message): void {
    const r = this.state;
    must(r.role !== LEADER && (r.leader === 0 || r.leader === m.from), 'one leader per term');
    if (r.role !== FOLLOWER || r.leader !== m.from) r.becomeFollower(r.term, m.from);
    r.elapsed = 0;
    r.sinceLeader = 0;
    if (m.type === APPEND) onAppend(r, m);
    else if (m.type === HEARTBEAT) onHeartbeat(r, m);
    else onSnapshot(r, m);
  }

  private onOther(m: Message): void {
    const r = this.state;
    if (m.type === VOTE_REPLY || m.type === PREVOTE_REPLY) onVoteReply(r, m);
    else if (m.type === TIMEOUT_NOW) onTimeoutNow(r);
    else if (m.type === READ_INDEX_REPLY) {
      if (m.incarnation === r.reads.incarnation) r.reads.answer(m.round, m.index, r.readStates);
    } else if (r.role === LEADER) {
      if (m.type === READ_INDEX) {
        readOnLeader(r, m.from, m.round, m.incarnation);
        return;
      }
      const p = r.peers.find(m.from);
      if (p === undefined) return;
      if (m.type === APPEND_REPLY) onAppendReply(r, p, m);
      else if (m.type === HEARTBEAT_REPLY) onHeartbeatReply(r, p, m);
    }
  }

  /**
   * A replica lives, though nothing whole has come from it: what it sends, or is sent, takes longer than an election timeout to
   * arrive, and everything else waits behind it. Says nothing of its log, its term or a round of heartbeats.
   */
  hears(replica: ReplicaId): void {
    const r = this.state;
    if (r.role === LEADER) {
      const p = r.peers.find(replica);
      if (p !== undefined) p.active = true;
    } else if (r.role === FOLLOWER && r.leader === replica && !r.isLost) {
      r.elapsed = 0;
      r.sinceLeader = 0;
    }
  }

  /** Begins an election now, without waiting for a time-out. */
  campaign(): void {
    if (!this.state.isLost) campaign(this.state, false);
  }

  /** Appends a command: its index, or why not. The bytes are not copied: they are the log's from here on. */
  propose(bytes: Uint8Array, start: number, length: number): LogIndex {
    const r = this.state;
    if (r.role !== LEADER) return NOT_LEADER;
    if (r.transferee !== 0) return TRANSFERRING;
    if (r.uncommittedBytes > 0 && r.uncommittedBytes + length > r.options.uncommittedBytes) return TOO_MUCH;
    return appendOwn(r, ENTRY_COMMAND, bytes, start, length);
  }

  /**
   * Makes these the group's members: the index of the entry that begins it, or why not. With other voters than now the change
   * goes through a joint configuration, and is finished by the leader of the moment.
   */
  proposeChange(voters: readonly ReplicaId[], learners: readonly ReplicaId[]): LogIndex {
    return proposeChange(this.state, voters, learners);
  }

  /**
   * Asks for an index from which on local state is at least as new as anything acknowledged before this call; the next
   * Ready, or a later one, has the ReadState with this token.
   */
  readIndex(token: number): void {
    const r = this.state;
    if (r.role === LEADER) {
      readOnLeader(r, 0, token, 0);
    } else if (r.leader === 0) {
      r.readStates.push({ token, index: 0 });
    } else {
      const m = r.message(READ_INDEX, r.leader);
      m.round = r.reads.ask(token, r.now);
      m.incarnation = r.reads.incarnation;
      r.send(m);
    }
  }

  /** Hands leadership to another voter; false where that cannot be. Proposals are refused until it is done or an election timeout has passed. */
  transferTo(replica: ReplicaId): boolean {
    const r = this.state;
    const p = r.peers.find(replica);
    if (r.role !== LEADER || replica === r.id || p === undefined || !r.config.voters.includes(replica)) return false;
    if (r.transferee === replica) return true;
    r.transferee = replica;
    r.sinceTransfer = 0;
    handOver(r, p);
    return true;
  }

  /** What is to be done since the last time. */
  ready(): Ready {
    const r = this.state;
    const out = this.out;
    if (r.role === LEADER) replicate(r);
    out.snapshot = r.snapshot;
    out.hardState = r.isHardStateNew ? { term: r.term, vote: r.vote } : null;
    const { lastIndex } = r.log;
    out.entries = r.writes.next <= lastIndex ? r.log.slice(r.writes.next, Number.POSITIVE_INFINITY) : NONE;
    out.afterWrite = r.afterWrite.length > 0 ? r.afterWrite : NONE;
    out.batch = 0;
    if (out.mustSync || (r.afterWrite.length > 0 && !r.writes.isIdle)) {
      out.batch = r.writes.begin(r.term, lastIndex, r.now);
    } else if (r.afterWrite.length > 0) {
      // Nothing to wait for.
      for (let i = 0; i < r.afterWrite.length; i++) r.messages.push(r.afterWrite[i]);
      out.afterWrite = NONE;
    }
    out.messages = r.messages.length > 0 ? r.messages : NONE;
    const committed = Math.min(r.commit, r.writes.durable);
    if (r.handed <= r.applied) r.appliedTick = r.now;
    out.committedFrom = r.handed + 1;
    out.committedTo = Math.max(committed, r.handed) + 1;
    r.handed = out.committedTo - 1;
    out.readStates = r.readStates.length > 0 ? r.readStates : NONE;
    out.fetches = r.fetches.length > 0 ? r.fetches : NONE;
    out.snapshots = r.snapshots.length > 0 ? r.snapshots : NONE;
    // What is given out now stays in memory until the next time, so that whoever applies it at once finds it there.
    r.log.release(out.committedFrom - 1, r.options.keptBytes);
    this.letGo();
    return out;
  }

  /** What was given out is the caller's. */
  private letGo(): void {
    const r = this.state;
    r.snapshot = null;
    r.isHardStateNew = false;
    if (r.messages.length > 0) r.messages = [];
    if (r.afterWrite.length > 0) r.afterWrite = [];
    if (r.readStates.length > 0) r.readStates = [];
    if (r.fetches.length > 0) r.fetches = [];
    if (r.snapshots.length > 0) r.snapshots = [];
  }

  /** All batches up to this one are durable. */
  persisted(batch: number): void {
    const r = this.state;
    r.writes.finish(batch);
    voteIsDurable(r);
    if (r.role === LEADER) onOwnDurable(r);
  }

  /** The state machine has applied the entries up to `index`, or a snapshot that ends there. */
  applied(index: LogIndex): void {
    const r = this.state;
    must(index <= r.handed, 'only what was handed out is applied');
    if (index <= r.applied) return;
    r.applied = index;
    r.appliedTick = r.now;
  }

  /** A committed or appended entry, if it is still in memory; otherwise the caller reads it from its storage. */
  entryAt(index: LogIndex): Entry | undefined {
    return this.state.log.entryAt(index);
  }

  /** What a snapshot of the state as of `index`, which is applied, must say of itself. */
  snapshotAt(index: LogIndex): SnapshotMeta {
    const { log, configs, applied } = this.state;
    must(index >= log.baseIndex && index <= applied, 'a snapshot is of applied state');
    return { index, term: log.termAt(index), config: configs.at(index), configIndex: configs.indexAt(index) };
  }

  /** A durable snapshot holds everything up to `index`, so the log need not. */
  compact(index: LogIndex): void {
    const r = this.state;
    must(index <= r.applied, 'a snapshot is of applied state');
    r.log.compactTo(index);
    r.configs.compactTo(index);
  }

  /** Answers a Fetch: entries from where it said, however few. */
  fetched(replica: ReplicaId, entries: readonly Entry[]): void {
    const r = this.state;
    const p = r.peers.find(replica);
    if (r.role === LEADER && p !== undefined) onFetched(r, p, entries);
  }

  /** The snapshot has reached the replica, and ends at `index`. */
  snapshotSent(replica: ReplicaId, index: LogIndex): void {
    const p = this.state.peers.find(replica);
    if (p === undefined || p.state !== SNAPSHOT_SENT) return;
    p.probeFrom(Math.max(index, p.snapshotIndex) + 1);
    // Its acknowledgement is under way; without it, the answer to a heartbeat goes on.
    p.probeSent = true;
  }

  snapshotFailed(replica: ReplicaId): void {
    const p = this.state.peers.find(replica);
    if (p === undefined || p.state !== SNAPSHOT_SENT) return;
    p.probeFrom(p.match + 1);
    p.probeSent = true;
  }

  /** Messages to this replica get lost: no use in sending ahead. */
  unreachable(replica: ReplicaId): void {
    const p = this.state.peers.find(replica);
    if (p !== undefined && p.state === REPLICATE) p.probeFrom(p.match + 1);
  }
}

function isOfLeader(type: number): boolean {
  return type === APPEND || type === HEARTBEAT || type === SNAPSHOT;
}
