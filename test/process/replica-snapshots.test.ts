/** A follower that was away while the log was cut gets a snapshot: while clients write, while it saves one itself, again and again, and killed in the middle of it. */
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { Random } from '../../engine/random.ts';
import { type ClusterNode, LocalCluster, sleep } from '../support/cluster.ts';
import { anyCommand } from '../support/gen/any.ts';
import { RawClient } from '../support/redis.ts';

let cluster: LocalCluster;
let leader: ClusterNode;
let follower: ClusterNode;
let other: ClusterNode;
const clients: RawClient[] = [];

async function connect(node: ClusterNode): Promise<RawClient> {
  const client = await RawClient.connect(node.address.port);
  clients.push(client);
  return client;
}

beforeAll(async () => {
  cluster = await LocalCluster.start({ flags: ['--appendonly', 'yes', '--appendfsync', 'no'] });
  await cluster.waitForAll();
}, 60_000);

beforeEach(settle, 60_000);

afterAll(async () => {
  for (const client of clients) client.close();
  await cluster?.close();
});

async function settle(): Promise<void> {
  leader = await cluster.waitForLeader();
  [follower, other] = cluster.others(leader);
}

/** Writes through the two nodes that are up until it is stopped; resolves with how many were answered. */
function load(seed: number): () => Promise<number> {
  let isOver = false;
  const work = [leader, other].map(async (node, i) => {
    const random = new Random(seed + i);
    const client = await connect(node);
    let count = 0;
    while (!isOver) {
      const commands = Array.from({ length: 10 }, (_, k) =>
        k < 5
          ? anyCommand(random)
          : ['set', `load:${random.below(5000)}`, `v${count}`, 'px', String(1 + random.below(3000))],
      );
      count += (await client.pipeline(commands)).length;
      await sleep(2);
    }
    return count;
  });
  return async () => {
    isOver = true;
    return (await Promise.all(work)).reduce((sum, count) => sum + count, 0);
  };
}

/** Cuts a node's log. */
async function rewrite(node: ClusterNode): Promise<void> {
  const client = await connect(node);
  await client.run('bgrewriteaof');
  for (;;) {
    const info = await client.run('info', 'persistence');
    if (info.includes('aof_rewrite_in_progress:0') && info.includes('aof_rewrite_scheduled:0')) break;
    await sleep(20);
  }
  client.close();
}

async function expectSameState(): Promise<void> {
  const states = await cluster.states();
  expect(new Set(states).size, states.join('\n')).toBe(1);
}

const installs = (): number => follower.output.split('The state is that of a snapshot').length - 1;

it('a follower whose snapshot covers all of its log serves reads as soon as it is back', async () => {
  const writer = await connect(leader);
  expect(await writer.run('set', 'before', '1')).toBe('+OK\r\n');
  await sleep(500);
  await rewrite(follower);
  await follower.shutdown();
  follower.start();
  await cluster.waitForAll();
  const client = await connect(follower);
  expect(await client.run('get', 'before')).toBe('$1\r\n1\r\n');
  expect(await client.run('read', 'bounded', '1000', 'get', 'before')).toBe('$1\r\n1\r\n');
}, 60_000);

describe('a follower behind the cut of the log', () => {
  it('gets snapshots while clients write, and comes to the same state', async () => {
    for (let round = 0; round < 2; round++) {
      await follower.kill();
      const stop = load(7 * round + 1);
      await sleep(600);
      await rewrite(leader);
      const before = installs();
      follower.start();
      await cluster.waitForAll();
      const waiting = await connect(follower);
      const popped = waiting.run('blpop', `round${round}`, 10);
      await sleep(200);
      expect(await stop()).toBeGreaterThan(100);
      expect(installs()).toBeGreaterThan(before);
      await (await connect(leader)).run('rpush', `round${round}`, 'e');
      expect(await popped).toContain('$1\r\ne');
      await expectSameState();
    }
  }, 150_000);

  it('may be killed while it installs one', async () => {
    const stop = load(99);
    for (let round = 0; round < 4; round++) {
      await follower.kill();
      await sleep(150);
      await rewrite(leader);
      const before = installs();
      const said = follower.output.length;
      follower.start();
      const until = Date.now() + 20_000;
      // From before it arrives to after it is loaded.
      while (!follower.output.includes('Ready to accept', said) && Date.now() < until) await sleep(5);
      await sleep(round * 25);
      if (round % 2 === 1) while (installs() === before && Date.now() < until) await sleep(1);
    }
    await follower.kill();
    follower.start();
    await cluster.waitForAll();
    await stop();
    await expectSameState();
  }, 150_000);

  it('that saves at the same time, with clients that wait, lets go of both', async () => {
    await follower.kill();
    const stop = load(5);
    await sleep(300);
    await rewrite(leader);
    await stop();
    follower.start();
    const client = await (async () => {
      for (;;) {
        const client = await connect(follower).catch(() => undefined);
        if (client !== undefined) return client;
        await sleep(5);
      }
    })();
    for (let i = 0; i < 100; i++) {
      await client.run(i % 2 === 0 ? 'bgrewriteaof' : 'bgsave');
      await sleep(5);
    }
    await cluster.waitForAll();
    await expectSameState();
  }, 60_000);

  it('paused and behind twice gets the newest', async () => {
    follower.pause();
    const stop = load(6);
    for (let round = 0; round < 4; round++) {
      await sleep(300);
      await rewrite(leader);
      if (round % 2 === 1) follower.resume();
      else follower.pause();
    }
    follower.resume();
    await cluster.waitForAll();
    await stop();
    await expectSameState();
  }, 60_000);
});
