/** What a connection's fence comes from when another node leads, and how many replicas hold what is behind it. */
import { describe, expect, it } from 'vitest';
import { Configuration } from '../../engine/raft/config.ts';
import { FOLLOWER, LEADER } from '../../engine/raft/replica.ts';
import { Forwarded, Forwards } from '../../net/replica/forwards.ts';
import type { Group } from '../../net/replica/group.ts';
import { requestOf } from '../../net/replica/proposals.ts';
import { holdersOf, roleOf } from '../../net/replica/status.ts';
import type { Session } from '../../net/session.ts';
import type { Forward, ForwardReply, PeerMessage } from '../../proto/messages.ts';

const OK = Buffer.from('+OK\r\n');

/** Writes of a follower's session, as they come to the leader. */
function forwardTwo(): { session: Session; replies: string[]; forwarded: Forwarded } {
  const replies: string[] = [];
  const session = {
    fence: 5,
    deliver: (_seq: number, from: Uint8Array, start: number, length: number) => {
      replies.push(Buffer.from(from.subarray(start, start + length)).toString());
    },
  } as unknown as Session;
  let sent: PeerMessage | undefined;
  const forwards = new Forwards({
    group: 0,
    leader: () => 1,
    send: (_to, message) => {
      sent = message;
      return true;
    },
    blocked: () => {},
  });
  forwards.add(requestOf(['set', 'a', '1']), 0, 2, session, session, 0);
  forwards.add(requestOf(['set', 'b', '1']), 0, 2, session, session, 1);
  forwards.flush();
  const forwarded = new Forwarded(2, sent as Forward, (_to, message) => {
    forwards.answered(message as ForwardReply);
    return true;
  });
  return { session, replies, forwarded };
}

describe('the fence of a session whose writes were forwarded', () => {
  it('is the last entry with a write of it, known with the reply', () => {
    const { session, replies, forwarded } = forwardTwo();
    const seqs = [forwarded.next(), forwarded.next()];
    forwarded.close();
    forwarded.settled(7);
    forwarded.deliver(seqs[0], OK, 0, OK.length);
    expect(session.fence).toBe(5);
    forwarded.settled(9);
    forwarded.deliver(seqs[1], OK, 0, OK.length);
    expect(session.fence).toBe(9);
    expect(replies.join('')).toBe('+OK\r\n+OK\r\n');
  });

  it('stays where it is when nothing was written', () => {
    const { session, forwarded } = forwardTwo();
    for (const seq of [forwarded.next(), forwarded.next()]) forwarded.deliver(seq, OK, 0, OK.length);
    forwarded.close();
    expect(session.fence).toBe(5);
  });
});

interface Shape {
  role?: number;
  voters?: number[];
  outgoing?: number[];
  learners?: number[];
  matches?: number[];
  isLost?: boolean;
  id?: number;
}

/** A group seen by replica 1: `matches` are those of replicas 1, 2, …. */
function group(shape: Shape): Group {
  const {
    role = LEADER,
    voters = [1, 2, 3],
    outgoing = [],
    learners = [],
    matches = [],
    isLost = false,
    id = 1,
  } = shape;
  const list = matches.map((match, i) => ({ id: i + 1, match }));
  const config = new Configuration(voters, outgoing, learners, 9);
  return { replica: { core: { state: { role, config, id, isLost, peers: { list } } } } } as unknown as Group;
}

describe('who holds an entry', () => {
  it.each<[string, Shape, number, number]>([
    ['all', { matches: [9, 9, 9] }, 9, 2],
    ['one other', { matches: [9, 9, 8] }, 9, 1],
    ['a majority at least, since it is committed', { matches: [9, 0, 0] }, 9, 1],
    ['a learner too', { learners: [4], matches: [9, 9, 9, 9] }, 9, 3],
    ['who takes part, when nothing was written', { matches: [9, 3, 0] }, 0, 1],
    ['a majority, as followers know', { role: FOLLOWER, voters: [1, 2, 3, 4, 5] }, 9, 2],
    ['nobody else, alone', { role: FOLLOWER, voters: [1] }, 9, 0],
    ['the smaller majority, while voters change', { role: FOLLOWER, voters: [1, 2, 3], outgoing: [1] }, 9, 0],
  ])('%s', (_, shape, index, expected) => {
    expect(holdersOf(group(shape), index)).toBe(expected);
  });
});

describe('the role of a node', () => {
  it.each<[string, Shape]>([
    ['leader', {}],
    ['follower', { role: FOLLOWER }],
    ['candidate', { role: 1 }],
    ['candidate', { role: 2 }],
    ['learner', { role: FOLLOWER, voters: [2], learners: [1] }],
    ['removed', { role: FOLLOWER, voters: [2, 3] }],
    ['lost', { role: FOLLOWER, isLost: true }],
  ])('%s', (role, shape) => {
    expect(roleOf(group(shape))).toBe(role);
  });
});
