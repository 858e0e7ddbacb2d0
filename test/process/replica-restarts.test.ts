/** Nodes of a group that come and go: logs in memory, leaders that are told to stop, directories that are not theirs, memory that is full. */
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

describe('memory that is full', () => {
  it('makes the leader refuse writes before any replica fails to apply one', async () => {
    cluster = await LocalCluster.start({ flags: ['--arena-size', '16mb', '--shards', '2'] });
    await cluster.waitForAll();
    const value = Buffer.alloc(2000, 'v');
    const clients = await Promise.all(cluster.nodes.map((node) => RawClient.connect(node.address.port)));
    const full = await Promise.all(
      clients.map(async (client, i) => {
        for (let n = 0; n < 400; n++) {
          const sent = client.pipeline(Array.from({ length: 50 }, (_, k) => ['set', `${i}:${n}:${k}`, value]));
          const replies = await sent.catch(() => {
            throw new Error(cluster?.output);
          });
          if (replies.some((reply) => reply.startsWith('-OOM'))) return true;
        }
        return false;
      }),
    );
    expect(full).toContain(true);
    await sleep(200);
    expect(cluster.nodes.map((node) => node.running)).toEqual([true, true, true]);
    // What needs no memory goes on.
    expect(await clients[1].run('flushall')).toBe('+OK\r\n');
    await sleep(100);
    expect(await clients[2].run('set', 'a', value)).toBe('+OK\r\n');
    expect(new Set(await cluster.states()).size).toBe(1);
    for (const client of clients) client.close();
  }, 60_000);

  it('makes it refuse what needs memory without adding data: RENAME, COPY, EXPIRE', async () => {
    cluster = await LocalCluster.start({ flags: ['--arena-size', '16mb', '--shards', '2'] });
    await cluster.waitForAll();
    const leader = await cluster.waitForLeader();
    const [client, other] = await Promise.all(
      [leader, cluster.others(leader)[0]].map((node) => RawClient.connect(node.address.port)),
    );
    const element = Buffer.alloc(1000, 'e');
    for (let i = 0; i < 40; i++) await client.run('rpush', 'big', ...Array.from({ length: 100 }, () => element));
    // Sent all at once, through both: some have room.
    const many = Array.from({ length: 12 }, (_, i) => ['copy', 'big', `many:${i}`]);
    const made = (await Promise.all([client.pipeline(many.slice(0, 6)), other.pipeline(many.slice(6))])).flat();
    expect(new Set(made.map((reply) => reply.slice(0, 4)))).toEqual(new Set([':1\r\n', '-OOM']));
    // A little request for a long string.
    for (const each of [client, other]) {
      expect(await each.run('setrange', 'long', 60_000_000, 'x')).toMatch(/^-OOM/);
      expect(await each.run('setbit', 'long', 8 * 60_000_000, 1)).toMatch(/^-OOM/);
      expect(await each.run('bitfield', 'long', 'get', 'u8', 0, 'set', 'u8', '#60000000', 1)).toMatch(/^-OOM/);
    }
    expect(await other.run('setrange', 'short', 100_000, 'x')).toBe(':100001\r\n');
    for (let n = 0, isFull = false; !isFull; n++) {
      const sets = Array.from({ length: 1000 }, (_, k) => ['set', `k:${n}:${k}`, 'v']);
      isFull = (await client.pipeline(sets)).filter((reply) => reply.startsWith('-OOM')).length > 990;
    }
    const copies: string[] = [];
    for (let i = 0; i < 8; i++) {
      copies.push(await client.run('copy', 'big', `copy:${i}`), await other.run('rename', 'big', `big:${i}`));
      await other.run('rename', `big:${i}`, 'big');
    }
    // Some lie in the shard in which it is not.
    expect(copies.filter((reply) => reply.startsWith('-OOM')).length).toBeGreaterThan(4);
    for (let n = 0; n < 60; n++) {
      await client.pipeline(Array.from({ length: 1000 }, (_, k) => ['expire', `k:${n}:${k}`, '1000']));
    }
    for (let n = 0; n < 20; n++) {
      await client.pipeline(Array.from({ length: 1000 }, (_, k) => ['rename', `k:${n}:${k}`, `longer:${n}:${k}`]));
    }
    expect(cluster.nodes.map((node) => node.running)).toEqual([true, true, true]);
    expect(await client.run('llen', 'big')).toBe(':4000\r\n');
    expect(await client.run('persist', 'big')).toMatch(/^:[01]/);
    expect(await other.run('flushall')).toBe('+OK\r\n');
    expect(new Set(await cluster.states()).size).toBe(1);
    for (const each of [client, other]) each.close();
  }, 90_000);
});
