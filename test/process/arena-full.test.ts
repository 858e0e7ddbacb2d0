/**
 * A shard that was full of small values, lost most of them, and gets large ones: by itself and in a group a node takes what fits, refuses
 * what does not, and has the same after kill -9.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { contentsOf, differencesOf } from '../support/durability-contents.ts';
import { DurableNode } from '../support/durability-node.ts';
import { freePort } from '../support/redis.ts';

const FLAGS = ['--shards', '1', '--arena-size', '8mb', '--appendonly', 'yes', '--appendfsync', 'always'];
const LARGE = 'x'.repeat(100_000);
const OOM = /^-OOM the shard/;

let dir = '';
let node: DurableNode | undefined;

beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'millrace-full-'));
});

afterEach(async () => {
  await node?.kill();
  rmSync(dir, { recursive: true, force: true });
});

async function ask(...commands: (string | number)[][]): Promise<string[]> {
  const replies: string[] = [];
  for (let i = 0; i < commands.length; i += 500) {
    replies.push(...(await (node as DurableNode).ask(...commands.slice(i, i + 500))));
  }
  return replies;
}

it.each([
  ['by itself, on the main thread', ['--dispatch', 'inline']],
  ['by itself, on a worker', ['--dispatch', 'ring']],
  ['in a group', ['--name', 'n1']],
])(
  '%s',
  async (_, mode) => {
    const group = mode[0] === '--name' ? ['--initial-cluster', `n1=127.0.0.1:${await freePort()}`] : [];
    const flags = [...FLAGS, ...mode, ...group];
    node = await DurableNode.start(dir, flags);
    let filled = 0;
    for (let isFull = false; !isFull; filled += 5000) {
      const sets = Array.from({ length: 5000 }, (__, i) => ['SET', `key:${filled + i}`, 'v'.repeat(60)]);
      isFull = (await ask(...sets)).some((reply) => OOM.test(reply));
      if (filled > 200_000) throw new Error('the shard is never full');
    }
    const deletes = Array.from({ length: filled }, (__, i) => ['DEL', `key:${i}`]).filter((__, i) => i % 8 > 0);
    expect((await ask(...deletes)).every((reply) => /^:[01]\r\n$/.test(reply))).toBe(true);
    const replies = await ask(...Array.from({ length: 80 }, (__, i) => ['SET', `large:${i}`, LARGE]));
    const taken = replies.filter((reply) => reply === '+OK\r\n').length;
    expect(replies.filter((reply) => reply !== '+OK\r\n' && !OOM.test(reply))).toEqual([]);
    expect(taken).toBeGreaterThan(10);
    expect(taken).toBeLessThan(80);
    const before = await contentsOf(node);
    for (let life = 0; life < 2; life++) {
      await node.kill();
      node = await DurableNode.start(dir, flags);
      expect(differencesOf(before, await contentsOf(node))).toEqual([]);
    }
    // There is room again for whoever gives some back.
    await ask(...Array.from({ length: 80 }, (__, i) => ['DEL', `large:${i}`]));
    expect(await ask(['SET', 'again', LARGE])).toEqual(['+OK\r\n']);
  },
  120_000,
);
