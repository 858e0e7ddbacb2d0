/** Elections, claim by claim (Raft paper figure 2, 5.1, 5.2, 5.4.1; thesis 3.6, 4.2.3, 6.2, 9.6). */
import { describe, expect, it } from 'vitest';
import { Configuration } from '../../engine/raft/config.ts';
import { RaftCore } from '../../engine/raft/core.ts';
import { APPEND, HEARTBEAT, Message, PREVOTE, PREVOTE_REPLY, VOTE, VOTE_REPLY } from '../../engine/raft/message.ts';
import { DEFAULT_OPTIONS, firstStart, Restored } from '../../engine/raft/options.ts';
import { CANDIDATE, FOLLOWER, PRECANDIDATE } from '../../engine/raft/replica.ts';
import { RaftGroup, withLog } from '../support/raft.ts';

function vote(to: number, from: number, term: number, index: number, logTerm: number, force = false): Message {
  const m = new Message(VOTE, 7, from, to, term);
  m.index = index;
  m.logTerm = logTerm;
  m.force = force;
  return m;
}

/** The reply to a message handed to a replica alone. */
function replyTo(group: RaftGroup, m: Message): Message | undefined {
  group.bag.length = 0;
  group.hand(m);
  return group.bag.find((x) => x.to === m.from);
}

describe('elections', () => {
  it('a majority elects one leader, and everybody follows it', () => {
    const group = new RaftGroup([1, 2, 3]);
    group.pass(40);
    expect(group.leaders.length).toBe(1);
    for (const m of group.members.values()) expect(m.core.state.leader).toBe(group.leader.id);
  });

  it('a single voter elects itself, and commits alone', () => {
    const group = new RaftGroup([1]);
    group.pass(20);
    expect(group.propose(1)).toBe(2);
    expect(group.get(1).applied).toBe(2);
  });

  it('without a majority nobody is elected and no term is used up', () => {
    const group = new RaftGroup([1, 2, 3]);
    group.split([1], [2, 3]);
    group.split([2], [3]);
    group.pass(200);
    expect(group.leaders).toEqual([]);
    for (const m of group.members.values()) expect(m.core.state.term).toBe(0);
  });

  it('half of an even number is no majority', () => {
    const group = new RaftGroup([1, 2, 3, 4]);
    group.split([1, 2], [3, 4]);
    group.pass(100);
    expect(group.leaders).toEqual([]);
  });

  it('time-outs lie in [election, 2 * election), differ, and follow from the seed', () => {
    const firsts = (seed: number) => {
      const core = new RaftCore(
        { ...DEFAULT_OPTIONS, group: 7, id: 1, seed, incarnation: 1 },
        firstStart(new Configuration([1, 2], [], [], 0)),
      );
      const ticks: number[] = [];
      for (let i = 0, last = 0; i < 2000; i++) {
        core.tick();
        if (core.ready().messages.some((m) => m.type === PREVOTE)) {
          ticks.push(i - last);
          last = i;
        }
      }
      return ticks.slice(1);
    };
    const ticks = firsts(5);
    expect(Math.min(...ticks)).toBe(10);
    expect(Math.max(...ticks)).toBe(19);
    expect(new Set(ticks).size).toBe(10);
    expect(firsts(5)).toEqual(ticks);
    expect(firsts(6)).not.toEqual(ticks);
  });

  it('votes once per term, for the first who asks, and again for the same', () => {
    const group = new RaftGroup([1, 2, 3]);
    expect(replyTo(group, vote(1, 2, 1, 0, 0))?.reject).toBe(false);
    expect(replyTo(group, vote(1, 3, 1, 0, 0))?.reject).toBe(true);
    expect(replyTo(group, vote(1, 2, 1, 0, 0))?.reject).toBe(false);
    expect(replyTo(group, vote(1, 3, 2, 0, 0))?.reject).toBe(false);
  });

  it('remembers its vote over a crash', () => {
    const group = new RaftGroup([1, 2, 3]);
    replyTo(group, vote(1, 2, 1, 0, 0));
    group.crash(1);
    group.restart(1);
    expect(group.core(1).state.vote).toBe(2);
    expect(replyTo(group, vote(1, 3, 1, 0, 0))?.reject).toBe(true);
  });

  it('answers only when term and vote are durable', () => {
    const group = new RaftGroup([1, 2, 3]);
    group.slowDisks.add(1);
    expect(replyTo(group, vote(1, 2, 1, 0, 0))).toBeUndefined();
    group.sync(1);
    expect(group.bag.map((m) => m.type)).toEqual([VOTE_REPLY]);
    expect(group.get(1).disk.hardState).toEqual({ term: 1, vote: 2 });
  });

  it('a candidate asks for votes, and counts its own, only once that one is durable', () => {
    const group = new RaftGroup([1, 2, 3]);
    group.slowDisks.add(1);
    group.core(1).campaign();
    group.settle();
    expect(group.core(1).state.role).toBe(CANDIDATE);
    expect(group.core(2).state.term).toBe(0);
    group.sync(1);
    group.settle();
    expect(group.core(1).isLeader).toBe(true);
    const alone = new RaftGroup([1]);
    alone.slowDisks.add(1);
    alone.core(1).campaign();
    alone.settle();
    expect(alone.core(1).isLeader).toBe(false);
  });

  it.each([
    // The candidate's log against a voter with entries of terms 1, 1, 3.
    { index: 3, logTerm: 3, granted: true },
    { index: 1, logTerm: 4, granted: true },
    { index: 4, logTerm: 3, granted: true },
    { index: 2, logTerm: 3, granted: false },
    { index: 9, logTerm: 2, granted: false },
  ])('gives its vote only to a log at least as new: $index $logTerm', ({ index, logTerm, granted }) => {
    const group = new RaftGroup([1, 2, 3]);
    withLog(group, 1, [1, 1, 3]);
    expect(replyTo(group, vote(1, 2, 5, index, logTerm))?.reject).toBe(!granted);
    const prevote = new Message(PREVOTE, 7, 3, 1, 7);
    prevote.index = index;
    prevote.logTerm = logTerm;
    expect(replyTo(group, prevote)?.reject).toBe(!granted);
  });

  it('steps down at a higher term, whatever it is', () => {
    for (const role of ['leader', 'candidate']) {
      const group = new RaftGroup([1, 2, 3]);
      if (role === 'leader') group.elect(1);
      else {
        group.split([1], [2, 3]);
        group.core(1).state.sinceLeader = 99;
        group.core(1).campaign();
      }
      group.heal();
      group.hand(new Message(HEARTBEAT, 7, 2, 1, 9));
      expect(group.core(1).state).toMatchObject({ role: FOLLOWER, term: 9, leader: 2 });
    }
  });

  it('a candidate follows a leader of its own term', () => {
    const group = new RaftGroup([1, 2, 3]);
    group.hand(vote(1, 2, 1, 0, 0));
    const core = group.core(1);
    core.state.becomeFollower(2, 0);
    group.hand(new Message(APPEND, 7, 2, 1, 2));
    expect(core.state).toMatchObject({ role: FOLLOWER, leader: 2 });
  });

  it('two leaders of one term are noticed', () => {
    const group = new RaftGroup([1, 2, 3]);
    group.elect(1);
    const term = group.core(1).state.term;
    expect(() => group.hand(new Message(HEARTBEAT, 7, 3, 2, term))).toThrow('one leader per term');
  });

  it('says its term to a leader or candidate of an earlier one', () => {
    const group = new RaftGroup([1, 2, 3]);
    withLog(group, 1, [], 5);
    for (const type of [VOTE, PREVOTE, HEARTBEAT, APPEND]) {
      expect(replyTo(group, new Message(type, 7, 2, 1, 3))).toMatchObject({ term: 5, reject: true });
    }
  });

  it('drops messages of another group, or for another replica', () => {
    const group = new RaftGroup([1, 2, 3]);
    group.core(1).step(new Message(HEARTBEAT, 8, 2, 1, 9));
    group.core(1).step(new Message(HEARTBEAT, 7, 2, 3, 9));
    expect(group.core(1).state.term).toBe(0);
  });
});

describe('PreVote, CheckQuorum, and voters that hear a leader', () => {
  it('a replica that was cut off disturbs nobody when it returns', () => {
    const group = new RaftGroup([1, 2, 3]);
    group.elect(1);
    const term = group.core(1).state.term;
    group.split([3], [1, 2]);
    group.pass(100);
    expect(group.core(3).state).toMatchObject({ role: PRECANDIDATE, term });
    group.heal();
    group.pass(30);
    expect(group.core(1).isLeader).toBe(true);
    expect(group.core(3).state).toMatchObject({ term, leader: 1 });
  });

  it('a PREVOTE changes neither term nor vote', () => {
    const group = new RaftGroup([1, 2, 3]);
    const m = new Message(PREVOTE, 7, 2, 1, 1);
    expect(replyTo(group, m)).toMatchObject({ type: PREVOTE_REPLY, reject: false, term: 1 });
    expect(group.core(1).state).toMatchObject({ term: 0, vote: 0 });
    expect(replyTo(group, new Message(PREVOTE, 7, 3, 1, 1))?.reject).toBe(false);
  });

  it('voters that hear a leader ignore votes, even of higher terms; a leader does too', () => {
    const group = new RaftGroup([1, 2, 3]);
    group.elect(1);
    const term = group.core(1).state.term;
    for (const to of [1, 2]) {
      expect(replyTo(group, vote(to, 3, term + 5, 9, term))).toBeUndefined();
      expect(group.core(to).state.term).toBe(term);
    }
    group.core(2).state.sinceLeader = 10;
    expect(replyTo(group, vote(2, 3, term + 5, 9, term))?.reject).toBe(false);
  });

  it('a leader that does not hear a majority steps down', () => {
    const group = new RaftGroup([1, 2, 3]);
    group.elect(1);
    // It can send but not receive: the others go on hearing it, so only it can end this.
    group.cut.add('2>1').add('3>1');
    group.pass(21);
    expect(group.core(1).isLeader).toBe(false);
    group.pass(60);
    expect(group.leaders.length).toBe(1);
    expect(group.leader.id).not.toBe(1);
  });

  it('nobody is given up while parts of a long message arrive, and everybody once they do not', () => {
    const group = new RaftGroup([1, 2, 3]);
    group.elect(1);
    const { term } = group.core(1).state;
    // Everything whole waits behind it.
    group.split([1], [2, 3]);
    for (let i = 0; i < 100; i++) {
      group.pass(1);
      for (const id of [2, 3]) {
        group.core(id).hears(1);
        group.core(1).hears(id);
      }
    }
    expect(group.leaders.map(({ id }) => id)).toEqual([1]);
    for (const m of group.members.values()) expect(m.core.state).toMatchObject({ leader: 1, term });
    expect(replyTo(group, vote(2, 3, term + 5, 9, term))).toBeUndefined();
    group.pass(60);
    expect(group.core(1).isLeader).toBe(false);
    expect(group.leaders.length).toBe(1);
  });

  it('parts of a message of somebody who does not lead hold nobody back', () => {
    const group = new RaftGroup([1, 2, 3]);
    group.elect(1);
    group.split([1], [2, 3]);
    for (let i = 0; i < 60; i++) {
      group.pass(1);
      group.core(2).hears(3);
      group.core(3).hears(2);
    }
    expect(group.leaders.map(({ id }) => id)).not.toContain(1);
    expect(group.leaders.length).toBe(1);
  });

  it('a leader cut off from one follower keeps the other, and its term', () => {
    const group = new RaftGroup([1, 2, 3]);
    group.elect(1);
    const term = group.core(1).state.term;
    group.split([1], [3]);
    group.pass(200);
    expect(group.core(1).isLeader).toBe(true);
    expect(group.core(1).state.term).toBe(term);
  });

  it('five replicas of which four hear only the fifth elect that one (Howard and Abraham 2020)', () => {
    const group = new RaftGroup([1, 2, 3, 4, 5]);
    group.elect(1);
    group.propose(1);
    group.settle();
    for (const a of [1, 2, 3, 4]) for (const b of [1, 2, 3, 4]) if (a !== b) group.cut.add(`${a}>${b}`);
    group.pass(100);
    expect(group.leader.id).toBe(5);
    const term = group.leader.core.state.term;
    group.pass(300);
    expect(group.leader.core.state.term).toBe(term);
  });

  it('a replica with a higher term is taken in: the leader learns of it and a new term begins', () => {
    const group = new RaftGroup([1, 2, 3]);
    group.elect(1);
    const { term } = group.core(1).state;
    group.get(3).disk.hardState = { term: term + 4, vote: 0 };
    group.restart(3);
    group.pass(60);
    expect(group.leaders.length).toBe(1);
    expect(group.leader.core.state.term).toBeGreaterThan(term + 4);
    expect(group.core(3).state.leader).toBe(group.leader.id);
  });

  it('a leader whose disk hangs steps down, and does not come back until it works', () => {
    const group = new RaftGroup([1, 2, 3], { stallTicks: 20 });
    group.elect(1);
    group.slowDisks.add(1);
    group.propose(1);
    group.pass(60);
    expect(group.leader.id).not.toBe(1);
    group.split([2], [1, 3]);
    group.pass(100);
    expect(group.core(1).isLeader).toBe(false);
    group.heal();
    group.pass(30);
    group.slowDisks.delete(1);
    group.pass(5);
    expect(group.get(1).applied).toBe(group.leader.applied);
  });
});

describe('a leader whose state machine hangs', () => {
  it('steps down', () => {
    const core = new RaftCore(
      { ...DEFAULT_OPTIONS, group: 7, id: 1, seed: 1, incarnation: 1, stallTicks: 20 },
      firstStart(new Configuration([1], [], [], 0)),
    );
    /** Everything but applying. */
    const serve = () => {
      for (let out = core.ready(); out.batch !== 0; out = core.ready()) core.persisted(out.batch);
    };
    core.campaign();
    serve();
    core.applied(1);
    const pass = (ticks: number) => {
      for (let i = 0; i < ticks; i++) core.tick();
      serve();
    };
    pass(50);
    core.propose(new Uint8Array(1), 0, 1);
    serve();
    pass(20);
    expect(core.isLeader).toBe(true);
    pass(60);
    expect(core.isLeader).toBe(false);
    core.applied(2);
    pass(20);
    expect(core.isLeader).toBe(true);
  });
});

describe('a replica that has lost what it promised', () => {
  it('is silent: no vote, no acknowledgement, no campaign', () => {
    const config = new Configuration([1, 2, 3], [], [], 0);
    const lost = new Restored({ index: 0, term: 0, config, configIndex: 0 }, { term: 0, vote: 0 }, true);
    const core = new RaftCore({ ...DEFAULT_OPTIONS, group: 7, id: 1, seed: 1, incarnation: 1 }, lost);
    expect(core.state.isLost).toBe(true);
    core.step(vote(1, 2, 3, 9, 2));
    core.step(new Message(HEARTBEAT, 7, 2, 1, 3));
    core.step(new Message(APPEND, 7, 2, 1, 3));
    core.campaign();
    for (let i = 0; i < 100; i++) core.tick();
    const out = core.ready();
    expect(out.messages).toEqual([]);
    expect(out.batch).toBe(0);
    expect(core.state.term).toBe(0);
  });

  it('comes back under a new id, as a learner that becomes a voter', () => {
    const group = new RaftGroup([1, 2, 3]);
    group.elect(1);
    for (let i = 0; i < 5; i++) group.propose(1);
    group.settle();
    group.crash(3);
    group.join(4);
    expect(group.change(1, [1, 2, 3], [4])).toBeGreaterThan(0);
    group.pass(5);
    expect(group.get(4).applied).toBe(group.get(1).applied);
    expect(group.change(1, [1, 2, 4])).toBeGreaterThan(0);
    group.pass(5);
    expect(group.core(4).state.config.voters).toEqual([1, 2, 4]);
    // The old id is gone for good.
    expect(group.change(1, [1, 2, 3, 4])).toBe(-5);
  });
});
