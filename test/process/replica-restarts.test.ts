/** Nodes of a group that come and go: logs in memory, leaders that are told to stop, directories that are not theirs. */
import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, describe, expect, it } from 'vitest';
import { ask, type ClusterNode, LocalCluster, sleep } from '../support/cluster.ts';
import { freePort, RawClient } from '../support/redis.ts';

const MAIN = fileURLToPath(new URL('../../net/main.ts', import.meta.url));
const NODE = fileURLToPath(new URL('../../node_modules/.bin/node', import.meta.url));
const ROUNDS = Number(process.env.MILLRACE_ROUNDS ?? 4);

let cluster: LocalCluster | undefined;

afterEach(async () => {
  await cluster?.close();
  cluster = undefined;
});

/** A warning in the log, which comes after a while. */
async function expectExplained(node: ClusterNode, text: RegExp): Promise<void> {
  for (const until = Date.now() + 40_000; !text.test(node.output) && Date.now() < until; ) await sleep(50);
  expect(node.output).toMatch(text);
}

describe('logs in memory', () => {
  it('let a node that was killed join again, time after time', async () => {
    cluster = await LocalCluster.start();
    await cluster.waitForAll();
    for (let round = 0; round < ROUNDS; round++) {
      const leader = await cluster.waitForLeader();
      expect(await ask(leader, 'rpush', 'rounds', round)).toBe(`:${round + 1}\r\n`);
      const victim = round % 3 === 2 ? leader : cluster.others(leader)[round % 2];
      await victim.kill();
      victim.start();
      await cluster.waitForAll();
    }
    const leader = await cluster.waitForLeader();
    const status = await ask(leader, 'raft', 'status');
    expect(/voters\r\n\$\d+\r\n(.*)\r\n/.exec(status)?.[1].split(' ')).toHaveLength(3);
    expect(await ask(leader, 'llen', 'rounds')).toBe(`:${ROUNDS}\r\n`);
    expect(new Set(await cluster.states()).size).toBe(1);
  }, 120_000);

  it('lose nothing of the one that survives when two are restarted, and say what is the matter', async () => {
    cluster = await LocalCluster.start();
    await cluster.waitForAll();
    const leader = await cluster.waitForLeader();
    await ask(leader, 'set', 'kept', 'x');
    const others = cluster.others(leader);
    await Promise.all(others.map((node) => node.kill()));
    const before = others.map((node) => node.output.length);
    for (const node of others) node.start();
    while (!others.every((node, i) => node.output.slice(before[i]).includes('Asking to join'))) await sleep(50);
    await sleep(4000);
    expect(await ask(leader, 'read', 'stale', 'get', 'kept')).toBe('$1\r\nx\r\n');
    expect(await ask(leader, 'set', 'kept', 'y')).toContain('CLUSTERDOWN');
    for (const node of others) {
      expect(node.output).toContain('What this replica had promised is lost');
      expect(node.output).toContain('Asking to join');
      await expectExplained(node, /Members of the group answer, but none leads.*READ stale/);
      expect(node.running).toBe(true);
    }
  }, 90_000);

  it('are gone when all are restarted at once, and each says what is to be done', async () => {
    cluster = await LocalCluster.start();
    await cluster.waitForAll();
    await Promise.all(cluster.nodes.map((node) => node.kill()));
    for (const node of cluster.nodes) node.start();
    for (const node of cluster.nodes) await expectExplained(node, /No member of the group answers.* empty directories/);
    await sleep(2000);
    for (const { output, running } of cluster.nodes) {
      expect(output.split('No member of the group answers').length).toBe(2);
      expect(running).toBe(true);
    }
    // As it says.
    await Promise.all(cluster.nodes.map((node) => node.shutdown()));
    for (const node of cluster.nodes) {
      rmSync(node.dir, { recursive: true });
      node.start();
    }
    await cluster.waitForAll();
  }, 120_000);
});

describe('a leader that is told to stop', () => {
  it('has somebody else lead first, so that writes go on at once', async () => {
    cluster = await LocalCluster.start({
      flags: ['--appendonly', 'yes', '--appendfsync', 'no', '--election-timeout', '3000'],
    });
    await cluster.waitForAll();
    const leader = await cluster.waitForLeader();
    const [follower] = cluster.others(leader);
    const client = await RawClient.connect(follower.address.port);
    let longestMs = 0;
    let isOver = false;
    const errors: string[] = [];
    const writing = (async () => {
      for (let n = 1; !isOver; n++) {
        const startedMs = performance.now();
        const reply = await client.run('incr', 'n');
        longestMs = Math.max(longestMs, performance.now() - startedMs);
        if (reply !== `:${n}\r\n`) errors.push(reply);
      }
    })();
    await sleep(500);
    await leader.shutdown();
    await sleep(500);
    isOver = true;
    await writing;
    client.close();
    expect(leader.output).toContain('takes over');
    expect(errors).toEqual([]);
    expect(longestMs).toBeLessThan(2000);
  }, 60_000);
});

describe('directories', () => {
  it("of a node by itself are no replica's, and the other way round", async () => {
    const dir = mkdtempSync(join(tmpdir(), 'millrace-foreign-'));
    try {
      const port = await freePort();
      const peer = await freePort();
      const own = ['--port', String(port), '--shards', '1', '--workers', '1', '--arena-size', '64mb'];
      const replicated = [...own, '--name', 'n1', '--initial-cluster', `n1=127.0.0.1:${peer}`];
      /** What it says until it serves, or to its end. */
      const run = (where: string, ...flags: string[]): Promise<string> =>
        new Promise((resolve) => {
          const child = spawn(NODE, [MAIN, '--dir', join(dir, where), ...flags]);
          let output = '';
          const read = (data: Buffer): void => {
            output += data;
            if (output.includes('Ready to accept')) child.kill('SIGKILL');
          };
          child.stdout.on('data', read);
          child.stderr.on('data', read);
          child.once('close', () => resolve(output));
        });
      await run('alone', ...own, '--appendonly', 'yes');
      expect(await run('alone', ...replicated)).toMatch(/data of a node that was no replica/);
      expect(await run('alone', ...replicated, '--appendonly', 'yes')).toMatch(/data of a node that was no replica/);
      await run('member', ...replicated, '--appendonly', 'yes');
      expect(await run('member', ...own)).toMatch(/is that of a replica/);
      expect(await run('member', ...own, '--appendonly', 'yes')).toMatch(/is that of a replica/);
      expect(await run('other', ...replicated, '--proto-max-bulk-len', '1mb')).toMatch(/proto-max-bulk-len/);
    } finally {
      rmSync(dir, { recursive: true, force: true });
    }
  }, 60_000);
});
