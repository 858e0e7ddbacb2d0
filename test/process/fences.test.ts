/**
 * Clients that keep the workers busy with long reads over all shards, one after another: whoever needs a shard to himself gets
 * it all the same.
 */
import { afterAll, beforeAll, expect, it } from 'vitest';
import { TestNode } from '../support/node.ts';
import type { RawClient } from '../support/redis.ts';

const KEYS = 200_000;
const READERS = 4;
/** Without fences it is for ever. */
const LONGEST_MS = 10_000;

let node: TestNode;
let stopped = false;
const readers: Promise<void>[] = [];
let client: RawClient;

beforeAll(async () => {
  node = await TestNode.start();
  client = await node.connect();
  for (let i = 0; i < KEYS; i += 1000) {
    const words = Array.from({ length: 1000 }, (_, j) => [`key:${i + j}`, 'v']).flat();
    await client.run('mset', ...words);
  }
  for (let i = 0; i < READERS; i++) {
    const reader = await node.connect();
    readers.push(
      (async () => {
        while (!stopped) await reader.run('keys', 'nothing:*');
        reader.close();
      })(),
    );
  }
});

afterAll(async () => {
  stopped = true;
  await Promise.all(readers);
  client.close();
  node.stop();
});

/** What comes back, or '' if nothing does for a long time. */
function soon(...words: string[]): Promise<string> {
  return Promise.race([client.run(...words), new Promise<string>((resolve) => setTimeout(resolve, LONGEST_MS, ''))]);
}

it.each([
  [['mset', 'a', '1', 'b', '2', 'c', '3'], '+OK\r\n'],
  [['bgsave'], '+Background saving started\r\n'],
  [['set', 'key:1', 'x'], '+OK\r\n'],
  [['flushall'], '+OK\r\n'],
])('%s is answered', async (words, reply) => {
  expect(await soon(...words)).toBe(reply);
  expect(await soon('get', 'key:2')).toMatch(/^\$(1\r\nv|-1)\r\n$/);
});
