/** SORT against redis-server, reply by reply, and what it counts as changes. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Random } from '../../engine/random.ts';
import { compare } from '../support/differ.ts';
import { compareDirty } from '../support/dirty.ts';
import { type Arg, TestEngine } from '../support/engine.ts';
import { sortCommand, sortSetup } from '../support/gen/sort.ts';
import { type RawClient, RedisServer, redisAvailable } from '../support/redis.ts';
import { decodeList } from '../support/replies.ts';

const ROUNDS = 40;
const COMMANDS = 200;

function stream(random: Random): Arg[][] {
  const commands: Arg[][] = [['flushall'], ...sortSetup()];
  while (commands.length < COMMANDS) {
    if (random.below(3) === 0) commands.push(['lrange', 'stored', 0, -1], ['lrange', 'l2copy', 0, -1]);
    else commands.push(sortCommand(random));
  }
  return commands;
}

describe.skipIf(!redisAvailable)('SORT against redis-server', () => {
  let server: RedisServer;
  let redis: RawClient;

  beforeAll(async () => {
    server = await RedisServer.start();
    redis = await server.connect();
  });

  afterAll(() => {
    redis?.close();
    server?.stop();
  });

  for (const protocol of [2, 3]) {
    it(`random commands, RESP${protocol}`, async () => {
      const engine = new TestEngine();
      engine.call.reply.protocol = protocol;
      await redis.run('hello', protocol);
      const random = new Random(9500 + protocol);
      for (let round = 0; round < ROUNDS; round++) {
        await compare(engine, redis, stream(random));
        engine.verify();
      }
    });
  }

  it('counts changes as Redis does', async () => {
    const engine = new TestEngine();
    await redis.run('hello', 2);
    await redis.run('flushall');
    const random = new Random(9600);
    for (let round = 0; round < 10; round++) await compareDirty(engine, redis, stream(random));
  });

  it.each([
    'sort a',
    'sort a by w_* get # get o_* limit 0 5 desc alpha store b',
    'sort a store b store c',
    'sort a by store get store store b',
    'sort a limit store 1 store b',
    'sort_ro a by w_* get o_*',
  ])('knows the keys of %s', async (line) => {
    const args = line.split(' ');
    const theirs = decodeList(await redis.run('command', 'getkeys', ...args));
    expect(keysOf(args)).toEqual(theirs);
  });
});

function keysOf(args: string[]): string[] {
  const { call, table } = new TestEngine();
  const parts = args.map((arg) => Buffer.from(arg));
  call.buf = new Uint8Array(Buffer.concat(parts));
  call.argc = parts.length;
  let at = 0;
  parts.forEach((part, i) => {
    call.off[i] = at;
    call.len[i] = part.length;
    at += part.length;
  });
  const indexes: number[] = [];
  expect(table.resolve(call)?.keys?.(call, indexes)).toBe(true);
  return indexes.map((i) => args[i]);
}
