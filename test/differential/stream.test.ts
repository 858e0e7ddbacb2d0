/** Stream commands against redis-server, reply by reply, and what they count as changes. */
import { afterAll, beforeAll, describe, it } from 'vitest';
import { Random } from '../../engine/random.ts';
import { compare } from '../support/differ.ts';
import { compareDirty } from '../support/dirty.ts';
import { type Arg, TestEngine } from '../support/engine.ts';
import { EXTREME_IDS, STREAM_KEYS, streamCommand, streamCommandAnyId } from '../support/gen/stream.ts';
import { pick } from '../support/gen/string.ts';
import { type RawClient, RedisServer, redisAvailable } from '../support/redis.ts';

const ROUNDS = 18;
const COMMANDS = 700;
/** stream-node-max-entries and -bytes, by turns. */
const LIMITS = [
  [100, 4096],
  [5, 4096],
  [100, 300],
  [1, 4096],
  [0, 500],
  [130, 0],
];

describe.skipIf(!redisAvailable)('streams against redis-server', () => {
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

  async function configure(engine: TestEngine, [entries, bytes]: number[]): Promise<void> {
    engine.settings.set('stream-node-max-entries', entries);
    engine.settings.set('stream-node-max-bytes', bytes);
    await redis.run('config', 'set', 'stream-node-max-entries', entries);
    await redis.run('config', 'set', 'stream-node-max-bytes', bytes);
  }

  for (const protocol of [2, 3]) {
    for (const [name, generate] of [
      ['far ids and *', streamCommand],
      ['any ids', streamCommandAnyId],
    ] as const) {
      it(`random commands with ${name}, RESP${protocol}`, async () => {
        const engine = new TestEngine();
        engine.call.reply.protocol = protocol;
        await redis.run('hello', protocol);
        const random = new Random(7100 + protocol);
        for (let round = 0; round < ROUNDS; round++) {
          await configure(engine, LIMITS[round % LIMITS.length]);
          const commands: Arg[][] = [['flushall'], ['set', 'other', 'x']];
          while (commands.length < COMMANDS) commands.push(generate(random));
          for (const key of STREAM_KEYS) {
            commands.push(['xrange', key, '-', '+'], ['xrevrange', key, '+', '-'], ['xinfo', 'stream', key]);
          }
          await compare(engine, redis, commands);
          engine.verify();
        }
      });
    }
  }

  it('ids of any size', async () => {
    const engine = new TestEngine();
    await redis.run('hello', 2);
    const random = new Random(64);
    for (const limits of LIMITS) {
      await configure(engine, limits);
      for (let round = 0; round < 10; round++) {
        const commands: Arg[][] = [['flushall']];
        for (const id of EXTREME_IDS) {
          if (random.below(3) > 0) commands.push(['xadd', 'x1', id, pick(random, ['f', 'g']), random.below(1000)]);
          if (random.below(9) === 0) commands.push(['xadd', 'x1', `${id.split('-')[0]}-*`, 'f', 'v']);
        }
        for (let i = 0; i < 60; i++) {
          const from = pick(random, ['', '(']) + pick(random, EXTREME_IDS);
          const to = pick(random, ['', '(']) + pick(random, EXTREME_IDS);
          commands.push(['xrange', 'x1', from, to], ['xrevrange', 'x1', to, from, 'count', 3]);
          commands.push(['xread', 'streams', 'x1', pick(random, EXTREME_IDS)]);
          if (i % 10 === 9) commands.push(['xdel', 'x1', pick(random, EXTREME_IDS), pick(random, EXTREME_IDS)]);
          if (i % 30 === 29)
            commands.push(['xtrim', 'x1', 'minid', pick(random, EXTREME_IDS)], ['xinfo', 'stream', 'x1']);
        }
        await compare(engine, redis, commands);
        engine.verify();
      }
    }
  });

  it('trims approximately where Redis does', async () => {
    const engine = new TestEngine();
    await redis.run('hello', 2);
    for (const limits of LIMITS) {
      await configure(engine, limits);
      const random = new Random(5);
      const commands: Arg[][] = [['flushall']];
      for (let i = 1; i <= 1500; i++) {
        commands.push(['xadd', 'x1', i, 'f', 'v'.repeat(random.below(60)), 'n', random.below(1e6)]);
        if (i % 50 > 2) continue;
        commands.push(['xtrim', 'x1', 'maxlen', '~', random.below(400)], ['xinfo', 'stream', 'x1']);
        commands.push(['xtrim', 'x1', 'minid', '~', Math.max(0, i - random.below(300)), 'limit', random.below(200)]);
        commands.push(['xdel', 'x1', i - random.below(100), i - random.below(100)], ['xlen', 'x1']);
      }
      await compare(engine, redis, commands);
      engine.verify();
    }
  });

  it('counts changes as Redis does', async () => {
    const engine = new TestEngine();
    await redis.run('hello', 2);
    const random = new Random(71);
    for (const limits of LIMITS.slice(0, 3)) {
      await configure(engine, limits);
      await redis.run('flushall');
      engine.run('flushall');
      const commands: Arg[][] = [['set', 'other', 'x']];
      while (commands.length < 600) commands.push(streamCommandAnyId(random));
      await compareDirty(engine, redis, commands);
    }
  });
});
