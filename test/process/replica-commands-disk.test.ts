/** A leader whose disk is full: it hands over, and passes writes on; where it cannot, it refuses them. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, describe, expect, it } from 'vitest';
import { diskAvailable, SmallDisk } from '../support/durability-disk.ts';
import { DurableNode, sleep } from '../support/durability-node.ts';
import { freePort, type RawClient } from '../support/redis.ts';

if (!diskAvailable) console.warn('replica: no tmpfs may be mounted here, so the test with a full disk is skipped');

const PATIENCE_MS = 30_000;
const NAMES = ['n1', 'n2', 'n3'];
const dir = mkdtempSync(join(tmpdir(), 'millrace-replica-disk-'));
const nodes: DurableNode[] = [];
let disk: SmallDisk | undefined;

afterAll(() => {
  rmSync(dir, { recursive: true, force: true });
});

async function until(what: string, condition: () => boolean | Promise<boolean>): Promise<void> {
  const endMs = performance.now() + PATIENCE_MS;
  while (!(await condition())) {
    if (performance.now() > endMs) throw new Error(`never: ${what}\n${nodes.map(({ output }) => output).join('\n')}`);
    await sleep(20);
  }
}

const leads = async (client: RawClient): Promise<boolean> =>
  (await client.run('info', 'replication')).includes('role:master\r\n');

afterEach(async () => {
  for (const node of nodes.splice(0)) await node.kill();
  disk?.unmount();
  disk = undefined;
});

describe.runIf(diskAvailable)('a leader with a full disk', () => {
  it('refuses writes and not reads where nobody else can lead', async () => {
    disk = SmallDisk.mount(24) as SmallDisk;
    const cluster = `n1=127.0.0.1:${await freePort()}`;
    const node = await DurableNode.spawn(disk.path, [
      '--appendonly',
      'yes',
      '--name',
      'n1',
      '--initial-cluster',
      cluster,
    ]);
    nodes.push(node);
    await node.ready();
    const client = await node.connect();
    expect(await client.run('set', 'first', 1)).toBe('+OK\r\n');
    disk.fill();
    let reply = '';
    await until('a write is refused', async () => {
      reply = await client.run('set', 'k', 'x'.repeat(4000));
      return reply.startsWith('-MISCONF');
    });
    expect(reply).toBe('-MISCONF Errors writing to the AOF file: No space left on device\r\n');
    expect(await client.run('get', 'first')).toBe('$1\r\n1\r\n');
    disk.free();
    await until('writes are taken', async () => (await client.run('set', 'again', 2)) === '+OK\r\n');
  }, 60_000);

  it('hands over, and passes writes on; takes part again when there is room', async () => {
    disk = SmallDisk.mount(24) as SmallDisk;
    const peerPorts = await Promise.all(NAMES.map(() => freePort()));
    const cluster = NAMES.map((name, i) => `${name}=127.0.0.1:${peerPorts[i]}`).join(',');
    const places = [disk.path, join(dir, 'n2'), join(dir, 'n3')];
    const flags = ['--appendonly', 'yes', '--initial-cluster', cluster];
    for (const [i, name] of NAMES.entries()) {
      const node = await DurableNode.spawn(places[i], [...flags, '--name', name]);
      nodes.push(node);
      await until('it listens', () => node.output.includes('Ready to accept connections'));
    }
    const clients = await Promise.all(nodes.map((node) => node.connect()));
    await until('a leader', async () => (await Promise.all(clients.map(leads))).includes(true));
    const first = (await Promise.all(clients.map(leads))).indexOf(true);
    if (first > 0) expect(await clients[first].run('raft', 'transfer', 'n1')).toBe('+OK\r\n');
    expect(await clients[0].run('set', 'first', 1)).toBe('+OK\r\n');

    disk.fill();
    const replies: string[] = [];
    await until('another leader', async () => {
      for (let i = 0; i < 20; i++) replies.push(await clients[0].run('set', `k${replies.length}`, 'x'.repeat(4000)));
      return (await Promise.all(clients.slice(1).map(leads))).includes(true);
    });
    // It goes by so fast that hardly a write is refused.
    for (const reply of replies)
      expect(reply).toMatch(/^(\+OK\r\n|-MISCONF Errors writing to the AOF|-UNKNOWN|-NOTAPPLIED)/);
    expect(await clients[0].run('info', 'persistence')).toContain('aof_last_write_status:err\r\n');
    await until('writes through the node with the full disk', async () => {
      return (await clients[0].run('set', 'second', 2)) === '+OK\r\n';
    });
    expect(await clients[1].run('get', 'second')).toBe('$1\r\n2\r\n');

    disk.free();
    await until('the log is written again', async () =>
      (await clients[0].run('info', 'persistence')).includes('aof_last_write_status:ok\r\n'),
    );
    const at = (await Promise.all(clients.map(leads))).indexOf(true);
    expect(at).toBeGreaterThan(0);
    expect(await clients[at].run('wait', 2, 10_000)).toBe(':2\r\n');
    expect(await clients[0].run('get', 'second')).toBe('$1\r\n2\r\n');
  }, 120_000);
});
