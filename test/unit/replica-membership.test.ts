/** Nodes that ask to join: the ids that they get. */
import { afterEach, describe, expect, it } from 'vitest';
import { Configuration } from '../../engine/raft/config.ts';
import type { Logger } from '../../net/log.ts';
import { Membership } from '../../net/replica/membership.ts';
import type { Replica } from '../../net/replica/replica.ts';
import { GroupState } from '../../net/replica/state.ts';

/** A leader whose entries are applied when the test says so. */
class FakeLeader {
  readonly isLeader = true;
  readonly core = {
    state: {
      config: new Configuration([1, 2, 3], [], [], 3),
      configs: { currentIndex: 1 },
      log: { lastIndex: 9 },
      applied: 9,
      commit: 9,
      peers: { find: (): object | undefined => undefined },
      knowsCommit: false,
    },
  };
  readonly state = new GroupState();
  private readonly due: (() => void)[] = [];

  proposeOwn(words: readonly string[]): Promise<number> {
    const [, id, nodeId, name, host, peerPort, clientPort] = words;
    const member = {
      replica: Number(id),
      nodeId,
      name,
      host,
      peerPort: Number(peerPort),
      clientPort: Number(clientPort),
    };
    return new Promise((resolve) =>
      this.due.push(() => {
        this.state.roster.set(member);
        resolve(1);
      }),
    );
  }

  changeMembers(voters: readonly number[], learners: readonly number[]): string {
    const { lastId } = this.core.state.config;
    this.core.state.config = new Configuration([...voters], [], [...learners], Math.max(lastId, ...learners));
    return '';
  }

  async apply(): Promise<void> {
    for (const act of this.due.splice(0)) act();
    await new Promise(setImmediate);
  }
}

let membership: Membership | undefined;
afterEach(() => membership?.stop());

function begin(): { leader: FakeLeader; members: Membership } {
  const leader = new FakeLeader();
  const log = { write: () => {} } as unknown as Logger;
  membership = new Membership(leader as unknown as Replica, leader.state, log);
  return { leader, members: membership };
}

const node = (letter: string) => ({
  nodeId: letter.repeat(32),
  nodeName: letter,
  peerAddress: '127.0.0.1:17009',
  clientAddress: '127.0.0.1:7009',
});

describe('nodes that join', () => {
  it('never get the same id, even when they ask at the same time', async () => {
    const { leader, members } = begin();
    const first = members.add(node('a'));
    const second = members.add(node('b')).catch((error: Error) => error.message);
    await leader.apply();
    await leader.apply();
    expect(await first).toBe(4);
    expect(await second).toBe('another node is being added');
    const again = members.add(node('b'));
    await leader.apply();
    expect(await again).toBe(5);
    expect(leader.core.state.config.learners).toEqual([4, 5]);
  });

  it('get the same id when they ask again before they take part', async () => {
    const { leader, members } = begin();
    const first = members.add(node('a'));
    await leader.apply();
    expect(await members.add(node('a'))).toBe(await first);
  });

  it.each([
    ['said who it is', 'a'.repeat(32)],
    ['was killed before it could say who it is', ''],
  ])('take the place of the replica that the node was before, which %s', async (_, formerId) => {
    const { leader, members } = begin();
    const { state } = leader.core;
    const place = (replica: number, nodeId: string, peerPort: number) =>
      leader.state.roster.set({
        replica,
        nodeId,
        name: ['', 'b', 'a', 'c'][replica],
        host: '127.0.0.1',
        peerPort,
        clientPort: 7009,
      });
    place(1, '', 17008);
    place(2, formerId, formerId === '' ? 17009 : 17007);
    place(3, '', 17006);
    const added = members.add(node('a'));
    await leader.apply();
    expect(await added).toBe(4);
    state.peers.find = () => ({ match: 9 });
    state.knowsCommit = true;
    await new Promise((resolve) => setTimeout(resolve, 250));
    expect(state.config).toMatchObject({ voters: [1, 3, 4], learners: [] });
  });

  it('are refused under the name of another member, until that one is removed', async () => {
    const { leader, members } = begin();
    const there = { host: '127.0.0.1', peerPort: 17006, clientPort: 7009 };
    leader.state.roster.set({ replica: 3, nodeId: 'x', name: 'a', ...there });
    await expect(members.add(node('a'))).rejects.toThrow(/has a node a already, replica 3 at 127\.0\.0\.1:17006/);
    leader.core.state.config = new Configuration([1, 2], [], [], 3);
    const added = members.add(node('a'));
    await leader.apply();
    expect(await added).toBe(4);
  });

  it('do not undo what changed while they were added', async () => {
    const { leader, members } = begin();
    const added = members.add(node('a'));
    leader.core.state.config = new Configuration([1, 3], [], [], 3);
    await leader.apply();
    await added;
    expect(leader.core.state.config.voters).toEqual([1, 3]);
  });
});
