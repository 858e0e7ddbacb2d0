/** Members of a group that come, go and take turns, behind TLS and a secret. */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ask, type ClusterNode, LocalCluster, sleep } from '../support/cluster.ts';
import { TestNode } from '../support/node.ts';
import { freePort, RawClient } from '../support/redis.ts';

let cluster: LocalCluster;
let certificates: string;

function openssl(...args: string[]): void {
  execFileSync('openssl', args, { cwd: certificates, stdio: 'ignore' });
}

beforeAll(async () => {
  certificates = mkdtempSync(join(tmpdir(), 'millrace-tls-'));
  const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'];
  openssl('req', '-x509', ...key, '-keyout', 'ca.key', '-out', 'ca.crt', '-subj', '/CN=authority', '-days', '2');
  openssl('req', ...key, '-keyout', 'node.key', '-out', 'node.csr', '-subj', '/CN=node');
  openssl(
    'x509',
    '-req',
    '-in',
    'node.csr',
    '-CA',
    'ca.crt',
    '-CAkey',
    'ca.key',
    '-CAcreateserial',
    '-out',
    'node.crt',
    '-days',
    '2',
  );
  openssl('req', '-x509', ...key, '-keyout', 'other.key', '-out', 'other.crt', '-subj', '/CN=node', '-days', '2');
  cluster = await LocalCluster.start({
    flags: [...tls('node'), '--peer-secret', 'hush', '--election-timeout', '2000'],
  });
  await cluster.waitForAll();
}, 90_000);

afterAll(async () => {
  await cluster?.close();
  rmSync(certificates, { recursive: true, force: true });
});

function tls(name: string): string[] {
  const file = (suffix: string): string => join(certificates, suffix);
  return [
    '--peer-tls-cert',
    file(`${name}.crt`),
    '--peer-tls-key',
    file(`${name}.key`),
    '--peer-tls-ca',
    file('ca.crt'),
  ];
}

async function members(node: ClusterNode): Promise<string> {
  return /voters\r\n\$\d+\r\n(.*)\r\n/.exec(await ask(node, 'raft', 'status'))?.[1] ?? '';
}

/** Soon: until it hears of its removal it passes writes on. */
async function expectRefusal(node: ClusterNode): Promise<void> {
  const until = Date.now() + 15_000;
  let reply = '';
  while (Date.now() < until && !reply.startsWith('-CLUSTERDOWN')) reply = await ask(node, 'set', 'a', 'x');
  expect(reply).toMatch(/^-CLUSTERDOWN/);
}

describe('a node that may not join', () => {
  it.each([
    ['with another secret', () => [...tls('node'), '--peer-secret', 'hash']],
    ['without TLS', () => ['--peer-secret', 'hush']],
    ['with a certificate of its own making', () => [...tls('other'), '--peer-secret', 'hush']],
  ])(
    '%s is kept out, and says why',
    async (_, flags) => {
      const leader = await cluster.waitForLeader();
      const before = await members(leader);
      const port = await freePort();
      const asked = [
        '--join',
        leader.addressText,
        '--name',
        'stranger',
        '--peer-port',
        String(port),
        '--shards',
        '1',
        '--workers',
        '1',
      ];
      const node = await TestNode.start(...asked, ...flags());
      try {
        for (let i = 0; i < 200 && !/Asking to join: ./.test(node.output); i++) await sleep(50);
        expect(node.output).toMatch(/Asking to join: \S+/);
        await sleep(300);
        expect(await members(leader)).toBe(before);
        expect(node.output).not.toContain('Ready to accept');
      } finally {
        node.stop();
      }
    },
    60_000,
  );
});

describe('leadership that is handed over under load', () => {
  it('leaves every write done once', async () => {
    let isOver = false;
    let done = 0;
    const odd: string[] = [];
    const writers = cluster.nodes.map(async (node) => {
      const client = await RawClient.connect(node.address.port);
      while (!isOver) {
        const replies = await client.pipeline(Array.from({ length: 20 }, () => ['incr', 'transfers']));
        for (const reply of replies) {
          if (reply.startsWith(':')) done++;
          else odd.push(reply);
        }
      }
      client.close();
    });
    for (let i = 0; i < 6; i++) {
      const leader = await cluster.waitForLeader();
      const [to] = cluster.others(leader);
      expect(await ask(leader, 'raft', 'transfer', to.name)).toMatch(/^\+OK|^-ERR .* did not take over/);
      await sleep(100);
    }
    isOver = true;
    await Promise.all(writers);
    const count = Number((await ask(await cluster.waitForLeader(), 'get', 'transfers')).split('\r\n')[1]);
    const unknown = odd.filter((reply) => reply.startsWith('-UNKNOWN')).length;
    expect(odd.filter((reply) => !/^-(UNKNOWN|NOTAPPLIED)/.test(reply))).toEqual([]);
    expect(count).toBeGreaterThanOrEqual(done);
    expect(count).toBeLessThanOrEqual(done + unknown);
    expect(cluster.nodes.every((node) => node.running)).toBe(true);
  }, 60_000);
});

describe('clients that wait for elements', () => {
  it('get each once while leadership goes round, and wait on when it has gone', async () => {
    let isOver = false;
    const pushed: string[] = [];
    const popped: string[] = [];
    const odd: string[] = [];
    const producer = (async () => {
      const client = await RawClient.connect(cluster.nodes[0].address.port);
      for (let i = 0; !isOver; i++) {
        const reply = await client.run('rpush', 'jobs', `job${i}`);
        if (reply.startsWith(':')) pushed.push(`job${i}`);
        else odd.push(reply);
        await sleep(3);
      }
      client.close();
    })();
    const consumers = cluster.nodes.map(async (node) => {
      const client = await RawClient.connect(node.address.port);
      while (!isOver) {
        const reply = await client.run('blpop', 'jobs', 1);
        if (reply.startsWith('*2')) popped.push(reply.split('\r\n')[4]);
        else if (!reply.startsWith('*-1')) odd.push(reply);
      }
      client.close();
    });
    const patient = await RawClient.connect(cluster.nodes[1].address.port);
    const late = patient.run('blpop', 'late', 0);
    for (let i = 0; i < 6; i++) {
      const leader = await cluster.waitForLeader();
      await ask(leader, 'raft', 'transfer', cluster.others(leader)[i % 2].name);
      await sleep(200);
    }
    isOver = true;
    await Promise.all([producer, ...consumers]);
    const leader = await cluster.waitForLeader();
    const left = (await ask(leader, 'lrange', 'jobs', 0, -1)).match(/job\d+/g) ?? [];
    const unknown = odd.filter((reply) => reply.startsWith('-UNKNOWN')).length;
    expect(odd.filter((reply) => !/^-(UNKNOWN|NOTAPPLIED)/.test(reply))).toEqual([]);
    expect(new Set(popped).size).toBe(popped.length);
    const seen = new Set([...popped, ...left]);
    expect(pushed.filter((job) => !seen.has(job)).length).toBeLessThanOrEqual(unknown);
    expect(popped.length).toBeGreaterThan(20);
    await ask(leader, 'rpush', 'late', 'e');
    expect(await late).toContain('$1\r\ne');
    patient.close();
  }, 60_000);
});

/** Writes through a node again and again until it is stopped, which gives the longest time between two that were done. */
function writeThrough(node: ClusterNode): () => Promise<number> {
  let isOver = false;
  const work = (async () => {
    const client = await RawClient.connect(node.address.port);
    let longestMs = 0;
    let doneMs = performance.now();
    while (!isOver) {
      const reply = await client.run('set', 'w', 'x');
      if (!reply.startsWith('+')) continue;
      longestMs = Math.max(longestMs, performance.now() - doneMs);
      doneMs = performance.now();
    }
    client.close();
    return Math.max(longestMs, performance.now() - doneMs);
  })();
  return () => {
    isOver = true;
    return work;
  };
}

describe('a member that is removed', () => {
  it('tells its clients so, whether it followed or led, and who led leaves no gap', async () => {
    const leader = await cluster.waitForLeader();
    const [follower, rest] = cluster.others(leader);
    expect(await ask(leader, 'raft', 'remove', follower.name)).toBe('+OK\r\n');
    await expectRefusal(follower);
    expect(await ask(follower, 'get', 'a')).toMatch(/^-CLUSTERDOWN/);
    expect(await ask(leader, 'set', 'a', 'y')).toBe('+OK\r\n');
    const stop = writeThrough(rest);
    expect(await ask(leader, 'raft', 'remove', leader.name)).toMatch(/^[+-]/);
    const next = await cluster.waitForLeader();
    expect(next.name).toBe(rest.name);
    // Without being asked the other would wait for an election timeout of two seconds, or more.
    expect(await stop()).toBeLessThan(1500);
    await expectRefusal(leader);
    expect(await ask(next, 'exists', 'a')).toBe(':1\r\n');
  }, 60_000);
});
