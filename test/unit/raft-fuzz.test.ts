/**
 * Groups of replicas under random trouble, from a seed: lost, repeated and reordered messages, cut links, crashes that lose or keep
 * writes under way, slow disks, snapshots, transfers, changes of members. The watch (test/support/raft-watch.ts) looks at
 * every step; in the end the trouble stops and the group must work again.
 */
import { describe, expect, it } from 'vitest';
import type { ReplicaId } from '../../engine/raft/entry.ts';
import { Message, TIMEOUT_NOW } from '../../engine/raft/message.ts';
import { dice, RaftGroup } from '../support/raft.ts';

const SEEDS = Number(process.env.MILLRACE_RAFT_SEEDS ?? 300);
const FIRST = Number(process.env.MILLRACE_RAFT_FIRST ?? 1);
const STEPS = 1500;

function anyOf<T>(below: (n: number) => number, list: readonly T[]): T {
  return list[below(list.length)];
}

class Trouble {
  readonly group: RaftGroup;
  private readonly below: (limit: number) => number;
  private lastId: ReplicaId;
  private readonly loss: number;

  constructor(seed: number) {
    this.below = dice(seed);
    const voters = [1, 2, 3, 4, 5].slice(0, 3 + this.below(3));
    this.lastId = voters.length;
    this.loss = anyOf(this.below, [0, 2, 10, 30]);
    const options = {
      electionTicks: 5,
      leaseTicks: 0,
      stallTicks: 30,
      appendBytes: 1 + this.below(40),
      windowMessages: 1 + this.below(6),
      windowBytes: 1 + this.below(60),
      uncommittedBytes: 60,
      keptBytes: this.below(3) * 10,
    };
    this.group = new RaftGroup(voters, options, [], seed);
  }

  private get ids(): ReplicaId[] {
    return [...this.group.members.keys()];
  }

  /** Mostly those that matter: who was removed has only old messages to add. */
  private get present(): readonly ReplicaId[] {
    const { leaders } = this.group;
    return leaders.length === 0 || this.below(8) === 0 ? this.ids : leaders[0].core.state.config.members;
  }

  step(): void {
    const { group, below } = this;
    // Clients find the leader, mostly.
    const { leaders } = group;
    const id = leaders.length > 0 && below(3) === 0 ? anyOf(below, leaders).id : anyOf(below, this.present);
    const isUp = group.get(id).isUp;
    const draw = below(1000);
    if (draw < 600) this.network();
    else if (draw < 740) group.tick(anyOf(below, this.present));
    else if (draw < 815) group.propose(id, `${draw}`);
    else if (draw < 855) group.read(id);
    else if (draw < 875) this.change();
    else if (draw < 885) group.snapshot(id);
    else if (draw < 900) group.snapshot(id);
    else if (draw < 910) this.below(3) > 0 ? group.slowDisks.delete(id) : group.slowDisks.add(id);
    else if (draw < 940) this.syncSome(id);
    else if (draw < 955) this.crashOrStart(id, isUp);
    else if (draw < 965) this.cutOrHeal(id);
    else if (draw < 975) group.core(id).transferTo(anyOf(below, this.ids));
    else if (draw < 985) this.change();
    else if (draw < 988) group.core(id).unreachable(anyOf(below, this.ids));
    else if (draw < 993) this.contest();
    else this.freeze(id);
    group.serve(id);
  }

  private network(): void {
    const { group, below } = this;
    while (group.bag.length > 200) group.drop(below(100));
    for (let n = 1 + below(4); n > 0 && group.bag.length > 0; n--) {
      // Mostly in order.
      const at = below(4) === 0 ? below(group.bag.length) : 0;
      if (below(100) < this.loss) group.drop(at);
      else group.deliver(at, below(20) === 0);
    }
  }

  /** One stands still while time passes for the others, and they may talk meanwhile. */
  private freeze(id: ReplicaId): void {
    const { group, below } = this;
    const kept = group.bag.filter((m) => m.to === id);
    group.bag = group.bag.filter((m) => m.to !== id);
    for (let i = below(16); i > 0; i--) {
      for (const other of this.ids) if (other !== id) group.tick(other);
      this.network();
      for (const leader of group.leaders) if (leader.id !== id) group.propose(leader.id, `${i}`);
    }
    // It may still think that it leads.
    group.read(id);
    group.bag.push(...kept);
  }

  /** Two are told to take over at once, as by a transfer that was given up and another; voters come and go meanwhile. */
  private contest(): void {
    const { group, below } = this;
    const { leaders } = group;
    if (leaders.length === 0) return;
    const { id, core } = anyOf(below, leaders);
    const { members } = core.state.config;
    core.state.hasForfeited = true;
    for (let n = 0; n < 2; n++)
      group.bag.unshift(new Message(TIMEOUT_NOW, 7, id, anyOf(below, members), core.state.term));
    for (let i = 0; i < 20 && group.bag.length > 0; i++) {
      group.deliver(below(Math.min(6, group.bag.length)));
      const other = anyOf(below, members);
      if (below(3) > 0 || !group.get(other).isUp) continue;
      group.crash(other, below(3));
      group.restart(other);
    }
  }

  private syncSome(id: ReplicaId): void {
    if (!this.group.get(id).isUp) return;
    this.group.sync(id, 1 + this.below(2));
    this.group.serve(id);
  }

  private crashOrStart(id: ReplicaId, isUp: boolean): void {
    if (!isUp) this.group.restart(id);
    else if (this.below(3) === 0) this.group.crash(id, this.below(3));
    for (const m of this.group.members.values()) if (!m.isUp && this.below(3) === 0) this.group.restart(m.id);
  }

  private cutOrHeal(id: ReplicaId): void {
    const { group, below } = this;
    const kind = below(6);
    if (kind < 4) group.heal();
    else if (kind === 4) group.cut.add(`${id}>${anyOf(below, this.ids)}`);
    else {
      const others = this.ids.filter((x) => x !== id);
      group.split([id], others);
    }
  }

  private change(): void {
    const { group, below } = this;
    const leaders = group.leaders;
    if (leaders.length === 0) return;
    const leader = anyOf(below, leaders);
    const { voters, learners } = leader.core.state.config;
    const nextVoters = voters.filter(() => below(4) !== 0);
    const nextLearners: ReplicaId[] = [];
    for (const id of learners) (below(2) === 0 ? nextVoters : nextLearners).push(id);
    const newcomer = this.lastId + 1;
    if (below(2) === 0 && this.ids.length < 8) (below(2) === 0 ? nextVoters : nextLearners).push(newcomer);
    if (nextVoters.length < 2) return;
    const index = group.change(leader.id, nextVoters, nextLearners);
    if (index > 0 && (nextVoters.includes(newcomer) || nextLearners.includes(newcomer))) {
      this.lastId = newcomer;
      if (!group.members.has(newcomer)) group.join(newcomer);
    }
  }

  /** No more trouble: a leader is found, the change under way is finished, and everybody has the same. */
  calm(): void {
    const { group } = this;
    group.heal();
    group.slowDisks.clear();
    for (const m of group.members.values()) if (!m.isUp) group.restart(m.id);
    // What is still under way arrives, a TIMEOUT_NOW perhaps.
    group.pass(30);
    for (let i = 0; i < 40 && !this.isCalm(); i++) group.pass(10);
    expect(this.isCalm()).toBe(true);
    const { leader } = group;
    const index = group.propose(leader.id, 'last');
    expect(index).toBeGreaterThan(0);
    const token = group.read(leader.id);
    group.pass(10);
    expect(leader.applied).toBeGreaterThanOrEqual(index);
    expect(leader.reads.get(token)).toBeGreaterThan(0);
    for (const id of leader.core.state.config.members) expect(group.get(id).applied).toBe(leader.applied);
    expect(leader.core.state.uncommittedBytes).toBe(0);
    for (const p of leader.core.state.peers.list) expect(p.inflights.bytes).toBe(0);
  }

  private isCalm(): boolean {
    if (this.group.leaders.length === 0) return false;
    const { state } = this.group.leader.core;
    if (state.config.isJoint || state.transferee !== 0 || state.applied < state.electionIndex) return false;
    return state.commit === state.log.lastIndex;
  }

  verify(): void {
    for (const { core, isUp } of this.group.members.values()) {
      if (!isUp) continue;
      core.state.log.verify();
      const { log, role, commit, electionIndex, uncommittedBytes } = core.state;
      if (role !== 3) continue;
      let bytes = 0;
      for (let i = Math.max(commit + 1, electionIndex); i <= log.lastIndex; i++) bytes += log.entryAt(i)!.length;
      expect(uncommittedBytes).toBe(bytes);
    }
  }
}

function run(seed: number): Trouble {
  const trouble = new Trouble(seed);
  try {
    for (let i = 0; i < STEPS; i++) {
      trouble.step();
      if (i % 50 === 0) trouble.verify();
    }
    trouble.calm();
  } catch (error) {
    throw new Error(`seed ${seed}: ${(error as Error).message}`, { cause: error });
  }
  return trouble;
}

describe('replicas under random trouble', () => {
  it(`${SEEDS} seeds`, { timeout: 120_000 }, () => {
    let committed = 0;
    let reads = 0;
    let terms = 0;
    for (let seed = FIRST; seed < FIRST + SEEDS; seed++) {
      const { group } = run(seed);
      const { watch } = group;
      terms += group.leader.core.state.term;
      committed += watch.committedCount;
      reads += watch.reads;
    }
    // The trouble lets something happen.
    expect(terms / SEEDS).toBeGreaterThan(4);
    expect(committed / SEEDS).toBeGreaterThan(15);
    expect(reads / SEEDS).toBeGreaterThan(2);
  });

  it('the same seed does the same', () => {
    const trace = (seed: number) => {
      const { group } = run(seed);
      return [...group.members.values()].map((m) => [m.id, m.applied, m.core.state.term, group.terms(m.id).join()]);
    };
    expect(trace(11)).toEqual(trace(11));
  });
});
