/** What a node says of its group, in words: for RAFT STATUS, INFO and ROLE. Main thread, cold; changes nothing. */
import type { ReplicaId } from '../../engine/raft/entry.ts';
import { holdsLease } from '../../engine/raft/leader.ts';
import { PROBE, REPLICATE } from '../../engine/raft/progress.ts';
import { CANDIDATE, LEADER, PRECANDIDATE } from '../../engine/raft/replica.ts';
import type { Member } from '../../engine/raft/roster.ts';
import { formatAddress } from './addresses.ts';
import type { Group } from './group.ts';

export interface MemberStatus {
  readonly id: ReplicaId;
  /** Undefined while the roster does not know it. */
  readonly member: Member | undefined;
  readonly name: string;
  readonly clientAddress: string;
  readonly peerAddress: string;
  readonly role: 'voter' | 'leaving' | 'learner';
  /** How far its log is known to agree, and what it is sent next; 0 where this node does not lead. */
  readonly match: number;
  readonly next: number;
  readonly state: 'self' | 'probe' | 'replicate' | 'snapshot' | 'unknown';
  readonly connected: boolean;
  /** -1 where there is no connection, or nothing came on it yet. */
  readonly rttMs: number;
  readonly pendingBytes: number;
  readonly lastHeardMs: number;
}

/** `leader`, `follower`, `candidate`, `learner`; `lost` has forgotten what it promised, `removed` was a member. */
export function roleOf({ replica }: Group): string {
  const { role, config, id, isLost } = replica.core.state;
  if (isLost) return 'lost';
  if (role === LEADER) return 'leader';
  if (config.wasRemoved(id)) return 'removed';
  if (config.learners.includes(id)) return 'learner';
  return role === CANDIDATE || role === PRECANDIDATE ? 'candidate' : 'follower';
}

/** Where the leader is, as far as known. */
export function leaderOf(group: Group): Member | undefined {
  return group.state.roster.get(group.replica.core.state.leader);
}

export function clientAddressOf(member: Member | undefined): string {
  return member === undefined ? '' : formatAddress({ host: member.host, port: member.clientPort });
}

export function isLeaseHeld({ replica }: Group): boolean {
  return replica.isLeader && holdsLease(replica.core.state);
}

export function membersOf(group: Group): MemberStatus[] {
  const { state } = group.replica.core;
  const { config } = state;
  const links = new Map((group.peers?.status() ?? []).map((link) => [link.replica, link]));
  return config.members.map((id) => {
    const member = group.state.roster.get(id);
    const progress = state.role === LEADER ? state.peers.find(id) : undefined;
    const link = links.get(id);
    const isSelf = id === state.id;
    return {
      id,
      member,
      name: member?.name ?? '',
      clientAddress: clientAddressOf(member),
      peerAddress: member === undefined ? '' : formatAddress({ host: member.host, port: member.peerPort }),
      role: config.voters.includes(id) ? 'voter' : config.outgoing.includes(id) ? 'leaving' : 'learner',
      match: progress?.match ?? 0,
      next: progress === undefined ? 0 : isSelf ? state.log.lastIndex + 1 : progress.next,
      state: isSelf ? 'self' : progress === undefined ? 'unknown' : progressName(progress.state),
      connected: isSelf || link?.connected === true,
      rttMs: isSelf ? 0 : (link?.rttMs ?? -1),
      pendingBytes: link?.pendingBytes ?? 0,
      lastHeardMs: isSelf ? 0 : (link?.lastHeardMs ?? -1),
    };
  });
}

function progressName(state: number): MemberStatus['state'] {
  return state === PROBE ? 'probe' : state === REPLICATE ? 'replicate' : 'snapshot';
}

/** The members of this name, or of this id. */
export function membersNamed(group: Group, text: string): MemberStatus[] {
  const members = membersOf(group);
  const named = members.filter(({ name }) => name === text);
  return named.length > 0 ? named : members.filter(({ id }) => String(id) === text);
}

/** How many replicas beside the leader hold whatever is committed, at least. */
export function holdersOfAll({ replica }: Group): number {
  const { voters, outgoing } = replica.core.state.config;
  return Math.floor((outgoing.length === 0 ? voters.length : Math.min(voters.length, outgoing.length)) / 2);
}

/** How many replicas beside this one hold the committed entry at `index`, as far as known here: only a leader knows of more than a majority. */
export function holdersOf(group: Group, index: number): number {
  const { state } = group.replica.core;
  const ofMajority = holdersOfAll(group);
  if (state.role !== LEADER) return ofMajority;
  let holders = 0;
  for (const { id, match } of state.peers.list) if (id !== state.id && match >= Math.max(index, 1)) holders++;
  return Math.max(holders, ofMajority);
}

/** The group as Redis would tell it: the leader is a master, everybody else a replica of it. A node by itself is a master. */
export interface Replication {
  readonly role: 'master' | 'slave';
  /** Where the log ends here; on a replica how much of it is applied. */
  readonly offset: number;
  /** Of a master: the members that it reaches. */
  readonly replicas: readonly { host: string; port: number; offset: number; lagSec: number; isOnline: boolean }[];
  /** Of a replica. */
  readonly leader: Member | undefined;
  readonly isConnected: boolean;
  readonly heardMs: number;
}

/** Whether clients that know of masters and replicas should take this node for a master. */
export function isMaster(group: Group | undefined): boolean {
  return group === undefined || (group.hasStarted && group.replica.isLeader);
}

export function replicationOf(group: Group | undefined): Replication {
  const none = { replicas: [], leader: undefined, isConnected: false, heardMs: -1 };
  if (group === undefined) return { role: 'master', offset: 0, ...none };
  if (!group.hasStarted) return { role: 'slave', offset: 0, ...none };
  const { replica } = group;
  const { state } = replica.core;
  const others = membersOf(group).filter(({ id }) => id !== state.id);
  if (!replica.isLeader) {
    const leader = others.find(({ id }) => id === state.leader);
    const offset = replica.applier.appliedIndex;
    const [isConnected, heardMs] = [leader?.connected === true, leader?.lastHeardMs ?? -1];
    return { role: 'slave', offset, replicas: [], leader: leader?.member, isConnected, heardMs };
  }
  const replicas = others
    .filter(({ connected, member }) => connected && member !== undefined)
    .map(({ member, match, lastHeardMs, state: progress }) => ({
      host: member!.host,
      port: member!.clientPort,
      offset: match,
      lagSec: Math.max(0, Math.floor(lastHeardMs / 1000)),
      isOnline: progress === 'replicate',
    }));
  return { ...none, role: 'master', offset: state.log.lastIndex, replicas };
}
