/**
 * What a replica knows of each member of its group: as a candidate who voted, as a leader how far each log is. Sorted by id.
 *
 * ```
 * PROBE      where the logs agree is not known: one message, then wait for its answer or that of a heartbeat
 * REPLICATE  optimistic: messages follow each other, `next` runs ahead of `match`, within the window
 * SNAPSHOT   what the member needs is compacted: nothing is sent until the snapshot has arrived or failed
 * ```
 */
import type { Configuration } from './config.ts';
import type { LogIndex, ReplicaId } from './entry.ts';

export const PROBE = 0;
export const REPLICATE = 1;
export const SNAPSHOT_SENT = 2;

export const VOTE_UNKNOWN = 0;
export const VOTE_GRANTED = 1;
export const VOTE_REFUSED = 2;

/** The APPENDs under way to one member: at most so many, and no more once they hold so many bytes. A ring. */
export class Inflights {
  private readonly lastIndexes: Float64Array;
  private readonly sizes: Float64Array;
  private readonly windowBytes: number;
  private first = 0;
  count = 0;
  /** The sum of the sizes in the ring. */
  bytes = 0;

  constructor(windowMessages: number, windowBytes: number) {
    this.lastIndexes = new Float64Array(windowMessages);
    this.sizes = new Float64Array(windowMessages);
    this.windowBytes = windowBytes;
  }

  get isFull(): boolean {
    return this.count === this.sizes.length || this.bytes >= this.windowBytes;
  }

  add(lastIndex: LogIndex, bytes: number): void {
    const at = (this.first + this.count) % this.sizes.length;
    this.lastIndexes[at] = lastIndex;
    this.sizes[at] = bytes;
    this.count++;
    this.bytes += bytes;
  }

  /** An acknowledged index frees all messages up to it. */
  freeTo(index: LogIndex): void {
    while (this.count > 0 && this.lastIndexes[this.first] <= index) this.freeFirst();
  }

  freeFirst(): void {
    this.bytes -= this.sizes[this.first];
    this.first = (this.first + 1) % this.sizes.length;
    this.count--;
  }

  clear(): void {
    this.first = 0;
    this.count = 0;
    this.bytes = 0;
  }
}

export class Progress {
  readonly id: ReplicaId;
  state = PROBE;
  /** The last entry known to be durable there and the same as here; only ever grows in a term. */
  match: LogIndex = 0;
  /** The next entry to send; above `match`. */
  next: LogIndex = 1;
  vote = VOTE_UNKNOWN;
  /** Heard of since the last check of the quorum. */
  active = false;
  /** The newest heartbeat round that it has answered. */
  ackedRound = 0;
  /** PROBE: a message is under way. */
  probeSent = false;
  /** An APPEND is to go out even if there is nothing new: the answer tells what got lost. */
  nudged = false;
  /** The commit index it was last told in an APPEND. */
  sentCommit: LogIndex = 0;
  /** Entries for it are being read from the storage. */
  fetching = false;
  /** SNAPSHOT_SENT: the index it will have at least. */
  snapshotIndex: LogIndex = 0;
  readonly inflights: Inflights;

  constructor(id: ReplicaId, inflights: Inflights) {
    this.id = id;
    this.inflights = inflights;
  }

  reset(next: LogIndex): void {
    this.match = 0;
    this.vote = VOTE_UNKNOWN;
    this.active = false;
    this.ackedRound = 0;
    this.sentCommit = 0;
    this.fetching = false;
    this.probeFrom(next);
  }

  probeFrom(next: LogIndex): void {
    this.state = PROBE;
    this.next = Math.max(next, this.match + 1);
    this.probeSent = false;
    this.nudged = true;
    this.snapshotIndex = 0;
    this.inflights.clear();
  }

  replicate(): void {
    this.state = REPLICATE;
    this.next = this.match + 1;
    this.probeSent = false;
    this.inflights.clear();
  }

  awaitSnapshot(index: LogIndex): void {
    this.state = SNAPSHOT_SENT;
    this.snapshotIndex = index;
    this.nudged = false;
    this.inflights.clear();
  }

  get isPaused(): boolean {
    if (this.state === REPLICATE) return this.inflights.isFull;
    return this.state === SNAPSHOT_SENT || this.probeSent;
  }
}

export class Peers {
  /** Ascending by id; this replica too when it is a member. */
  readonly list: Progress[] = [];
  private readonly windowMessages: number;
  private readonly windowBytes: number;
  private readonly scratch: number[] = [];

  constructor(windowMessages: number, windowBytes: number) {
    this.windowMessages = windowMessages;
    this.windowBytes = windowBytes;
  }

  find(id: ReplicaId): Progress | undefined {
    for (let i = 0; i < this.list.length; i++) if (this.list[i].id === id) return this.list[i];
    return undefined;
  }

  /** Keeps what is known of members that stay; new ones are probed from `next` on. */
  follow(config: Configuration, next: LogIndex): void {
    const before = this.list.slice();
    this.list.length = 0;
    for (const id of config.members) {
      let progress = before.find((p) => p.id === id);
      if (progress === undefined) {
        progress = new Progress(id, new Inflights(this.windowMessages, this.windowBytes));
        progress.reset(next);
        // A newcomer is given the time to the next check of the quorum.
        progress.active = true;
      }
      this.list.push(progress);
    }
  }

  /** The highest index that a majority holds; of both sets of voters, when joint. 0 without voters. */
  matchOfQuorum(config: Configuration): LogIndex {
    const incoming = this.ofMajority(config.voters, false);
    return config.isJoint ? Math.min(incoming, this.ofMajority(config.outgoing, false)) : incoming;
  }

  /** The newest heartbeat round that a majority has answered. */
  roundOfQuorum(config: Configuration): number {
    const incoming = this.ofMajority(config.voters, true);
    return config.isJoint ? Math.min(incoming, this.ofMajority(config.outgoing, true)) : incoming;
  }

  private ofMajority(voters: readonly ReplicaId[], rounds: boolean): number {
    const sorted = this.scratch;
    const count = voters.length;
    if (count === 0) return 0;
    for (let i = 0; i < count; i++) {
      const p = this.find(voters[i])!;
      const value = rounds ? p.ackedRound : p.match;
      // Insertion: there are three or five of them, and they hardly ever move.
      let at = i;
      for (; at > 0 && sorted[at - 1] < value; at--) sorted[at] = sorted[at - 1];
      sorted[at] = value;
    }
    return sorted[count >> 1];
  }

  /** Whether a majority is active; of both sets of voters, when joint. */
  isQuorumActive(config: Configuration): boolean {
    const incoming = this.countActive(config.voters) * 2 > config.voters.length;
    return incoming && (!config.isJoint || this.countActive(config.outgoing) * 2 > config.outgoing.length);
  }

  private countActive(voters: readonly ReplicaId[]): number {
    let count = 0;
    for (let i = 0; i < voters.length; i++) if (this.find(voters[i])!.active) count++;
    return count;
  }

  /** VOTE_GRANTED or VOTE_REFUSED once that is decided. */
  electionResult(config: Configuration): number {
    const incoming = this.resultOf(config.voters);
    if (!config.isJoint || incoming === VOTE_REFUSED) return incoming;
    const outgoing = this.resultOf(config.outgoing);
    return incoming === VOTE_GRANTED || outgoing === VOTE_REFUSED ? outgoing : incoming;
  }

  private resultOf(voters: readonly ReplicaId[]): number {
    let granted = 0;
    let refused = 0;
    for (let i = 0; i < voters.length; i++) {
      const vote = this.find(voters[i])!.vote;
      if (vote === VOTE_GRANTED) granted++;
      else if (vote === VOTE_REFUSED) refused++;
    }
    if (granted * 2 > voters.length) return VOTE_GRANTED;
    return refused * 2 >= voters.length ? VOTE_REFUSED : VOTE_UNKNOWN;
  }
}
