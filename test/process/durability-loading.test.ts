/** What a node says while it loads: -LOADING to clients, how far it is to INFO, and lines on standard error. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { DurableNode, sleep, until } from '../support/durability-node.ts';
import { RawClient } from '../support/redis.ts';
import { decode } from '../support/replies.ts';

const LOADING = '-LOADING Redis is loading the dataset in memory\r\n';
const FLAGS = ['--appendonly', 'yes', '--appendfsync', 'no', '--auto-aof-rewrite-percentage', '0'];

async function reach(node: DurableNode): Promise<RawClient> {
  for (;;) {
    const client = await RawClient.connect(node.port).catch(() => undefined);
    if (client !== undefined) return client;
    await sleep(5);
  }
}

it('tells clients and the operator that it loads, and how far it is', async () => {
  const dir = mkdtempSync(join(tmpdir(), 'millrace-loading-'));
  let node = await DurableNode.start(dir, FLAGS);
  try {
    const writer = await node.connect();
    // Many commands that take long to run again: about two seconds.
    await writer.run('RPUSH', 'l', ...Array.from({ length: 20_000 }, (_, i) => String(i * 7919)));
    const sorts = Array.from({ length: 50 }, () => ['SORT', 'l', 'BY', 'nosort', 'STORE', 'sorted']);
    for (let i = 0; i < 8; i++) await writer.pipeline(sorts);
    await sleep(200);
    await node.kill();

    node = await DurableNode.spawn(dir, FLAGS);
    const client = await reach(node);
    const replies = await client.pipeline([
      ['GET', 'a'],
      ['SET', 'a', '1'],
      ['PING'],
      ['DBSIZE'],
      ['BGSAVE'],
      ['LASTSAVE'],
    ]);
    expect(replies.slice(0, 5)).toEqual([LOADING, LOADING, LOADING, LOADING, LOADING]);
    expect(replies[5]).toMatch(/^:\d+\r\n$/);
    const info = String(decode(await client.run('INFO', 'persistence')));
    expect(info).toContain('loading:1\r\n');
    for (const field of ['start_time', 'total_bytes', 'loaded_bytes', 'loaded_perc', 'eta_seconds']) {
      expect(info).toMatch(new RegExp(`loading_${field}:[\\d.]+\\r\\n`));
    }
    // What is answered meanwhile is whole, however often it is asked.
    while ((await client.run('GET', 'a')) === LOADING);
    expect(await client.run('GET', 'a')).toBe('$-1\r\n');
    await until('it is ready', () => node.output.includes('Ready to accept connections'));
    expect(await client.run('LLEN', 'sorted')).toBe(':20000\r\n');
    expect(node.output).toMatch(/Log: 401 commands of \d+ entries run again in [\d.]+ s/);
    for (const line of node.errors
      .trim()
      .split('\n')
      .filter((each) => each !== '')) {
      expect(line).toMatch(/^Reading the log: *\d+% of \d+ MiB, \d+ commands$/);
    }
  } finally {
    await node.kill();
    rmSync(dir, { recursive: true, force: true });
  }
}, 90_000);

it('ends as it is told while it loads a snapshot', async () => {
  const dir = mkdtempSync(join(tmpdir(), 'millrace-loading-'));
  const flags = ['--appendonly', 'no', '--save', ''];
  let node = await DurableNode.start(dir, flags);
  try {
    const writer = await node.connect();
    for (let i = 0; i < 200; i++) {
      await writer.run('MSET', ...Array.from({ length: 4000 }, (_, k) => (k % 2 === 0 ? `key:${i}:${k}` : 'value')));
    }
    expect(await writer.run('SAVE')).toBe('+OK\r\n');
    await node.kill();

    node = await DurableNode.spawn(dir, flags);
    await reach(node);
    node.child.kill('SIGTERM');
    expect(await node.end()).toBe(0);
    expect(node.output).toContain('ready to exit');
    expect(node.output).not.toContain('Terminating');
  } finally {
    await node.kill();
    rmSync(dir, { recursive: true, force: true });
  }
}, 60_000);
