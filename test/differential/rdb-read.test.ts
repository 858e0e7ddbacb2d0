/** Files and payloads that redis-server has written, read here, and then every key compared by commands. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { Random } from '../../engine/random.ts';
import { loadValue } from '../../engine/rdb/decode.ts';
import { RdbInput } from '../../engine/rdb/input.ts';
import { openRdbSource, type RdbFile } from '../../engine/rdb/read.ts';
import { compare } from '../support/differ.ts';
import { type Arg, TestEngine } from '../support/engine.ts';
import { hashCommand } from '../support/gen/hash.ts';
import { listCommand } from '../support/gen/list.ts';
import { setCommand } from '../support/gen/set.ts';
import { streamCommand, streamCommandAnyId } from '../support/gen/stream.ts';
import { stringCommand } from '../support/gen/string.ts';
import { zsetCommand } from '../support/gen/zset.ts';
import { bytesWithoutKeys, loadFile, memorySource, rdbErrorOf, verifyAll } from '../support/rdb.ts';
import { type RawClient, RedisServer, redisAvailable } from '../support/redis.ts';
import { decodeList } from '../support/replies.ts';

const UNORDERED = { unordered: ['smembers'], unorderedPairs: ['hgetall'] };
/** Keys that expire sooner are kept for good before a file is written, lest they expire between two comparisons. */
const SOON_MS = 60_000;
const BATCH = 500;

describe.skipIf(!redisAvailable)('RDB files of redis-server', () => {
  let server: RedisServer;
  let redis: RawClient;
  let path = '';

  beforeAll(async () => {
    server = await RedisServer.start(['--enable-debug-command', 'yes']);
    redis = await server.connect();
    const [, dir] = decodeList(await redis.run('config', 'get', 'dir')) as string[];
    path = join(dir, 'dump.rdb');
  });

  afterAll(() => {
    redis?.close();
    server?.stop();
  });

  beforeEach(async () => {
    await redis.pipeline([['select', 0], ['flushall'], ['debug', 'quicklist-packed-threshold', '0']]);
  });

  /** Sends commands whose replies do not matter, but for errors. */
  async function fill(commands: readonly Arg[][]): Promise<void> {
    for (let from = 0; from < commands.length; from += BATCH) {
      const replies = await redis.pipeline(commands.slice(from, from + BATCH));
      const error = replies.find((reply) => reply.startsWith('-'));
      if (error !== undefined) throw new Error(error);
    }
  }

  async function keys(db: number): Promise<Buffer[]> {
    await redis.run('select', db);
    return (decodeList(await redis.run('keys', '*')) as string[]).map((key) => Buffer.from(key, 'latin1'));
  }

  async function keepExpiring(): Promise<void> {
    for (let db = 0; db < 16; db++) {
      for (const key of await keys(db)) {
        const left = Number((await redis.run('pttl', key)).slice(1));
        if (left >= 0 && left < SOON_MS) await redis.run('persist', key);
      }
    }
  }

  /** Writes the file, has redis-server load it again, and loads it here. */
  async function reload(): Promise<[TestEngine, RdbFile]> {
    expect(await redis.run('debug', 'reload')).toBe('+OK\r\n');
    const engine = new TestEngine();
    const reader = loadFile(engine, openRdbSource(path));
    verifyAll(engine);
    return [engine, reader];
  }

  async function compareKeys(engine: TestEngine): Promise<void> {
    for (let db = 0; db < 16; db++) {
      const names = await keys(db);
      engine.call.db = db;
      const commands: Arg[][] = [['dbsize']];
      for (const key of names) commands.push(['type', key], ['object', 'encoding', key], ['pexpiretime', key]);
      const types = await redis.pipeline(names.map((key) => ['type', key]));
      names.forEach((key, i) => {
        commands.push(...contentCommands(types[i].slice(1, -2), key));
      });
      for (let from = 0; from < commands.length; from += BATCH) {
        await compare(engine, redis, commands.slice(from, from + BATCH), UNORDERED);
      }
    }
    await redis.run('select', 0);
    engine.call.db = 0;
  }

  function contentCommands(type: string, key: Buffer): Arg[][] {
    switch (type) {
      case 'string':
        return [['get', key]];
      case 'list':
        return [
          ['llen', key],
          ['lrange', key, 0, -1],
        ];
      case 'set':
        return [
          ['scard', key],
          ['smembers', key],
        ];
      case 'zset':
        return [
          ['zcard', key],
          ['zrange', key, 0, -1, 'withscores'],
        ];
      case 'hash':
        return [
          ['hlen', key],
          ['hgetall', key],
        ];
      default:
        return [
          ['xrange', key, '-', '+'],
          ['xinfo', 'stream', key],
        ];
    }
  }

  /** RESTORE's way: each key of database 0 from its DUMP payload. */
  async function restoreKeys(): Promise<TestEngine> {
    const engine = new TestEngine();
    for (const key of await keys(0)) {
      const reply = await redis.run('dump', key);
      const payload = Buffer.from(reply.slice(reply.indexOf('\r\n') + 2, -2), 'latin1');
      const left = Number((await redis.run('pexpiretime', key)).slice(1));
      engine.run('exists', key);
      // Behind the value: two bytes of version, eight of checksum.
      const input = new RdbInput(payload, 1, payload.length - 10);
      loadValue(engine.call, 1, payload[0], input, left < 0 ? 0 : left);
      expect(input.at).toBe(input.end);
    }
    verifyAll(engine);
    return engine;
  }

  async function check(): Promise<TestEngine> {
    const [engine, reader] = await reload();
    expect(reader.version).toBe(10);
    expect(reader.report.facts.get('redis-ver')).toMatch(/^7\./);
    await compareKeys(engine);
    return engine;
  }

  it('strings of all encodings and sizes', async () => {
    const commands: Arg[][] = [];
    const numbers = [0, 1, -1, 127, 128, -128, -129, 32767, 32768, -32769, 2147483647, 2147483648, -2147483649];
    for (const n of numbers) commands.push(['set', `n${n}`, n], ['set', n, `key ${n}`]);
    for (const text of ['9223372036854775807', '9223372036854775808', '-0', '007', '1.5', ' 1', '']) {
      commands.push(['set', `t${text}`, text]);
    }
    for (const size of [1, 20, 21, 43, 44, 45, 63, 64, 65, 16383, 16384, 65535, 65536, 65537, 3_000_000]) {
      commands.push(['set', `same${size}`, 'x'.repeat(size)]);
      commands.push(['set', `text${size}`, 'the quick brown fox '.repeat(size / 20 + 1).slice(0, size)]);
      const random = new Random(size);
      commands.push(['set', `any${size}`, Buffer.from(Array.from({ length: size }, () => random.below(256)))]);
    }
    for (let byte = 0; byte < 256; byte++)
      commands.push(['set', Buffer.from([byte, 255 - byte, byte]), Buffer.from([byte])]);
    commands.push(
      ['set', 'k'.repeat(100_000), 'long name'],
      ['append', 'appended', '5'],
      ['setrange', 'ranged', 30, 'x'],
    );
    await fill(commands);
    await check();
    await compareKeys(await restoreKeys());
  });

  it('collections on both sides of every threshold', async () => {
    const commands: Arg[][] = [];
    const words = (count: number, size: number): string[] =>
      Array.from({ length: count }, (_, i) => `${i}:`.padEnd(size, 'ab'));
    for (const [count, size] of [
      ...[1, 31, 32, 33, 127, 128, 129, 511, 512, 513, 3000].map((n) => [n, 10]),
      ...[63, 64, 65, 254, 255, 256, 300, 5000].map((n) => [5, n]),
    ]) {
      const name = `${count}-${size}`;
      const members = words(count, size);
      commands.push(['rpush', `list${name}`, ...members]);
      commands.push(['sadd', `set${name}`, ...members]);
      commands.push(['hset', `hash${name}`, ...members.flatMap((member, i) => [member, i])]);
      commands.push(['hset', `values${name}`, ...members.flatMap((member, i) => [i, member])]);
      commands.push(['zadd', `zset${name}`, ...members.flatMap((member, i) => [(i % 7) - 3.25, member])]);
      commands.push(['zadd', `ranks${name}`, ...members.flatMap((member, i) => [i * i, member])]);
      commands.push(['sadd', `small${name}`, ...members.map((_, i) => i - 5)]);
      commands.push(['sadd', `middle${name}`, ...members.map((_, i) => i * 70_000)]);
      commands.push(['sadd', `wide${name}`, ...members.map((_, i) => `${i - 3}000000000000`)]);
      commands.push(['sadd', `mixed${name}`, ...members.map((member, i) => (i === count - 1 ? member : i))]);
    }
    commands.push([
      'zadd',
      'extremes',
      '-inf',
      'a',
      'inf',
      'b',
      '1e300',
      'c',
      '-5e-324',
      'd',
      '0',
      'e',
      '-0',
      'f',
      '0.1',
      'g',
    ]);
    commands.push(['zadd', 'extremes', '9007199254740993', 'h', '9223372036854775807', 'i', '123456789012345678', 'j']);
    commands.push(['hset', 'odd', '', '', '0', '-1', '9223372036854775807', '-9223372036854775808', '01', '1.0']);
    await fill(commands);
    const engine = await check();
    await compareKeys(await restoreKeys());
    // What was loaded goes on as what was made by commands.
    const further: Arg[][] = [];
    for (const key of (await keys(0)).map(String)) {
      if (key.startsWith('hash'))
        further.push(['hset', key, 'more', 'x', '0:', 'y'], ['hdel', key, 'more'], ['hlen', key]);
      if (key.startsWith('set')) further.push(['sadd', key, 'more', '5'], ['srem', key, 'more'], ['scard', key]);
      if (key.startsWith('small')) further.push(['sadd', key, 'more'], ['scard', key], ['object', 'encoding', key]);
      if (key.startsWith('list'))
        further.push(['lpush', key, 'more'], ['linsert', key, 'before', '3:ababab', 'x'], ['rpop', key]);
      if (key.startsWith('zset'))
        further.push(['zadd', key, 1.5, 'more'], ['zrank', key, 'more'], ['zremrangebyrank', key, 0, 1]);
    }
    await compare(engine, redis, further);
    verifyAll(engine);
    await compareKeys(engine);
  });

  it('packed collections of other settings', async () => {
    const settings = [
      'hash-max-listpack-value',
      'zset-max-listpack-value',
      'hash-max-listpack-entries',
      'zset-max-listpack-entries',
    ];
    for (const name of settings) await redis.run('config', 'set', name, 2000);
    const members = (count: number, size: number): string[] =>
      Array.from({ length: count }, (_, i) => `${i}`.padEnd(size, 'z'));
    await fill([
      ['hset', 'long', ...members(20, 700)],
      ['hset', 'many', ...members(2000, 10)],
      ['zadd', 'zlong', ...members(20, 700).flatMap((member, i) => [i, member])],
      ['zadd', 'zmany', ...members(700, 10).flatMap((member, i) => [-i, member])],
    ]);
    await redis.run('save');
    for (const [i, name] of settings.entries()) await redis.run('config', 'set', name, [64, 64, 512, 128][i]);
    await check();
  });

  it('lists of large elements, plain nodes and many nodes', async () => {
    await redis.run('debug', 'quicklist-packed-threshold', '100b');
    const random = new Random(5);
    const commands: Arg[][] = [];
    for (let list = 0; list < 30; list++) {
      const elements = Array.from({ length: 1 + random.below(60) }, (_, i) =>
        `${i}`.padEnd(random.below(list * 20 + 1), 'e'),
      );
      commands.push([list % 2 === 0 ? 'rpush' : 'lpush', `l${list}`, ...elements]);
    }
    commands.push(['rpush', 'large', 'a', 'b'.repeat(2_000_000), 'c', 'd'.repeat(20_000)]);
    await fill(commands);
    await check();
  });

  it('expiries and several databases', async () => {
    const now = Date.now();
    const commands: Arg[][] = [];
    for (const db of [0, 1, 5, 15]) {
      commands.push(['select', db], ['set', 'plain', db], ['set', 'px', 'x', 'pxat', now + 1_000_000 + db]);
      commands.push(
        ['hset', 'h', 'a', db],
        ['pexpireat', 'h', now + 2_000_000],
        ['zadd', 'z', 1, 'a'],
        ['pexpireat', 'z', 2 ** 45],
      );
      commands.push(
        ['set', 'long', 'y'.repeat(100_000), 'pxat', now + 3_000_000],
        ['sadd', 's', 'x'],
        ['pexpireat', 's', 2 ** 42],
      );
    }
    await fill(commands);
    await check();
  });

  it('keys that have expired are left out when that is asked for', async () => {
    await fill([
      ['debug', 'set-active-expire', 0],
      ['set', 'gone', 'x', 'px', 1],
      ['hset', 'goneToo', 'a', 1],
      ['pexpire', 'goneToo', 1],
      ['set', 'stays', 'x'],
    ]);
    await new Promise((resolve) => setTimeout(resolve, 20));
    await redis.run('save');
    const engine = new TestEngine();
    const reader = loadFile(engine, openRdbSource(path), { dropExpired: true });
    await redis.run('debug', 'set-active-expire', 1);
    expect([reader.report.keys, reader.report.expired]).toEqual([1, 2]);
    expect(engine.run('exists', 'gone', 'goneToo', 'stays')).toBe(':1\r\n');
    const all = loadFile(new TestEngine(), openRdbSource(path));
    expect(all.report.keys).toBe(3);
  });

  it('streams with deleted entries, trimmed, and what trimming drops afterwards', async () => {
    const random = new Random(77);
    const commands: Arg[][] = [];
    for (let stream = 0; stream < 12; stream++) {
      const count = [1, 99, 100, 101, 350, 1000][stream % 6];
      for (let i = 1; i <= count; i++) {
        const same = ['temperature', random.below(100) - 50, 'place', 'x'.repeat(random.below(30))];
        commands.push([
          'xadd',
          `st${stream}`,
          `${i * 10}-${random.below(5)}`,
          ...(random.below(5) === 0 ? ['other', i] : same),
        ]);
      }
      for (let i = random.below(count); i < count; i += 1 + random.below(9)) {
        commands.push(['xdel', `st${stream}`, `${i * 10}-${random.below(5)}`]);
      }
      if (stream > 6) commands.push(['xtrim', `st${stream}`, 'maxlen', count >>> 1]);
    }
    commands.push(['xadd', 'empty', '5-5', 'f', 'v'], ['xdel', 'empty', '5-5']);
    commands.push(['xadd', 'big', '18446744073709551615-18446744073709551614', 'f', 'v'.repeat(50_000)]);
    commands.push(
      ['xadd', 'set', '1-1', 'f', 'v'],
      ['xsetid', 'set', '9-9', 'entriesadded', '5000000000', 'maxdeletedid', '8-8'],
    );
    await fill(commands);
    const engine = await check();
    await compareKeys(await restoreKeys());
    const further: Arg[][] = [];
    for (let stream = 0; stream < 12; stream++) {
      const key = `st${stream}`;
      for (let i = 0; i < 120; i++) further.push(['xadd', key, `${20_000 + i}-0`, 'temperature', i, 'place', 'home']);
      for (const length of [700, 333, 150, 60])
        further.push(['xtrim', key, 'maxlen', '~', length], ['xlen', key], ['xinfo', 'stream', key]);
    }
    await compare(engine, redis, further);
    verifyAll(engine);
  });

  it('streams with consumer groups, functions', async () => {
    await fill([
      ...Array.from({ length: 300 }, (_, i) => ['xadd', 'st', `${i + 1}-0`, 'f', i]),
      ['xgroup', 'create', 'st', 'none', '$'],
      ['xgroup', 'create', 'st', 'some', '0', 'entriesread', 5],
      ['xreadgroup', 'group', 'some', 'alice', 'count', 20, 'streams', 'st', '>'],
      ['xreadgroup', 'group', 'some', 'bob', 'count', 100, 'streams', 'st', '>'],
      ['xack', 'st', 'some', '3-0', '4-0'],
      ['xgroup', 'createconsumer', 'st', 'none', 'idle'],
      ['function', 'load', 'replace', "#!lua name=lib\nredis.register_function('f', function() return 1 end)"],
      ['set', 'after', '1'],
    ]);
    const [engine, reader] = await reload();
    expect([reader.report.skippedGroups, reader.report.skippedFunctions]).toEqual([2, 1]);
    await compare(engine, redis, [['xrange', 'st', '-', '+'], ['get', 'after'], ['dbsize']]);
    await redis.run('function', 'flush');
  });

  for (const [name, generate] of [
    ['string', stringCommand],
    ['list', listCommand],
    ['set', setCommand],
    ['zset', zsetCommand],
    ['hash', hashCommand],
    ['stream', streamCommand],
    ['stream of any ids', streamCommandAnyId],
  ] as const) {
    it(`whatever random ${name} commands have made`, async () => {
      const random = new Random(name.length * 1000 + 3);
      for (let round = 0; round < 3; round++) {
        await redis.run('flushall');
        await redis.pipeline(Array.from({ length: 800 }, () => generate(random)));
        await keepExpiring();
        const [engine] = await reload();
        await compareKeys(engine);
      }
    });
  }

  it('uncompressed, without a checksum, and with when keys were used', async () => {
    const options = [
      ['rdbcompression', 'no'],
      ['maxmemory-policy', 'allkeys-lru'],
    ];
    for (const [name, value] of options) await redis.run('config', 'set', name, value);
    await fill([
      ['set', 'a', 'x'.repeat(500)],
      ['rpush', 'l', ...Array.from({ length: 300 }, () => 'same')],
    ]);
    const [engine, reader] = await reload();
    await compareKeys(engine);
    expect(reader.sizeBytes).toBeGreaterThan(2000);
    await redis.run('config', 'set', 'maxmemory-policy', 'allkeys-lfu');
    await fill(Array.from({ length: 300 }, () => ['get', 'a']));
    const [frequent] = await reload();
    await compareKeys(frequent);
    await redis.run('config', 'set', 'rdbcompression', 'yes');
    await redis.run('config', 'set', 'maxmemory-policy', 'noeviction');
  });

  it('a file with one bit changed is noticed, or does no harm', async () => {
    await fill([
      ['set', 'a', 'x'.repeat(100)],
      ['rpush', 'l', 1, 'b', 'c'.repeat(60)],
      ['hset', 'h', 'f', 1],
      ['zadd', 'z', 1.5, 'm'],
      ['sadd', 's', 1, 2, 3],
      ['xadd', 'st', '1-1', 'f', 'v'],
    ]);
    await redis.run('save');
    const sound = readFileSync(path);
    const engine = new TestEngine({ shards: 1, arenaBytes: 4 * 1024 * 1024 });
    const empty = bytesWithoutKeys(engine);
    for (let bit = 0; bit < sound.length * 8; bit += 3) {
      const changed = Buffer.from(sound);
      changed[bit >>> 3] ^= 1 << (bit & 7);
      const error = rdbErrorOf(() => loadFile(engine, memorySource(changed)));
      // A changed version of the header may be one without a checksum; all else the checksum shows.
      if (bit >= 72) expect(error, `bit ${bit}`).toBeDefined();
      verifyAll(engine);
      expect(bytesWithoutKeys(engine)).toBe(empty);
    }
  });
});
