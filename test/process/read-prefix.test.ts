/** `READ level command` on a node by itself: what it takes and refuses, and that it leaves the connection as it was. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { TestNode } from '../support/node.ts';
import type { RawClient } from '../support/redis.ts';

const SYNTAX = '-ERR syntax error\r\n';
const NOT_POSITIVE = '-ERR value is out of range, must be positive\r\n';
const NO_READ = '-ERR READ takes a command that reads\r\n';
const wrongNumber = (name: string): string => `-ERR wrong number of arguments for '${name}' command\r\n`;

let node: TestNode;
let client: RawClient;

beforeAll(async () => {
  node = await TestNode.start('--shards', '4');
  client = await node.connect();
  await client.pipeline([
    ['set', 'a', '1'],
    ['set', 'b', '2'],
  ]);
});

afterAll(() => node.stop());

describe('the prefix READ', () => {
  it.each<[string, string]>([
    ['read', wrongNumber('read')],
    ['read stale', wrongNumber('read')],
    ['read newest get a', SYNTAX],
    ['read stal get a', SYNTAX],
    ['read bounded 100', SYNTAX],
    ['read bounded get a', NOT_POSITIVE],
    ['read bounded -1 get a', NOT_POSITIVE],
    ['read stale set a 2', NO_READ],
    ['read stale blpop a 0', NO_READ],
    ['read stale read stale get a', NO_READ],
    ['read stale get', wrongNumber('get')],
    ['read stale get a b', wrongNumber('get')],
    ['read stale nothing a', "-ERR unknown command 'nothing', with args beginning with: 'a' \r\n"],
    ['read stale object', wrongNumber('object')],
  ])('refuses %s', async (text, reply) => {
    expect(await client.run(...text.split(' '))).toBe(reply);
  });

  it.each<[string, string]>([
    ['read stale get a', '$1\r\n1\r\n'],
    ['READ Linearizable GET a', '$1\r\n1\r\n'],
    ['read session mget a none b', '*3\r\n$1\r\n1\r\n$-1\r\n$1\r\n2\r\n'],
    ['read bounded 0 strlen a', ':1\r\n'],
    ['read stale object encoding a', '$3\r\nint\r\n'],
    ['read stale dbsize', ':2\r\n'],
    ['read stale ping', '+PONG\r\n'],
    ['read bounded 30 client consistency', '$10\r\nbounded 30\r\n'],
  ])('runs %s', async (text, reply) => {
    expect(await client.run(...text.split(' '))).toBe(reply);
  });

  it('holds for one command', async () => {
    await client.run('client', 'consistency', 'bounded', '30');
    const asked = ['read stale get a', 'client consistency', 'read nothing get a', 'get b', 'read bounded 5 get b'];
    const replies = await client.pipeline([...asked, 'client consistency'].map((text) => text.split(' ')));
    const level = '$10\r\nbounded 30\r\n';
    expect(replies).toEqual(['$1\r\n1\r\n', level, SYNTAX, '$1\r\n2\r\n', '$1\r\n2\r\n', level]);
  });

  it('counts the command behind it, and errors where they belong', async () => {
    await client.run('config', 'resetstat');
    await client.pipeline([
      ['read', 'stale', 'get', 'a'],
      ['read', 'stale', 'get'],
      ['read', 'stale', 'set', 'a', '1'],
    ]);
    const stats = await client.run('info', 'commandstats');
    expect(stats).toMatch(/cmdstat_get:calls=1,.*rejected_calls=1,/);
    expect(stats).toMatch(/cmdstat_read:calls=0,.*rejected_calls=1,/);
    expect(stats).not.toContain('cmdstat_set:');
  });

  it('is for those who may read', async () => {
    await client.run('config', 'set', 'requirepass', 'secret');
    const stranger = await node.connect();
    expect(await stranger.run('read', 'stale', 'get', 'a')).toBe('-NOAUTH Authentication required.\r\n');
    expect(await stranger.run('read', 'stale', 'auth', 'secret')).toBe('-NOAUTH Authentication required.\r\n');
    await client.run('config', 'set', 'requirepass', '');
    stranger.close();
  });
});
