/** Random commands of all types through all nodes at once, with keys that expire: replies come in order, and all replicas come to the same state, by the log, by a restart and by joining. */
import { afterEach, describe, expect, it } from 'vitest';
import { Random } from '../../engine/random.ts';
import { ask, LocalCluster, sleep } from '../support/cluster.ts';
import type { Arg } from '../support/engine.ts';
import { anyCommand } from '../support/gen/any.ts';
import { RawClient } from '../support/redis.ts';

const LOAD_MS = Number(process.env.MILLRACE_LOAD_MS ?? 2000);

let cluster: LocalCluster | undefined;

afterEach(async () => {
  await cluster?.close();
  cluster = undefined;
});

async function expectSameState(all: LocalCluster): Promise<void> {
  const states = await all.states();
  expect(new Set(states).size, states.join('\n')).toBe(1);
}

/** Anything that leaves alone the database where clients count. */
function harmless(random: Random): Arg[] {
  for (;;) {
    const command = anyCommand(random);
    if (!['flushall', 'swapdb', 'select'].includes(String(command[0]).toLowerCase())) return command;
  }
}

/** A pipeline in which a client counts, and does anything else. */
function pipelineOf(random: Random, own: string): Arg[][] {
  const commands: Arg[][] = [];
  for (let i = 0; i < 8; i++) {
    const database = random.below(8) === 0 ? 1 : 0;
    if (database === 1) commands.push(['select', '1']);
    commands.push(
      random.below(4) === 0 ? ['pexpire', `k${random.below(8)}`, String(random.below(400))] : harmless(random),
    );
    if (random.below(4) === 0) commands.push(['set', `t${random.below(20)}`, own, 'px', String(1 + random.below(300))]);
    if (random.below(6) === 0) commands.push(['spop', `s${random.below(4)}`, String(random.below(3))]);
    if (random.below(6) === 0)
      commands.push(['sadd', `s${random.below(4)}`, String(random.below(9)), String(random.below(9))]);
    if (random.below(40) === 0) commands.push(random.below(2) === 0 ? ['flushdb'] : ['swapdb', '0', '1']);
    if (database === 1) commands.push(['select', '0']);
    commands.push(['select', '9'], ['rpush', own, String(i)], ['select', '0']);
  }
  return [...commands, ['select', '9'], ['lrange', own, '0', '-1'], ['del', own], ['select', '0']];
}

const ORDER = Array.from({ length: 8 }, (_, i) => `$1\r\n${i}\r\n`).join('');

describe.each(['auto', 'inline', 'ring'])('dispatch %s', (mode) => {
  it('is the same everywhere', async () => {
    cluster = await LocalCluster.start({
      flags: ['--dispatch', mode, '--appendonly', 'yes', '--appendfsync', 'no', '--election-timeout', '5000'],
    });
    await cluster.waitForAll();
    const untilMs = Date.now() + LOAD_MS;
    let count = 0;
    const wrong: string[] = [];
    const clients = [0, 1, 2, 0, 1, 2].map(async (at, i) => {
      const random = new Random(1000 + i);
      const client = await RawClient.connect((cluster as LocalCluster).nodes[at].address.port);
      while (Date.now() < untilMs) {
        const commands = pipelineOf(random, `own${i}`);
        const replies = await client.pipeline(commands);
        count += replies.length;
        const listed = replies[replies.length - 3];
        if (listed !== `*8\r\n${ORDER}`) wrong.push(listed);
      }
      client.close();
    });
    await Promise.all(clients);
    expect(wrong).toEqual([]);
    expect(count).toBeGreaterThan(500);
    await expectSameState(cluster);
    const leader = await cluster.waitForLeader();
    const [follower] = cluster.others(leader);
    await follower.kill();
    await ask(leader, 'incr', 'meanwhile');
    follower.start();
    await cluster.waitForAll();
    await sleep(300);
    await expectSameState(cluster);
  }, 90_000);
});
