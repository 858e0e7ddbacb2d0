/**
 * A whole node against redis-server, over TCP: random pipelines of every kind of command on several connections and
 * databases, in RESP2 and RESP3, in each dispatch mode, compared reply by reply.
 *
 * A failure prints the seed of its round and the shortest stream that shows it. `MILLRACE_SEED=<n>` begins with that seed,
 * `MILLRACE_ROUNDS=<n>` runs so many rounds per mode instead of a few:
 *
 *     MILLRACE_ROUNDS=2000 npx vitest run test/differential/server.test.ts
 */
import { afterAll, beforeAll, describe, it } from 'vitest';
import { Random } from '../../engine/random.ts';
import { type Batch, Duel } from '../support/duel.ts';
import type { Arg } from '../support/engine.ts';
import { anyCommand, COMPARISON } from '../support/gen/any.ts';
import { connectionCommand, serverCommand, usualOptions } from '../support/gen/server.ts';
import { TestNode } from '../support/node.ts';
import { RedisServer, redisAvailable } from '../support/redis.ts';

const SEED = Number(process.env.MILLRACE_SEED ?? 20_260);
const ROUNDS = Number(process.env.MILLRACE_ROUNDS ?? 12);
const TIMEOUT_MS = 60_000 + ROUNDS * 2000;
const BATCHES = 12;
const LONGEST_BATCH = 80;
const CONNECTIONS = 3;
/** Keys set to expire at once wait for so long; both sides are past it then. */
const EXPIRY_WAIT_MS = 12;
/** Commands that reach other databases than the connection's own. */
const ELSEWHERE = /^(flushall|swapdb|move|select|copy|dbsize)$/i;

const SETUP: Arg[][] = [
  ['rpush', 'other', 'x'],
  ['sadd', 's1', 'm:1', 'm:2', 'm:5', 'a', 'b', ''],
  ['sadd', 's2', ...Array.from({ length: 200 }, (_, i) => i)],
];

/** Requests that once were answered otherwise than by Redis. */
const ONCE_DIFFERENT: Arg[][] = [
  ['get\0x', 'a'],
  [Uint8Array.of(255, 254), Uint8Array.of(128), 'x'.repeat(200)],
  ['config', 'set', Uint8Array.of(0xe4), '1'],
  ['bitfield', 'b', 'overflow', 'sat', 'set', 'i16', 0, '-9223372036854775808', 'get', 'i16', 0],
  ['bitfield', 'b', 'overflow', 'sat', 'incrby', 'i32', 64, '-9223372036854775808', 'get', 'i32', 64],
  ['sadd', 'members', 'b'],
  ['setrange', 'b', 20, 'abc'],
  ['sort', 'members', 'by', '*'],
  ['set', 'b', `1${'0'.repeat(300)}`],
  ['sort', 'members', 'by', '*'],
  ['zadd', 'z', `1${'0'.repeat(300)}`, 'm'],
  ['command', 'getkeys', 'xread', 'streams', 'a', 'b', '0'],
  ['command', 'getkeysandflags', 'bitfield', 'a', 'foo'],
  ['command', 'getkeysandflags', 'georadius', 'g', 0, 0, 1, 'km', 'store', 'd'],
  // Pipelined, so that a worker may still have the first when the next is asked.
  ['config', 'set', 'hash-max-listpack-value', '0'],
  ['hset', 'h', 'field', 'value'],
  ['config', 'set', 'hash-max-listpack-value', '64'],
  ['object', 'encoding', 'h'],
];

function pipeline(random: Random, make: (r: Random) => Arg[]): Arg[][] {
  return Array.from({ length: 1 + random.below(LONGEST_BATCH) }, () => make(random));
}

function mixed(random: Random): Arg[] {
  const kind = random.below(24);
  if (kind === 0) return serverCommand(random);
  return kind < 3 ? connectionCommand(random) : anyCommand(random);
}

/** Pipelines on connections by turns. Now and then some keys expire, and are looked at, so that no server counts them. */
function byTurns(random: Random): Batch[] {
  const batches: Batch[] = [{ connection: 0, commands: SETUP }];
  for (let n = 0; n < BATCHES; n++) {
    const connection = random.below(CONNECTIONS);
    batches.push({ connection, commands: pipeline(random, mixed) });
    if (random.below(4) > 0) continue;
    const keys = [...new Set(Array.from({ length: 1 + random.below(4) }, () => String(anyCommand(random)[1] ?? 'a')))];
    batches.push({ connection, commands: keys.map((key) => ['pexpire', key, '1']), waitMs: EXPIRY_WAIT_MS });
    batches.push({ connection, commands: [...keys.map((key) => ['exists', key]), ['dbsize']] });
  }
  return batches;
}

/** Pipelines of one connection that keeps to its database. */
function ownDatabase(random: Random, connection: number): Batch[] {
  const batches: Batch[] = [{ connection, commands: [['select', 4 + connection], ...SETUP] }];
  for (let n = 0; n < BATCHES; n++) {
    const commands = pipeline(random, anyCommand).filter(([name]) => !ELSEWHERE.test(String(name)));
    batches.push({ connection, commands });
  }
  return batches;
}

describe.skipIf(!redisAvailable).each(['auto', 'inline', 'ring'])('dispatch %s against redis-server', (mode) => {
  let node: TestNode;
  let server: RedisServer;
  let duel: Duel;

  beforeAll(async () => {
    [node, server] = await Promise.all([
      TestNode.start('--dispatch', mode, '--workers', '2', '--shards', '8'),
      RedisServer.start(),
    ]);
    duel = new Duel([node.port, server.port], COMPARISON, [['flushall'], ...usualOptions()]);
  });

  afterAll(() => {
    node?.stop();
    server?.stop();
  });

  /** RESP3 on every second connection, or the other way round. */
  function protocols(round: number): number[] {
    return Array.from({ length: CONNECTIONS }, (_, i) => 2 + ((i + round) % 2));
  }

  it('what once differed', async () => {
    for (let n = 0; n < 20; n++) await duel.run([2 + (n % 2)], [{ connection: 0, commands: ONCE_DIFFERENT }], mode);
  });

  it(
    'pipelines on several connections and databases, one after another',
    async () => {
      for (let seed = SEED; seed < SEED + ROUNDS; seed++) {
        await duel.run(protocols(seed), byTurns(new Random(seed)), `seed ${seed}, dispatch ${mode}`);
      }
    },
    TIMEOUT_MS,
  );

  it(
    'pipelines on several connections at once, each with a database of its own',
    async () => {
      for (let seed = SEED; seed < SEED + ROUNDS; seed++) {
        const streams = Array.from({ length: CONNECTIONS }, (_, i) =>
          ownDatabase(new Random(seed * CONNECTIONS + i), i),
        );
        await duel.runAtOnce(protocols(seed), streams, `seed ${seed}, dispatch ${mode}`);
      }
    },
    TIMEOUT_MS,
  );
});
