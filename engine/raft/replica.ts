/**
 * The state of one replica of one group, and the steps that all roles share. Only the files of this folder touch it; callers
 * see RaftCore (core.ts). One thread, no I/O, no clock.
 */
import { Random } from '../random.ts';
import { type ConfigHistory, type Configuration, decodeConfig } from './config.ts';
import { ENTRY_CONFIG, type Entry, type LogIndex, type ReplicaId, type SnapshotMeta, type Term } from './entry.ts';
import { must } from './errors.ts';
import type { RaftLog } from './log.ts';
import { Message } from './message.ts';
import { checkOptions, type RaftOptions, type Restored } from './options.ts';
import { Peers } from './progress.ts';
import { Reads } from './reads.ts';
import type { Fetch, ReadState, SnapshotRequest } from './ready.ts';
import { Writes } from './writes.ts';

export const FOLLOWER = 0;
export const PRECANDIDATE = 1;
export const CANDIDATE = 2;
export const LEADER = 3;

export class Replica {
  readonly options: RaftOptions;
  readonly group: number;
  readonly id: ReplicaId;
  readonly isLost: boolean;
  readonly log: RaftLog;
  readonly configs: ConfigHistory;
  readonly peers: Peers;
  readonly writes: Writes;
  readonly reads: Reads;
  private readonly random: Random;

  term: Term;
  vote: ReplicaId;
  role = FOLLOWER;
  /** 0 when not known. */
  leader: ReplicaId = 0;

  /** Entries up to here are committed; at least `applied`. */
  commit: LogIndex;
  /** Entries up to here were handed to the caller to apply. */
  handed: LogIndex;
  applied: LogIndex;
  /** The tick in which the state machine last had nothing to do, or got something done. */
  appliedTick = 0;

  /** Ticks since the start. */
  now = 0;
  /** The same by the clock that leases go by: no tick is left out, even where the caller has left out some (`RaftCore.setClock`). */
  clock = 0;
  /** Ticks since a leader was heard of, a vote given or a campaign begun. */
  elapsed = 0;
  /** Ticks since a leader was heard of, whatever the term has been since: what voters promise to a lease. */
  sinceLeader: number;
  /** A campaign begins when `elapsed` reaches this. */
  timeout = 0;

  // Of a leader.
  /** The first entry of its term. */
  electionIndex: LogIndex = 0;
  /** Bytes of the entries in [electionIndex, lastIndex] that are not committed. */
  uncommittedBytes = 0;
  sinceHeartbeat = 0;
  sinceQuorumCheck = 0;
  /** The member that is to take over; 0 when none is. */
  transferee: ReplicaId = 0;
  sinceTransfer = 0;
  /** A TIMEOUT_NOW has left in this term: it may arrive at any time, so there are no leases any more. */
  hasForfeited = false;

  // For the next Ready.
  messages: Message[] = [];
  afterWrite: Message[] = [];
  readStates: ReadState[] = [];
  fetches: Fetch[] = [];
  snapshots: SnapshotRequest[] = [];
  snapshot: SnapshotMeta | null = null;
  isHardStateNew = false;

  constructor(options: RaftOptions, restored: Restored) {
    checkOptions(options);
    const { snapshot, hardState } = restored;
    this.options = options;
    this.group = options.group;
    this.id = options.id;
    this.isLost = restored.isLost;
    this.log = restored.log;
    this.configs = restored.configs;
    this.peers = new Peers(options.windowMessages, options.windowBytes);
    this.writes = new Writes(this.log.lastIndex, hardState.term);
    this.reads = new Reads(options.incarnation);
    this.term = hardState.term;
    this.vote = hardState.vote;
    must(this.log.lastTerm <= this.term, 'the term was durable before its entries');
    this.commit = snapshot.index;
    this.handed = snapshot.index;
    this.applied = snapshot.index;
    this.random = new Random(Math.imul(options.seed, 0x9e3779b1) ^ options.id);
    for (let i = 0; i < 16; i++) this.random.next();
    // Before the crash this replica may have promised a leader its lease.
    this.sinceLeader = options.leaseTicks > 0 ? 0 : options.electionTicks;
    this.peers.follow(this.config, 1);
    this.restartTimeout();
  }

  get config(): Configuration {
    return this.configs.current;
  }

  /** Whether the leader's term has a committed entry: only then does it know what is committed. */
  get knowsCommit(): boolean {
    return this.role === LEADER && this.commit >= this.electionIndex;
  }

  message(type: number, to: ReplicaId): Message {
    return new Message(type, this.group, this.id, to, this.term);
  }

  /** Sends what promises nothing that is not durable already. */
  send(m: Message): void {
    this.messages.push(m);
  }

  /** Sends an answer or a request to vote: once everything it speaks of is durable. */
  sendAfterWrite(m: Message): void {
    this.afterWrite.push(m);
  }

  restartTimeout(): void {
    this.elapsed = 0;
    this.timeout = this.options.electionTicks + this.random.below(this.options.electionTicks);
  }

  setTerm(term: Term, vote: ReplicaId): void {
    must(term > this.term || (term === this.term && (this.vote === 0 || this.vote === vote)), 'one vote per term');
    if (term === this.term && vote === this.vote) return;
    this.term = term;
    this.vote = vote;
    this.isHardStateNew = true;
  }

  becomeFollower(term: Term, leader: ReplicaId): void {
    if (this.role === LEADER) this.sinceLeader = this.options.electionTicks;
    if (term > this.term) this.setTerm(term, 0);
    if (this.leader !== leader || this.role === LEADER) this.reads.failAll(this.readStates);
    this.role = FOLLOWER;
    this.leader = leader;
    this.transferee = 0;
    this.restartTimeout();
  }

  /** Appends behind the last entry. */
  append(entry: Entry): void {
    this.log.append(entry);
    if (entry.kind === ENTRY_CONFIG) {
      this.configs.add(entry.index, decodeConfig(entry.bytes, entry.start, entry.length));
      this.followConfig();
    }
  }

  truncateFrom(index: LogIndex): void {
    must(index > this.commit, 'a committed entry is never replaced');
    this.log.truncateFrom(index);
    this.writes.truncateFrom(index);
    if (this.configs.truncateFrom(index)) this.followConfig();
  }

  followConfig(): void {
    this.peers.follow(this.config, this.log.lastIndex + 1);
    if (this.transferee !== 0 && !this.config.voters.includes(this.transferee)) this.transferee = 0;
  }

  commitTo(index: LogIndex): void {
    if (index <= this.commit) return;
    must(index <= this.log.lastIndex, 'a committed entry is in the log of who acknowledged it');
    this.commit = index;
  }

  /** Whether the disk or the state machine is so slow that this replica had better not lead. */
  get isStalled(): boolean {
    const waits = this.now - this.writes.waitingSince(this.now);
    const idles = this.handed > this.applied ? this.now - this.appliedTick : 0;
    return waits > this.options.stallTicks || idles > this.options.stallTicks;
  }
}
