/**
 * Who runs a simulated group: adds, promotes, removes and replaces members, hands leadership over, has snapshots taken. It believes any
 * replica that says it leads, asks for what makes no sense now and then, and does not wait for what it asked for before.
 */
import type { ReplicaId } from '../../../engine/raft/entry.ts';
import { Message, TIMEOUT_NOW } from '../../../engine/raft/message.ts';
import type { SimReplica } from './replica.ts';
import type { World } from './world.ts';

/** Members and former members together. */
const REPLICAS = 9;
const VOTERS = 5;
/** A snapshot's log is cut so many entries before its end, at the most. */
const KEPT_ENTRIES = 12;

export class Operator {
  private readonly world: World;
  private lastId: ReplicaId;

  constructor(world: World, lastId: ReplicaId) {
    this.world = world;
    this.lastId = lastId;
  }

  begin(): void {
    const { world } = this;
    const { profile: p } = world;
    const every = (meanMs: number, what: () => void) => {
      if (meanMs !== Number.POSITIVE_INFINITY) world.repeat(meanMs, what);
    };
    every(p.changeEveryMs, () => this.change());
    // The dead are to be replaced, whatever else there is.
    if (p.wipeEveryMs !== Number.POSITIVE_INFINITY) world.repeat(150, () => this.replaceDead());
    every(p.transferEveryMs, () => this.transfer());
    every(p.contestEveryMs, () => this.contest());
    every(p.snapshotEveryMs, () => this.takeSnapshot());
  }

  private withLeader(what: (leader: SimReplica) => void): void {
    const { leaders, chance } = this.world;
    if (leaders.length === 0) return;
    const leader = chance.pick(leaders);
    leader.input(() => {
      if (leader.core.isLeader) what(leader);
    });
  }

  private change(): void {
    const { leaders, chance } = this.world;
    if (leaders.length > 0) this.changeAt(chance.pick(leaders));
  }

  /** Asks for any change of members there, if it leads. */
  changeAt(replica: SimReplica): void {
    const { chance: c } = this.world;
    replica.input(() => {
      if (!replica.core.isLeader) return;
      const { voters, learners } = replica.core.state.config;
      const removed = c.pick(voters);
      // One voter more or less, mostly; now and then any change.
      const isSmall = c.percent(50);
      const nextVoters = voters.filter((id) => (isSmall ? id !== removed : !c.percent(20)));
      const nextLearners: ReplicaId[] = [];
      for (const id of learners) if (!c.percent(10)) (c.percent(50) ? nextVoters : nextLearners).push(id);
      if (!isSmall && c.percent(50)) (c.percent(40) ? nextVoters : nextLearners).push(this.newcomer);
      if (isSmall && c.percent(50)) nextVoters.push(removed, this.newcomer);
      this.propose(replica, nextVoters, nextLearners);
    });
  }

  private replaceDead(): void {
    this.withLeader((leader) => {
      const { voters, learners } = leader.core.state.config;
      const isAlive = (id: ReplicaId) => this.world.replicas.get(id)?.isGone === false;
      const nextVoters = [...voters.filter(isAlive), ...learners.filter(isAlive)];
      const nextLearners: ReplicaId[] = [];
      if (nextVoters.length < voters.length) nextLearners.push(this.newcomer);
      this.propose(leader, nextVoters, nextLearners);
    });
  }

  private get newcomer(): ReplicaId {
    return this.lastId + 1;
  }

  private propose(leader: SimReplica, voters: ReplicaId[], learners: ReplicaId[]): void {
    const { world } = this;
    const { config } = leader.core.state;
    const isJoining = [...voters, ...learners].includes(this.newcomer);
    const alive = voters.filter((id) => id === this.newcomer || world.replicas.get(id)?.isGone === false);
    // Of a group that cannot work nothing can be learned.
    if (alive.length * 2 <= voters.length || voters.length > VOTERS) return;
    if (isJoining && world.replicas.size >= REPLICAS) return;
    const index = leader.core.proposeChange(voters, learners);
    world.say(() => `n${leader.id} is asked for voters ${voters}, learners ${learners}: ${index}`);
    if (index > 0) {
      const added = voters.filter((id) => !config.voters.includes(id)).length;
      const removed = config.members.filter((id) => !voters.includes(id) && !learners.includes(id));
      if (added > 0) world.tally.add('voters added');
      if (learners.some((id) => !config.members.includes(id))) world.tally.add('learners added');
      if (removed.length > 0) world.tally.add('members removed');
      if (added + config.voters.filter((id) => !voters.includes(id)).length > 1) {
        world.tally.add('several voters changed at once');
      }
      if (isJoining) {
        this.lastId++;
        world.join(this.lastId);
      }
    } else world.tally.add('changes refused');
    leader.serve();
  }

  private transfer(): void {
    const { world } = this;
    this.withLeader((leader) => {
      const to = world.chance.pick([...world.replicas.keys()]);
      if (!leader.core.transferTo(to)) return;
      world.tally.add('transfers');
      world.say(() => `n${leader.id} is to hand over to n${to}`);
      leader.serve();
    });
  }

  /** Two are told to take over, as by a transfer that was given up and a second one. */
  private contest(): void {
    const { world } = this;
    this.withLeader((leader) => {
      const { state } = leader.core;
      world.tally.add('competing candidates');
      state.hasForfeited = true;
      for (let n = 0; n < 2; n++) {
        const to = world.chance.pick(state.config.members);
        const message = new Message(TIMEOUT_NOW, state.group, leader.id, to, state.term);
        world.network.send(leader.id, to, () => world.replicas.get(to)?.receive(message));
      }
    });
  }

  private takeSnapshot(): void {
    const { chance, present } = this.world;
    const replica = chance.pick(present);
    replica.input(() => replica.takeSnapshot(chance.percent(50) ? 0 : chance.below(KEPT_ENTRIES)));
  }
}
