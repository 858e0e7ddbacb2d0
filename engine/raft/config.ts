/**
 * Who is in a group, and what a majority of it is (Raft thesis 4.3). Immutable; one is made per membership change.
 *
 * A change of voters goes through a joint configuration, in which everything needs a majority of the voters to come and
 * one of the voters that were (`outgoing`). All lists ascend.
 *
 * ```
 * as bytes, little-endian: the payload of an ENTRY_CONFIG
 * +0 version u8 = 1 | +1 u8 = 0 | +2 voters u16 | +4 outgoing u16 | +6 learners u16 | +8 lastId u32 | +12 ids u32 ...
 * ```
 *
 * An example, voters 1 2 4, coming from 1 2 3, no learner, 4 the highest id so far:
 * `01 00 03 00 03 00 00 00 04 00 00 00 | 01 00 00 00 02 00 00 00 04 00 00 00 | 01 00 00 00 02 00 00 00 03 00 00 00`
 */
import type { LogIndex, ReplicaId } from './entry.ts';
import { RaftBytesError } from './errors.ts';

const VERSION = 1;
const HEADER_BYTES = 12;
const LARGEST_ID = 2 ** 32 - 1;
/** Members of one list; far above what makes sense, it bounds what a damaged entry can ask for. */
const MEMBERS_LIMIT = 1024;

export class Configuration {
  readonly voters: readonly ReplicaId[];
  /** The voters that are being replaced; empty unless joint. */
  readonly outgoing: readonly ReplicaId[];
  readonly learners: readonly ReplicaId[];
  /** The highest id that ever was in the group: whoever is not a member and not above it was removed, and stays so. */
  readonly lastId: ReplicaId;
  /** Everybody in the lists above. */
  readonly members: readonly ReplicaId[];

  constructor(
    voters: readonly ReplicaId[],
    outgoing: readonly ReplicaId[],
    learners: readonly ReplicaId[],
    lastId: ReplicaId,
  ) {
    this.voters = ascending(voters);
    this.outgoing = ascending(outgoing);
    this.learners = ascending(learners);
    this.members = ascending([...new Set([...voters, ...outgoing, ...learners])]);
    this.lastId = Math.max(lastId, ...this.members);
  }

  get isJoint(): boolean {
    return this.outgoing.length > 0;
  }

  /** The joint configuration that leads from those voters to this one. */
  withOutgoing(outgoing: readonly ReplicaId[]): Configuration {
    return new Configuration(this.voters, outgoing, this.learners, this.lastId);
  }

  /** What a joint configuration leads to. */
  withoutOutgoing(): Configuration {
    return new Configuration(this.voters, [], this.learners, this.lastId);
  }

  isVoter(id: ReplicaId): boolean {
    return this.voters.includes(id) || this.outgoing.includes(id);
  }

  wasRemoved(id: ReplicaId): boolean {
    return id <= this.lastId && !this.members.includes(id);
  }
}

/** A replica that knows nothing of its group yet. */
export const EMPTY_CONFIG = new Configuration([], [], [], 0);

/** Whether this can be a configuration's list at all. */
export function isMemberList(ids: readonly ReplicaId[]): boolean {
  if (ids.length > MEMBERS_LIMIT || new Set(ids).size !== ids.length) return false;
  return ids.every((id) => Number.isInteger(id) && id >= 1 && id <= LARGEST_ID);
}

function ascending(ids: readonly ReplicaId[]): readonly ReplicaId[] {
  return [...ids].sort((a, b) => a - b);
}

export function encodeConfig(config: Configuration): Uint8Array {
  const { voters, outgoing, learners } = config;
  const ids = [...voters, ...outgoing, ...learners];
  const view = new DataView(new ArrayBuffer(HEADER_BYTES + 4 * ids.length));
  view.setUint8(0, VERSION);
  view.setUint16(2, voters.length, true);
  view.setUint16(4, outgoing.length, true);
  view.setUint16(6, learners.length, true);
  view.setUint32(8, config.lastId, true);
  for (let i = 0; i < ids.length; i++) view.setUint32(HEADER_BYTES + 4 * i, ids[i], true);
  return new Uint8Array(view.buffer);
}

export function decodeConfig(bytes: Uint8Array, start: number, length: number): Configuration {
  const view = new DataView(bytes.buffer, bytes.byteOffset + start, length);
  if (length < HEADER_BYTES || view.getUint8(0) !== VERSION) throw new RaftBytesError('not a configuration');
  const voters = view.getUint16(2, true);
  const outgoing = view.getUint16(4, true);
  const learners = view.getUint16(6, true);
  if (length !== HEADER_BYTES + 4 * (voters + outgoing + learners))
    throw new RaftBytesError('a configuration cut short');
  const list = (from: number, count: number) => {
    const ids = Array.from({ length: count }, (_, i) => view.getUint32(HEADER_BYTES + 4 * (from + i), true));
    if (!isMemberList(ids)) throw new RaftBytesError('a configuration with impossible members');
    return ids;
  };
  return new Configuration(
    list(0, voters),
    list(voters, outgoing),
    list(voters + outgoing, learners),
    view.getUint32(8, true),
  );
}

/**
 * The configurations of a log: a replica uses the newest in its log, committed or not, and falls back to the one before when
 * that entry is replaced (thesis 4.1).
 */
export class ConfigHistory {
  private readonly indexes: LogIndex[] = [];
  private readonly configs: Configuration[] = [];

  constructor(index: LogIndex, config: Configuration) {
    this.restart(index, config);
  }

  get current(): Configuration {
    return this.configs[this.configs.length - 1];
  }

  get currentIndex(): LogIndex {
    return this.indexes[this.indexes.length - 1];
  }

  add(index: LogIndex, config: Configuration): void {
    this.indexes.push(index);
    this.configs.push(config);
  }

  /** Position of the configuration that holds at `index`. */
  private positionAt(index: LogIndex): number {
    let at = this.indexes.length - 1;
    while (at > 0 && this.indexes[at] > index) at--;
    return at;
  }

  at(index: LogIndex): Configuration {
    return this.configs[this.positionAt(index)];
  }

  indexAt(index: LogIndex): LogIndex {
    return this.indexes[this.positionAt(index)];
  }

  /** Whether the configuration at `index`, or any behind it, has this replica as a voter. */
  hasVoterSince(index: LogIndex, id: ReplicaId): boolean {
    for (let at = this.positionAt(index); at < this.configs.length; at++) if (this.configs[at].isVoter(id)) return true;
    return false;
  }

  /** Entries from `index` on are gone. Returns whether that changes the current one. */
  truncateFrom(index: LogIndex): boolean {
    const keep = this.positionAt(index - 1) + 1;
    if (keep === this.indexes.length) return false;
    this.indexes.length = keep;
    this.configs.length = keep;
    return true;
  }

  /** Nobody will ask for what held before `index`. */
  compactTo(index: LogIndex): void {
    const gone = this.positionAt(index);
    this.indexes.splice(0, gone);
    this.configs.splice(0, gone);
  }

  restart(index: LogIndex, config: Configuration): void {
    this.indexes.length = 0;
    this.configs.length = 0;
    this.add(index, config);
  }
}
