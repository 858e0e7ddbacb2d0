/** Changes of members, leadership transfer and snapshots, claim by claim (Raft thesis 3.10, 4, 5; paper 6, 7). */
import { describe, expect, it } from 'vitest';
import { Configuration } from '../../engine/raft/config.ts';
import { Entry } from '../../engine/raft/entry.ts';
import { APPEND, APPEND_REPLY, Message, SNAPSHOT, TIMEOUT_NOW, VOTE } from '../../engine/raft/message.ts';
import { SNAPSHOT_SENT } from '../../engine/raft/progress.ts';
import { RaftGroup } from '../support/raft.ts';

function lead(voters = [1, 2, 3], options = {}): RaftGroup {
  const group = new RaftGroup(voters, options);
  group.elect(1);
  group.settle();
  return group;
}

/** Adds learners and lets them catch up. */
function learn(group: RaftGroup, ids: number[]): void {
  for (const id of ids) group.join(id);
  const { voters, learners } = group.leader.core.state.config;
  expect(group.change(group.leader.id, [...voters], [...learners, ...ids])).toBeGreaterThan(0);
  group.pass(5);
}

describe('learners', () => {
  it('follow the log and count for nothing', () => {
    const group = lead();
    learn(group, [4]);
    group.split([2, 3], [1, 4]);
    const index = group.propose(1);
    group.settle();
    expect(group.core(1).state.commit).toBe(index - 1);
    expect(group.core(4).state.log.lastIndex).toBe(index);
    group.core(4).state.sinceLeader = 99;
    group.core(4).campaign();
    expect(group.core(4).state.role).toBe(0);
  });

  it('come and go by one entry, without a joint configuration', () => {
    const group = lead();
    group.join(4);
    const index = group.change(1, [1, 2, 3], [4]);
    expect(group.core(1).state.config.isJoint).toBe(false);
    group.pass(2);
    expect(group.core(1).state.log.lastIndex).toBe(index);
    expect(group.change(1, [1, 2, 3])).toBe(index + 1);
  });

  it('stay learners when they restart', () => {
    const group = lead();
    learn(group, [4]);
    group.crash(4);
    group.restart(4);
    group.split([4], [1, 2, 3]);
    group.tick(4, 100);
    expect(group.core(4).state).toMatchObject({ role: 0, term: group.core(1).state.term });
  });

  it('a replica that does not know yet that it is a voter votes all the same', () => {
    const group = lead();
    const vote = new Message(VOTE, 7, 1, 9, 5);
    group.join(9);
    group.bag.length = 0;
    group.hand(vote);
    expect(group.bag[0]).toMatchObject({ to: 1, reject: false });
  });
});

describe('joint consensus', () => {
  it('a change of voters goes in by one entry and out by another', () => {
    const group = lead();
    learn(group, [4]);
    const index = group.change(1, [1, 2, 4]);
    expect(group.core(1).state.config).toMatchObject({ voters: [1, 2, 4], outgoing: [1, 2, 3] });
    group.pass(3);
    expect(group.core(1).state.log.lastIndex).toBe(index + 1);
    for (const id of [1, 2, 4]) expect(group.core(id).state.config).toMatchObject({ voters: [1, 2, 4], outgoing: [] });
  });

  it.each([
    { cut: [4, 5], what: 'the new' },
    { cut: [2, 3], what: 'the old' },
  ])('while it is joint nothing is committed without a majority of $what', ({ cut }) => {
    const group = lead();
    learn(group, [4, 5]);
    group.split(
      cut,
      [1, 2, 3, 4, 5].filter((id) => !cut.includes(id)),
    );
    const { commit } = group.core(1).state;
    group.change(1, [1, 4, 5]);
    group.propose(1);
    group.settle();
    expect(group.core(1).state.commit).toBe(commit);
    group.heal();
    group.pass(3);
    expect(group.core(1).state.config).toMatchObject({ voters: [1, 4, 5], outgoing: [] });
  });

  it('while it is joint nobody is elected without both majorities', () => {
    const group = lead();
    learn(group, [4, 5]);
    group.slowDisks.add(2).add(3);
    group.change(1, [1, 4, 5]);
    group.settle();
    group.slowDisks.clear();
    for (const id of [2, 3]) group.sync(id);
    group.bag.length = 0;
    group.crash(1);
    // 4 and 5 are the majority of the new set that is left, 2 and 3 of the old.
    group.split([4, 5], [2, 3]);
    group.pass(100);
    expect(group.leaders).toEqual([]);
    group.heal();
    group.pass(60);
    expect(group.leaders.length).toBe(1);
  });

  it('a joint configuration is left only when it is committed itself, not when an entry before it is', () => {
    const group = lead();
    learn(group, [4]);
    for (const id of [2, 3, 4]) group.slowDisks.add(id);
    const index = group.propose(1);
    group.change(1, [1, 2, 4]);
    group.settle();
    // The entries came in two messages, so they are two writes.
    for (const id of [2, 3, 4]) group.sync(id, 1);
    group.settle();
    expect(group.core(1).state).toMatchObject({ commit: index, role: 3 });
    expect(group.core(1).state.config.isJoint).toBe(true);
    expect(group.core(1).state.log.lastIndex).toBe(index + 1);
  });

  it('a new leader finishes what it finds', () => {
    const group = lead();
    learn(group, [4]);
    group.change(1, [1, 2, 4]);
    // Everybody has the joint entry, nobody knows that it is committed.
    group.bag = group.bag.filter((m) => m.type === APPEND);
    for (const m of group.bag.splice(0)) group.hand(m);
    group.bag.length = 0;
    group.crash(1);
    group.pass(60);
    expect(group.leader.core.state.config).toMatchObject({ voters: [1, 2, 4], outgoing: [] });
  });

  it('a configuration that was never committed is forgotten with its entry', () => {
    const group = lead();
    group.split([1], [2, 3]);
    group.join(4);
    group.change(1, [1, 2, 3, 4]);
    expect(group.core(1).state.config.isJoint).toBe(true);
    group.elect(2);
    group.heal();
    group.pass(5);
    expect(group.core(1).state.config).toMatchObject({ voters: [1, 2, 3], outgoing: [] });
    expect(group.core(1).state.peers.list.map((p) => p.id)).toEqual([1, 2, 3]);
  });

  it('one change at a time', () => {
    const group = lead();
    learn(group, [4]);
    expect(group.change(1, [1, 2, 3, 4])).toBeGreaterThan(0);
    expect(group.change(1, [1, 2])).toBe(-4);
    group.pass(3);
    expect(group.change(1, [1, 2])).toBeGreaterThan(0);
  });

  it('a new leader begins none before its own first entry is committed and applied', () => {
    const group = lead();
    group.slowDisks.add(1).add(2).add(3);
    const core = group.core(2);
    group.core(1).transferTo(2);
    group.settle();
    for (let i = 0; i < 20 && !core.isLeader; i++) {
      for (const id of [1, 2, 3]) if (!core.isLeader) group.sync(id, 1);
      group.settle();
    }
    expect(core.isLeader).toBe(true);
    expect(group.change(2, [1, 2])).toBe(-4);
    group.slowDisks.clear();
    for (const id of [1, 2, 3]) group.sync(id);
    group.settle();
    expect(group.change(2, [1, 2])).toBeGreaterThan(0);
  });

  it('competing changes of two terms do not make two majorities (the trace of 2015)', () => {
    const group = new RaftGroup([1, 2, 3, 4]);
    group.elect(1);
    group.settle();
    group.join(5);
    // Replica 1 adds 5, and gets that to 5 only; replica 2 is elected and removes 1.
    group.split([1, 5], [2, 3, 4]);
    group.change(1, [1, 2, 3, 4, 5]);
    group.settle();
    group.elect(2);
    group.settle();
    expect(group.change(2, [2, 3, 4])).toBeGreaterThan(0);
    group.settle();
    // 1 comes back with its own change; whoever leads, the committed one stands.
    group.heal();
    group.pass(60);
    expect(group.leaders.length).toBe(1);
    expect(group.leader.core.state.config.voters).toEqual([2, 3, 4]);
  });

  it('a leader that is removed leads until that is committed, then the best of the others takes over', () => {
    const group = lead();
    group.propose(1);
    group.settle();
    expect(group.change(1, [2, 3])).toBeGreaterThan(0);
    expect(group.core(1).isLeader).toBe(true);
    group.settle();
    expect(group.core(1).isLeader).toBe(false);
    // Nobody had to wait for a time-out.
    expect(group.leaders.length).toBe(1);
    expect(group.leader.core.state.config.voters).toEqual([2, 3]);
  });

  it('a removed leader that alone holds the entry which removes it can still lead and commit it', () => {
    const group = new RaftGroup([1, 3]);
    group.elect(3);
    group.settle();
    learn(group, [4]);
    expect(group.leader.id).toBe(3);
    group.change(3, [1, 4]);
    // The joint entry reaches all; the one that ends it stays with 3.
    while (!group.core(3).state.configs.current.voters.includes(4) || group.core(3).state.config.isJoint)
      group.deliver();
    group.bag.length = 0;
    group.crash(3);
    group.restart(3);
    group.pass(100);
    expect(group.leaders.length).toBe(1);
    expect(group.leader.core.state.config).toMatchObject({ voters: [1, 4], outgoing: [] });
  });

  it('so can one that has forgotten in a restart that it was a voter', () => {
    const group = new RaftGroup([1]);
    group.elect(1);
    group.settle();
    learn(group, [3, 4]);
    group.change(1, [3], [4]);
    group.pass(60);
    expect(group.leader.id).toBe(3);
    group.crash(1);
    group.change(3, [4]);
    while (!group.core(3).state.configs.current.voters.includes(4) || group.core(3).state.config.isJoint)
      group.deliver();
    group.bag.length = 0;
    group.crash(3);
    group.restart(3);
    // As far as it knows only what was there at the beginning is committed.
    expect(group.core(3).state.configs.at(group.core(3).state.commit).voters).not.toContain(3);
    group.pass(100);
    expect(group.leaders.length).toBe(1);
    expect(group.leader.core.state.config).toMatchObject({ voters: [4], outgoing: [] });
  });

  it('a removed replica disturbs nobody', () => {
    const group = lead();
    group.change(1, [1, 2]);
    group.pass(3);
    const { term } = group.core(1).state;
    group.pass(200);
    expect(group.core(1).state).toMatchObject({ role: 3, term });
  });

  it('an id that was removed never returns, not even as a learner, nor after a snapshot', () => {
    const group = lead();
    group.change(1, [1, 2]);
    group.pass(3);
    expect(group.change(1, [1, 2], [3])).toBe(-5);
    group.snapshot(1);
    group.crash(1);
    group.restart(1);
    group.elect(1);
    group.pass(3);
    expect(group.core(1).state.config.lastId).toBe(3);
    expect(group.change(1, [1, 2], [3])).toBe(-5);
    group.join(4);
    expect(group.change(1, [1, 2], [4])).toBeGreaterThan(0);
  });

  it.each([
    { voters: [], learners: [1] },
    { voters: [1, 2, 2], learners: [] },
    { voters: [1, 2, 3], learners: [3] },
    { voters: [1, 2, 3], learners: [] },
    { voters: [1, 2, 0], learners: [] },
    { voters: [1, 2, 2 ** 32], learners: [] },
  ])('refuses $voters and $learners', ({ voters, learners }) => {
    expect(lead().change(1, voters, learners)).toBe(-5);
  });

  it('changes are for leaders', () => {
    expect(lead().change(2, [1, 2])).toBe(-1);
  });

  it('a majority that never answers a change can be waited out by its leader: proposals go on when it heals', () => {
    const group = lead();
    group.join(4);
    group.split([4], [1, 2, 3]);
    group.change(1, [1, 2, 3], [4]);
    group.pass(50);
    expect(group.core(1).isLeader).toBe(true);
    expect(group.change(1, [1, 2, 3])).toBeGreaterThan(0);
  });
});

describe('leadership transfer', () => {
  it('hands over without a time-out', () => {
    const group = lead();
    expect(group.core(1).transferTo(3)).toBe(true);
    group.settle();
    expect(group.leader.id).toBe(3);
  });

  it('the target catches up first', () => {
    const group = lead();
    group.split([1], [3]);
    for (let i = 0; i < 5; i++) group.propose(1);
    group.settle();
    group.core(1).transferTo(3);
    group.serve(1);
    expect(group.bag.some((m) => m.type === TIMEOUT_NOW)).toBe(false);
    group.heal();
    group.pass(3);
    expect(group.leader.id).toBe(3);
    expect(group.leader.applied).toBe(7);
  });

  it('refuses proposals and changes meanwhile, and gives up after an election timeout', () => {
    const group = lead();
    group.split([3], [1, 2]);
    group.propose(1);
    group.settle();
    group.core(1).transferTo(3);
    expect(group.propose(1)).toBe(-2);
    expect(group.change(1, [1, 2])).toBe(-2);
    group.pass(9);
    expect(group.propose(1)).toBe(-2);
    group.pass(1);
    expect(group.core(1).isLeader).toBe(true);
    expect(group.propose(1)).toBeGreaterThan(0);
  });

  it('asking again for the same does not put off the end', () => {
    const group = lead();
    group.split([3], [1, 2]);
    group.propose(1);
    group.settle();
    for (let i = 0; i < 10; i++) {
      group.core(1).transferTo(3);
      group.read(1);
      group.pass(1);
    }
    expect(group.propose(1)).toBeGreaterThan(0);
  });

  it('only a leader, and only to another voter', () => {
    const group = lead();
    learn(group, [4]);
    expect(group.core(1).transferTo(1)).toBe(false);
    expect(group.core(1).transferTo(4)).toBe(false);
    expect(group.core(1).transferTo(9)).toBe(false);
    expect(group.core(2).transferTo(3)).toBe(false);
  });

  it('to somebody who leaves, ends with that', () => {
    const group = lead();
    group.change(1, [1, 2]);
    group.core(1).transferTo(2);
    group.core(1).state.transferee = 3;
    group.core(1).state.followConfig();
    expect(group.core(1).state.transferee).toBe(0);
  });
});

describe('snapshots', () => {
  it('reach a follower whose entries are gone, with the configuration', () => {
    const group = lead();
    group.crash(3);
    group.join(4);
    group.change(1, [1, 2, 3], [4]);
    for (let i = 0; i < 10; i++) group.propose(1);
    group.settle();
    group.snapshot(1);
    expect(group.core(1).state.log.baseIndex).toBe(12);
    group.restart(3);
    group.pass(5);
    expect(group.get(3).applied).toBe(12);
    expect(group.core(3).state.config).toMatchObject({ voters: [1, 2, 3], learners: [4] });
    expect(group.core(3).state.log.baseIndex).toBe(12);
    group.crash(3);
    group.restart(3);
    expect(group.core(3).state.config.learners).toEqual([4]);
  });

  it('nothing is sent meanwhile, and one is asked for once', () => {
    const group = lead();
    group.crash(3);
    for (let i = 0; i < 3; i++) group.propose(1);
    group.settle();
    group.snapshot(1);
    group.restart(3);
    group.tick(1);
    while (!group.bag.some((m) => m.type === SNAPSHOT)) group.deliver();
    const p = group.core(1).state.peers.find(3)!;
    expect(p.state).toBe(SNAPSHOT_SENT);
    group.bag = group.bag.filter((m) => m.type === SNAPSHOT);
    for (let i = 0; i < 5; i++) group.propose(1);
    group.tick(1);
    expect(group.bag.filter((m) => m.to === 3 && (m.type === APPEND || m.type === SNAPSHOT)).length).toBe(1);
    group.settle();
    expect(group.get(3).applied).toBe(group.get(1).applied);
  });

  it('one that fails is asked for again, after the next answer', () => {
    const group = lead();
    group.crash(3);
    for (let i = 0; i < 3; i++) group.propose(1);
    group.settle();
    group.snapshot(1);
    group.restart(3);
    group.tick(1);
    while (!group.bag.some((m) => m.type === SNAPSHOT)) group.deliver();
    group.drop(group.bag.findIndex((m) => m.type === SNAPSHOT));
    group.serve(1);
    expect(group.bag.some((m) => m.type === SNAPSHOT)).toBe(false);
    group.pass(3);
    expect(group.get(3).applied).toBe(4);
  });

  it('nobody streams to a replica that is not heard of', () => {
    const group = lead();
    group.crash(3);
    for (let i = 0; i < 3; i++) group.propose(1);
    group.settle();
    group.pass(11);
    group.snapshot(1);
    group.pass(15);
    expect(group.core(1).state.peers.find(3)!.state).not.toBe(SNAPSHOT_SENT);
  });

  it('old and overlapping ones are ignored: what is applied never goes back', () => {
    const group = lead();
    for (let i = 0; i < 5; i++) group.propose(1);
    group.settle();
    const { term } = group.core(1).state;
    // Its own log has nothing left to compare with.
    group.snapshot(3, 5);
    const old = new Message(SNAPSHOT, 7, 1, 3, term);
    old.snapshot = { index: 3, term, config: new Configuration([1, 2, 3], [], [], 0), configIndex: 0 };
    group.bag.length = 0;
    group.core(3).step(old);
    const out = group.core(3).ready();
    expect(out.snapshot).toBeNull();
    expect(group.core(3).state).toMatchObject({ commit: 6, applied: 6 });
    expect([...out.messages, ...out.afterWrite]).toMatchObject([{ type: APPEND_REPLY, index: 6, reject: false }]);
  });

  it('one that ends with an entry that is there only says that it is committed', () => {
    const group = lead();
    group.split([1], [2]);
    for (let i = 0; i < 3; i++) group.propose(1);
    group.bag = group.bag.filter((m) => m.to === 3 && m.type === APPEND);
    for (const m of group.bag.splice(0)) group.hand(m);
    group.bag.length = 0;
    expect(group.core(3).state).toMatchObject({ commit: 1 });
    const { term } = group.core(1).state;
    const m = new Message(SNAPSHOT, 7, 1, 3, term);
    m.snapshot = { index: 3, term, config: new Configuration([1, 2, 3], [], [], 0), configIndex: 0 };
    group.hand(m);
    expect(group.core(3).state.log).toMatchObject({ baseIndex: 0, lastIndex: 4 });
    expect(group.get(3).applied).toBe(3);
  });

  it('is acknowledged when it is durable; two close together end with the newer', () => {
    const group = new RaftGroup([1, 2, 3]);
    group.slowDisks.add(1);
    const config = new Configuration([1, 2, 3], [], [], 0);
    for (const index of [10, 20]) {
      const m = new Message(SNAPSHOT, 7, 2, 1, 1);
      m.snapshot = { index, term: 1, config, configIndex: 0 };
      group.core(1).step(m);
      group.serve(1);
    }
    expect(group.bag).toEqual([]);
    group.sync(1, 1);
    expect(group.core(1).state.writes.durable).toBe(10);
    expect(group.bag.map((m) => m.index)).toEqual([10]);
    group.sync(1, 1);
    expect(group.core(1).state.writes.durable).toBe(20);
    expect(group.get(1).applied).toBe(20);
  });

  it('a longer log that disagrees is void, and what is still being written of it counts for nothing', () => {
    const group = new RaftGroup([1, 2, 3]);
    group.slowDisks.add(1);
    const m = new Message(APPEND, 7, 2, 1, 1);
    m.entries = Array.from({ length: 8 }, (_, i) => new Entry(i + 1, 1, 0, Buffer.from('x'), 0, 1));
    group.hand(m);
    const snapshot = new Message(SNAPSHOT, 7, 3, 1, 2);
    snapshot.snapshot = { index: 5, term: 2, config: new Configuration([1, 2, 3], [], [], 0), configIndex: 0 };
    group.hand(snapshot);
    const { state } = group.core(1);
    expect(state.log).toMatchObject({ baseIndex: 5, lastIndex: 5 });
    group.sync(1, 1);
    expect(state.writes.durable).toBe(0);
    group.sync(1, 1);
    expect(state.writes.durable).toBe(5);
  });

  it('compaction keeps the last term, and what is behind it', () => {
    const group = lead();
    for (let i = 0; i < 5; i++) group.propose(1);
    group.settle();
    group.snapshot(1, 4);
    const { log } = group.core(1).state;
    expect(log.termAt(3)).toBe(-1);
    expect(log.termAt(4)).toBe(group.core(1).state.term);
    expect(log.entryAt(5)?.index).toBe(5);
    expect(() => group.core(1).compact(99)).toThrow('applied');
    group.propose(1);
    group.settle();
    expect(group.get(3).applied).toBe(7);
  });
});
