/** Set commands against redis-server, reply by reply, and what they count as changes. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Random } from '../../engine/random.ts';
import { compare } from '../support/differ.ts';
import { compareDirty } from '../support/dirty.ts';
import { type Arg, TestEngine } from '../support/engine.ts';
import { SET_KEYS, SET_UNORDERED, setCommand } from '../support/gen/set.ts';
import { type RawClient, RedisServer, redisAvailable } from '../support/redis.ts';

const ROUNDS = 24;
const COMMANDS = 500;
/** set-max-intset-entries by turns. */
const THRESHOLDS = [512, 0, 5, 100_000, 40];

describe.skipIf(!redisAvailable)('sets against redis-server', () => {
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

  async function configure(engine: TestEngine, entries: number): Promise<void> {
    engine.settings.set('set-max-intset-entries', entries);
    await redis.run('config', 'set', 'set-max-intset-entries', entries);
  }

  for (const protocol of [2, 3]) {
    it(`random commands, RESP${protocol}`, async () => {
      const engine = new TestEngine();
      engine.call.reply.protocol = protocol;
      await redis.run('hello', protocol);
      const random = new Random(6100 + protocol);
      for (let round = 0; round < ROUNDS; round++) {
        await configure(engine, THRESHOLDS[round % THRESHOLDS.length]);
        const commands: Arg[][] = [['flushall'], ['set', 'other', 'x'], ['set', 'other2', 'x']];
        while (commands.length < COMMANDS) commands.push(setCommand(random));
        for (const key of SET_KEYS) commands.push(['smembers', key], ['object', 'encoding', key]);
        await compare(engine, redis, commands, { unordered: SET_UNORDERED });
        engine.verify();
      }
    });
  }

  it('returns integers in the order of Redis', async () => {
    const engine = new TestEngine();
    await redis.run('hello', 2);
    await configure(engine, 512);
    const random = new Random(62);
    const commands: Arg[][] = [['flushall']];
    for (let i = 0; i < 600; i++) {
      const keys = ['a', 'b', 'c'].slice(0, 1 + random.below(3));
      commands.push(['sadd', keys[0], random.below(300) - 150, random.below(40)]);
      commands.push(['srem', keys[0], random.below(300) - 150]);
      commands.push([['sinter', 'sunion', 'sdiff'][random.below(3)], ...keys], ['smembers', keys[0]]);
    }
    await compare(engine, redis, commands);
  });

  it('counts changes as Redis does', async () => {
    const engine = new TestEngine();
    await redis.run('hello', 2);
    await redis.run('flushall');
    const random = new Random(61);
    for (const entries of THRESHOLDS.slice(0, 3)) {
      await configure(engine, entries);
      const commands: Arg[][] = [['set', 'other', 'x']];
      while (commands.length < 900) commands.push(setCommand(random));
      await compareDirty(engine, redis, commands);
    }
  });

  it('replies to random draws in the same shape, and counts them', async () => {
    for (const protocol of [2, 3]) {
      const engine = new TestEngine();
      engine.call.reply.protocol = protocol;
      await redis.run('hello', protocol);
      await configure(engine, 512);
      for (const [count, prefix] of [
        [1, ''],
        [50, ''],
        [50, 'm'],
        [700, 'm'],
      ] as const) {
        const members = Array.from({ length: count }, (_, i) => `${prefix}${100 + i}`);
        for (const command of ['srandmember', 'spop']) {
          for (const tail of [[], [1], [3], [-4], [-1], [40], [49], [650], [699]]) {
            const setup: Arg[][] = [
              ['del', 's'],
              ['sadd', 's', ...members],
              ['pexpireat', 's', 4_000_000_000_000],
            ];
            for (const line of setup) engine.run(...line);
            await redis.pipeline(setup);
            const theirs = await redis.run(command, 's', ...tail);
            const ours = engine.run(command, 's', ...tail);
            expect(ours.replace(/\d{3}\r/g, 'x\r')).toBe(theirs.replace(/\d{3}\r/g, 'x\r'));
            for (const after of [
              ['scard', 's'],
              ['object', 'encoding', 's'],
              ['pexpiretime', 's'],
            ]) {
              expect(engine.run(...after)).toBe(await redis.run(...after));
            }
            engine.verify();
          }
        }
      }
    }
  });
});
