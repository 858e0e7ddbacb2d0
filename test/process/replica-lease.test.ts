/** A leader that reads by its lease, stopped until another one leads: when it goes on, its lease is over, whoever speaks to it first. */
import { afterEach, expect, it } from 'vitest';
import { type ClusterNode, LocalCluster, sleep } from '../support/cluster.ts';
import { RawClient } from '../support/redis.ts';

const ROUNDS = 3;

let cluster: LocalCluster | undefined;
const clients: RawClient[] = [];

afterEach(async () => {
  for (const client of clients.splice(0)) client.close();
  await cluster?.close();
  cluster = undefined;
});

async function connect(node: ClusterNode): Promise<RawClient> {
  const client = await RawClient.connect(node.address.port);
  clients.push(client);
  return client;
}

/** Writes `value` at whoever leads among these. */
async function write(nodes: readonly ClusterNode[], value: string): Promise<void> {
  for (const until = Date.now() + 30_000; Date.now() < until; await sleep(50)) {
    for (const node of nodes) {
      const reply = await (await connect(node)).run('set', 'k', value);
      if (reply === '+OK\r\n') return;
    }
  }
  throw new Error('nobody takes a write');
}

it('serves nothing that was written over while it stood still', async () => {
  cluster = await LocalCluster.start({ through: 'proxies', flags: ['--leader-lease', 'yes'] });
  await cluster.waitForAll();
  for (let round = 0; round < ROUNDS; round++) {
    const leader = await cluster.waitForLeader();
    const others = cluster.others(leader);
    await write([leader], `old ${round}`);
    const reader = await connect(leader);
    expect(await reader.run('get', 'k')).toBe(`$5\r\nold ${round}\r\n`);
    expect(await reader.run('raft', 'status')).toMatch(/lease\r\n:1\r\n/);
    leader.pause();
    // Nobody tells it, when it goes on, that it was deposed.
    for (const other of others) cluster.part(leader, other);
    await write(others, `new ${round}`);
    const late = reader.run('get', 'k');
    await sleep(100);
    leader.resume();
    await sleep(300);
    cluster.heal();
    expect(await late).not.toContain('old');
    await cluster.waitForAll();
  }
}, 120_000);
