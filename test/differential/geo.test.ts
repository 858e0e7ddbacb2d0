/** Commands on places against redis-server, reply by reply, and what they count as changes. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Random } from '../../engine/random.ts';
import { compare } from '../support/differ.ts';
import { compareDirty } from '../support/dirty.ts';
import { type Arg, TestEngine } from '../support/engine.ts';
import { GEO_KEYS, geoCommand } from '../support/gen/geo.ts';
import { type RawClient, RedisServer, redisAvailable } from '../support/redis.ts';

const ROUNDS = 12;
const COMMANDS = 500;

describe.skipIf(!redisAvailable)('places against redis-server', () => {
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
      const random = new Random(6100 + protocol);
      for (let round = 0; round < ROUNDS; round++) {
        const commands: Arg[][] = [['flushall'], ['set', 'other', 'x']];
        while (commands.length < COMMANDS) commands.push(geoCommand(random));
        for (const key of GEO_KEYS) commands.push(['zrange', key, 0, -1, 'withscores']);
        await compare(engine, redis, commands);
        engine.verify();
      }
    });
  }

  it('counts changes as Redis does', async () => {
    const engine = new TestEngine();
    await redis.run('hello', 2);
    await redis.run('flushall');
    const random = new Random(61);
    const commands: Arg[][] = [['set', 'other', 'x']];
    while (commands.length < 1200) commands.push(geoCommand(random));
    await compareDirty(engine, redis, commands);
  });

  it('stores distances to 14 digits', async () => {
    const engine = new TestEngine();
    await redis.run('flushall');
    const random = new Random(62);
    for (let i = 0; i < 300; i++) {
      const place = [(random.next() / 2 ** 32) * 360 - 180, (random.next() / 2 ** 32) * 170 - 85];
      engine.run('geoadd', 'g', ...place, `p${i}`);
      await redis.run('geoadd', 'g', ...place, `p${i}`);
    }
    const store = ['geosearchstore', 'd', 'g', 'frommember', 'p0', 'byradius', 9000, 'km', 'storedist'];
    expect(engine.run(...store)).toBe(await redis.run(...store));
    const read = ['zrange', 'd', 0, -1, 'withscores'];
    const ours = engine.run(...read).split('\r\n');
    const theirs = (await redis.run(...read)).split('\r\n');
    expect(ours.length).toBeGreaterThan(100);
    for (let i = 0; i < ours.length; i++) {
      const [mine, other] = [Number(ours[i]), Number(theirs[i])];
      if (ours[i].startsWith('$')) continue;
      if (Number.isNaN(mine)) expect(ours[i]).toBe(theirs[i]);
      else expect(Math.abs(mine - other)).toBeLessThanOrEqual(other * 1e-14);
    }
  });
});
