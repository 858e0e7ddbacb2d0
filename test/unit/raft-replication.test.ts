/** Replication and commitment, claim by claim (Raft paper figure 2, 5.3, 5.4, figures 7 and 8; thesis 3.5, 10.2.1). */
import { describe, expect, it } from 'vitest';
import { Entry } from '../../engine/raft/entry.ts';
import { APPEND, APPEND_REPLY, HEARTBEAT, Message } from '../../engine/raft/message.ts';
import { PROBE, REPLICATE } from '../../engine/raft/progress.ts';
import { RaftGroup, withLog } from '../support/raft.ts';

function entry(index: number, term: number, text = `${index}`): Entry {
  return new Entry(index, term, 0, Buffer.from(text), 0, text.length);
}

function append(to: number, from: number, term: number, index: number, logTerm: number, entries: Entry[]): Message {
  const m = new Message(APPEND, 7, from, to, term);
  m.index = index;
  m.logTerm = logTerm;
  m.entries = entries;
  return m;
}

function answers(group: RaftGroup, m: Message): Message[] {
  group.bag.length = 0;
  group.hand(m);
  return group.bag.filter((x) => x.type === APPEND_REPLY);
}

describe('replication', () => {
  it('an entry is committed when a majority has it durable, applied by all, in order', () => {
    const group = new RaftGroup([1, 2, 3]);
    group.elect(1);
    for (let i = 0; i < 10; i++) group.propose(1, `${i}`);
    group.settle();
    for (const m of group.members.values()) expect(m.applied).toBe(11);
  });

  it.each([
    { voters: [1, 2], needed: 2 },
    { voters: [1, 2, 3, 4], needed: 3 },
    { voters: [1, 2, 3, 4, 5], needed: 3 },
  ])('of $voters a majority is $needed', ({ voters, needed }) => {
    const group = new RaftGroup(voters);
    group.elect(1);
    group.settle();
    for (const id of voters.slice(1)) group.slowDisks.add(id);
    const index = group.propose(1);
    for (let have = 1; have < needed; have++) {
      group.settle();
      expect(group.core(1).state.commit).toBe(index - 1);
      group.sync(have + 1);
    }
    group.settle();
    expect(group.core(1).state.commit).toBe(index);
  });

  it('a follower acknowledges only what is durable', () => {
    const group = new RaftGroup([1, 2, 3]);
    group.elect(1);
    group.slowDisks.add(2).add(3);
    const index = group.propose(1);
    group.settle();
    expect(group.core(1).state.commit).toBe(index - 1);
    group.sync(3);
    group.settle();
    expect(group.core(1).state.commit).toBe(index);
  });

  it('a leader counts itself only when its own disk has the entry, and may commit before', () => {
    const group = new RaftGroup([1, 2, 3]);
    group.elect(1);
    group.slowDisks.add(1).add(3);
    const index = group.propose(1);
    group.settle();
    expect(group.core(1).state.commit).toBe(index - 1);
    group.sync(3);
    group.settle();
    expect(group.core(1).state.commit).toBe(index);
    // Applied once it is durable here as well.
    expect(group.get(1).applied).toBe(index - 1);
    group.sync(1);
    group.settle();
    expect(group.get(1).applied).toBe(index);
  });

  it('of a leader\u2019s own writes, only those that have ended count', () => {
    const group = new RaftGroup([1, 2, 3]);
    group.elect(1);
    group.settle();
    group.crash(2);
    group.slowDisks.add(1);
    const first = group.propose(1);
    group.propose(1);
    group.settle();
    group.sync(1, 1);
    group.settle();
    expect(group.core(1).state.commit).toBe(first);
  });

  it('followers learn of the commit at once, without a tick', () => {
    const group = new RaftGroup([1, 2, 3]);
    group.elect(1);
    group.propose(1);
    group.settle();
    expect(group.get(3).applied).toBe(2);
  });

  it.each([
    // Figure 7: the leader of term 8 and what its followers may look like.
    { name: 'a', terms: [1, 1, 1, 4, 4, 5, 5, 6, 6] },
    { name: 'b', terms: [1, 1, 1, 4] },
    { name: 'c', terms: [1, 1, 1, 4, 4, 5, 5, 6, 6, 6, 6] },
    { name: 'd', terms: [1, 1, 1, 4, 4, 5, 5, 6, 6, 6, 7, 7] },
    { name: 'e', terms: [1, 1, 1, 4, 4, 4, 4] },
    { name: 'f', terms: [1, 1, 1, 2, 2, 2, 3, 3, 3, 3, 3] },
  ])('figure 7 ($name): a follower ends with its leader\u2019s log', ({ terms }) => {
    const group = new RaftGroup([1, 2, 3]);
    withLog(group, 1, [1, 1, 1, 4, 4, 5, 5, 6, 6, 6], 7);
    withLog(group, 2, terms, 7);
    // Its vote comes from the third, which has nothing.
    group.split([1], [2]);
    group.elect(1);
    group.heal();
    group.pass(5);
    expect(group.terms(2)).toEqual([1, 1, 1, 4, 4, 5, 5, 6, 6, 6, 8]);
    expect(group.get(2).applied).toBe(11);
  });

  it('backing off takes a step per term, not per entry', () => {
    const group = new RaftGroup([1, 2, 3]);
    withLog(group, 1, [1, ...Array(100).fill(5)], 6);
    withLog(group, 2, [1, ...Array(50).fill(2), ...Array(60).fill(3)], 6);
    group.split([1], [2]);
    group.elect(1);
    group.heal();
    let refusals = 0;
    group.core(1).tick();
    group.serve(1);
    while (group.bag.length > 0) {
      if (group.bag[0].type === APPEND_REPLY && group.bag[0].reject) refusals++;
      group.deliver();
    }
    expect(group.terms(2)).toEqual(group.terms(1));
    expect(refusals).toBeLessThanOrEqual(3);
  });

  it('a message that holds less than the log takes nothing away', () => {
    const group = new RaftGroup([1, 2, 3]);
    const all = [entry(1, 1), entry(2, 1), entry(3, 1)];
    group.hand(append(1, 2, 1, 0, 0, all));
    const [reply] = answers(group, append(1, 2, 1, 0, 0, all.slice(0, 1)));
    expect(reply).toMatchObject({ reject: false, index: 1 });
    expect(group.terms(1)).toEqual([1, 1, 1]);
  });

  it('the leader\u2019s commit index counts only up to what its message proves', () => {
    const group = new RaftGroup([1, 2, 3]);
    group.hand(append(1, 2, 1, 0, 0, [entry(1, 1), entry(2, 1), entry(3, 1)]));
    const m = append(1, 3, 2, 1, 1, []);
    m.commit = 3;
    group.hand(m);
    expect(group.core(1).state.commit).toBe(1);
  });

  it('a committed entry is never replaced: the replica stops', () => {
    const group = new RaftGroup([1, 2, 3]);
    const m = append(1, 2, 1, 0, 0, [entry(1, 1), entry(2, 1)]);
    m.commit = 1;
    group.hand(m);
    expect(() => group.core(1).state.truncateFrom(1)).toThrow('never replaced');
    const heartbeat = new Message(HEARTBEAT, 7, 2, 1, 1);
    heartbeat.commit = 9;
    expect(() => group.core(1).step(heartbeat)).toThrow('in the log');
  });

  it('refuses what does not follow, and says where to try', () => {
    const group = new RaftGroup([1, 2, 3]);
    withLog(group, 1, [1, 1, 2, 2, 4], 4);
    expect(answers(group, append(1, 2, 5, 9, 5, []))[0]).toMatchObject({ reject: true, index: 9, hint: 5, logTerm: 4 });
    expect(answers(group, append(1, 2, 5, 5, 3, []))[0]).toMatchObject({ reject: true, index: 5, hint: 4, logTerm: 2 });
    expect(answers(group, append(1, 2, 5, 4, 1, []))[0]).toMatchObject({ reject: true, index: 4, hint: 2, logTerm: 1 });
  });

  it('a restarted follower is sent what it lost', () => {
    const group = new RaftGroup([1, 2, 3]);
    group.elect(1);
    group.slowDisks.add(3);
    for (let i = 0; i < 5; i++) group.propose(1);
    group.settle();
    group.crash(3);
    group.slowDisks.clear();
    group.restart(3);
    expect(group.core(3).state.log.lastIndex).toBe(1);
    group.pass(3);
    expect(group.get(3).applied).toBe(6);
  });
});

describe('commitment', () => {
  it('figure 8: an entry of an earlier term is not committed by counting', () => {
    const group = new RaftGroup([1, 2, 3, 4, 5]);
    withLog(group, 1, [1, 2], 3);
    withLog(group, 2, [1, 2], 3);
    withLog(group, 3, [1], 3);
    withLog(group, 4, [1], 3);
    withLog(group, 5, [1, 3], 3);
    // Replica 1 leads term 4 and gets the entry of term 2 to a majority, but not its own no-op.
    group.split([1, 2, 3, 4], [5]);
    for (const id of [1, 2, 3, 4]) group.core(id).state.sinceLeader = 99;
    group.core(1).campaign();
    group.serve(1);
    while (group.bag.length > 0) {
      const [m] = group.bag;
      const hasOwn = m.type === APPEND && m.entries.some((e) => e.term === 4);
      if (hasOwn) m.entries = m.entries.filter((e) => e.term < 4);
      group.deliver();
    }
    expect(group.core(1).isLeader).toBe(true);
    expect(group.terms(3).slice(0, 2)).toEqual([1, 2]);
    expect(group.core(1).state.commit).toBe(0);
    // So replica 5 may still win and replace it.
    group.crash(1);
    group.heal();
    group.elect(5);
    group.pass(3);
    expect(group.terms(3).slice(0, 2)).toEqual([1, 3]);
    group.restart(1);
    group.pass(5);
    expect(group.terms(1)).toEqual(group.terms(5));
  });

  it('a leader begins with a no-op, which commits what came before', () => {
    const group = new RaftGroup([1, 2, 3]);
    withLog(group, 1, [1, 1], 1);
    withLog(group, 2, [1, 1], 1);
    group.elect(1);
    expect(group.get(1).applied).toBe(3);
    expect(group.core(1).entryAt(3)!.term).toBe(2);
    group.elect(2);
    expect(group.core(2).entryAt(4)).toMatchObject({ term: 3, kind: 1, length: 0 });
  });

  it('the first leader of a group begins with the configuration that the group began with', () => {
    const group = new RaftGroup([1, 2, 3]);
    group.elect(1);
    expect(group.core(1).entryAt(1)).toMatchObject({ term: 1, kind: 2 });
    expect(group.core(3).state.configs.currentIndex).toBe(1);
    // Who joins has followed the log up to here, and not to the change that lets it in.
    group.join(4);
    const first = append(4, 1, 1, 0, 0, [group.core(1).entryAt(1)!]);
    first.commit = 1;
    group.hand(first);
    expect(group.get(4).applied).toBe(1);
    expect(group.core(4).snapshotAt(1).config.voters).toEqual([1, 2, 3]);
  });
});

describe('flow', () => {
  it('entries follow each other without waiting, within the window of messages', () => {
    const group = new RaftGroup([1, 2, 3], { windowMessages: 3, appendBytes: 1 });
    group.elect(1);
    group.settle();
    group.cut.add('1>3').add('3>1');
    for (let i = 0; i < 6; i++) group.propose(1);
    const sent = group.bag.filter((m) => m.type === APPEND && m.to === 3 && m.entries.length > 0);
    expect(sent.map((m) => m.index)).toEqual([1, 2, 3]);
  });

  it('and within the window of bytes, which is exact and freed by acknowledgements', () => {
    const group = new RaftGroup([1, 2, 3], { windowBytes: 10, appendBytes: 4 });
    group.elect(1);
    group.settle();
    const p = group.core(1).state.peers.find(3)!;
    for (let i = 0; i < 6; i++) group.propose(1, 'four');
    expect(p.inflights).toMatchObject({ count: 3, bytes: 12 });
    group.settle();
    expect(p.inflights).toMatchObject({ count: 0, bytes: 0 });
    expect(p.match).toBe(7);
  });

  it.each([
    { next: 1, entries: [1, 1] },
    { next: 0, entries: [0, 0] },
  ])(
    'the news of a commit waits until it was handed out, to go with the next entry: $next proposed then',
    ({ next, entries }) => {
      const group = new RaftGroup([1, 2, 3]);
      group.elect(1);
      group.settle();
      group.propose(1);
      const core = group.core(1);
      const [reply] = answers(group, group.bag.find((m) => m.type === APPEND && m.to === 2)!);
      core.step(reply);
      let out = core.ready();
      expect([out.committedFrom, out.committedTo, out.messages.length]).toEqual([2, 3, 0]);
      core.applied(2);
      for (let i = 0; i < next; i++) core.propose(Buffer.from('x'), 0, 1);
      out = core.ready();
      expect(out.messages.map((m) => [m.type, m.commit])).toEqual(entries.map(() => [APPEND, 2]));
      expect(out.messages.map((m) => m.entries.length)).toEqual(entries);
      expect(core.ready().messages).toEqual([]);
    },
  );

  it('proposals between two Readys travel together, up to a size', () => {
    const group = new RaftGroup([1, 2, 3], { appendBytes: 10 });
    group.elect(1);
    group.settle();
    for (let i = 0; i < 7; i++) group.core(1).propose(Buffer.from('four'), 0, 4);
    group.serve(1);
    const sent = group.bag.filter((m) => m.to === 2 && m.type === APPEND);
    expect(sent.map((m) => m.entries.length)).toEqual([2, 2, 2, 1]);
  });

  it('an entry larger than a message goes alone', () => {
    const group = new RaftGroup([1, 2, 3], { appendBytes: 4, windowBytes: 4 });
    group.elect(1);
    group.propose(1, 'much longer than four');
    group.settle();
    expect(group.get(3).applied).toBe(2);
  });

  it('a pipeline whose messages got lost goes on, with the window full or not', () => {
    for (const windowMessages of [2, 64]) {
      const group = new RaftGroup([1, 2, 3], { windowMessages, appendBytes: 1 });
      group.elect(1);
      group.settle();
      for (let i = 0; i < 5; i++) group.propose(1);
      group.bag = group.bag.filter((m) => m.to !== 3);
      group.pass(8);
      expect(group.get(3).applied).toBe(6);
    }
  });

  it('a refused message turns the pipeline into a probe, one message at a time', () => {
    const group = new RaftGroup([1, 2, 3]);
    group.elect(1);
    group.settle();
    const p = group.core(1).state.peers.find(3)!;
    expect(p.state).toBe(REPLICATE);
    group.core(1).unreachable(3);
    expect(p.state).toBe(PROBE);
    group.propose(1);
    group.propose(1);
    expect(group.bag.filter((m) => m.to === 3 && m.type === APPEND).length).toBe(1);
    group.settle();
    expect(p).toMatchObject({ state: REPLICATE, match: 3 });
  });

  it('late refusals and acknowledgements change nothing', () => {
    const group = new RaftGroup([1, 2, 3]);
    group.elect(1);
    for (let i = 0; i < 3; i++) group.propose(1);
    group.settle();
    const p = group.core(1).state.peers.find(3)!;
    const term = group.core(1).state.term;
    const refusal = new Message(APPEND_REPLY, 7, 3, 1, term);
    refusal.reject = true;
    refusal.index = 2;
    group.hand(refusal);
    const late = new Message(APPEND_REPLY, 7, 3, 1, term);
    late.index = 1;
    group.hand(late);
    expect(p).toMatchObject({ state: REPLICATE, match: 4, next: 5 });
    const impossible = new Message(APPEND_REPLY, 7, 3, 1, term);
    impossible.index = 99;
    expect(() => group.hand(impossible)).toThrow('not sent');
  });

  it('proposals stop at a number of uncommitted bytes; one alone always passes', () => {
    const group = new RaftGroup([1, 2, 3], { uncommittedBytes: 10 });
    group.elect(1);
    group.settle();
    group.split([1], [2, 3]);
    expect(group.propose(1, 'far more than ten bytes')).toBe(2);
    expect(group.propose(1, 'x')).toBe(-3);
    expect(group.core(1).state.uncommittedBytes).toBe(23);
    group.heal();
    group.pass(3);
    expect(group.core(1).state.uncommittedBytes).toBe(0);
    expect(group.propose(1, '0123456789')).toBe(3);
  });

  it('the count of uncommitted bytes is exact in a new term, whatever the last left behind', () => {
    const group = new RaftGroup([1, 2, 3], { uncommittedBytes: 10 });
    group.elect(1);
    group.split([1], [2, 3]);
    group.propose(1, 'eight---');
    group.elect(2);
    group.heal();
    group.pass(3);
    expect(group.propose(1, 'x')).toBe(-1);
    group.elect(1);
    group.pass(2);
    expect(group.core(1).state.uncommittedBytes).toBe(0);
    expect(group.propose(1, 'nine-----')).toBeGreaterThan(0);
    expect(group.core(1).state.uncommittedBytes).toBe(9);
    group.settle();
    expect(group.core(1).state.uncommittedBytes).toBe(0);
  });

  it('entries that are no longer in memory are asked for', () => {
    const group = new RaftGroup([1, 2, 3], { keptBytes: 0 });
    group.elect(1);
    group.crash(3);
    for (let i = 0; i < 20; i++) {
      group.propose(1);
      group.settle();
    }
    expect(group.core(1).state.log.keptBytes).toBe(0);
    group.restart(3);
    group.pass(20);
    expect(group.get(3).applied).toBe(21);
  });

  it('what the storage cannot give is asked for again after a heartbeat, not at once', () => {
    const group = new RaftGroup([1, 2, 3], { keptBytes: 0 });
    group.elect(1);
    group.crash(3);
    for (let i = 0; i < 3; i++) group.propose(1);
    group.settle();
    group.restart(3);
    const { core } = group.get(1);
    const ask = () => core.ready().fetches.length;
    core.unreachable(3);
    core.state.peers.find(3)!.probeFrom(2);
    expect(ask()).toBe(1);
    core.fetched(3, []);
    expect(ask()).toBe(0);
    group.pass(10);
    expect(group.get(3).applied).toBe(4);
  });
});

describe('writes under way together', () => {
  it('a finished write does not vouch for entries replaced since, even by ones of the same term', () => {
    const group = new RaftGroup([1, 2, 3]);
    group.slowDisks.add(1);
    group.hand(append(1, 2, 1, 0, 0, [entry(1, 1, 'a')]));
    group.hand(append(1, 3, 2, 0, 0, [entry(1, 2, 'b')]));
    group.hand(append(1, 2, 3, 0, 0, [entry(1, 1, 'a')]));
    const { writes } = group.core(1).state;
    group.sync(1, 1);
    expect(writes.durable).toBe(0);
    group.sync(1, 1);
    expect(writes.durable).toBe(0);
    group.sync(1, 1);
    expect(writes.durable).toBe(1);
  });

  it('acknowledgements leave in the order of the writes they wait for', () => {
    const group = new RaftGroup([1, 2, 3]);
    group.slowDisks.add(1);
    group.hand(append(1, 2, 1, 0, 0, [entry(1, 1)]));
    group.hand(append(1, 2, 1, 1, 1, [entry(2, 1)]));
    group.hand(append(1, 2, 1, 1, 1, [entry(2, 1)]));
    group.sync(1, 1);
    expect(group.bag.map((m) => m.index)).toEqual([1]);
    group.sync(1, 1);
    expect(group.bag.map((m) => m.index)).toEqual([1, 2]);
    // The third had nothing to write, and still waits for the second.
    group.sync(1, 1);
    expect(group.bag.map((m) => m.index)).toEqual([1, 2, 2]);
  });
});
