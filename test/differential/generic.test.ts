/** Commands on keys of every type against redis-server, reply by reply, and what they count as changes. */
import { afterAll, beforeAll, describe, it } from 'vitest';
import { Random } from '../../engine/random.ts';
import { compare } from '../support/differ.ts';
import { compareDirty } from '../support/dirty.ts';
import { type Arg, TestEngine } from '../support/engine.ts';
import { GENERIC_UNORDERED, genericCommand } from '../support/gen/generic.ts';
import { stringCommand } from '../support/gen/string.ts';
import { type RawClient, RedisServer, redisAvailable } from '../support/redis.ts';

const ROUNDS = 30;
const COMMANDS = 300;
/** Keys of the other types; those whose commands the engine does not have are left out on both sides. */
const OTHERS: Arg[][] = [
  ['rpush', 'other', 'x', 'y'],
  ['rpush', 'list', ...Array.from({ length: 300 }, (_, i) => `element ${i} of a list that is too long for one block`)],
  ['sadd', 'set', 'a', 'b', '3'],
  ['sadd', '{a}1', 1, 2, 3],
  ['zadd', 'zset', ...Array.from({ length: 300 }, (_, i) => [i, `member ${i}`]).flat()],
  ['hset', 'hash', ...Array.from({ length: 300 }, (_, i) => [`field ${i}`, i]).flat()],
  ['hset', 'key:7', 'f', 'v'],
  ['xadd', 'stream', '1-1', 'f', 'v'],
];
/** Reads back whole values: what was copied or renamed must be all there. */
const READS: Arg[][] = [
  ['lrange', 'list', 0, -1],
  ['lrange', 'other', 0, -1],
  ['smembers', 'set'],
  ['zrange', 'zset', 0, -1, 'withscores'],
  ['hgetall', 'hash'],
  ['xrange', 'stream', '-', '+'],
];

function known(engine: TestEngine, commands: Arg[][]): Arg[][] {
  return commands.filter(([name]) => {
    const bytes = new TextEncoder().encode(String(name));
    return engine.table.find(bytes, 0, bytes.length) !== undefined;
  });
}

function stream(engine: TestEngine, random: Random): Arg[][] {
  const others = known(engine, OTHERS);
  const reads = known(engine, READS);
  const commands: Arg[][] = [['flushall'], ...others];
  while (commands.length < COMMANDS) {
    const kind = random.below(12);
    if (kind < 8) commands.push(genericCommand(random));
    else if (kind < 10) commands.push(stringCommand(random));
    else commands.push(kind < 11 ? others[random.below(others.length)] : reads[random.below(reads.length)]);
  }
  return commands;
}

describe.skipIf(!redisAvailable)('keys against redis-server', () => {
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
      const random = new Random(8000 + protocol);
      for (let round = 0; round < ROUNDS; round++) {
        await compare(engine, redis, stream(engine, random), {
          unordered: [...GENERIC_UNORDERED, 'smembers'],
          unorderedPairs: ['hgetall'],
        });
        engine.verify();
      }
    });
  }

  it('counts changes as Redis does', async () => {
    const engine = new TestEngine();
    await redis.run('hello', 2);
    await redis.run('flushall');
    const random = new Random(8100);
    for (let round = 0; round < 10; round++) await compareDirty(engine, redis, stream(engine, random));
  });
});
