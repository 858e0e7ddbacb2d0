/** Sorted set commands against redis-server, reply by reply, and what they count as changes. */
import { afterAll, beforeAll, describe, it } from 'vitest';
import { Random } from '../../engine/random.ts';
import { compare } from '../support/differ.ts';
import { compareDirty } from '../support/dirty.ts';
import { type Arg, TestEngine } from '../support/engine.ts';
import { ZSET_KEYS, ZSET_UNORDERED, zsetCommand } from '../support/gen/zset.ts';
import { type RawClient, RedisServer, redisAvailable } from '../support/redis.ts';

const ROUNDS = 24;
const COMMANDS = 500;
/** zset-max-listpack-entries and -value, by turns. */
const THRESHOLDS = [
  [128, 64],
  [0, 64],
  [16, 8],
  [128, 0],
  [1000, 1000],
  [3, 255],
];
const SETUP: Arg[][] = [
  ['set', 'other', 'x'],
  ['sadd', 's1', 'm:1', 'm:2', 'm:5', 'a', 'b', 'q', ''],
  ['sadd', 's2', ...Array.from({ length: 200 }, (_, i) => i), '-5'],
];

/** Commands the engine does not have yet are left out on both sides. */
function known(engine: TestEngine, commands: Arg[][]): Arg[][] {
  return commands.filter(([name]) => {
    const bytes = new TextEncoder().encode(String(name));
    return engine.table.find(bytes, 0, bytes.length) !== undefined;
  });
}

describe.skipIf(!redisAvailable)('sorted sets against redis-server', () => {
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
    engine.settings.set('zset-max-listpack-entries', entries);
    engine.settings.set('zset-max-listpack-value', value);
    await redis.run('config', 'set', 'zset-max-listpack-entries', entries);
    await redis.run('config', 'set', 'zset-max-listpack-value', value);
  }

  for (const protocol of [2, 3]) {
    it(`random commands, RESP${protocol}`, async () => {
      const engine = new TestEngine();
      engine.call.reply.protocol = protocol;
      await redis.run('hello', protocol);
      const random = new Random(4100 + protocol);
      for (let round = 0; round < ROUNDS; round++) {
        await configure(engine, THRESHOLDS[round % THRESHOLDS.length]);
        const commands: Arg[][] = [['flushall'], ...SETUP];
        while (commands.length < COMMANDS) commands.push(zsetCommand(random));
        for (const key of ZSET_KEYS) commands.push(['zrange', key, 0, -1, 'withscores']);
        await compare(engine, redis, known(engine, commands), { unordered: ZSET_UNORDERED });
        engine.verify();
      }
    });
  }

  it('options given twice, or one against the other, and counts at the edge', async () => {
    const options = [[], ['rev'], ['bylex'], ['byscore'], ['limit', 0, 1], ['withscores']];
    const pairs = options.flatMap((one) => options.map((other) => [...one, ...other]));
    const half = 2n ** 62n;
    const counts = [half - 1n, half, half + 1n].flatMap((count) => [count, -count]);
    const commands: Arg[][] = [
      ['zadd', 'z1', 1, 'a', 2, 'b'],
      ...pairs.flatMap((words) => [
        ['zrange', 'z1', 0, -1, ...words],
        ['zrange', 'z1', '-', '+', ...words],
        ['zrangestore', 'd', 'z1', 0, 1, ...words],
        ['zrevrange', 'z1', 0, -1, ...words],
        ['zrangebyscore', 'z1', 0, 5, ...words],
      ]),
      ...counts.flatMap((count) => [
        ['zrandmember', 'nokey', String(count), 'withscores'],
        ['hrandfield', 'nokey', String(count), 'withvalues'],
      ]),
    ];
    await redis.run('hello', 2);
    await redis.run('flushall');
    await compare(new TestEngine(), redis, commands, {});
  });

  it('counts changes as Redis does', async () => {
    const engine = new TestEngine();
    await redis.run('hello', 2);
    await redis.run('flushall');
    const random = new Random(41);
    for (const thresholds of THRESHOLDS.slice(0, 3)) {
      await configure(engine, thresholds);
      const commands: Arg[][] = [...SETUP];
      while (commands.length < 900) commands.push(zsetCommand(random));
      await compareDirty(engine, redis, known(engine, commands));
    }
  });
});
