/**
 * What we write in the RDB format, read by redis-server: whole files, and DUMP payloads both ways; then what RESTORE says to
 * payloads and options of every kind.
 */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Random } from '../../engine/random.ts';
import { compare } from '../support/differ.ts';
import { type Arg, TestEngine } from '../support/engine.ts';
import { GENERATORS } from '../support/gen/any.ts';
import { eachKey, payloadOf, READ_COMPARISON, readAll, writeRdb } from '../support/rdb-write.ts';
import { type RawClient, RedisServer, redisAvailable } from '../support/redis.ts';

const SEED = Number(process.env.MILLRACE_SEED ?? 31);
const USED_DATABASES = [0, 3, 15];
/** Commands of the generators; those that read only count too. */
const COMMANDS = 3000;

/** Both sides of every threshold, and every form of element. */
function thresholds(): Arg[][] {
  const commands: Arg[][] = [
    ['set', 'empty', ''],
    ['set', '', 'the empty key'],
    ['set', Buffer.from([0, 255, 10, 13]), Buffer.from([128, 0, 1])],
    ['set', 'expiring', 'v', 'pxat', '4102444800123'],
    ['set', 'long', 'x'.repeat(70_000)],
    ['pexpireat', 'long', '4102444800124'],
    ['set', 'for ever', 'v', 'pxat', '9223372036854775807'],
  ];
  for (const n of ['0', '-0', '127', '128', '-128', '-129', '32767', '32768', '-32769', '2147483647', '2147483648']) {
    commands.push(['set', `int ${n}`, n]);
  }
  for (const n of [
    '-2147483648',
    '-2147483649',
    '9223372036854775807',
    '9223372036854775808',
    '007',
    '-',
    '1a',
    '+1',
  ]) {
    commands.push(['set', `int ${n}`, n]);
  }
  const elements: Arg[] = ['', '0', '127', '128', '-1', '-4096', '-4097', '4095', '4096', '32767', '-32769', '8388607'];
  elements.push('-8388609', '2147483648', '-9223372036854775808', '9223372036854775808', '-0', '01');
  for (const length of [62, 63, 64, 125, 126, 127, 4095, 4096, 8180, 8184, 8185, 9000, 16400])
    elements.push('e'.repeat(length));
  commands.push(['rpush', 'elements', ...elements], ['hset', 'elements h', ...elements.flatMap((e) => [`f${e}`, e])]);
  for (const count of [1, 2, 40, 128, 129, 512, 513, 3000]) {
    const numbers = Array.from({ length: count }, (_, i) => i);
    commands.push(['rpush', `list ${count}`, ...numbers.map((i) => 'v'.repeat(i % 50) + i)]);
    commands.push(
      ['sadd', `ints ${count}`, ...numbers.map((i) => i * 3)],
      ['sadd', `set ${count}`, ...numbers.map((i) => `m${i}`)],
    );
    commands.push(['hset', `hash ${count}`, ...numbers.flatMap((i) => [`f${i}`, i * 1000])]);
    commands.push(['zadd', `zset ${count}`, ...numbers.flatMap((i) => [i / 4, `m${i}`])]);
  }
  commands.push(['sadd', 'ints wide', '1', '-70000', '9223372036854775807'], ['sadd', 'ints middle', '-32769', '3']);
  commands.push(['hset', 'hash long', 'f', 'v'.repeat(65)], ['hset', 'hash 64', 'f'.repeat(64), 'v'.repeat(64)]);
  const scores = [
    'inf',
    '-inf',
    '0.1',
    '-2.5',
    '1e300',
    '5e-324',
    '1e15',
    '9007199254740993',
    '1e17',
    '4611686018427387904',
    '1e19',
  ];
  commands.push(['zadd', 'scores', ...scores.flatMap((score, i) => [score, `m${i}`])]);
  commands.push(['zadd', 'scores long', ...scores.flatMap((score, i) => [score, 'm'.repeat(65 + i)])]);
  for (let i = 0; i < 400; i++) {
    const fields = i % 10 === 9 ? ['other', i] : ['f', `v${i}`, 'g', 'x'.repeat(i % 90)];
    commands.push(['xadd', 'stream', `${1000 + i * 7}-${i % 3}`, ...fields]);
    commands.push(['xadd', 'one field', `5000000000000-${i}`, 'f', i]);
  }
  for (let i = 0; i < 400; i += 3) commands.push(['xdel', 'stream', `${1000 + i * 7}-${i % 3}`]);
  for (let i = 50; i < 400; i++) if (i % 5 > 0) commands.push(['xdel', 'one field', `5000000000000-${i}`]);
  commands.push(['xadd', 'emptied', '18446744073709551615-18446744073709551615', 'f', 'v']);
  commands.push(['xdel', 'emptied', '18446744073709551615-18446744073709551615']);
  commands.push(
    ['xadd', 'set back', '5-1', 'f', 'v'],
    ['xadd', 'set back', '9-1', 'f', 'v'],
    ['xdel', 'set back', '9-1'],
  );
  commands.push(['xsetid', 'set back', '5-1'], ['xadd', 'set back', '5-2', 'f', 'v']);
  return commands;
}

/** Commands that end with the same keys in an engine and in redis-server. */
function filling(random: Random): Arg[][] {
  const commands: Arg[][] = [...thresholds()];
  const makers = Object.entries(GENERATORS).filter(([name]) => name !== 'sort');
  while (commands.length < COMMANDS) {
    const command = makers[random.below(makers.length)][1](random);
    const name = String(command[0]).toLowerCase();
    // What is drawn or timed differs from server to server; what leaves the database is left out.
    if (/pop|rand|flush|swapdb|^select|^move|^copy|scan|^expire$|^pexpire$|^p?setex|^getex|^set$/.test(name)) continue;
    if (name === 'xadd' && command.some((arg) => /^(\d+-)?\*$/.test(String(arg)))) continue;
    commands.push(command);
  }
  return commands;
}

describe.skipIf(!redisAvailable)('RDB that we write, read by redis-server', () => {
  const dir = mkdtempSync(join(tmpdir(), 'millrace-rdb-'));
  const engine = new TestEngine();
  let server: RedisServer;
  let redis: RawClient;

  beforeAll(async () => {
    server = await RedisServer.start(['--enable-debug-command', 'yes']);
    redis = await server.connect();
    const random = new Random(SEED);
    for (const db of USED_DATABASES) {
      engine.call.db = db;
      await redis.run('select', db);
      const commands = filling(random);
      await redis.pipeline(commands);
      for (const command of commands) engine.run(...command);
    }
    engine.verify();
  }, 60_000);

  afterAll(() => {
    redis?.close();
    server?.stop();
    rmSync(dir, { recursive: true, force: true });
  });

  /** Compares two servers' replies; of sets and hashes as sets. */
  async function sameOn(one: RawClient, other: RawClient, commands: Arg[][]): Promise<void> {
    const [mine, theirs] = await Promise.all([one.pipeline(commands), other.pipeline(commands)]);
    const differing = commands.filter((_, i) => mine[i] !== theirs[i]);
    expect(differing.map(String)).toEqual([]);
  }

  /** The absolute time that RESTORE takes. */
  function expiryOf(key: Uint8Array): string {
    const at = engine.run('pexpiretime', key).slice(1, -2);
    return at === '-1' ? '0' : at;
  }

  function encodingsOf(db: number): Arg[][] {
    const commands: Arg[][] = [];
    eachKey(engine, db, (_a, _record, key) => commands.push(['object', 'encoding', key]));
    return commands;
  }

  it('has the same keys on both sides to begin with', async () => {
    for (const db of USED_DATABASES) {
      engine.call.db = db;
      await redis.run('select', db);
      await compare(engine, redis, readAll(engine, db), READ_COMPARISON);
    }
  });

  it('loads a file with all keys, values, expiries and encodings', async () => {
    const path = join(dir, 'dump.rdb');
    writeRdb(engine, path);
    const check = spawnSync('redis-check-rdb', [path], { encoding: 'utf8' });
    expect(check.stdout).toContain('RDB looks OK');
    const loaded = await RedisServer.start(['--dir', dir, '--sanitize-dump-payload', 'yes']);
    const client = await loaded.connect();
    try {
      // So that encodings are those of loaded values on both sides.
      expect(await redis.run('debug', 'reload')).toBe('+OK\r\n');
      for (const db of USED_DATABASES) {
        engine.call.db = db;
        await Promise.all([client.run('select', db), redis.run('select', db)]);
        await compare(engine, client, readAll(engine, db), READ_COMPARISON);
        await sameOn(client, redis, encodingsOf(db));
      }
    } finally {
      client.close();
      loaded.stop();
    }
  });

  it('restores our payloads', async () => {
    const loaded = await RedisServer.start(['--sanitize-dump-payload', 'yes']);
    const client = await loaded.connect();
    try {
      for (const db of USED_DATABASES) {
        engine.call.db = db;
        await Promise.all([client.run('select', db), redis.run('select', db)]);
        const commands: Arg[][] = [];
        eachKey(engine, db, (_a, _record, key) => {
          commands.push(['restore', key, expiryOf(key), payloadOf(engine.run('dump', key)), 'absttl']);
        });
        expect(new Set(await client.pipeline(commands))).toEqual(new Set(['+OK\r\n']));
        await compare(engine, client, readAll(engine, db), READ_COMPARISON);
        await sameOn(client, redis, encodingsOf(db));
      }
    } finally {
      client.close();
      loaded.stop();
    }
  });

  it('gives back the payloads of Redis, and its own', async () => {
    const copies = [new TestEngine(), new TestEngine()];
    for (const db of USED_DATABASES) {
      engine.call.db = db;
      await redis.run('select', db);
      const keys: Uint8Array[] = [];
      eachKey(engine, db, (_a, _record, key) => keys.push(key));
      const theirs = await redis.pipeline(keys.map((key) => ['dump', key]));
      for (const [i, copy] of copies.entries()) {
        copy.call.db = db;
        for (const [k, key] of keys.entries()) {
          // Redis has the deleted entry of this one where it was, above the last id: out of order.
          const isTheirs = i === 0 && !Buffer.from(key).equals(Buffer.from('set back'));
          const payload = payloadOf(isTheirs ? theirs[k] : engine.run('dump', key));
          const reply = copy.run('restore', key, expiryOf(key), payload, 'absttl');
          expect([Buffer.from(key).toString('latin1'), reply]).toEqual([expect.anything(), '+OK\r\n']);
        }
        copy.verify();
        await compare(copy, redis, readAll(copy, db), READ_COMPARISON);
        await compare(copy, redis, encodingsOf(db), READ_COMPARISON);
      }
    }
  });
});
