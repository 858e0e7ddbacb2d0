/**
 * What applications do with node-redis, in RESP2 and RESP3: connecting, every type's common methods, pipelines, binary and
 * long values, scans, errors, passwords, reconnection. Transactions and subscriptions are not part of it: the server has
 * no MULTI and no PUBLISH yet; `multi()` is used as a pipeline only.
 */
import { createClient, RESP_TYPES } from 'redis';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { TARGETS, Target } from '../support/target.ts';

const SUITES = TARGETS.flatMap((target) => [2, 3].map((protocol) => [target, protocol as 2 | 3] as const));

afterAll(() => Target.stopShared());

/** A client that does not try again where it is turned away. */
function makeClient(port: number, RESP: 2 | 3, path = '', auth = '') {
  const url = `redis://${auth}127.0.0.1:${port}${path}`;
  const client = createClient({ url, RESP, socket: { reconnectStrategy: false } });
  // Without a listener, an 'error' event would end the test process.
  client.on('error', () => {});
  return client;
}

type Client = ReturnType<typeof makeClient>;

function sorted(values: string[]): string[] {
  return [...values].sort();
}

describe.each(SUITES)('node-redis on %s, RESP%i', (name, protocol) => {
  let target: Target;
  let redis: Client;

  beforeAll(async () => {
    target = await Target.shared(name);
    redis = makeClient(target.port, protocol);
    await redis.connect();
  });

  afterAll(() => redis?.destroy());

  beforeEach(() => redis.flushAll());

  describe('connections', () => {
    it('become ready, answer, and close', async () => {
      const client = makeClient(target.port, protocol);
      const ready = new Promise<void>((resolve) => client.once('ready', resolve));
      await client.connect();
      await ready;
      expect(client.isReady).toBe(true);
      expect(await client.ping()).toBe('PONG');
      expect(await client.echo('here')).toBe('here');
      expect(await client.info('server')).toContain('redis_version:');
      await client.close();
      expect(client.isOpen).toBe(false);
    });

    it('take database and name', async () => {
      const client = createClient({ url: `redis://127.0.0.1:${target.port}/5`, RESP: protocol, name: 'worker:1' });
      // It is killed below, and says so.
      client.on('error', () => {});
      await client.connect();
      expect(await client.clientGetName()).toBe('worker:1');
      const info = await client.clientInfo();
      expect(info).toMatchObject({ db: 5, name: 'worker:1', resp: protocol });
      await client.set('here', '1');
      expect(await redis.exists('here')).toBe(0);
      await client.select(0);
      expect(await client.exists('here')).toBe(0);
      expect((await redis.clientList()).some((line) => line.name === 'worker:1')).toBe(true);
      expect(await redis.clientKill({ filter: 'ID', id: info.id })).toBe(1);
      client.destroy();
    });

    it('say what the server is', async () => {
      expect(await redis.hello()).toMatchObject({
        server: 'redis',
        proto: protocol,
        mode: 'standalone',
        role: 'master',
      });
      expect(await redis.clientId()).toBeGreaterThan(0);
      expect((await redis.time()).length).toBe(2);
    });
  });

  describe('types', () => {
    it('strings', async () => {
      expect(await redis.set('s', 'v', { expiration: { type: 'EX', value: 100 }, condition: 'NX' })).toBe('OK');
      expect(await redis.set('s', 'w', { condition: 'NX' })).toBeNull();
      expect(await redis.get('s')).toBe('v');
      expect(await redis.get('none')).toBeNull();
      expect(await redis.ttl('s')).toBeGreaterThan(95);
      expect(await redis.append('s', 'w')).toBe(2);
      expect(await redis.getRange('s', 0, 0)).toBe('v');
      expect(await redis.set('s', 'x', { GET: true })).toBe('vw');
      expect(await redis.incrBy('n', 42)).toBe(42);
      expect(await redis.incrByFloat('n', 0.5)).toBe('42.5');
      expect(await redis.mSet({ a: '1', b: 'two' })).toBe('OK');
      expect(await redis.mGet(['a', 'b', 'none'])).toEqual(['1', 'two', null]);
      expect(await redis.mSetNX({ a: '2', c: '3' })).toBe(0);
      expect(await redis.setBit('bits', 7, 1)).toBe(0);
      expect(await redis.bitCount('bits')).toBe(1);
      expect(await redis.getDel('a')).toBe('1');
      expect(await redis.getEx('b', { type: 'PERSIST' })).toBe('two');
      expect(await redis.strLen('b')).toBe(3);
      expect(await redis.lcs('b', 'b')).toBe('two');
    });

    it('hashes, as objects', async () => {
      expect(await redis.hSet('h', { a: '1', b: '2', ü: 'ö' })).toBe(3);
      expect(await redis.hSet('h', 'a', '9')).toBe(0);
      expect({ ...(await redis.hGetAll('h')) }).toEqual({ a: '9', b: '2', ü: 'ö' });
      expect({ ...(await redis.hGetAll('none')) }).toEqual({});
      expect(await redis.hGet('h', 'a')).toBe('9');
      expect(await redis.hmGet('h', ['a', 'none'])).toEqual(['9', null]);
      expect(await redis.hIncrBy('h', 'b', 3)).toBe(5);
      expect(await redis.hExists('h', 'b')).toBe(1);
      expect(sorted(await redis.hKeys('h'))).toEqual(['a', 'b', 'ü']);
      expect(sorted(await redis.hVals('h'))).toEqual(['5', '9', 'ö']);
      expect(await redis.hDel('h', ['a', 'b', 'c'])).toBe(2);
      expect(await redis.hLen('h')).toBe(1);
      expect(await redis.hRandFieldCountWithValues('h', 5)).toEqual([{ field: 'ü', value: 'ö' }]);
    });

    it('lists', async () => {
      expect(await redis.rPush('l', ['a', 'b', 'c'])).toBe(3);
      expect(await redis.lPush('l', 'z')).toBe(4);
      expect(await redis.lRange('l', 0, -1)).toEqual(['z', 'a', 'b', 'c']);
      expect(await redis.lInsert('l', 'BEFORE', 'b', 'ab')).toBe(5);
      expect(await redis.lIndex('l', 2)).toBe('ab');
      expect(await redis.lSet('l', 0, 'y')).toBe('OK');
      expect(await redis.lPos('l', 'c')).toBe(4);
      expect(await redis.lMove('l', 'm', 'LEFT', 'RIGHT')).toBe('y');
      expect(await redis.lPopCount('l', 2)).toEqual(['a', 'ab']);
      expect(await redis.rPop('l')).toBe('c');
      expect(await redis.lRem('l', 0, 'b')).toBe(1);
      expect(await redis.exists('l')).toBe(0);
      expect(await redis.lPop('none')).toBeNull();
      expect(await redis.lmPop('m', 'LEFT')).toEqual(['m', ['y']]);
    });

    it('sets', async () => {
      expect(await redis.sAdd('s', ['a', 'b', 'c', 'a'])).toBe(3);
      expect(await redis.sAdd('t', ['b', 'c', 'd'])).toBe(3);
      expect(sorted(await redis.sMembers('s'))).toEqual(['a', 'b', 'c']);
      expect(await redis.sIsMember('s', 'a')).toBe(1);
      expect(await redis.smIsMember('s', ['a', 'x'])).toEqual([1, 0]);
      expect(sorted(await redis.sInter(['s', 't']))).toEqual(['b', 'c']);
      expect(sorted(await redis.sUnion(['s', 't']))).toEqual(['a', 'b', 'c', 'd']);
      expect(await redis.sDiff(['s', 't'])).toEqual(['a']);
      expect(await redis.sInterCard(['s', 't'])).toBe(2);
      expect(await redis.sInterStore('u', ['s', 't'])).toBe(2);
      expect(await redis.sMove('s', 't', 'a')).toBe(1);
      expect(['b', 'c']).toContain(await redis.sRandMember('s'));
      expect(sorted(await redis.sPopCount('s', 5))).toEqual(['b', 'c']);
      expect(await redis.sPop('s')).toBeNull();
      expect(await redis.sCard('t')).toBe(4);
    });

    it('sorted sets, their scores as numbers', async () => {
      const members = [
        { value: 'one', score: 1 },
        { value: 'two', score: 2.5 },
        { value: 'max', score: Number.POSITIVE_INFINITY },
      ];
      expect(await redis.zAdd('z', members)).toBe(3);
      expect(await redis.zScore('z', 'two')).toBe(2.5);
      expect(await redis.zScore('z', 'none')).toBeNull();
      expect(await redis.zRange('z', 0, -1)).toEqual(['one', 'two', 'max']);
      expect(await redis.zRangeWithScores('z', 0, -1)).toEqual(members);
      expect(await redis.zIncrBy('z', 0.5, 'two')).toBe(3);
      expect(await redis.zRank('z', 'max')).toBe(2);
      expect(await redis.zRange('z', '(1', '+inf', { BY: 'SCORE' })).toEqual(['two', 'max']);
      expect(await redis.zCount('z', '-inf', 5)).toBe(2);
      expect(await redis.zmScore('z', ['one', 'none'])).toEqual([1, null]);
      expect(await redis.zPopMin('z')).toEqual({ value: 'one', score: 1 });
      expect(await redis.zmPop('z', 'MAX')).toEqual({
        key: 'z',
        members: [{ value: 'max', score: Number.POSITIVE_INFINITY }],
      });
      expect(await redis.zCard('z')).toBe(1);
      await redis.zAdd('y', [{ value: 'two', score: 5 }]);
      expect(await redis.zUnionWithScores(['y', 'z'])).toEqual([{ value: 'two', score: 8 }]);
      expect(await redis.zDiffStore('x', ['y', 'none'])).toBe(1);
    });

    it('streams', async () => {
      expect(await redis.xAdd('x', '1-1', { a: '1', b: '2' })).toBe('1-1');
      expect(await redis.xAdd('x', '1-*', { c: '3' })).toBe('1-2');
      expect(await redis.xLen('x')).toBe(2);
      const range = await redis.xRange('x', '-', '+');
      expect(range?.map((entry) => [entry.id, { ...entry.message }])).toEqual([
        ['1-1', { a: '1', b: '2' }],
        ['1-2', { c: '3' }],
      ]);
      const read = await redis.xRead({ key: 'x', id: '1-1' });
      expect(JSON.parse(JSON.stringify(read))).toMatchObject([
        { name: 'x', messages: [{ id: '1-2', message: { c: '3' } }] },
      ]);
      expect(await redis.xRead({ key: 'x', id: '9-9' })).toBeNull();
      expect(await redis.xInfoStream('x')).toMatchObject({ length: 2, 'last-generated-id': '1-2' });
      expect(await redis.xDel('x', '1-1')).toBe(1);
      expect(await redis.xTrim('x', 'MAXLEN', 0)).toBe(1);
    });

    it('keys of any type', async () => {
      await redis.mSet({ a: '1', b: '2' });
      expect(await redis.type('a')).toBe('string');
      expect(await redis.rename('a', 'c')).toBe('OK');
      expect(await redis.copy('c', 'd')).toBe(1);
      expect(await redis.expire('c', 100)).toBe(1);
      expect(await redis.expire('c', 50, 'GT')).toBe(0);
      expect(await redis.expireTime('c')).toBeGreaterThan(Date.now() / 1000);
      expect(await redis.persist('c')).toBe(1);
      expect(await redis.exists(['b', 'c', 'd'])).toBe(3);
      expect(await redis.objectEncoding('d')).toBe('int');
      expect(await redis.dbSize()).toBe(3);
      expect(['b', 'c', 'd']).toContain(await redis.randomKey());
      await redis.rPush('l', ['3', '1', '2']);
      expect(await redis.sort('l', { DIRECTION: 'DESC' })).toEqual(['3', '2', '1']);
      expect(await redis.unlink(['b', 'c', 'd', 'l'])).toBe(4);
    });

    it('the server itself', async () => {
      expect(await redis.configGet('maxmemory-policy')).toMatchObject({ 'maxmemory-policy': 'noeviction' });
      expect(await redis.configSet('maxmemory-samples', '7')).toBe('OK');
      expect(await redis.configGet(['maxmemory-samples', 'hz'])).toMatchObject({ 'maxmemory-samples': '7' });
      expect(await redis.commandCount()).toBeGreaterThan(100);
      const [get] = await redis.commandInfo(['get']);
      expect(get).toMatchObject({ name: 'get', arity: 2, firstKeyIndex: 1, lastKeyIndex: 1, step: 1 });
      await redis.set('k', 'v');
      expect(await redis.memoryUsage('k')).toBeGreaterThan(0);
    });
  });

  describe('pipelines', () => {
    it('are made of what is sent in one turn', async () => {
      const replies = await Promise.all([
        redis.set('a', '1'),
        redis.incr('a'),
        redis.lPush('a', 'x').catch((error: Error) => error.message),
        redis.get('a'),
      ]);
      expect(replies).toEqual(['OK', 2, 'WRONGTYPE Operation against a key holding the wrong kind of value', '2']);
    });

    it('answer each command in order', async () => {
      const replies = await redis.multi().set('a', '1').incr('a').hSet('h', { f: 'v' }).hGet('h', 'f').execAsPipeline();
      expect(replies).toEqual(['OK', 2, 1, 'v']);
    });

    it('of ten thousand commands', async () => {
      const indexes = Array.from({ length: 10_000 }, (_, i) => i);
      await Promise.all(indexes.map((i) => redis.set(`k:${i}`, String(i))));
      const values = await Promise.all(indexes.map((i) => redis.get(`k:${i}`)));
      expect(values.every((value, i) => value === String(i))).toBe(true);
    });
  });

  describe('values', () => {
    it('of any bytes', async () => {
      const binary = redis.withTypeMapping({ [RESP_TYPES.BLOB_STRING]: Buffer });
      const bytes = Buffer.from(Array.from({ length: 1024 }, (_, i) => (i * 7) & 255));
      const key = Buffer.from([0, 255, 13, 10, 36]);
      expect(await redis.set(key, bytes)).toBe('OK');
      expect((await binary.get(key))?.equals(bytes)).toBe(true);
      await redis.rPush('l', bytes);
      expect((await binary.lRange('l', 0, -1))[0].equals(bytes)).toBe(true);
      await redis.sAdd('s', bytes);
      expect((await binary.sMembers('s'))[0].equals(bytes)).toBe(true);
      await redis.hSet('h', bytes, bytes);
      expect((await binary.hVals('h'))[0].equals(bytes)).toBe(true);
    });

    it('of five megabytes', async () => {
      const binary = redis.withTypeMapping({ [RESP_TYPES.BLOB_STRING]: Buffer });
      const value = Buffer.alloc(5 * 1024 * 1024, 'long value ');
      expect(await redis.set('big', value)).toBe('OK');
      expect(await redis.strLen('big')).toBe(value.length);
      const many = await Promise.all(Array.from({ length: 4 }, () => binary.get('big')));
      expect(many.every((copy) => copy?.equals(value))).toBe(true);
    });
  });

  describe('scans', () => {
    it('over all keys, by pattern and type', async () => {
      const keys = Array.from({ length: 3000 }, (_, i) => `scan:${i}`);
      await redis.mSet(Object.fromEntries(keys.map((key) => [key, '1'])));
      await redis.rPush('scan:list', 'x');
      const seen: string[] = [];
      for await (const batch of redis.scanIterator({ MATCH: 'scan:*', COUNT: 100 })) seen.push(...batch);
      expect(sorted([...new Set(seen)])).toEqual(sorted([...keys, 'scan:list']));
      const lists: string[] = [];
      for await (const batch of redis.scanIterator({ TYPE: 'list' })) lists.push(...batch);
      expect(lists).toEqual(['scan:list']);
    });

    it('over the elements of a key', async () => {
      const members = Array.from({ length: 1500 }, (_, i) => `m:${i}`);
      await redis.hSet('h', Object.fromEntries(members.map((member, i) => [member, String(i)])));
      await redis.sAdd('s', members);
      await redis.zAdd(
        'z',
        members.map((value, score) => ({ value, score })),
      );
      const fields = new Map<string, string>();
      for await (const batch of redis.hScanIterator('h'))
        for (const { field, value } of batch) fields.set(field, value);
      expect(fields).toEqual(new Map(members.map((member, i) => [member, String(i)])));
      const inSet = new Set<string>();
      for await (const batch of redis.sScanIterator('s')) for (const member of batch) inSet.add(member);
      expect(inSet).toEqual(new Set(members));
      const scores = new Map<string, number>();
      for await (const batch of redis.zScanIterator('z'))
        for (const { value, score } of batch) scores.set(value, score);
      expect(scores).toEqual(new Map(members.map((member, i) => [member, i])));
    });
  });

  describe('errors', () => {
    it('are rejections with the text of the server', async () => {
      await redis.set('s', 'x');
      await expect(redis.lPush('s', 'y')).rejects.toThrow(
        'WRONGTYPE Operation against a key holding the wrong kind of value',
      );
      await expect(redis.incr('s')).rejects.toThrow('ERR value is not an integer or out of range');
      await expect(redis.sendCommand(['NOSUCH', 'a'])).rejects.toThrow(
        "ERR unknown command 'NOSUCH', with args beginning with: 'a' ",
      );
      await expect(redis.sendCommand(['GET'])).rejects.toThrow("ERR wrong number of arguments for 'get' command");
      await expect(redis.select(99)).rejects.toThrow('ERR DB index is out of range');
      expect(await redis.get('s')).toBe('x');
    });
  });

  it('kinds of reply as the protocol has them', async () => {
    await redis.hSet('h', 'f', 'v');
    await redis.zAdd('z', { value: 'a', score: 1.5 });
    await redis.sAdd('s', 'a');
    const raw = [await redis.sendCommand(['HGETALL', 'h']), await redis.sendCommand(['ZSCORE', 'z', 'a'])];
    expect(JSON.parse(JSON.stringify(raw))).toEqual(protocol === 3 ? [{ f: 'v' }, 1.5] : [['f', 'v'], '1.5']);
    const mapped = redis.withTypeMapping({ [RESP_TYPES.SET]: Set });
    expect(await mapped.sMembers('s')).toEqual(protocol === 3 ? new Set(['a']) : ['a']);
  });
});

describe.each(SUITES)('node-redis on %s with a password, RESP%i', (name, protocol) => {
  let target: Target;

  beforeAll(async () => {
    target = await Target.shared(name, '--requirepass', 'secret');
  });

  it('authenticates, and keeps its database', async () => {
    const client = makeClient(target.port, protocol, '/2', ':secret@');
    await client.connect();
    expect(await client.set('k', 'v')).toBe('OK');
    expect((await client.clientInfo()).db).toBe(2);
    client.destroy();
    const named = makeClient(target.port, protocol, '/2', 'default:secret@');
    await named.connect();
    expect(await named.get('k')).toBe('v');
    named.destroy();
  });

  it('learns that a password is wrong or missing', async () => {
    const wrong = makeClient(target.port, protocol, '', ':guess@');
    await expect(wrong.connect()).rejects.toThrow(/^WRONGPASS/);
    const none = makeClient(target.port, protocol);
    if (protocol === 3) {
      await expect(none.connect()).rejects.toThrow(/^NOAUTH/);
    } else {
      await none.connect();
      await expect(none.get('k')).rejects.toThrow(/^NOAUTH/);
      none.destroy();
    }
  });
});

describe.each(SUITES)('node-redis when %s is killed, RESP%i', (name, protocol) => {
  it('reconnects to the new one, with its database and name, and sends what waited', async () => {
    const target = await Target.start(name);
    const redis = createClient({
      url: `redis://127.0.0.1:${target.port}/3`,
      RESP: protocol,
      name: 'survivor',
      socket: { reconnectStrategy: () => 50 },
    });
    redis.on('error', () => {});
    try {
      await redis.connect();
      expect(await redis.set('k', 'v')).toBe('OK');
      const lost = new Promise<void>((resolve) => redis.once('reconnecting', resolve));
      await target.kill();
      await lost;
      const waiting = redis.set('k', 'w');
      await target.run();
      expect(await waiting).toBe('OK');
      expect(await redis.get('k')).toBe('w');
      expect(await redis.clientGetName()).toBe('survivor');
      expect((await redis.clientInfo()).db).toBe(3);
    } finally {
      redis.destroy();
      await target.kill();
    }
  });
});
