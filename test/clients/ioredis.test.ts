/**
 * What applications do with ioredis, in RESP2 and RESP3: connecting, every type's common methods, pipelines, binary and
 * long values, scans, errors, passwords, reconnection. Transactions and subscriptions are not part of it: the server has
 * no MULTI and no PUBLISH yet.
 */
import { Redis, type RedisOptions } from 'ioredis';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { TARGETS, Target } from '../support/target.ts';

const SUITES = TARGETS.flatMap((target) => [2, 3].map((protocol) => [target, protocol as 2 | 3] as const));

afterAll(() => Target.stopShared());

/** Resolves with the first error that a client emits. */
function firstError(client: Redis): Promise<Error> {
  return new Promise((resolve) => client.once('error', resolve));
}

describe.each(SUITES)('ioredis on %s, RESP%i', (name, protocol) => {
  let target: Target;
  let redis: Redis;
  const opened: Redis[] = [];

  function open(options: RedisOptions = {}): Redis {
    const client = new Redis({ host: '127.0.0.1', port: target.port, protocol, ...options });
    opened.push(client);
    return client;
  }

  beforeAll(async () => {
    target = await Target.shared(name);
    redis = open();
  });

  afterAll(() => {
    for (const client of opened) client.disconnect();
  });

  beforeEach(() => redis.flushall());

  describe('connections', () => {
    it('are ready after the check by INFO', async () => {
      const client = open();
      await new Promise((resolve) => client.once('ready', resolve));
      expect(client.status).toBe('ready');
      expect(await client.ping()).toBe('PONG');
      expect(await client.info('server')).toContain('redis_version:');
    });

    it('connect when told to, and quit', async () => {
      const client = open({ lazyConnect: true });
      expect(client.status).toBe('wait');
      await client.connect();
      expect(await client.echo('here')).toBe('here');
      expect(await client.quit()).toBe('OK');
      await expect(client.ping()).rejects.toThrow();
    });

    it('take database, name and library from the options', async () => {
      const client = open({ db: 5, connectionName: 'worker:1' });
      expect(await client.client('GETNAME')).toBe('worker:1');
      expect(await client.client('INFO')).toMatch(/ db=5 /);
      await client.set('here', '1');
      expect(await redis.exists('here')).toBe(0);
      const list = (await redis.client('LIST')) as string;
      expect(list).toMatch(/name=worker:1 /);
    });

    it('take the database from a URL', async () => {
      const client = new Redis(`redis://127.0.0.1:${target.port}/7`, { protocol });
      opened.push(client);
      await client.set('k', 'v');
      await redis.select(7);
      expect(await redis.get('k')).toBe('v');
      await redis.select(0);
    });

    it('prefix keys', async () => {
      const client = open({ keyPrefix: 'app:' });
      await client.mset('a', '1', 'b', '2');
      expect((await redis.keys('*')).sort()).toEqual(['app:a', 'app:b']);
      expect(await client.del('a', 'b')).toBe(2);
    });
  });

  describe('types', () => {
    it('strings', async () => {
      expect(await redis.set('s', 'v', 'EX', 100, 'NX')).toBe('OK');
      expect(await redis.set('s', 'w', 'EX', 100, 'NX')).toBeNull();
      expect(await redis.get('s')).toBe('v');
      expect(await redis.get('none')).toBeNull();
      expect(await redis.ttl('s')).toBeGreaterThan(95);
      expect(await redis.append('s', 'w')).toBe(2);
      expect(await redis.getrange('s', 0, 0)).toBe('v');
      expect(await redis.set('s', 'x', 'GET')).toBe('vw');
      expect(await redis.incr('n')).toBe(1);
      expect(await redis.incrby('n', 41)).toBe(42);
      expect(await redis.incrbyfloat('n', '0.5')).toBe('42.5');
      expect(await redis.mset({ a: 1, b: 'two' })).toBe('OK');
      expect(await redis.mget('a', 'b', 'none')).toEqual(['1', 'two', null]);
      expect(await redis.setbit('bits', 7, 1)).toBe(0);
      expect(await redis.bitcount('bits')).toBe(1);
      expect(await redis.getdel('a')).toBe('1');
      expect(await redis.strlen('b')).toBe(3);
    });

    it('hashes, as objects', async () => {
      expect(await redis.hset('h', { a: '1', b: '2', ü: 'ö' })).toBe(3);
      expect(await redis.hset('h', 'a', '9')).toBe(0);
      expect(await redis.hgetall('h')).toEqual({ a: '9', b: '2', ü: 'ö' });
      expect(await redis.hgetall('none')).toEqual({});
      expect(await redis.hget('h', 'a')).toBe('9');
      expect(await redis.hmget('h', 'a', 'none')).toEqual(['9', null]);
      expect(await redis.hincrby('h', 'b', 3)).toBe(5);
      expect(await redis.hincrbyfloat('h', 'b', 0.25)).toBe('5.25');
      expect(await redis.hexists('h', 'b')).toBe(1);
      expect((await redis.hkeys('h')).sort()).toEqual(['a', 'b', 'ü']);
      expect(await redis.hdel('h', 'a', 'b', 'c')).toBe(2);
      expect(await redis.hlen('h')).toBe(1);
      expect(await redis.hrandfield('h')).toBe('ü');
    });

    it('lists', async () => {
      expect(await redis.rpush('l', 'a', 'b', 'c')).toBe(3);
      expect(await redis.lpush('l', 'z')).toBe(4);
      expect(await redis.lrange('l', 0, -1)).toEqual(['z', 'a', 'b', 'c']);
      expect(await redis.linsert('l', 'BEFORE', 'b', 'ab')).toBe(5);
      expect(await redis.lindex('l', 2)).toBe('ab');
      expect(await redis.lset('l', 0, 'y')).toBe('OK');
      expect(await redis.lpos('l', 'c')).toBe(4);
      expect(await redis.lmove('l', 'm', 'LEFT', 'RIGHT')).toBe('y');
      expect(await redis.lpop('l', 2)).toEqual(['a', 'ab']);
      expect(await redis.rpop('l')).toBe('c');
      expect(await redis.lrem('l', 0, 'b')).toBe(1);
      expect(await redis.exists('l')).toBe(0);
      expect(await redis.lpop('none')).toBeNull();
      expect(await redis.lmpop(1, 'm', 'LEFT')).toEqual(['m', ['y']]);
    });

    it('sets', async () => {
      expect(await redis.sadd('s', 'a', 'b', 'c', 'a')).toBe(3);
      expect(await redis.sadd('t', ['b', 'c', 'd'])).toBe(3);
      expect((await redis.smembers('s')).sort()).toEqual(['a', 'b', 'c']);
      expect(await redis.sismember('s', 'a')).toBe(1);
      expect(await redis.smismember('s', 'a', 'x')).toEqual([1, 0]);
      expect((await redis.sinter('s', 't')).sort()).toEqual(['b', 'c']);
      expect((await redis.sunion('s', 't')).sort()).toEqual(['a', 'b', 'c', 'd']);
      expect(await redis.sdiff('s', 't')).toEqual(['a']);
      expect(await redis.sinterstore('u', 's', 't')).toBe(2);
      expect(await redis.smove('s', 't', 'a')).toBe(1);
      expect(['b', 'c']).toContain(await redis.srandmember('s'));
      expect((await redis.spop('s', 5)).sort()).toEqual(['b', 'c']);
      expect(await redis.spop('s')).toBeNull();
      expect(await redis.scard('t')).toBe(4);
      expect(await redis.srem('t', 'a', 'x')).toBe(1);
    });

    it('sorted sets', async () => {
      expect(await redis.zadd('z', 1, 'one', 2.5, 'two', Number.POSITIVE_INFINITY, 'max')).toBe(3);
      expect(await redis.zscore('z', 'two')).toBe('2.5');
      expect(await redis.zscore('z', 'none')).toBeNull();
      expect(await redis.zincrby('z', 0.5, 'two')).toBe('3');
      expect(await redis.zrank('z', 'max')).toBe(2);
      expect(await redis.zrange('z', '0', '-1')).toEqual(['one', 'two', 'max']);
      expect(await redis.zrange('z', '0', '-1', 'WITHSCORES')).toEqual(['one', '1', 'two', '3', 'max', 'inf']);
      expect(await redis.zrangebyscore('z', '(1', '+inf')).toEqual(['two', 'max']);
      expect(await redis.zcount('z', '-inf', 5)).toBe(2);
      expect(await redis.zmscore('z', 'one', 'none')).toEqual(['1', null]);
      expect(await redis.zpopmin('z')).toEqual(['one', '1']);
      expect(await redis.zrem('z', 'two')).toBe(1);
      expect(await redis.zcard('z')).toBe(1);
      await redis.zadd('y', 5, 'max', 6, 'other');
      expect(await redis.zunionstore('x', 2, 'y', 'z', 'AGGREGATE', 'MIN')).toBe(2);
      expect(await redis.zrange('x', '0', '-1', 'WITHSCORES')).toEqual(['max', '5', 'other', '6']);
    });

    it('streams', async () => {
      expect(await redis.xadd('x', '1-1', 'a', '1', 'b', '2')).toBe('1-1');
      expect(await redis.xadd('x', '1-*', 'c', '3')).toBe('1-2');
      expect(await redis.xadd('x', 'MAXLEN', '~', '1000', '*', 'd', '4')).toMatch(/^\d+-\d+$/);
      expect(await redis.xlen('x')).toBe(3);
      expect(await redis.xrange('x', '-', '1')).toEqual([
        ['1-1', ['a', '1', 'b', '2']],
        ['1-2', ['c', '3']],
      ]);
      expect((await redis.xrevrange('x', '+', '-', 'COUNT', 1))[0][1]).toEqual(['d', '4']);
      const read = await redis.xread('COUNT', 1, 'STREAMS', 'x', '1-1');
      expect(read).toEqual([['x', [['1-2', ['c', '3']]]]]);
      expect(await redis.xread('STREAMS', 'x', '99999999999999')).toBeNull();
      expect(await redis.xdel('x', '1-1')).toBe(1);
      expect(await redis.xtrim('x', 'MAXLEN', 1)).toBe(1);
    });

    it('keys of any type', async () => {
      await redis.mset('a', '1', 'b', '2');
      expect(await redis.type('a')).toBe('string');
      expect(await redis.rename('a', 'c')).toBe('OK');
      expect(await redis.copy('c', 'd')).toBe(1);
      expect(await redis.expire('c', 100)).toBe(1);
      expect(await redis.expire('c', 50, 'GT')).toBe(0);
      expect(await redis.persist('c')).toBe(1);
      expect(await redis.pexpireat('c', Date.now() - 1)).toBe(1);
      expect(await redis.exists('b', 'c', 'd')).toBe(2);
      expect(await redis.object('ENCODING', 'd')).toBe('int');
      expect(await redis.dbsize()).toBe(2);
      expect(['b', 'd']).toContain(await redis.randomkey());
      await redis.rpush('l', 3, 1, 2);
      expect(await redis.sort('l', 'DESC')).toEqual(['3', '2', '1']);
      expect(await redis.unlink('b', 'd', 'l')).toBe(3);
    });
  });

  describe('pipelines', () => {
    it('answer each command in order, errors at their place', async () => {
      const results = await redis
        .pipeline()
        .set('a', '1')
        .incr('a')
        .lpush('a', 'x')
        .get('a')
        .hset('h', { f: 'v' })
        .hgetall('h')
        .exec();
      expect(results?.map(([error]) => error?.message)).toEqual([
        undefined,
        undefined,
        'WRONGTYPE Operation against a key holding the wrong kind of value',
        undefined,
        undefined,
        undefined,
      ]);
      expect(results?.map(([, result]) => result)).toEqual(['OK', 2, undefined, '2', 1, { f: 'v' }]);
    });

    it('of ten thousand commands', async () => {
      const pipeline = redis.pipeline();
      for (let i = 0; i < 10_000; i++) pipeline.set(`k:${i}`, i);
      for (let i = 0; i < 10_000; i++) pipeline.get(`k:${i}`);
      const results = await pipeline.exec();
      expect(results?.slice(10_000).every(([error, value], i) => error === null && value === String(i))).toBe(true);
    });

    it('are made by themselves', async () => {
      const client = open({ enableAutoPipelining: true });
      await client.ping();
      const keys = Array.from({ length: 1000 }, (_, i) => `auto:${i}`);
      await Promise.all(keys.map((key, i) => client.set(key, i)));
      expect(await Promise.all(keys.map((key) => client.get(key)))).toEqual(keys.map((_, i) => String(i)));
    });
  });

  describe('values', () => {
    it('of any bytes', async () => {
      const bytes = Buffer.from(Array.from({ length: 1024 }, (_, i) => (i * 7) & 255));
      const key = Buffer.from([0, 255, 13, 10, 36]);
      expect(await redis.set(key, bytes)).toBe('OK');
      expect((await redis.getBuffer(key))?.equals(bytes)).toBe(true);
      await redis.hset('h', bytes, bytes);
      const hash = await redis.hgetallBuffer('h');
      expect(Object.values(hash)[0].equals(bytes)).toBe(true);
      await redis.rpush('l', bytes);
      expect((await redis.lrangeBuffer('l', 0, -1))[0].equals(bytes)).toBe(true);
      await redis.sadd('s', bytes);
      expect((await redis.smembersBuffer('s'))[0].equals(bytes)).toBe(true);
      expect((await redis.keysBuffer('*')).some((found) => found.equals(key))).toBe(true);
    });

    it('of five megabytes', async () => {
      const value = Buffer.alloc(5 * 1024 * 1024, 'long value ');
      expect(await redis.set('big', value)).toBe('OK');
      expect((await redis.getBuffer('big'))?.equals(value)).toBe(true);
      expect(await redis.strlen('big')).toBe(value.length);
      const many = await Promise.all(Array.from({ length: 4 }, () => redis.getBuffer('big')));
      expect(many.every((copy) => copy?.equals(value))).toBe(true);
    });
  });

  describe('scans', () => {
    async function collect(stream: AsyncIterable<string[]>): Promise<string[]> {
      const all: string[] = [];
      for await (const batch of stream) all.push(...batch);
      return all;
    }

    it('over all keys, by pattern and type', async () => {
      const keys = Array.from({ length: 3000 }, (_, i) => `scan:${i}`);
      await redis.mset(Object.fromEntries(keys.map((key) => [key, '1'])));
      await redis.rpush('scan:list', 'x');
      const seen = await collect(redis.scanStream({ match: 'scan:*', count: 100 }));
      expect([...new Set(seen)].sort()).toEqual([...keys, 'scan:list'].sort());
      expect(await collect(redis.scanStream({ type: 'list' }))).toEqual(['scan:list']);
    });

    it('over the elements of a key', async () => {
      const members = Array.from({ length: 1500 }, (_, i) => `m:${i}`);
      await redis.hset('h', Object.fromEntries(members.map((member, i) => [member, i])));
      await redis.sadd('s', members);
      await redis.zadd('z', ...members.flatMap((member, i) => [i, member]));
      const pairs = (flat: string[]): Record<string, string> =>
        Object.fromEntries(flat.flatMap((key, i) => (i % 2 === 0 ? [[key, flat[i + 1]]] : [])));
      const expected = Object.fromEntries(members.map((member, i) => [member, String(i)]));
      expect(pairs(await collect(redis.hscanStream('h')))).toEqual(expected);
      expect(pairs(await collect(redis.zscanStream('z')))).toEqual(expected);
      expect([...new Set(await collect(redis.sscanStream('s')))].sort()).toEqual([...members].sort());
    });
  });

  describe('errors', () => {
    it('are replies with their code and command', async () => {
      await redis.set('s', 'x');
      const error = await redis.lpush('s', 'y').catch((caught: Error) => caught);
      expect(error).toMatchObject({
        name: 'ReplyError',
        message: 'WRONGTYPE Operation against a key holding the wrong kind of value',
        command: { name: 'lpush', args: ['s', 'y'] },
      });
      await expect(redis.incr('s')).rejects.toThrow('ERR value is not an integer or out of range');
      await expect(redis.call('NOSUCH', 'a')).rejects.toThrow(
        "ERR unknown command 'NOSUCH', with args beginning with: 'a' ",
      );
      await expect(redis.call('GET')).rejects.toThrow("ERR wrong number of arguments for 'get' command");
      expect(await redis.get('s')).toBe('x');
    });
  });

  if (protocol === 3) {
    it('maps and doubles of RESP3 as objects and numbers', async () => {
      const client = open({ replyMapping: 'resp3' });
      await client.zadd('z', 1.5, 'a');
      await client.hset('h', { f: 'v' });
      expect(await client.zscore('z', 'a')).toBe(1.5);
      expect(await client.hgetall('h')).toEqual({ f: 'v' });
      expect(await client.zrange('z', '0', '-1', 'WITHSCORES')).toEqual([['a', 1.5]]);
    });
  }
});

describe.each(SUITES)('ioredis on %s with a password, RESP%i', (name, protocol) => {
  let target: Target;
  const opened: Redis[] = [];

  function open(options: RedisOptions): Redis {
    const client = new Redis({ host: '127.0.0.1', port: target.port, protocol, ...options });
    opened.push(client);
    return client;
  }

  beforeAll(async () => {
    target = await Target.shared(name, '--requirepass', 'secret');
  });

  afterAll(() => {
    for (const client of opened) client.disconnect();
  });

  it('authenticates, by option, with a user name, and by URL', async () => {
    expect(await open({ password: 'secret' }).set('k', 'v')).toBe('OK');
    expect(await open({ username: 'default', password: 'secret' }).get('k')).toBe('v');
    const byUrl = new Redis(`redis://default:secret@127.0.0.1:${target.port}/2`, { protocol });
    opened.push(byUrl);
    expect(await byUrl.set('k', 'w')).toBe('OK');
    expect(await byUrl.client('INFO')).toMatch(/ db=2 /);
  });

  it('learns that a password is wrong or missing', async () => {
    const wrong = open({ password: 'guess', retryStrategy: null });
    expect((await firstError(wrong)).message).toMatch(/^WRONGPASS/);
    const none = open({ retryStrategy: null, maxRetriesPerRequest: 0 });
    none.on('error', () => {});
    await expect(none.get('k')).rejects.toThrow(/NOAUTH|Connection is closed/);
  });
});

describe.each(SUITES)('ioredis when %s is killed, RESP%i', (name, protocol) => {
  it('reconnects to the new one, with its database and name, and sends what waited', async () => {
    const target = await Target.start(name);
    const redis = new Redis({
      host: '127.0.0.1',
      port: target.port,
      protocol,
      db: 3,
      connectionName: 'survivor',
      retryStrategy: () => 100,
      // Commands wait for as long as the server takes to start.
      maxRetriesPerRequest: null,
    });
    redis.on('error', () => {});
    try {
      expect(await redis.set('k', 'v')).toBe('OK');
      await target.kill();
      const waiting = redis.set('k', 'w');
      await target.run();
      expect(await waiting).toBe('OK');
      expect(await redis.get('k')).toBe('w');
      expect(await redis.client('GETNAME')).toBe('survivor');
      expect(await redis.client('INFO')).toMatch(/ db=3 /);
    } finally {
      redis.disconnect();
      await target.kill();
    }
  });
});
