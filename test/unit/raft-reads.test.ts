/** Linearizable reads (Raft thesis 6.4, 6.4.1): read index, leases, and what went wrong with them elsewhere. */
import { describe, expect, it } from 'vitest';
import { HEARTBEAT, HEARTBEAT_REPLY, READ_INDEX, READ_INDEX_REPLY } from '../../engine/raft/message.ts';
import { RaftGroup } from '../support/raft.ts';

function lead(options = {}): RaftGroup {
  const group = new RaftGroup([1, 2, 3], options);
  group.elect(1);
  group.settle();
  return group;
}

describe('read index', () => {
  it('gives the commit index, once a majority has answered a round begun after the request', () => {
    const group = lead();
    group.propose(1);
    group.settle();
    group.bag.length = 0;
    const token = group.read(1);
    expect(group.get(1).reads.has(token)).toBe(false);
    group.settle();
    expect(group.get(1).reads.get(token)).toBe(2);
  });

  it('answers to rounds begun before the request do not count', () => {
    const group = lead();
    group.tick(1);
    group.deliver(group.bag.findIndex((m) => m.to === 2));
    const old = group.bag.findIndex((m) => m.type === HEARTBEAT_REPLY);
    const token = group.read(1);
    group.split([1], [2, 3]);
    group.heal();
    group.bag = [group.bag[old]];
    group.deliver();
    expect(group.get(1).reads.has(token)).toBe(false);
    group.pass(1);
    expect(group.get(1).reads.get(token)).toBe(1);
  });

  it('is not given before the no-op of the leader\u2019s term is committed', () => {
    const group = lead();
    const written = group.propose(1);
    group.settle();
    group.core(2).state.sinceLeader = 99;
    group.core(3).state.sinceLeader = 99;
    group.slowDisks.add(3);
    group.core(2).campaign();
    group.split([1], [2, 3]);
    group.settle();
    group.sync(3);
    group.settle();
    const leader = group.get(2);
    expect(leader.core.isLeader).toBe(true);
    const token = group.read(2);
    // The heartbeats are answered, but the follower's disk has not taken the no-op.
    group.settle();
    group.tick(2);
    group.settle();
    expect(leader.reads.has(token)).toBe(false);
    group.sync(3);
    group.settle();
    expect(leader.reads.get(token)).toBeGreaterThan(written);
  });

  it('a leader that was replaced gives none', () => {
    const group = lead();
    group.split([1], [2, 3]);
    const token = group.read(1);
    group.elect(2);
    group.propose(2);
    group.settle();
    group.pass(25);
    expect(group.get(1).reads.get(token)).toBe(0);
  });

  it('a read that is asked for again after its answers were held back does not take those answers', () => {
    const group = lead();
    const first = group.read(1);
    const held = group.bag.splice(0);
    for (const m of held) if (m.type === HEARTBEAT) group.hand(m);
    const answers = group.bag.splice(0);
    group.split([1], [2, 3]);
    group.pass(25);
    expect(group.get(1).reads.get(first)).toBe(0);
    group.elect(2);
    group.propose(2);
    group.settle();
    group.heal();
    // Leads again, in a later term; the old answers arrive now.
    group.pass(3);
    group.elect(1);
    group.settle();
    const again = group.read(1);
    group.bag.length = 0;
    for (const m of answers) group.hand(m);
    expect(group.get(1).reads.has(again)).toBe(false);
    group.pass(1);
    expect(group.get(1).reads.get(again)).toBeGreaterThan(1);
  });

  it('a follower asks its leader', () => {
    const group = lead();
    group.propose(1);
    group.settle();
    const token = group.read(3);
    group.settle();
    expect(group.get(3).reads.get(token)).toBe(2);
  });

  it('a late answer never serves a follower\u2019s later question, of this life or the next', () => {
    const group = lead();
    group.read(3);
    group.deliver(group.bag.findIndex((m) => m.type === READ_INDEX));
    while (!group.bag.some((m) => m.type === READ_INDEX_REPLY)) group.deliver();
    const late = group.bag.find((m) => m.type === READ_INDEX_REPLY)!;
    group.bag = group.bag.filter((m) => m !== late);
    group.propose(1);
    group.settle();
    group.crash(3);
    group.restart(3);
    group.tick(1);
    group.settle();
    const token = group.read(3);
    expect(group.bag.find((m) => m.type === READ_INDEX)?.round).toBe(late.round);
    group.hand(late);
    expect(group.get(3).reads.has(token)).toBe(false);
    group.settle();
    expect(group.get(3).reads.get(token)).toBe(2);
  });

  it('a follower\u2019s question fails when nothing comes back, and without a leader', () => {
    const group = lead();
    const token = group.read(3);
    group.bag.length = 0;
    group.pass(10);
    expect(group.get(3).reads.has(token)).toBe(false);
    group.pass(2);
    expect(group.get(3).reads.get(token)).toBe(0);
    const alone = new RaftGroup([1, 2, 3]);
    expect(alone.get(1).reads.get(alone.read(1))).toBe(0);
  });

  it('reads asked for together share a round', () => {
    const group = lead();
    group.bag.length = 0;
    for (let token = 1; token <= 50; token++) group.core(1).readIndex(token);
    group.serve(1);
    expect(group.bag.filter((m) => m.type === HEARTBEAT).length).toBe(2);
    group.settle();
    expect(group.get(1).reads.size).toBe(50);
  });

  it('a single voter reads at once', () => {
    const group = new RaftGroup([1]);
    group.elect(1);
    const token = group.read(1);
    expect(group.get(1).reads.get(token)).toBe(1);
  });

  it('a follower whose disk is slow still answers heartbeats', () => {
    const group = lead();
    group.slowDisks.add(2).add(3);
    group.propose(1);
    group.settle();
    const token = group.read(1);
    group.settle();
    expect(group.get(1).reads.get(token)).toBe(1);
  });

  it.each([
    { first: [4, 5], after: [2, 3] },
    { first: [2, 3], after: [4, 5] },
  ])('while the configuration is joint, both majorities must answer: $first cut off first', ({ first, after }) => {
    const group = lead();
    for (const id of [4, 5]) group.join(id);
    group.change(1, [1, 2, 3], [4, 5]);
    group.pass(3);
    for (const id of [2, 3, 4, 5]) group.slowDisks.add(id);
    group.change(1, [1, 4, 5]);
    group.settle();
    expect(group.core(1).state.config.isJoint).toBe(true);
    group.split([1], first);
    const token = group.read(1);
    group.settle();
    expect(group.get(1).reads.has(token)).toBe(false);
    group.heal();
    group.split([1], after);
    group.tick(1);
    group.settle();
    // Now both have answered, one after the other.
    expect(group.get(1).reads.has(token)).toBe(true);
  });
});

describe('leases', () => {
  it('are off unless asked for', () => {
    const group = lead();
    group.pass(3);
    group.bag.length = 0;
    const token = group.read(1);
    expect(group.get(1).reads.has(token)).toBe(false);
  });

  it('let a leader read at once while a majority has lately answered', () => {
    const group = lead({ leaseTicks: 8 });
    group.pass(3);
    const token = group.read(1);
    expect(group.get(1).reads.get(token)).toBe(1);
    expect(group.bag).toEqual([]);
  });

  it('end by the clock, counted from when the answered round began', () => {
    const group = lead({ leaseTicks: 8 });
    group.pass(3);
    group.split([1], [2, 3]);
    for (let i = 1; i < 8; i++) {
      group.tick(1);
      const token = group.read(1);
      expect(group.get(1).reads.get(token)).toBe(1);
    }
    group.tick(1);
    const token = group.read(1);
    expect(group.get(1).reads.get(token)).toBeUndefined();
  });

  it('end by time of which no tick has told', () => {
    const group = lead({ leaseTicks: 8 });
    group.pass(3);
    const core = group.core(1);
    expect(core.readsAtOnce).toBe(true);
    core.setClock(core.state.clock + 7);
    expect(core.readsAtOnce).toBe(true);
    core.setClock(core.state.clock + 1);
    expect(core.readsAtOnce).toBe(false);
    const token = group.read(1);
    expect(group.get(1).reads.get(token)).toBeUndefined();
    // A round that begins now counts from now.
    group.pass(1);
    expect(core.readsAtOnce).toBe(true);
  });

  it('ticks that are told of late are not counted again', () => {
    const group = lead({ leaseTicks: 8 });
    const core = group.core(1);
    const clock = core.state.clock + 9;
    core.setClock(clock);
    core.tick(clock);
    core.tick(clock);
    group.serve(1);
    group.settle();
    expect(core.readsAtOnce).toBe(true);
    // The rounds of these ticks began by that clock, and no later.
    core.setClock(clock + 8);
    expect(core.readsAtOnce).toBe(false);
  });

  it('a lease ends before anybody else can be elected, whoever campaigns and whatever terms are about', () => {
    for (let delay = 0; delay < 12; delay++) {
      const group = lead({ leaseTicks: 9 });
      group.pass(3);
      group.split([1], [2, 3]);
      for (let i = 0; i < delay; i++) for (const id of [1, 2, 3]) group.tick(id);
      // A higher term must not make voters forget that they hear a leader.
      group.core(2).state.becomeFollower(group.core(2).state.term + 1, 0);
      group.core(3).campaign();
      group.settle();
      if (group.core(2).isLeader || group.core(3).isLeader) {
        const token = group.read(1);
        expect(group.get(1).reads.get(token)).toBeUndefined();
      } else expect(delay).toBeLessThan(10);
    }
  });

  it('a voter that restarts keeps the promise it may have made', () => {
    const group = lead({ leaseTicks: 8 });
    group.pass(3);
    group.split([1], [2, 3]);
    group.crash(2);
    group.restart(2);
    group.core(3).state.sinceLeader = 99;
    group.core(3).campaign();
    group.settle();
    expect(group.core(3).isLeader).toBe(false);
    const token = group.read(1);
    expect(group.get(1).reads.get(token)).toBe(1);
  });

  it('are given up before leadership is handed over, and for the term once TIMEOUT_NOW has left', () => {
    const group = lead({ leaseTicks: 8 });
    group.pass(3);
    group.core(1).transferTo(2);
    group.serve(1);
    // It is held up on its way, past the end of the transfer.
    const held = group.bag.splice(0);
    const during = group.read(1);
    expect(group.get(1).reads.has(during)).toBe(false);
    group.pass(15);
    expect(group.core(1).state.transferee).toBe(0);
    group.split([1], [2, 3]);
    for (const m of held) {
      group.cut.delete('1>2');
      group.hand(m);
    }
    group.cut.add('1>2');
    group.settle();
    expect(group.core(2).isLeader).toBe(true);
    const after = group.read(1);
    expect(group.get(1).reads.has(after)).toBe(false);
  });

  it('are given up while the target of a transfer still catches up', () => {
    const group = lead({ leaseTicks: 8 });
    group.split([1], [3]);
    group.propose(1);
    group.pass(3);
    group.core(1).transferTo(3);
    expect(group.core(1).state.hasForfeited).toBe(false);
    const during = group.read(1);
    expect(group.get(1).reads.has(during)).toBe(false);
    // Nothing has left, so it may have leases again when the transfer has failed.
    group.pass(10);
    const after = group.read(1);
    expect(group.get(1).reads.get(after)).toBe(2);
  });

  it('do not begin before the no-op is committed', () => {
    const group = lead({ leaseTicks: 8 });
    group.slowDisks.add(1).add(2).add(3);
    const { state } = group.core(1);
    state.electionIndex = state.log.lastIndex + 1;
    group.pass(1);
    const token = group.read(1);
    expect(group.get(1).reads.has(token)).toBe(false);
  });
});
