/**
 * The commands about the server on a real node, beside redis-server where it is installed: replies that are determined, the
 * names of what is not, and figures that must follow what was done.
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Arg } from '../support/engine.ts';
import { TestNode } from '../support/node.ts';
import { type RawClient, RedisServer, redisAvailable } from '../support/redis.ts';
import { type Decoded, decode, decodeList } from '../support/replies.ts';

/** The fields of INFO, by the title of their section. */
function sections(info: string): Map<string, Map<string, string>> {
  const found = new Map<string, Map<string, string>>();
  let fields = new Map<string, string>();
  for (const line of info.split('\r\n')) {
    if (line.startsWith('# ')) {
      fields = new Map();
      found.set(line.slice(2), fields);
    } else if (line.includes(':')) {
      fields.set(line.slice(0, line.indexOf(':')), line.slice(line.indexOf(':') + 1));
    }
  }
  return found;
}

async function info(client: RawClient, ...names: string[]): Promise<Map<string, Map<string, string>>> {
  return sections(decode(await client.run('info', ...names)) as string);
}

async function field(client: RawClient, section: string, name: string): Promise<string> {
  return (await info(client, section)).get(section)?.get(name) ?? '';
}

function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

/** Names and values of a map's reply. */
function mapOf(reply: string): Map<string, Decoded> {
  const list = decodeList(reply);
  const map = new Map<string, Decoded>();
  for (let i = 0; i < list.length; i += 2) map.set(list[i] as string, list[i + 1]);
  return map;
}

/** Fields of Redis's INFO that say nothing about this server: of its C build. */
const NOT_OURS = ['atomicvar_api', 'gcc_version'];
/** Fields of ours that Redis 7.0 does not have. */
const ONLY_OURS = ['millrace_version', 'node_version', 'client_output_buffer_limit_disconnections'];

/** Commands whose replies are determined, in an order in which both servers can be asked them. */
const DETERMINED: Arg[][] = [
  ...['config', 'slowlog', 'latency', 'memory', 'acl', 'cluster', 'debug', 'command'].flatMap((name) => [
    [name, 'nosuch'],
    [name, 'nosuch', 'x'],
    [name.toUpperCase(), 'x'.repeat(200)],
  ]),
  ...['config', 'slowlog', 'latency', 'memory', 'acl', 'cluster', 'debug'].map((name) => [name]),
  ['config', 'get', 'maxmemory'],
  ['config', 'get', 'nosuch'],
  ['config', 'get', 'nosuch', 'maxmemory-s*', 'MAXMEMORY-samples'],
  ['config', 'set', 'a'],
  ['config', 'set', 'a', 'b', 'c'],
  ['config', 'set', 'databases', '3'],
  ['config', 'set', 'maxmemory', 'x'],
  ['config', 'set', 'maxmemory', '1gb', 'hz', '20'],
  ['config', 'get', 'hz'],
  ['config', 'get', 'maxmemory'],
  ['config', 'set', 'maxmemory', '0', 'hz', '10'],
  ['config', 'rewrite'],
  ['config', 'resetstat', 'x'],
  ['config', 'resetstat'],
  ['slowlog', 'get', 'x'],
  ['slowlog', 'get', '-2'],
  ['slowlog', 'get', '1', '2'],
  ['slowlog', 'get', '99999999999999999999'],
  ['slowlog', 'len', 'x'],
  ['slowlog', 'reset'],
  ['slowlog', 'len'],
  ['slowlog', 'get'],
  ['latency', 'latest'],
  ['latency', 'history', 'command'],
  ['latency', 'history'],
  ['latency', 'graph', 'command'],
  ['latency', 'reset'],
  ['latency', 'reset', 'command', 'x'],
  ['latency', 'histogram', 'nosuch'],
  ['latency', 'doctor', 'x'],
  ['set', 'k', 'v'],
  ['memory', 'usage', 'nokey'],
  ['memory', 'usage', 'k', 'samples'],
  ['memory', 'usage', 'k', 'samples', '-1'],
  ['memory', 'usage', 'k', 'samples', 'x'],
  ['memory', 'usage', 'k', 'foo', '1'],
  ['memory', 'usage', 'nokey', 'samples', '0'],
  ['memory', 'usage'],
  ['memory', 'purge'],
  ['memory', 'purge', 'x'],
  ['memory', 'stats', 'x'],
  ['role'],
  ['role', 'x'],
  ['wait', '0', '0'],
  ['wait', 'x', '0'],
  ['wait', '0', 'x'],
  ['wait', '0', '-1'],
  ['wait', '-5', '0'],
  ['wait'],
  ['time', 'x'],
  ['lastsave', 'x'],
  ['lolwut', 'version', 'x'],
  ['module', 'list'],
  ['module', 'list', 'x'],
  ['module', 'nosuch'],
  ['acl', 'whoami'],
  ['acl', 'whoami', 'x'],
  ['acl', 'cat'],
  ['acl', 'cat', 'nosuch'],
  ['acl', 'cat', 'a', 'b'],
  ['cluster', 'info'],
  ['cluster', 'slots'],
  ['cluster', 'keyslot', 'x'],
  ['cluster', 'keyslot'],
  ['cluster', 'help'],
  ['readonly'],
  ['readwrite'],
  ['asking'],
  ['info', 'nosuch'],
  ['info', 'cluster'],
  ['info', 'modules'],
  ['info', 'CLUSTER', 'modules', 'nosuch'],
  ['debug', 'sleep'],
  ['debug', 'sleep', '0', '1'],
  ['debug', 'sleep', '0'],
  ['debug', 'sleep', 'x'],
  ['debug', 'object', 'nokey'],
  ['debug', 'object'],
  ['debug', 'error', 'MINE of its own'],
  ['debug', 'nosuch'],
  ['debug', 'help', 'x'],
  ['shutdown', 'x'],
  ['shutdown', 'save', 'nosave'],
  ['shutdown', 'abort', 'now'],
  ['shutdown', 'abort'],
  ['shutdown', 'nosave', 'x'],
  ['command', 'info', 'nosuch', 'get', 'GET', 'config|get', 'config|nosuch'],
  ['command', 'docs', 'nosuch'],
  ['command', 'count', 'x'],
  ['command', 'list', 'x'],
  ['command', 'list', 'filterby'],
  ['command', 'list', 'filterby', 'aclcat'],
  ['command', 'list', 'filterby', 'aclcat', 'nosuch'],
  ['command', 'list', 'filterby', 'module', 'nosuch'],
  ['command', 'list', 'filterby', 'pattern', 'nosuch*'],
  ['command', 'list', 'filterby', 'pattern', 'GE?'],
  ['command', 'list', 'filterby', 'x', 'y'],
  ['command', 'getkeys'],
  ['command', 'getkeys', 'get'],
  ['command', 'getkeys', 'get', 'a'],
  ['command', 'getkeys', 'ping', 'x'],
  ['command', 'getkeys', 'nosuch', 'x'],
  ['command', 'getkeys', 'get', 'a', 'b'],
  ['command', 'getkeys', 'debug', 'object', 'k'],
  ['command', 'getkeys', 'object', 'nosuch', 'k'],
  ['command', 'getkeysandflags', 'lmove', 'a', 'b', 'left', 'right'],
];

describe.skipIf(!redisAvailable)('the commands about the server beside redis-server (needs it installed)', () => {
  let node: TestNode;
  let server: RedisServer;
  let ours: RawClient;
  let theirs: RawClient;

  beforeAll(async () => {
    [node, server] = await Promise.all([
      TestNode.start('--enable-debug-command', 'yes'),
      RedisServer.start(['--enable-debug-command', 'yes']),
    ]);
    [ours, theirs] = await Promise.all([node.connect(), server.connect()]);
  });
  afterAll(() => {
    ours?.close();
    theirs?.close();
    node?.stop();
    server?.stop();
  });

  it.each(['2', '3'])('answer alike where the answer is determined, RESP%s', async (protocol) => {
    await Promise.all([ours.run('hello', protocol), theirs.run('hello', protocol)]);
    const [mine, redis] = await Promise.all([ours.pipeline(DETERMINED), theirs.pipeline(DETERMINED)]);
    DETERMINED.forEach((command, i) => {
      expect({ command, reply: mine[i] }).toEqual({ command, reply: redis[i] });
    });
  });

  it('tell the same fields in INFO', async () => {
    const [mine, redis] = await Promise.all([info(ours, 'everything'), info(theirs, 'everything')]);
    expect([...mine.keys()].filter((title) => title !== 'Millrace')).toEqual([...redis.keys()]);
    for (const [title, fields] of redis) {
      // What was called and what is stored differ.
      if (/stats$|Keyspace/.test(title) && title !== 'Stats') continue;
      const here = [...(mine.get(title)?.keys() ?? [])];
      const there = [...fields.keys()].filter((name) => !NOT_OURS.includes(name));
      expect(here.filter((name) => !ONLY_OURS.includes(name)).sort()).toEqual(there.sort());
    }
  });

  it('print the same sections for the same words', async () => {
    for (const names of [
      [],
      ['default'],
      ['default', 'commandstats'],
      ['server', 'CPU', 'nosuch'],
      ['all'],
      ['everything'],
    ]) {
      const [mine, redis] = await Promise.all([info(ours, ...names), info(theirs, ...names)]);
      expect([names, ...mine.keys()].filter((title) => title !== 'Millrace')).toEqual([names, ...redis.keys()]);
    }
  });

  it.each(['2', '3'])('have the same fields and types in MEMORY STATS, RESP%s', async (protocol) => {
    await Promise.all([ours.run('hello', protocol), theirs.run('hello', protocol)]);
    await Promise.all([ours.run('set', 'k', 'v'), theirs.run('set', 'k', 'v')]);
    // The type of every element, and the text of those that are names.
    const shape = (reply: string): string =>
      reply.replace(/^([:,])[-\d.e+]+/gm, '$1').replace(/^\$\d+\r\n[\d.]+\r\n/gm, 'n');
    const [mine, redis] = await Promise.all([ours.run('memory', 'stats'), theirs.run('memory', 'stats')]);
    expect(shape(mine)).toBe(shape(redis));
  });

  it.each(['2', '3'])('document the same arguments in COMMAND DOCS, RESP%s', async (protocol) => {
    await Promise.all([ours.run('hello', protocol), theirs.run('hello', protocol)]);
    const names = decodeList(await ours.run('command', 'list')) as string[];
    const [mine, redis] = await Promise.all(
      [ours, theirs].map(async (client) => mapOf(await client.run('command', 'docs', ...names))),
    );
    expect(redis.size).toBeGreaterThan(200);
    // Summaries and complexities are our own words.
    const compared = (docs: Decoded | undefined): Decoded[] => {
      const fields = new Map<string, Decoded>();
      const list = docs as Decoded[];
      for (let i = 0; i < list.length; i += 2) fields.set(list[i] as string, list[i + 1]);
      return ['since', 'group', 'doc_flags', 'deprecated_since', 'arguments'].map((name) => fields.get(name) ?? null);
    };
    for (const [name, docs] of redis) expect([name, ...compared(mine.get(name))]).toEqual([name, ...compared(docs)]);
  });

  it('format the same figures alike', async () => {
    for (const client of [ours, theirs]) {
      await client.run('config', 'resetstat');
      await client.run('set', 'k', 'v');
      await client.run('incr', 'k');
      await client.run('nosuch');
    }
    const pattern = (map: Map<string, Map<string, string>>, title: string): string[] =>
      [...(map.get(title) ?? [])].map(([name, value]) => `${name}:${value.replace(/\d+/g, '0')}`).sort();
    const names = ['commandstats', 'errorstats', 'latencystats', 'keyspace'];
    const [mine, redis] = await Promise.all([info(ours, ...names), info(theirs, ...names)]);
    for (const title of ['Commandstats', 'Errorstats', 'Latencystats', 'Keyspace']) {
      expect(pattern(mine, title)).toEqual(pattern(redis, title));
    }
    // Calls are counted alike, too.
    const counts = (map: Map<string, Map<string, string>>): unknown[] =>
      ['cmdstat_set', 'cmdstat_incr'].map((name) =>
        map
          .get('Commandstats')
          ?.get(name)
          ?.replace(/usec[^,]*,/g, ''),
      );
    expect(counts(mine)).toEqual(counts(redis));
    expect(mine.get('Errorstats')).toEqual(redis.get('Errorstats'));
  });

  it('have the same form of histograms, graphs and slow log entries', async () => {
    for (const client of [ours, theirs]) {
      await client.run('hello', '2');
      await client.run('latency', 'reset');
      await client.run('config', 'set', 'latency-monitor-threshold', '20', 'slowlog-log-slower-than', '20000');
      await client.run('slowlog', 'reset');
      await client.run('client', 'setname', 'me');
      await client.run('debug', 'sleep', '0.05');
      await client.run('config', 'set', 'latency-monitor-threshold', '0', 'slowlog-log-slower-than', '10000');
    }
    const commands: Arg[][] = [
      ['latency', 'latest'],
      ['latency', 'history', 'command'],
      ['latency', 'graph', 'command'],
      ['slowlog', 'get'],
      ['latency', 'histogram', 'debug', 'client|setname', 'client'],
    ];
    for (const command of commands) {
      const [mine, redis] = await Promise.all([ours.run(...command), theirs.run(...command)]);
      const shape = (reply: string): string => reply.replace(/^([$*:]?)-?\d+/gm, '$10').replace(/\d+/g, '0');
      if (command[1] === 'histogram') {
        // As many numbers as there are buckets.
        const names = (reply: string): unknown => [...mapOf(reply).keys()];
        expect(names(mine)).toEqual(names(redis));
      } else if (command[1] === 'latest') {
        // A slow turn of the event loop is an event of ours.
        expect(shape(JSON.stringify(decodeList(mine).filter((event) => event?.[0] === 'command')))).toBe(
          shape(JSON.stringify(decodeList(redis))),
        );
      } else {
        expect(shape(mine)).toBe(shape(redis));
      }
    }
  });
});

describe('INFO', () => {
  let node: TestNode;
  let client: RawClient;

  beforeAll(async () => {
    node = await TestNode.start('--workers', '2');
    client = await node.connect();
  });
  afterAll(() => {
    client?.close();
    node?.stop();
  });

  it('counts what was done, and forgets it on CONFIG RESETSTAT', async () => {
    await client.run('flushall');
    await client.run('config', 'resetstat');
    await client.pipeline([
      ['set', 'a', '1'],
      ['set', 'b', '2', 'px', '20'],
      ['get', 'a'],
      ['get', 'a'],
      ['get', 'nokey'],
      ['lpush', 'a', 'x'],
      ['nosuch'],
      ['get'],
    ]);
    await sleep(150);
    const all = await info(client, 'all');
    const of = (section: string, name: string): string => all.get(section)?.get(name) ?? '';
    expect(of('Stats', 'keyspace_hits')).toBe('2');
    expect(of('Stats', 'keyspace_misses')).toBe('1');
    expect(of('Stats', 'expired_keys')).toBe('1');
    // CONFIG RESETSTAT itself, and the six that were commands.
    expect(of('Stats', 'total_commands_processed')).toBe('7');
    expect(of('Stats', 'total_error_replies')).toBe('3');
    expect(of('Commandstats', 'cmdstat_get')).toMatch(
      /^calls=3,usec=\d+,usec_per_call=[\d.]+,rejected_calls=1,failed_calls=0$/,
    );
    expect(of('Commandstats', 'cmdstat_lpush')).toMatch(/rejected_calls=0,failed_calls=1$/);
    expect(of('Errorstats', 'errorstat_WRONGTYPE')).toBe('count=1');
    expect(of('Errorstats', 'errorstat_ERR')).toBe('count=2');
    expect(of('Latencystats', 'latency_percentiles_usec_get')).toMatch(/^p50=[\d.]+,p99=[\d.]+,p99.9=[\d.]+$/);
    expect(of('Keyspace', 'db0')).toBe('keys=1,expires=0,avg_ttl=0');
    expect(Number(of('Persistence', 'rdb_changes_since_last_save'))).toBeGreaterThan(1);
    expect(Number(of('Stats', 'total_net_input_bytes'))).toBeGreaterThan(200);
    await client.run('config', 'resetstat');
    const stats = (await info(client, 'stats')).get('Stats');
    for (const name of ['keyspace_hits', 'keyspace_misses', 'expired_keys', 'total_error_replies']) {
      expect([name, stats?.get(name)]).toEqual([name, '0']);
    }
  });

  it('tells keys, expiring keys and about how long they live, by database', async () => {
    await client.run('flushall');
    await client.run('select', '3');
    const commands: Arg[][] = [];
    for (let i = 0; i < 500; i++) commands.push(['set', `e${i}`, '1', 'ex', '100'], ['set', `k${i}`, '1']);
    await client.pipeline(commands);
    await client.run('select', '0');
    const line = await field(client, 'Keyspace', 'db3');
    const [, keys, expires, ttl] = /^keys=(\d+),expires=(\d+),avg_ttl=(\d+)$/.exec(line) ?? [];
    expect([keys, expires]).toEqual(['1000', '500']);
    // 0 only when workers held every shard at that moment.
    expect(Number(ttl)).toBeGreaterThan(90_000);
    expect(Number(ttl)).toBeLessThanOrEqual(100_000);
  });

  it('tells memory that follows the data', async () => {
    await client.run('flushall');
    const before = Number(await field(client, 'Memory', 'used_memory'));
    await client.run('set', 'big', Buffer.alloc(8 << 20));
    const memory = (await info(client, 'memory')).get('Memory') as Map<string, string>;
    const of = (name: string): number => Number(memory.get(name));
    expect(of('used_memory') - before).toBeGreaterThanOrEqual(8 << 20);
    expect(of('used_memory_peak')).toBeGreaterThanOrEqual(of('used_memory'));
    expect(of('used_memory_dataset')).toBeGreaterThanOrEqual(8 << 20);
    expect(of('used_memory_rss')).toBeGreaterThan(8 << 20);
    expect(of('allocator_resident')).toBeLessThan(of('used_memory_rss'));
    expect(memory.get('used_memory_human')).toMatch(/^[\d.]+M$/);
    await client.run('del', 'big');
    const after = Number(await field(client, 'Memory', 'used_memory'));
    expect(after - before).toBeLessThan(1 << 20);
    expect(Number(await field(client, 'Memory', 'used_memory_peak'))).toBeGreaterThan(8 << 20);
  });

  it('tells how many commands run per second', async () => {
    for (let i = 0; i < 20; i++) {
      await client.pipeline(Array.from({ length: 100 }, () => ['ping']));
      await sleep(20);
    }
    expect(Number(await field(client, 'Stats', 'instantaneous_ops_per_sec'))).toBeGreaterThan(50);
  });

  it('tells of shards and workers', async () => {
    const fields = (await info(client, 'millrace')).get('Millrace') as Map<string, string>;
    expect(fields.get('shards')).toBe('16');
    expect(fields.get('workers')).toBe('2');
    expect(fields.get('worker1')).toMatch(/^first_shard=8,shards=8,keys=\d+,queued=0$/);
    expect(fields.get('shard15')).toMatch(
      /^keys=\d+,expires=\d+,used_bytes=\d+,active_bytes=\d+,fragmentation=[\d.]+,queued=0$/,
    );
    expect(Number(fields.get('eventloop_utilization'))).toBeGreaterThanOrEqual(0);
  });
});

describe.each(['auto', 'inline', 'ring'])('slow commands, dispatch %s', (dispatch) => {
  let node: TestNode;
  let client: RawClient;

  beforeAll(async () => {
    node = await TestNode.start('--dispatch', dispatch, '--enable-debug-command', 'local');
    client = await node.connect();
  });
  afterAll(() => {
    client?.close();
    node?.stop();
  });

  async function entries(): Promise<Decoded[][]> {
    return decodeList(await client.run('slowlog', 'get', '-1')) as Decoded[][];
  }

  it('are in the slow log with their arguments, wherever they ran', async () => {
    await client.run('client', 'setname', 'slow-client');
    await client.run('config', 'set', 'slowlog-log-slower-than', '0', 'slowlog-max-len', '1000');
    await client.run('slowlog', 'reset');
    const long = 'x'.repeat(300);
    const many = Array.from({ length: 40 }, (_, i) => `f${i}`);
    await client.pipeline([
      ['set', 'k', long],
      ['get', 'k'],
      ['get', 'k'],
      ['mset', ...many],
      ['keys', '*'],
      ['set', Buffer.from([0xff, 0x00]), 'v'],
    ]);
    await client.run('config', 'set', 'slowlog-log-slower-than', '10000');
    const logged = (await entries()).reverse();
    const args = logged.map((entry) => (entry[3] as string[]).join(' ').toLowerCase());
    expect(args).toContain('keys *');
    expect(args.filter((text) => text === 'get k').length).toBe(2);
    expect(args).toContain(`set k ${'x'.repeat(128)}... (172 more bytes)`);
    expect(args).toContain('set \xff\x00 v');
    const mset = logged.find((entry) => entry[3]?.[0] === 'mset')?.[3] as string[];
    expect([mset.length, mset[31]]).toEqual([32, '... (10 more arguments)']);
    const [id, atSec, elapsedUs, , address, name] = logged[1];
    expect(Number(id)).toBeGreaterThanOrEqual(1);
    expect(Math.abs(Number(atSec) - Date.now() / 1000)).toBeLessThan(20);
    expect(Number(elapsedUs)).toBeLessThan(1e6);
    expect([address, name]).toEqual([expect.stringMatching(/^127\.0\.0\.1:\d+$/), 'slow-client']);
  });

  it('are there without passwords', async () => {
    await client.run('config', 'set', 'slowlog-log-slower-than', '0');
    await client.run('slowlog', 'reset');
    await client.run('auth', 'secret1');
    await client.run('auth', 'default', 'secret2');
    await client.run('hello', '2', 'auth', 'default', 'secret3', 'setname', 'n');
    await client.run('config', 'set', 'requirepass', 'secret4', 'timeout', '0');
    await client.run('config', 'set', 'requirepass', '', 'slowlog-log-slower-than', '10000');
    const text = JSON.stringify(await entries());
    expect(text).not.toContain('secret');
    expect(text).toContain('(redacted)');
    expect(text).toContain('"timeout"');
  });

  it('are told to the latency monitor', async () => {
    await client.run('config', 'set', 'latency-monitor-threshold', '30');
    await client.run('latency', 'reset');
    // The event loop is watched from the next sample on, and what was seen is told by one of those after.
    await sleep(250);
    await client.run('debug', 'sleep', '0.08');
    await sleep(250);
    const events = decodeList(await client.run('latency', 'latest')) as string[][];
    const worst = new Map(events.map(([event, , , max]) => [event, Number(max)]));
    expect(worst.get('command')).toBeGreaterThanOrEqual(79);
    expect(worst.get('event-loop')).toBeGreaterThanOrEqual(30);
    expect(decode(await client.run('latency', 'doctor'))).toMatch(/command: 1 spike/);
    expect(Number(decode(await client.run('latency', 'reset')))).toBe(events.length);
    await client.run('config', 'set', 'latency-monitor-threshold', '0');
  });

  it('have their times in the histograms', async () => {
    await client.run('config', 'resetstat');
    await client.pipeline(Array.from({ length: 50 }, () => ['get', 'k']));
    const [name, fields] = decodeList(await client.run('latency', 'histogram', 'get')) as [string, Decoded[]];
    expect(name).toBe('get');
    const [, calls, , buckets] = fields as [string, string, string, string[]];
    expect(calls).toBe('50');
    expect(buckets.length % 2).toBe(0);
    // Cumulative, and the last bucket has all calls.
    expect(buckets.at(-1)).toBe('50');
    for (let i = 3; i < buckets.length; i += 2) expect(Number(buckets[i])).toBeGreaterThan(Number(buckets[i - 2]));
  });

  it('a policy that is set holds from the next command on', async () => {
    const replies = await client.pipeline([
      ['set', 'k', '1'],
      ['config', 'set', 'maxmemory-policy', 'allkeys-lfu'],
      ['object', 'freq', 'k'],
      ['config', 'set', 'maxmemory-policy', 'noeviction'],
      ['object', 'freq', 'k'],
      ['object', 'idletime', 'k'],
    ]);
    expect(replies[2]).toMatch(/^:/);
    expect(replies[4]).toMatch(/^-ERR An LFU maxmemory policy is not selected/);
    expect(replies[5]).toMatch(/^:/);
  });

  it('MEMORY USAGE sees what the connection has just written', async () => {
    const replies = await client.pipeline([
      ['set', 'm', 'x'.repeat(1000)],
      ['memory', 'usage', 'm'],
      ['append', 'm', 'x'.repeat(100_000)],
      ['memory', 'usage', 'm'],
      ['debug', 'object', 'm'],
      ['rpush', 'l', ...Array.from({ length: 5000 }, (_, i) => `element ${i}`)],
      ['memory', 'usage', 'l', 'samples', '0'],
      ['del', 'm', 'l'],
      ['memory', 'usage', 'm'],
    ]);
    const usage = [1, 3, 6].map((i) => Number(decode(replies[i])));
    expect(usage[0]).toBeGreaterThanOrEqual(1017);
    expect(usage[0]).toBeLessThan(1600);
    expect(usage[1]).toBeGreaterThanOrEqual(101_017);
    // APPEND leaves room for as much again.
    expect(usage[1]).toBeLessThan(220_000);
    expect(usage[2]).toBeGreaterThanOrEqual(5000 * 11);
    expect(usage[2]).toBeLessThan(5000 * 24);
    expect(replies[4]).toMatch(/^\+Value at:0x[0-9a-f]+ refcount:1 encoding:raw /);
    expect(replies[8]).toBe('$-1\r\n');
  });
});
