import { Redis } from 'ioredis';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Config } from '../../net/config.ts';
import { NAMES, OPTION_NAMES, OPTIONS, type OptionName, type Traits } from '../../net/config-options.ts';
import { RedisServer, redisAvailable } from '../support/redis.ts';

/** Options that redis-server does not have, or whose default it is started with here is another one. */
const OF_REPLICAS: readonly string[] = [
  ...['name', 'initial-cluster', 'join', 'peer-port', 'peer-bind', 'peer-secret'],
  ...['peer-tls-cert', 'peer-tls-key', 'peer-tls-ca', 'election-timeout', 'leader-lease'],
];
const OURS: readonly string[] = [
  ...['workers', 'shards', 'dispatch', 'arena-size', 'port', 'bind', 'dir', 'logfile'],
  ...['save', 'save-format'],
  ...OF_REPLICAS,
];
/** Options that redis-server does not have or acts upon at once, and one whose limit is the machine's. */
const NOT_TO_SET: readonly string[] = ['save-format', 'appendonly', 'maxclients'];

const VALUES = [
  ...['', ' ', 'abc', '0', '1', '7', '100', '501', '-1', '-2', '-0', '+5', '007', '5 ', ' 5', '1.5', '1e3', '0x10'],
  ...['65535', '65536', '2147483647', '2147483648', '-2147483648', '-2147483649', '4294967295', '4294967296'],
  ...['9007199254740993', '9223372036854775807', '9223372036854775808', '-9223372036854775809'],
  ...['18446744073709551615', '18446744073709551616', '99999999999999999999999'],
  ...['1b', '1k', '1K', '1kb', '2mB', '3GB', '2g', '1m', '1tb', 'kb', '1 kb', '-1kb', '1kbb', '1.5mb'],
  ...['yes', 'YES', 'no', 'true', 'notice', 'WARNING', 'nothing', 'allkeys-LRU', 'allkeys-lru,noeviction'],
  ...['50 99 99.9', '50  99', '100.0 0 33.3333333333', '101', '-0.5', 'nan', 'inf', '0x10', '50,99', '.5 5.'],
  ...['normal 100mb 50mb 60', 'NORMAL 100mb 0 0 replica 1 2 3', 'master 0 0 0', 'pubsub 1 1', 'pubsub 1 x 1'],
  ...['pubsub 1 1 x', 'pubsub 1 1 -1', 'pubsub 1gb 1k 1kb', 'slave  1 1', 'client 1 1 1', 'pubsub 1mb 1mb 10 '],
];

describe.skipIf(!redisAvailable)('Config beside the CONFIG of redis-server (needs it installed)', () => {
  let server: RedisServer;
  let client: Redis;

  beforeAll(async () => {
    server = await RedisServer.start();
    client = new Redis(server.port, '127.0.0.1');
  });
  afterAll(() => {
    client?.disconnect();
    server?.stop();
  });

  async function theirs(...pairs: string[]): Promise<string | undefined> {
    try {
      await client.call('CONFIG', 'SET', ...pairs);
      return undefined;
    } catch (error) {
      return (error as Error).message;
    }
  }

  it('has the same defaults', async () => {
    const config = new Config();
    for (const name of NAMES.keys()) {
      if (OURS.includes(name)) continue;
      expect(config.match([name]).flat()).toEqual(await client.config('GET', name));
    }
  });

  it('refuses the same options to be set', async () => {
    const config = new Config();
    for (const name of OPTION_NAMES.filter((each) => (OPTIONS[each] as Traits<never>).fixed !== undefined)) {
      // Redis listens anew when port or bind change; here they need a restart.
      if (OURS.slice(0, 6).includes(name) || OF_REPLICAS.includes(name)) continue;
      expect(config.setMany([[name, 'x']])).toBe(await theirs(name, 'x'));
    }
  });

  const settable = (name: OptionName) =>
    !NOT_TO_SET.includes(name) && (OPTIONS[name] as Traits<never>).fixed === undefined;

  it.each(OPTION_NAMES.filter(settable))('answers the same to values of %s', async (name) => {
    const config = new Config();
    for (const value of VALUES) {
      if (name === 'latency-tracking-info-percentiles' && value === '-0') continue; // Redis prints the sign.
      // A password has to be given before anything else is answered.
      if (name === 'requirepass' && value !== '') continue;
      expect({ value, reply: config.setMany([[name, value]]) }).toEqual({ value, reply: await theirs(name, value) });
      const [, text] = (await client.config('GET', name)) as string[];
      expect({ value, text: config.text(name) }).toEqual({ value, text });
      // A tight limit would close the connection this test runs on.
      if (name === 'client-output-buffer-limit') await theirs(name, 'normal 0 0 0');
      if (name === 'client-output-buffer-limit') config.setMany([[name, 'normal 0 0 0']]);
      if (name === 'timeout') await theirs(name, '0');
      if (name === 'timeout') config.setMany([[name, '0']]);
    }
  });

  it('answers the same to several pairs at once, and sets all or none', async () => {
    const config = new Config();
    const looked = ['hz', 'timeout', 'maxmemory', 'lfu-decay-time', 'hash-max-listpack-entries'];
    await theirs(...config.match(looked).flat());
    const cases: [string, string][][] = [
      [['nosuch', '1']],
      [
        ['maxmemory', '1'],
        ['nosuch', '1'],
      ],
      [
        ['nosuch', '1'],
        ['databases', '1'],
      ],
      [
        ['databases', '1'],
        ['nosuch', '1'],
      ],
      [
        ['maxmemory', '1'],
        ['maxmemory', '2'],
        ['databases', '1'],
      ],
      [
        ['MaxMemory', '1'],
        ['maxmemory', '2'],
      ],
      [
        ['hz', 'abc'],
        ['databases', '1'],
      ],
      [
        ['hz', '20'],
        ['timeout', '7'],
        ['maxmemory', 'abc'],
        ['lfu-decay-time', 'x'],
      ],
      [
        ['hz', '20'],
        ['TIMEOUT', '0'],
        ['maxmemory', '1gb'],
      ],
      [
        ['hash-max-ziplist-entries', '5'],
        ['hash-max-listpack-entries', '6'],
      ],
      [['save', 'abc']],
      [['save', '900']],
      [['save', '0 1']],
      [['appendonly', 'maybe']],
      [['maxclients', '0']],
    ];
    for (const pairs of cases) {
      expect({ pairs, reply: config.setMany(pairs) }).toEqual({ pairs, reply: await theirs(...pairs.flat()) });
      for (const name of looked) {
        expect(config.match([name]).flat()).toEqual(await client.config('GET', name));
      }
    }
  });
});
