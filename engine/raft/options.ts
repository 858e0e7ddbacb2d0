/** How a replica is begun. Times are in ticks; a tick is what the caller says it is, the same on all members. */
import { ConfigHistory, type Configuration, decodeConfig, EMPTY_CONFIG } from './config.ts';
import { ENTRY_CONFIG, type HardState, type LogIndex, type ReplicaId, type SnapshotMeta, type Term } from './entry.ts';
import { must } from './errors.ts';
import { RaftLog } from './log.ts';

export interface RaftOptions {
  readonly group: number;
  readonly id: ReplicaId;
  /** Of all randomness there is: the election timeouts. */
  readonly seed: number;
  /** Different at each start of this replica, so that answers to questions of an earlier life are known as such. */
  readonly incarnation: number;
  /** Without word from a leader a voter campaigns after electionTicks to 2 * electionTicks - 1 ticks. */
  readonly electionTicks: number;
  readonly heartbeatTicks: number;
  /**
   * How long a leader reads without asking, after the start of a heartbeat round that a majority has answered; 0 = it always
   * asks. Voters then refuse to vote for at least electionTicks - 1 of their ticks, so reads are linearizable while no member's
   * clock runs more than (electionTicks - 1) / leaseTicks as fast as the leader's. The caller must tell the leader the time
   * (`setClock`) before anything that may read, by a clock that goes on while the machine is suspended.
   */
  readonly leaseTicks: number;
  /**
   * A leader whose oldest write takes longer than this, or which applies nothing of what it was given for as long, steps down,
   * and nobody campaigns in that state.
   */
  readonly stallTicks: number;
  /** Entries of one APPEND, unless a single one is larger. */
  readonly appendBytes: number;
  /** APPENDs under way to one member, and how many bytes they may hold before no more are sent. */
  readonly windowMessages: number;
  readonly windowBytes: number;
  /** Proposals that are not committed; one larger than this passes when there is no other. */
  readonly uncommittedBytes: number;
  /** Entries kept in memory once they are durable and committed, for members that are a little behind. */
  readonly keptBytes: number;
}

export const DEFAULT_OPTIONS = {
  electionTicks: 10,
  heartbeatTicks: 1,
  leaseTicks: 0,
  stallTicks: 40,
  appendBytes: 256 * 1024,
  windowMessages: 64,
  windowBytes: 4 * 1024 * 1024,
  uncommittedBytes: 64 * 1024 * 1024,
  keptBytes: 16 * 1024 * 1024,
} as const;

export function checkOptions(o: RaftOptions): void {
  must(o.id >= 1, 'ids begin at 1');
  must(o.heartbeatTicks >= 1 && o.electionTicks > o.heartbeatTicks, 'an election takes longer than a heartbeat');
  must(o.leaseTicks >= 0 && o.leaseTicks < o.electionTicks, 'a lease ends before its voters vote again');
  must(o.windowMessages >= 1, 'a window has room for one message');
}

/**
 * What the storage gives back at the start, filled by its reader in order of index, then taken over by one replica. The state
 * machine is that of the snapshot; what of the log behind it is committed, the leader will say.
 */
export class Restored {
  readonly snapshot: SnapshotMeta;
  readonly hardState: HardState;
  /**
   * There was a log and it is gone, or part of what was durable is: the replica has promised what it no longer knows. It stays
   * silent from then on; the node joins again under a new id, as a learner.
   */
  readonly isLost: boolean;
  readonly log: RaftLog;
  readonly configs: ConfigHistory;
  /** The log is from before the snapshot was installed, and another than the one it ends: a crash came between the two. */
  private isOvertaken = false;

  constructor(snapshot: SnapshotMeta, hardState: HardState, isLost = false) {
    this.snapshot = snapshot;
    this.hardState = hardState;
    this.isLost = isLost;
    this.log = new RaftLog(snapshot.index, snapshot.term);
    this.configs = new ConfigHistory(snapshot.configIndex, snapshot.config);
  }

  entry(index: LogIndex, term: Term, kind: number, bytes: Uint8Array, start: number, length: number): void {
    if (index === this.snapshot.index && term !== this.snapshot.term) this.isOvertaken = true;
    if (index <= this.snapshot.index || this.isOvertaken) return;
    this.configs.truncateFrom(index);
    this.log.restore(index, term);
    if (kind === ENTRY_CONFIG) this.configs.add(index, decodeConfig(bytes, start, length));
  }
}

/** A group's first members begin with the same configuration; a replica that joins later begins with none. */
export function firstStart(config: Configuration = EMPTY_CONFIG): Restored {
  return new Restored({ index: 0, term: 0, config, configIndex: 0 }, { term: 0, vote: 0 });
}
