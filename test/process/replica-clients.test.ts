/** What clients of a group are told when nodes stand still, and when they are gone themselves. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ask, type ClusterNode, LocalCluster, sleep } from '../support/cluster.ts';
import type { Arg } from '../support/engine.ts';
import { RawClient } from '../support/redis.ts';

let cluster: LocalCluster;
const clients: RawClient[] = [];

async function connect(node: ClusterNode): Promise<RawClient> {
  const client = await RawClient.connect(node.address.port);
  clients.push(client);
  return client;
}

beforeAll(async () => {
  cluster = await LocalCluster.start();
  await cluster.waitForAll();
}, 60_000);

afterAll(async () => {
  for (const client of clients) client.close();
  await cluster?.close();
});

describe('bounded reads', () => {
  it('of a leader that stood still while another was elected are not older than they may be', async () => {
    const old = await cluster.waitForLeader();
    await ask(old, 'set', 'k', 'old');
    const readers = await Promise.all(Array.from({ length: 5 }, () => connect(old)));
    for (const reader of readers) expect(await reader.run('client', 'consistency', 'bounded', 100)).toBe('+OK\r\n');
    for (const reader of readers) expect(await reader.run('get', 'k')).toBe('$3\r\nold\r\n');
    old.pause();
    const leader = await cluster.waitForLeader();
    expect(await ask(leader, 'set', 'k', 'new')).toBe('+OK\r\n');
    // So long that the others have given up their connections to it, and nobody tells it.
    await sleep(3000);
    const replies = readers.map((reader) => reader.run('get', 'k'));
    await sleep(50);
    old.resume();
    for (const reply of await Promise.all(replies)) expect(reply).toBe('$3\r\nnew\r\n');
    await cluster.waitForAll();
  }, 60_000);

  it('cost no question while the last one is recent enough', async () => {
    const leader = await cluster.waitForLeader();
    const client = await connect(cluster.others(leader)[0]);
    await client.run('client', 'consistency', 'bounded', 60_000);
    const first = await client.run('get', 'k');
    // Nobody could answer one.
    leader.pause();
    try {
      for (let i = 0; i < 5; i++) expect(await client.run('get', 'k')).toBe(first);
    } finally {
      leader.resume();
    }
    await cluster.waitForAll();
  }, 60_000);
});

describe('a client that hangs up', () => {
  it('while there is no leader loses nothing to the blocking command that it had sent', async () => {
    const leader = await cluster.waitForLeader();
    await ask(leader, 'rpush', 'l', 'e1', 'e2');
    const [follower, third] = cluster.others(leader);
    await sleep(200);
    leader.pause();
    third.pause();
    await sleep(1200);
    const gone = await RawClient.connect(follower.address.port);
    void gone.run('blpop', 'l', 1).catch(() => {});
    await sleep(300);
    gone.close();
    await sleep(300);
    leader.resume();
    third.resume();
    await cluster.waitForAll();
    expect(await ask(follower, 'lrange', 'l', 0, -1)).toBe('*2\r\n$2\r\ne1\r\n$2\r\ne2\r\n');
  }, 60_000);

  it('loses nothing either to one that had gone to a leader that stood still', async () => {
    const leader = await cluster.waitForLeader();
    const [follower] = cluster.others(leader);
    const client = await connect(follower);
    await client.run('get', 'k');
    leader.pause();
    const gone = await RawClient.connect(follower.address.port);
    void gone.run('blpop', 'l', 1).catch(() => {});
    await sleep(200);
    gone.close();
    await cluster.waitForLeader();
    leader.resume();
    await cluster.waitForAll();
    await sleep(300);
    expect(await ask(follower, 'lrange', 'l', 0, -1)).toBe('*2\r\n$2\r\ne1\r\n$2\r\ne2\r\n');
  }, 60_000);
});

describe('a follower', () => {
  it('gives up on a fence that nothing reaches', async () => {
    const leader = await cluster.waitForLeader();
    const client = await connect(cluster.others(leader)[0]);
    const token = (await client.run('readfence')).split('\r\n')[1];
    const [head, replica] = token.split('-');
    expect(await client.run('readfence', `${head}-${replica}-9007199254740991`)).toBe('+OK\r\n');
    expect(await client.run('get', 'k')).toMatch(/^-BEHIND /);
    expect(await client.run('read', 'stale', 'get', 'k')).toMatch(/^\$/);
  }, 60_000);

  it('says that it cannot wait for more than a majority', async () => {
    const leader = await cluster.waitForLeader();
    const client = await connect(cluster.others(leader)[0]);
    await client.run('set', 'k', 'x');
    expect(await client.run('wait', 1, 0)).toBe(':1\r\n');
    expect(await client.run('wait', 2, 0)).toMatch(/^-ERR WAIT for more/);
    const own = await connect(leader);
    await own.run('set', 'k', 'x');
    expect(await own.run('wait', 2, 0)).toBe(':2\r\n');
  }, 60_000);
});

describe('ONCE', () => {
  it('answers again in the protocol of the connection that asks again', async () => {
    const [first, second] = cluster.nodes;
    const newer = await connect(first);
    await newer.run('hello', 3);
    const older = await connect(second);
    const flat = '*4\r\n$1\r\nm\r\n$3\r\n1.5\r\n$1\r\nn\r\n$1\r\n2\r\n';
    const cases: [string[], Arg[], string, string][] = [
      [['getdel', 'none'], ['getdel', 'none'], '_\r\n', '$-1\r\n'],
      [
        ['zadd', 'z', '1.5', 'm', '2', 'n'],
        ['ZPOPMIN', 'z', 2],
        '*2\r\n*2\r\n$1\r\nm\r\n,1.5\r\n*2\r\n$1\r\nn\r\n,2\r\n',
        flat,
      ],
      [['del', 'none'], ['lpop', 'none', 2], '_\r\n', '*-1\r\n'],
      [['del', 'h'], ['zincrby', 'h', '-2.25', 'm'], ',-2.25\r\n', '$5\r\n-2.25\r\n'],
    ];
    for (const [i, [prepare, command, then, again]] of cases.entries()) {
      await newer.run(...prepare);
      expect(await newer.run('once', 'translated', i + 1, ...command)).toBe(then);
      expect(await older.run('once', 'translated', i + 1, ...command)).toBe(again);
      expect(await newer.run('once', 'translated', i + 1, ...command)).toBe(then);
    }
    expect(await older.run('once', 'translated', 1, 'getdel', 'none')).toMatch(
      /^-ERR ONCE: this number was sent before/,
    );
  }, 60_000);
});

describe('a pipeline to a node that does not lead', () => {
  it.each([
    [
      'what it answers itself between writes',
      [['ping'], ['incr', 'a'], ['echo', 'x'], ['incr', 'a'], ['nosuch'], ['del', 'a']],
    ],
    [
      'replies that nobody wants',
      [['client', 'reply', 'off'], ['incr', 'a'], ['client', 'reply', 'on'], ['incr', 'a'], ['ping']],
    ],
    [
      'one reply that nobody wants',
      [
        ['client', 'reply', 'skip'],
        ['incr', 'a'],
        ['incr', 'a'],
        ['incr', 'a'],
        ['del', 'a'],
      ],
    ],
  ])('is answered in its order: %s', async (_, commands) => {
    const leader = await cluster.waitForLeader();
    const answers: string[] = [];
    for (const node of [leader, cluster.others(leader)[0]]) {
      const client = await connect(node);
      const [first, ...rest] = commands as [Arg[], ...Arg[][]];
      await client.run('del', 'a');
      // Those without a reply leave the last ones open; the marker at the end closes the count.
      const replies = [...[['set', 'a', '1'], first], ...rest, ['echo', 'end']].map((each) => client.run(...each));
      for (const reply of replies) reply.catch(() => {});
      const got: string[] = [];
      for (const reply of replies) {
        got.push(await reply);
        if (got.at(-1) === '$3\r\nend\r\n') break;
      }
      answers.push(got.join(''));
    }
    expect(answers[1]).toBe(answers[0]);
  });
});
