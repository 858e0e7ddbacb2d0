/** Nodes whose former life must not reach into the next one: snapshots of a log that was in memory, directories that were emptied. */
import { rmSync } from 'node:fs';
import { afterEach, describe, expect, it } from 'vitest';
import { ask, type ClusterNode, LocalCluster, sleep } from '../support/cluster.ts';
import { freePort } from '../support/redis.ts';

const ON_DISK = ['--appendonly', 'yes', '--appendfsync', 'always'];

let cluster: LocalCluster | undefined;

afterEach(async () => {
  await cluster?.close();
  cluster = undefined;
});

async function begin(...flags: readonly string[]): Promise<[LocalCluster, ClusterNode, ClusterNode, ClusterNode]> {
  cluster = await LocalCluster.start({ flags });
  await cluster.waitForAll();
  const leader = await cluster.waitForLeader();
  return [cluster, leader, ...(cluster.others(leader) as [ClusterNode, ClusterNode])];
}

function empty(node: ClusterNode): void {
  rmSync(node.dir, { recursive: true, force: true });
}

async function until(what: string, holds: () => boolean | Promise<boolean>): Promise<void> {
  for (const end = Date.now() + 30_000; Date.now() < end; await sleep(50)) if (await holds()) return;
  throw new Error(`not within 30 s: ${what}\n${cluster?.output}`);
}

async function voters(node: ClusterNode): Promise<string> {
  return /voters\r\n\$\d+\r\n(.*)\r\n/.exec(await ask(node, 'raft', 'status'))?.[1] ?? '';
}

describe('a node with its log in memory and a snapshot of its own, restarted', () => {
  it('holds the state of the snapshot that it is sent, though its own is newer', async () => {
    const [group, leader, follower] = await begin();
    await ask(leader, 'set', 'n', 0);
    expect(await ask(leader, 'save')).toBe('+OK\r\n');
    for (let i = 0; i < 5; i++) await ask(leader, 'incr', 'n');
    await ask(leader, 'rpush', 'l', 'a');
    expect(await ask(follower, 'save')).toBe('+OK\r\n');
    await follower.kill();
    follower.start();
    await group.waitForAll();
    for (const node of group.nodes) expect(await ask(node, 'get', 'n')).toBe('$1\r\n5\r\n');
    expect(await ask(follower, 'llen', 'l')).toBe(':1\r\n');
    expect(new Set(await group.states()).size).toBe(1);
    expect(follower.output).toContain('former-snapshot.mrs');
  }, 60_000);

  it('runs what ran once, and at the time of then', async () => {
    const [group, leader, follower] = await begin();
    await ask(leader, 'once', 'c', 1, 'incr', 'once');
    await ask(leader, 'set', 'timed', 'x', 'ex', 1000);
    await ask(leader, 'xadd', 's', '*', 'f', 1);
    await sleep(1200);
    await ask(leader, 'set', 'later', 'x');
    await ask(follower, 'get', 'later');
    expect(await ask(follower, 'save')).toBe('+OK\r\n');
    await follower.kill();
    follower.start();
    await group.waitForAll();
    for (const question of [
      ['get', 'once'],
      ['pexpiretime', 'timed'],
      ['xrange', 's', '-', '+'],
    ]) {
      const answers = new Set(await Promise.all(group.nodes.map((node) => ask(node, ...question))));
      expect([...answers]).toHaveLength(1);
    }
    expect(new Set(await group.states()).size).toBe(1);
  }, 60_000);
});

describe('a node whose directory was emptied', () => {
  it('and that is started as it was joins under a new id', async () => {
    const [group, leader, follower] = await begin(...ON_DISK);
    await ask(leader, 'set', 'a', 1);
    await follower.kill();
    empty(follower);
    follower.start();
    await group.waitForAll();
    expect(follower.output).toMatch(/its directory is a new one.*joins again under a new id/);
    await until('the old replica is gone', async () => /^\d \d 4$/.test(await voters(leader)));
    expect(await ask(follower, 'get', 'a')).toBe('$1\r\n1\r\n');
    expect(new Set(await group.states()).size).toBe(1);
  }, 60_000);

  it('makes no majority with one that has missed a write', async () => {
    const [group, leader, behind, wiped] = await begin(...ON_DISK);
    await ask(leader, 'set', 'a', 1);
    await behind.kill();
    expect(await ask(leader, 'set', 'w', 1)).toBe('+OK\r\n');
    await Promise.all([leader.kill(), wiped.kill()]);
    empty(wiped);
    // Neither knows what of its log is committed, nor can it be told by a leader.
    wiped.start();
    behind.start();
    await until('it is told that it has lost its directory', () => /joins (again )?under a new id/.test(wiped.output));
    await sleep(1500);
    expect(await cluster?.leader()).toBeUndefined();
    leader.start();
    // Where it had begun before anybody could tell it, it has ended.
    if (!wiped.running) wiped.start();
    await group.waitForAll();
    expect(await ask(wiped, 'get', 'w')).toBe('$1\r\n1\r\n');
    expect(new Set(await group.states()).size).toBe(1);
  }, 90_000);

  it('takes its own place when it joins by itself, and nobody else can take its name', async () => {
    const [group, leader, follower] = await begin(...ON_DISK, '--election-timeout', '2000');
    const before = await voters(leader);
    await sleep(700);
    await follower.kill();
    empty(follower);
    follower.start(
      '--initial-cluster',
      '',
      '--join',
      `127.0.0.1:${peerPortOf(leader)}`,
      '--peer-port',
      String(peerPortOf(follower)),
    );
    await until('it has taken its place', async () => /4$/.test(await voters(leader)));
    expect((await voters(leader)).split(' ')).toHaveLength(before.split(' ').length);
    await group.waitForAll();
    expect(await ask(leader, 'raft', 'add', 'p', `127.0.0.1:${await freePort()}`)).toBe(':5\r\n');
    expect(await ask(leader, 'raft', 'add', 'q', `127.0.0.1:${await freePort()}`)).toBe(':6\r\n');
    expect(await ask(leader, 'raft', 'add', 'node-1', `127.0.0.1:${await freePort()}`)).toMatch(/^-/);
  }, 90_000);
});

function peerPortOf(node: ClusterNode): number {
  const own = new RegExp(`${node.name}=127\\.0\\.0\\.1:(\\d+)`).exec(node.command.join(' '));
  return Number(own?.[1]);
}
