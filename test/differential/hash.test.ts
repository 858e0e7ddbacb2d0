/** Hash commands against redis-server, reply by reply, and what they count as changes. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Random } from '../../engine/random.ts';
import { compare } from '../support/differ.ts';
import { compareDirty } from '../support/dirty.ts';
import { type Arg, TestEngine } from '../support/engine.ts';
import { HASH_KEYS, HASH_UNORDERED, HASH_UNORDERED_PAIRS, hashCommand } from '../support/gen/hash.ts';
import { type RawClient, RedisServer, redisAvailable } from '../support/redis.ts';

const ROUNDS = 24;
const COMMANDS = 500;
/** hash-max-listpack-entries and -value, by turns. */
const THRESHOLDS = [
  [512, 64],
  [0, 64],
  [10, 8],
  [512, 0],
  [1000, 1000],
  [3, 255],
];

describe.skipIf(!redisAvailable)('hashes against redis-server', () => {
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

  async function configure(engine: TestEngine, [entries, value]: number[]): Promise<void> {
    engine.settings.set('hash-max-listpack-entries', entries);
    engine.settings.set('hash-max-listpack-value', value);
    await redis.run('config', 'set', 'hash-max-listpack-entries', entries);
    await redis.run('config', 'set', 'hash-max-listpack-value', value);
  }

  for (const protocol of [2, 3]) {
    it(`random commands, RESP${protocol}`, async () => {
      const engine = new TestEngine();
      engine.call.reply.protocol = protocol;
      await redis.run('hello', protocol);
      const random = new Random(5100 + protocol);
      for (let round = 0; round < ROUNDS; round++) {
        await configure(engine, THRESHOLDS[round % THRESHOLDS.length]);
        const commands: Arg[][] = [['flushall'], ['set', 'other', 'x']];
        while (commands.length < COMMANDS) commands.push(hashCommand(random));
        for (const key of HASH_KEYS) commands.push(['hgetall', key]);
        await compare(engine, redis, commands, { unordered: HASH_UNORDERED, unorderedPairs: HASH_UNORDERED_PAIRS });
        engine.verify();
      }
    });
  }

  it('keeps the fields of a small hash in the order of Redis', async () => {
    const engine = new TestEngine();
    await redis.run('hello', 2);
    await configure(engine, [100_000, 100_000]);
    const random = new Random(52);
    const commands: Arg[][] = [['flushall'], ['set', 'other', 'x']];
    while (commands.length < 3000) commands.push(hashCommand(random));
    await compare(engine, redis, commands);
  });

  it('counts changes as Redis does', async () => {
    const engine = new TestEngine();
    await redis.run('hello', 2);
    await redis.run('flushall');
    const random = new Random(51);
    for (const thresholds of THRESHOLDS.slice(0, 3)) {
      await configure(engine, thresholds);
      const commands: Arg[][] = [['set', 'other', 'x']];
      while (commands.length < 900) commands.push(hashCommand(random));
      await compareDirty(engine, redis, commands);
    }
  });

  it('replies to random draws in the same shape', async () => {
    for (const protocol of [2, 3]) {
      const engine = new TestEngine();
      engine.call.reply.protocol = protocol;
      await redis.run('hello', protocol);
      for (const fields of [1, 5, 600]) {
        const pairs = Array.from({ length: fields }, (_, i) => [`f${String(i).padStart(3, '0')}`, 'v']).flat();
        await redis.run('del', 'h');
        engine.run('del', 'h');
        await redis.run('hset', 'h', ...pairs);
        engine.run('hset', 'h', ...pairs);
        for (const tail of [
          [],
          [1],
          [3],
          [-4],
          [-1],
          [300],
          [1, 'withvalues'],
          [3, 'withvalues'],
          [-4, 'withvalues'],
        ]) {
          const theirs = await redis.run('hrandfield', 'h', ...tail);
          const ours = engine.run('hrandfield', 'h', ...tail);
          expect(ours.replace(/f\d{3}/g, 'f')).toBe(theirs.replace(/f\d{3}/g, 'f'));
        }
      }
    }
  });
});
