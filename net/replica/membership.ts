/**
 * Who belongs to the group, changed by its leader: a node is added as a learner, becomes a voter when it has caught up (in
 * place of the replica that the same node was before, if there is one), and is removed. Main thread.
 */
import type { ReplicaId } from '../../engine/raft/entry.ts';
import { isMember, type Member } from '../../engine/raft/roster.ts';
import type { Join } from '../../proto/messages.ts';
import type { Logger } from '../log.ts';
import { parseAddress } from './addresses.ts';
import type { Replica } from './replica.ts';
import { FORGET, type GroupState, memberWords } from './state.ts';

/** How often it is looked whether a learner has caught up, or a removed replica can be forgotten. */
const LOOK_MS = 100;
/** A learner that lacks no more entries than this is made a voter. */
const CLOSE_ENTRIES = 64;

type Candidate = Pick<Join, 'nodeId' | 'nodeName' | 'peerAddress' | 'clientAddress'>;

/** A node that will never be taken as it is: asking again does not help. */
export class JoinRefused extends Error {}

export class Membership {
  private readonly replica: Replica;
  private readonly state: GroupState;
  private readonly log: Logger;
  private readonly timer: NodeJS.Timeout;
  private isAdding = false;

  constructor(replica: Replica, state: GroupState, log: Logger) {
    this.replica = replica;
    this.state = state;
    this.log = log;
    this.timer = setInterval(() => this.look(), LOOK_MS);
  }

  stop(): void {
    clearInterval(this.timer);
  }

  /**
   * Makes the node a learner, under an id that was never used. Asked again by the same node it gives the same id, until that takes part.
   * A node that an operator has added before it was there ('' for its id) is the one that joins under its name.
   */
  async add(request: Candidate): Promise<ReplicaId> {
    // Two that are added at the same time would get the same id.
    if (this.isAdding) fail('another node is being added');
    this.isAdding = true;
    try {
      return await this.addOne(request);
    } finally {
      this.isAdding = false;
    }
  }

  private async addOne(request: Candidate): Promise<ReplicaId> {
    const { core } = this.replica.isLeader ? this.replica : fail('this node does not lead');
    const { config } = core.state;
    const peer = parseAddress(request.peerAddress);
    const client = parseAddress(request.clientAddress);
    const isSilent = (id: ReplicaId): boolean => (core.state.peers.find(id)?.match ?? 0) === 0;
    const waiting = this.state.roster
      .all()
      .filter((m) => config.learners.includes(m.replica) && isSilent(m.replica))
      .find((m) => (m.nodeId === '' ? m.name === request.nodeName : m.nodeId === request.nodeId));
    if (waiting !== undefined && waiting.nodeId === request.nodeId) return waiting.replica;
    const id =
      waiting?.replica ?? Math.max(config.lastId, ...this.state.roster.all().map(({ replica }) => replica)) + 1;
    const member: Member = {
      replica: id,
      nodeId: request.nodeId,
      name: request.nodeName,
      host: peer.host,
      peerPort: peer.port,
      clientPort: client.port,
    };
    if (!isMember(member)) throw new JoinRefused('its name or address is too long');
    const namesake = this.state.roster
      .all()
      .find((m) => m.name === member.name && m.replica !== id && !isFormer(m, member));
    if (namesake !== undefined && config.members.includes(namesake.replica)) {
      throw new JoinRefused(
        `the group has a node ${member.name} already, replica ${namesake.replica} at ${namesake.host}:${namesake.peerPort}; if that one is gone, RAFT REMOVE ${namesake.replica} first`,
      );
    }
    await this.replica.proposeOwn(memberWords(member));
    if (waiting !== undefined) return id;
    const wasLearner = (learner: ReplicaId): boolean => {
      const there = this.state.roster.get(learner);
      return there !== undefined && request.nodeId !== '' && isFormer(there, member);
    };
    // As it is now: it may have changed while the entry was under way.
    const { voters, learners: others } = core.state.config;
    const learners = others.filter((learner) => !wasLearner(learner));
    const refusal = this.replica.changeMembers(voters, [...learners, id]);
    if (refusal !== '') fail(refusal);
    this.log.write('notice', `${member.name} joins as learner ${id}`);
    return id;
  }

  /** Why not, or ''. */
  remove(id: ReplicaId): string {
    const { config } = this.replica.core.state;
    if (!config.members.includes(id)) return `there is no replica ${id}`;
    const without = (ids: readonly ReplicaId[]): ReplicaId[] => ids.filter((member) => member !== id);
    return this.replica.changeMembers(without(config.voters), without(config.learners));
  }

  private look(): void {
    const { replica, state } = this;
    if (!replica.isLeader || !replica.core.state.knowsCommit) return;
    const { config, configs, applied, commit, log } = replica.core.state;
    if (config.isJoint || configs.currentIndex > commit) return;
    for (const id of config.learners) {
      const progress = replica.core.state.peers.find(id);
      const member = state.roster.get(id);
      if (progress === undefined || member === undefined || progress.match === 0) continue;
      if (log.lastIndex - progress.match > CLOSE_ENTRIES) continue;
      const former = state.roster.all().filter((m) => m.replica !== id && isFormer(m, member));
      const voters = config.voters.filter((voter) => !former.some((m) => m.replica === voter));
      const learners = config.learners.filter((learner) => learner !== id);
      const refusal = replica.changeMembers([...voters, id], learners);
      if (refusal === '') this.log.write('notice', `${member.name} becomes voter ${id}`);
      return;
    }
    for (const member of state.roster.all()) {
      if (config.members.includes(member.replica) || member.replica > config.lastId || applied < commit) continue;
      void replica.proposeOwn([FORGET, String(member.replica)]).catch(() => {});
      return;
    }
  }
}

/**
 * Whether a replica is what this member's node was before: by the node's id, or by name and address, where its directory was emptied, or
 * it was killed before it could say who it is. Nobody else can be at that address now.
 */
function isFormer(replica: Member, member: Member): boolean {
  if (replica.nodeId !== '' && replica.nodeId === member.nodeId) return true;
  return replica.name === member.name && replica.host === member.host && replica.peerPort === member.peerPort;
}

function fail(text: string): never {
  throw new Error(text);
}
