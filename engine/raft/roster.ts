/**
 * Where the replicas of a group are: a configuration (config.ts) names them by id alone. Part of the replicated state, changed
 * only by what the log says, by whoever applies it; O(members), which are few. `all` gives readers a list that stays as it is.
 *
 * ```
 * as bytes, little-endian, not aligned
 * roster: +0 version u8 = 1 | +1 zeros | +4 members u32 | +8 the members, by replica ascending
 * member: +0 replica u32 | +4 peer port u16 | +6 client port u16 | +8 node id bytes u16 | +10 name bytes u16
 *         | +12 host bytes u16 | +14 node id .. | name .. | host ..       all three in UTF-8
 * ```
 * Example, replica 2 of node `x`, named `n2`, at host `h`, ports 7001 and 6379, as the only one:
 * `01 00 00 00 01 00 00 00 | 02 00 00 00 59 1b eb 18 01 00 02 00 01 00 78 6e 32 68`
 */
import type { ReplicaId } from './entry.ts';
import { must } from './errors.ts';

/** Nobody changes one once it is made. */
export interface Member {
  readonly replica: ReplicaId;
  /** Who the node is for good, whatever replicas it has had and wherever it is. */
  readonly nodeId: string;
  /** What people call the node. */
  readonly name: string;
  readonly host: string;
  readonly peerPort: number;
  readonly clientPort: number;
}

const VERSION = 1;
const HEADER_BYTES = 8;
const MEMBER_HEADER_BYTES = 14;
/** Of a node id, a name or a host: with its port behind it, too, it has to go through proto/decoder.ts. */
const TEXT_BYTES = 240;
const LARGEST_REPLICA = 2 ** 32 - 1;
const LARGEST_PORT = 65535;

/** Bytes that should be a roster and are not. */
export class RosterBytesError extends Error {
  readonly code = 'RAFT_BAD_ROSTER';
}

/** Whether a roster can hold this: to be asked before it is proposed, since `set` stops the replica if it cannot. */
export function isMember(member: Member): boolean {
  const { replica, peerPort, clientPort, nodeId, name, host } = member;
  const isInteger = [replica, peerPort, clientPort].every((n) => Number.isInteger(n));
  const fits = isInteger && replica >= 1 && replica <= LARGEST_REPLICA && isPort(peerPort) && isPort(clientPort);
  return fits && [nodeId, name, host].every((text) => Buffer.byteLength(text) <= TEXT_BYTES);
}

function isPort(port: number): boolean {
  return port >= 0 && port <= LARGEST_PORT;
}

export class Roster {
  /** Ascending; replaced, never changed. */
  private members: readonly Member[] = [];

  constructor(members: readonly Member[] = []) {
    for (const member of members) this.set(member);
  }

  /** All members as they are now, ascending by replica. */
  all(): readonly Member[] {
    return this.members;
  }

  get(replica: ReplicaId): Member | undefined {
    return this.members.find((member) => member.replica === replica);
  }

  /** The newest replica of that name: a node that comes back under a new id has two until the old one is removed. */
  byName(name: string): Member | undefined {
    return this.members.findLast((member) => member.name === name);
  }

  /** Adds a member, or replaces what was known of that replica. */
  set(member: Member): void {
    must(isMember(member), 'a roster can hold its members');
    const others = this.members.filter(({ replica }) => replica !== member.replica);
    this.members = [...others, member].sort((a, b) => a.replica - b.replica);
  }

  remove(replica: ReplicaId): void {
    this.members = this.members.filter((member) => member.replica !== replica);
  }

  /** Equal rosters give equal bytes. */
  encode(): Uint8Array {
    const header = Buffer.alloc(HEADER_BYTES);
    header[0] = VERSION;
    header.writeUInt32LE(this.members.length, 4);
    return Buffer.concat([header, ...this.members.map(encodeMember)]);
  }

  static decode(bytes: Uint8Array): Roster {
    const buf = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
    if (buf.length < HEADER_BYTES || buf[0] !== VERSION) throw new RosterBytesError('not a roster');
    const members: Member[] = [];
    let at = HEADER_BYTES;
    for (let left = buf.readUInt32LE(4); left > 0; left--) {
      if (at + MEMBER_HEADER_BYTES > buf.length) throw new RosterBytesError('a roster cut short');
      const end = memberEnd(buf, at);
      if (end > buf.length) throw new RosterBytesError('a roster cut short');
      const member = decodeMember(buf, at);
      const before = members.length === 0 ? 0 : members[members.length - 1].replica;
      if (!isMember(member) || member.replica <= before) throw new RosterBytesError('an impossible member');
      members.push(member);
      at = end;
    }
    if (at !== buf.length) throw new RosterBytesError('more bytes than a roster has');
    return new Roster(members);
  }
}

function encodeMember(member: Member): Uint8Array {
  const texts = [member.nodeId, member.name, member.host].map((text) => Buffer.from(text));
  const header = Buffer.alloc(MEMBER_HEADER_BYTES);
  header.writeUInt32LE(member.replica, 0);
  header.writeUInt16LE(member.peerPort, 4);
  header.writeUInt16LE(member.clientPort, 6);
  for (let i = 0; i < texts.length; i++) header.writeUInt16LE(texts[i].length, 8 + 2 * i);
  return Buffer.concat([header, ...texts]);
}

function memberEnd(buf: Buffer, at: number): number {
  return at + MEMBER_HEADER_BYTES + buf.readUInt16LE(at + 8) + buf.readUInt16LE(at + 10) + buf.readUInt16LE(at + 12);
}

/** The member at `at`, all of whose bytes are there. */
function decodeMember(buf: Buffer, at: number): Member {
  const nameAt = at + MEMBER_HEADER_BYTES + buf.readUInt16LE(at + 8);
  const hostAt = nameAt + buf.readUInt16LE(at + 10);
  return {
    replica: buf.readUInt32LE(at),
    nodeId: buf.toString('utf8', at + MEMBER_HEADER_BYTES, nameAt),
    name: buf.toString('utf8', nameAt, hostAt),
    host: buf.toString('utf8', hostAt, memberEnd(buf, at)),
    peerPort: buf.readUInt16LE(at + 4),
    clientPort: buf.readUInt16LE(at + 6),
  };
}
