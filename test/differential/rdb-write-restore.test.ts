/** What RESTORE answers to options and payloads of every kind, and what is at the key then, against redis-server. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Random } from '../../engine/random.ts';
import { compare } from '../support/differ.ts';
import { type Arg, TestEngine } from '../support/engine.ts';
import { pick } from '../support/gen/string.ts';
import { payloadOf, sealed } from '../support/rdb-write.ts';
import { type RawClient, RedisServer, redisAvailable } from '../support/redis.ts';

const GOOD = sealed(Buffer.from([0, 2, 104, 105]));
const LIST = sealed(Buffer.from([1, 2, 1, 97, 0xc0, 7]));
const AT = '4102444800000';

/** Payloads that are wrong by themselves. */
const BAD: Uint8Array[] = [
  Buffer.from(''),
  Buffer.from('x'),
  Buffer.alloc(9),
  GOOD.subarray(0, -1),
  Buffer.concat([GOOD, Buffer.from('x')]),
  sealed(Buffer.from([0, 2, 104, 105]), 65535),
  sealed(Buffer.from([0, 2, 104, 105]), 12),
  sealed(Buffer.from([8, 1, 97])),
  sealed(Buffer.from([21])),
  sealed(Buffer.from([22, 0])),
  sealed(Buffer.from([250, 1, 97, 1, 97])),
  sealed(Buffer.from([255])),
  sealed(Buffer.from([1, 0])),
  sealed(Buffer.from([2, 0])),
  sealed(Buffer.from([4, 0])),
  sealed(Buffer.from([5, 0])),
  sealed(Buffer.from([18, 0])),
  sealed(Buffer.from([2, 2, 1, 97, 1, 97])),
  sealed(Buffer.from([4, 2, 1, 97, 1, 98, 1, 97, 1, 98])),
  sealed(Buffer.from([11, 1, 97])),
  sealed(Buffer.from([16, 1, 97])),
  sealed(Buffer.from([17, 0])),
];
BAD[7][0] = 1;

const WORDS: Arg[] = [
  'REPLACE',
  'replace',
  'ABSTTL',
  'IDLETIME',
  'FREQ',
  '0',
  '1',
  '255',
  '256',
  '-1',
  'x',
  '',
  '1.5',
  'NX',
];
const TTLS: Arg[] = [
  '0',
  '100000000',
  AT,
  '-1',
  '-9223372036854775808',
  '9223372036854775807',
  '9223372036854775808',
  'x',
  '',
  '1.5',
];

const STATE: Arg[][] = [
  ['type', 'k'],
  ['object', 'encoding', 'k'],
  ['pexpiretime', 'abs'],
  ['dbsize'],
  ['object', 'freq', 'k'],
];

describe.skipIf(!redisAvailable)('RESTORE against redis-server', () => {
  const engine = new TestEngine();
  let server: RedisServer;
  let redis: RawClient;

  beforeAll(async () => {
    // Redis looks as closely at payloads only when told to.
    server = await RedisServer.start(['--sanitize-dump-payload', 'yes']);
    redis = await server.connect();
  });

  afterAll(() => {
    redis?.close();
    server?.stop();
  });

  it('answers bad payloads alike, and keeps what was there', async () => {
    for (const payload of BAD) {
      await compare(engine, redis, [
        ['flushall'],
        ['restore', 'k', '0', payload],
        ['exists', 'k'],
        ['rpush', 'k', 'old'],
        ['restore', 'k', '0', payload, 'replace'],
        ['lrange', 'k', 0, -1],
      ]);
    }
    engine.verify();
  });

  it('refuses a value that runs into the version and the checksum, which Redis reads', () => {
    for (const payload of [
      Buffer.alloc(10),
      Buffer.alloc(11),
      sealed(Buffer.from([0])),
      sealed(Buffer.from([0, 3, 97])),
    ]) {
      expect(engine.run('restore', 'short', '0', payload)).toBe('-ERR Bad data format\r\n');
    }
  });

  it('checks in the same order', async () => {
    const busy: Arg[][] = [['flushall'], ['set', 'k', 'v']];
    for (const key of ['k', 'new']) {
      for (const ttl of ['0', 'x', '-1']) {
        for (const payload of [GOOD, 'x', sealed(Buffer.from([99]))]) {
          for (const options of [
            [],
            ['x'],
            ['freq', '256'],
            ['idletime', 'x'],
            ['replace'],
            ['replace', 'freq', '-1'],
          ]) {
            busy.push(['restore', key, ttl, payload, ...options], ['del', 'new'], ['set', 'k', 'v']);
          }
        }
      }
    }
    await compare(engine, redis, busy);
  });

  for (const policy of ['noeviction', 'allkeys-lfu']) {
    it(`takes options alike, ${policy}`, async () => {
      await redis.run('config', 'set', 'maxmemory-policy', policy);
      engine.settings.set('maxmemory-policy', policy === 'noeviction' ? 7 : 3);
      // So that chance hardly ever makes a count rise.
      await redis.run('config', 'set', 'lfu-log-factor', 1e9);
      engine.settings.set('lfu-log-factor', 1e9);
      const random = new Random(41);
      const commands: Arg[][] = [['flushall']];
      for (let i = 0; i < 3000; i++) {
        const key = pick(random, ['k', 'k', 'abs']);
        const absolute = key === 'abs' ? ['absttl'] : [];
        const ttl = key === 'abs' ? pick(random, ['0', AT, '1', 'x', '-1', '9007199254740991']) : pick(random, TTLS);
        const options = Array.from({ length: random.below(4) }, () => pick(random, WORDS));
        if (key === 'k' && options.includes('ABSTTL') && String(ttl).length > 13) continue;
        commands.push(['restore', key, ttl, pick(random, [GOOD, GOOD, LIST, ...BAD]), ...absolute, ...options]);
        if (random.below(3) === 0) commands.push(['del', key]);
        commands.push(STATE[i % STATE.length]);
      }
      await compare(engine, redis, commands);
      engine.verify();
    });
  }

  it('sets idle times', async () => {
    await redis.run('config', 'set', 'maxmemory-policy', 'noeviction');
    engine.settings.set('maxmemory-policy', 7);
    await compare(engine, redis, [
      ['flushall'],
      ['restore', 'k', '0', GOOD, 'idletime', '1000'],
      ['object', 'idletime', 'k'],
      ['restore', 'k', '0', GOOD, 'replace'],
      ['object', 'idletime', 'k'],
    ]);
  });

  it('dumps short strings, integers and lists byte for byte as Redis does', async () => {
    const commands: Arg[][] = [['flushall'], ['dump', 'none'], ['dump']];
    for (const value of ['', 'a', '7', '-129', '70000', '2147483648', 'x'.repeat(20)])
      commands.push(['set', 'k', value], ['dump', 'k']);
    commands.push(['del', 'k'], ['sadd', 'k', '1', '2', '-70000'], ['dump', 'k']);
    commands.push(['del', 'k'], ['rpush', 'k', 'a', '300'], ['dump', 'k']);
    commands.push(['del', 'k'], ['zadd', 'k', '1', 'a', '0.5', 'b'], ['dump', 'k']);
    commands.push(['del', 'k'], ['hset', 'k', 'f', '1'], ['dump', 'k']);
    await compare(engine, redis, commands);
  });

  it('refuses what it cannot know and takes the next version', () => {
    engine.run('flushall');
    expect(engine.run('restore', 'k', '0', sealed(Buffer.from([0, 1, 97]), 11))).toBe('+OK\r\n');
    expect(payloadOf(engine.run('dump', 'k'))).toEqual(sealed(Buffer.from([0, 1, 97])));
    expect(engine.run('restore', 'l', '0', sealed(Buffer.from([0, 1, 97]), 12))).toMatch(/^-ERR DUMP payload version/);
  });
});
