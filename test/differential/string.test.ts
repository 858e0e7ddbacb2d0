/** String commands against redis-server, reply by reply. */
import { afterAll, beforeAll, describe, it } from 'vitest';
import { Random } from '../../engine/random.ts';
import { compare } from '../support/differ.ts';
import { type Arg, TestEngine } from '../support/engine.ts';
import { stringCommand } from '../support/gen/string.ts';
import { type RawClient, RedisServer, redisAvailable } from '../support/redis.ts';

const ROUNDS = 25;
const COMMANDS = 300;

describe.skipIf(!redisAvailable)('strings against redis-server', () => {
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
      const random = new Random(7000 + protocol);
      for (let round = 0; round < ROUNDS; round++) {
        const commands: Arg[][] = [['flushall'], ['rpush', 'other', 'x']];
        while (commands.length < COMMANDS) commands.push(stringCommand(random));
        await compare(engine, redis, commands);
        engine.verify();
      }
    });
  }
});
