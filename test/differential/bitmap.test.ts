/** Bitmap commands against redis-server, reply by reply, and what they count as changes. */
import { afterAll, beforeAll, describe, it } from 'vitest';
import { Random } from '../../engine/random.ts';
import { compare } from '../support/differ.ts';
import { compareDirty } from '../support/dirty.ts';
import { type Arg, TestEngine } from '../support/engine.ts';
import { bitmapCommand } from '../support/gen/bitmap.ts';
import { type RawClient, RedisServer, redisAvailable } from '../support/redis.ts';

const ROUNDS = 40;
const COMMANDS = 300;

function stream(random: Random): Arg[][] {
  const commands: Arg[][] = [['flushall'], ['rpush', 'other', 'x']];
  while (commands.length < COMMANDS) commands.push(bitmapCommand(random));
  return commands;
}

describe.skipIf(!redisAvailable)('bitmaps against redis-server', () => {
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
      const random = new Random(9000 + protocol);
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
    const random = new Random(9100);
    // A string that BITFIELD makes longer, though every overflow is refused, is no change to Redis.
    const isAlike = (command: readonly Arg[]) => !command.some((arg) => /^fail$/i.test(String(arg)));
    for (let round = 0; round < 10; round++) await compareDirty(engine, redis, stream(random).filter(isAlike));
  });
});
