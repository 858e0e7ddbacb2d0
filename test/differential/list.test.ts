/** List commands against redis-server, reply by reply, and what they count as changes. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Random } from '../../engine/random.ts';
import { compare } from '../support/differ.ts';
import { type Arg, TestEngine } from '../support/engine.ts';
import { LIST_COMMANDS, LIST_KEYS, listCommand } from '../support/gen/list.ts';
import { type RawClient, RedisServer, redisAvailable } from '../support/redis.ts';

const ROUNDS = 16;
const COMMANDS = 400;
/** Settings of list-max-listpack-size by turns: only our side has them, and nobody may notice. */
const FILLS = [-2, -1, 3, -5, 0, 50];

describe.skipIf(!redisAvailable)('lists against redis-server', () => {
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
      const random = new Random(9100 + protocol);
      for (let round = 0; round < ROUNDS; round++) {
        engine.settings.set('list-max-listpack-size', FILLS[round % FILLS.length]);
        const commands: Arg[][] = [['flushall'], ['set', 'other', 'x']];
        while (commands.length < COMMANDS) commands.push(listCommand(random));
        for (const key of LIST_KEYS) commands.push(['lrange', key, 0, -1]);
        await compare(engine, redis, commands);
        engine.verify();
      }
    });
  }

  it('counts changes as Redis does', async () => {
    const engine = new TestEngine();
    await redis.run('hello', 2);
    await redis.run('flushall');
    await redis.run('set', 'other', 'x');
    engine.run('set', 'other', 'x');
    const random = new Random(33);
    const commands: Arg[][] = [['info', 'persistence']];
    while (commands.length < 2400) {
      const command = listCommand(random);
      if (LIST_COMMANDS.includes(String(command[0]))) commands.push(command, ['info', 'persistence']);
    }
    const replies = await redis.pipeline(commands);
    const changes = (i: number): number => Number(/rdb_changes_since_last_save:(\d+)/.exec(replies[i])?.[1]);
    for (let i = 1; i < commands.length; i += 2) {
      engine.run(...commands[i]);
      const counted = changes(i + 1) - changes(i - 1);
      expect(engine.call.dirty, commands[i].map(String).join(' ').slice(0, 200)).toBe(counted);
    }
  });
});
