/** A group of three nodes whose clients do what is rare: pops of sets through every node, writes longer than a frame, clients that hang up while they wait. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type ClusterNode, LocalCluster, sleep } from '../support/cluster.ts';
import { RawClient } from '../support/redis.ts';

let cluster: LocalCluster;
let leader: ClusterNode;
let followers: ClusterNode[];
const clients: RawClient[] = [];

async function connect(node: ClusterNode): Promise<RawClient> {
  const client = await RawClient.connect(node.address.port);
  clients.push(client);
  return client;
}

beforeAll(async () => {
  // On a busy machine a leader may be late: here nobody is to take its place.
  cluster = await LocalCluster.start({ flags: ['--election-timeout', '5000'] });
  await cluster.waitForAll();
  leader = await cluster.waitForLeader();
  followers = cluster.others(leader);
}, 60_000);

afterAll(async () => {
  for (const client of clients) client.close();
  await cluster?.close();
});

async function expectSameState(): Promise<void> {
  const states = await cluster.states();
  expect(new Set(states).size, states.join('\n')).toBe(1);
}

describe('pops of sets', () => {
  it('take each member once, whichever node is asked, while other writes are under way', async () => {
    const members = Array.from({ length: 3000 }, (_, i) => `m${i}`);
    await (await connect(leader)).run('sadd', 'pop', ...members);
    const taken: string[] = [];
    const wrong: string[] = [];
    const drain = async (node: ClusterNode): Promise<void> => {
      const client = await connect(node);
      for (let i = 0; i < 60; i++) {
        const replies = await client.pipeline([
          ['set', `k${i}`, 'x'],
          ['spop', 'pop'],
          ['incr', 'n'],
          ['spop', 'pop', 2],
          ['get', `k${i}`],
        ]);
        if (replies[0] !== '+OK\r\n' || !replies[2].startsWith(':') || replies[4] !== '$1\r\nx\r\n')
          wrong.push(replies.join());
        for (const reply of [replies[1], replies[3]])
          taken.push(...reply.split('\r\n').filter((word) => word[0] === 'm'));
      }
    };
    await Promise.all([...cluster.nodes, ...cluster.nodes].map(drain));
    expect(wrong).toEqual([]);
    expect(new Set(taken).size).toBe(taken.length);
    expect(taken.length).toBe(60 * 6 * 3);
    expect(await (await connect(leader)).run('scard', 'pop')).toBe(`:${3000 - taken.length}\r\n`);
    await expectSameState();
  }, 60_000);

  it('that take nothing are answered, and so is what comes behind them', async () => {
    for (const node of cluster.nodes) {
      const client = await connect(node);
      const replies = await client.pipeline([
        ['spop', 'none'],
        ['get', 'none'],
        ['set', 'str', 'x'],
        ['spop', 'str'],
        ['spop', 'str', -1],
        ['once', 'c', 'x', 'incr', 'n'],
        ['get', 'str'],
      ]);
      expect(replies.map((reply) => reply.slice(0, 6))).toEqual([
        '$-1\r\n',
        '$-1\r\n',
        '+OK\r\n',
        '-WRONG',
        '-ERR v',
        '-ERR O',
        '$1\r\nx\r',
      ]);
    }
  });
});

describe('long writes', () => {
  it('that no frame can take are refused, and nobody is hurt', async () => {
    const long = Buffer.alloc(61 * 1024 * 1024);
    for (const node of [leader, followers[0]]) {
      const client = await connect(node);
      expect(await client.run('set', 'long', long)).toContain('60 MiB');
      expect(await client.run('set', 'long', long.subarray(0, 1024 * 1024))).toBe('+OK\r\n');
    }
    const client = await connect(followers[0]);
    expect(await client.run('set', 'long', long.subarray(0, 31 * 1024 * 1024))).toContain('30 MiB');
    expect(await client.run('set', 'long', long.subarray(0, 20 * 1024 * 1024))).toBe('+OK\r\n');
    expect(cluster.nodes.every((node) => node.running)).toBe(true);
  }, 30_000);
});

describe('blocking commands', () => {
  it('of any node wait on while a key has another type', async () => {
    for (const [i, node] of cluster.nodes.entries()) {
      const waiting = await connect(node);
      const other = await connect(leader);
      await other.run('del', `wrong${i}`, `right${i}`);
      const popped = waiting.run('blpop', `wrong${i}`, `right${i}`, 10);
      await sleep(300);
      await other.run('set', `wrong${i}`, 'x');
      await sleep(100);
      await other.run('rpush', `right${i}`, 'e');
      expect(await popped).toContain(`right${i}`);
    }
  });

  it('of clients that hung up take nothing from those who wait', async () => {
    for (const node of cluster.nodes) {
      const other = await connect(leader);
      // Each of them asks and is gone while the question is under way.
      for (let i = 0; i < 20; i++) {
        const gone = await RawClient.connect(node.address.port);
        gone.run('blpop', 'q', 0).catch(() => {});
        setImmediate(() => gone.close());
      }
      await sleep(200);
      const waiting = await connect(node);
      const popped = waiting.run('blpop', 'q', 5);
      await sleep(100);
      await other.run('rpush', 'q', 'e');
      expect(await popped).toContain('$1\r\ne');
    }
  }, 30_000);
});
