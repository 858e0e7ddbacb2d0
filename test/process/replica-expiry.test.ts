/** A replica that no entry reaches: whatever is read there, and on whichever thread, its state stays that of its last entry. */
import { afterEach, expect, it } from 'vitest';
import { LocalCluster, sleep } from '../support/cluster.ts';
import { RawClient } from '../support/redis.ts';

const READS = [['get', 'k0'], ['exists', 'k1', 'k2'], ['dbsize'], ['keys', 'no*'], ['lrange', 'k3', '0', '-1']];

let cluster: LocalCluster | undefined;

afterEach(async () => {
  await cluster?.close();
  cluster = undefined;
});

it.each(['auto', 'ring'])(
  'reads delete no key that has expired by the local clock: dispatch %s',
  async (mode) => {
    cluster = await LocalCluster.start({ flags: ['--dispatch', mode, '--election-timeout', '10000'] });
    await cluster.waitForAll();
    const leader = await cluster.waitForLeader();
    const [alone, other] = cluster.others(leader);
    const reader = await RawClient.connect(alone.address.port);
    await reader.run('client', 'consistency', 'stale');
    const writer = await RawClient.connect(leader.address.port);
    await writer.pipeline(Array.from({ length: 20 }, (_, i) => ['set', `k${i}`, 'v', 'px', '500']));
    await sleep(200);
    leader.pause();
    other.pause();
    await sleep(600);
    const before = await reader.run('raft', 'hash');
    for (const words of READS) await reader.run(...words);
    await sleep(200);
    expect(await reader.run('raft', 'hash')).toBe(before);
    writer.close();
    reader.close();
  },
  60_000,
);
