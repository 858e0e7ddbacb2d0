/**
 * What a node has after kill -9 and a restart is what it had before: the whole data set, compared key by key, after random
 * commands of every kind. Keys that have expired meanwhile are the only difference there may be.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { Random } from '../../engine/random.ts';
import { randomCommands } from '../support/durability-commands.ts';
import { type Contents, contentsOf, differencesOf } from '../support/durability-contents.ts';
import { DurableNode, until } from '../support/durability-node.ts';
import { MODES } from '../support/node.ts';

const TIMEOUT = 90_000;
const ALWAYS = ['--appendonly', 'yes', '--appendfsync', 'always'];

let dir = '';
let node: DurableNode | undefined;

beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'millrace-replay-'));
});

afterEach(async () => {
  await node?.kill();
  rmSync(dir, { recursive: true, force: true });
});

async function start(flags: readonly string[]): Promise<DurableNode> {
  node = await DurableNode.start(dir, flags);
  return node;
}

async function work(seed: number, fills = false): Promise<void> {
  await randomCommands(node as DurableNode, seed, fills);
}

async function read(): Promise<Contents> {
  return contentsOf(node as DurableNode);
}

async function snapshot(): Promise<void> {
  const before = (node as DurableNode).output.match(/Snapshot .* keys/g)?.length ?? 0;
  await (node as DurableNode).ask(['BGSAVE']);
  await until('a snapshot', () => ((node as DurableNode).output.match(/Snapshot .* keys/g)?.length ?? 0) > before);
}

describe('replay', () => {
  it.each(MODES)(
    'makes what was there: dispatch %s, commands, kill, commands, snapshot, commands, kill',
    async (mode) => {
      const flags = [...ALWAYS, '--dispatch', mode];
      await start(flags);
      await work(11);
      const first = await read();
      expect(first.size).toBeGreaterThan(20);
      await node?.kill();
      await start(flags);
      expect(differencesOf(first, await read())).toEqual([]);
      await work(500);
      await snapshot();
      await work(900);
      const second = await read();
      await node?.kill();
      await start(flags);
      expect(differencesOf(second, await read(), false)).toEqual([]);
    },
    TIMEOUT,
  );

  it.each([
    ['inline', 'allkeys-lru'],
    ['ring', 'volatile-ttl'],
    ['ring', 'allkeys-random'],
  ])(
    'makes what was there when keys were evicted: dispatch %s, %s',
    async (mode, policy) => {
      const limits = ['--maxmemory', '1mb', '--maxmemory-policy', policy];
      const flags = [...ALWAYS, '--dispatch', mode, ...limits];
      await start(flags);
      await work(77, true);
      const info = String(await node?.ask(['INFO', 'stats']));
      expect(Number(/evicted_keys:(\d+)/.exec(info)?.[1])).toBeGreaterThan(0);
      const before = await read();
      await node?.kill();
      await start(flags);
      expect(differencesOf(before, await read())).toEqual([]);
    },
    TIMEOUT,
  );
});

describe('replay of commands that waited', () => {
  it.each(MODES)(
    'gives nobody an element twice: dispatch %s',
    async (mode) => {
      const flags = [...ALWAYS, '--dispatch', mode];
      const at = await start(flags);
      const waiters = await Promise.all(Array.from({ length: 6 }, () => at.connect()));
      const pusher = await at.connect();
      const served = Promise.all([
        waiters[0].run('BLPOP', 'q', 'r', 0),
        waiters[1].run('BLMOVE', 'q', 'moved', 'LEFT', 'RIGHT', 0),
        waiters[2].run('BRPOP', 'r', 'q', 0),
        waiters[3].run('BZPOPMIN', 'z', 0),
        waiters[4].run('BLMPOP', 0, 2, 'q', 'r', 'LEFT', 'COUNT', 3),
      ]);
      const gaveUp = waiters[5].run('BLPOP', 'never', 1);
      await until('all wait', async () => (await at.ask(['INFO', 'clients']))[0].includes('blocked_clients:6'));
      await pusher.pipeline([
        ['RPUSH', 'q', 'a', 'b'],
        ['RPUSH', 'r', 'c', 'd', 'e'],
        ['ZADD', 'z', 1, 'm', 2, 'n'],
        ['RPUSH', 'q', 'f', 'g', 'h', 'i', 'j'],
      ]);
      await served;
      expect(await gaveUp).toBe('*-1\r\n');
      await pusher.run('RPUSH', 'never', 'x');
      const before = await read();
      await at.kill();
      await start(flags);
      expect(differencesOf(before, await read())).toEqual([]);
    },
    TIMEOUT,
  );
});

describe('approximate trimming', () => {
  it.each(MODES)(
    'leaves what it left, whatever the nodes of a stream are like when it is run again: dispatch %s',
    async (mode) => {
      const flags = [...ALWAYS, '--dispatch', mode];
      await start([...flags, '--stream-node-max-entries', '50']);
      const add = (i: number): string[] => ['XADD', 's', 'MAXLEN', '~', '120', '*', 'field', String(i)];
      await node?.ask(...Array.from({ length: 500 }, (_, i) => add(i)));
      await node?.ask(...Array.from({ length: 300 }, (_, i) => ['XADD', 't', `${i + 1}-1`, 'f', 'v']));
      await node?.ask(['XTRIM', 't', 'LIMIT', '100', 'MINID', '~', '140-0'], ['XTRIM', 't', 'MAXLEN', '~', '110']);
      const all = [
        ['XRANGE', 's', '-', '+'],
        ['XRANGE', 't', '-', '+'],
      ];
      const before = await node?.ask(...all);
      await node?.kill();
      await start([...flags, '--stream-node-max-entries', '7']);
      expect(await node?.ask(...all)).toEqual(before);
    },
    TIMEOUT,
  );
});

describe('a log that cannot be run again', () => {
  const refusal = async (flags: readonly string[]): Promise<string> => {
    await node?.kill();
    node = await DurableNode.spawn(dir, flags);
    expect(await node.end()).not.toBe(0);
    return node.output;
  };

  it(
    'stops the start, says why, and is whole with the right flags: no room, too few databases',
    async () => {
      await start(ALWAYS);
      const value = 'x'.repeat(2000);
      const sets = Array.from({ length: 3000 }, (_, i) => ['SET', `k${i}`, value]);
      await node?.ask(...sets, ['SELECT', '9'], ['SET', 'a', '1']);
      expect(await refusal([...ALWAYS, '--shards', '1', '--arena-size', '1mb'])).toMatch(
        /no room.*entry.*--arena-size/,
      );
      expect(await refusal([...ALWAYS, '--databases', '4'])).toMatch(/database 9.*--databases/);
      await start(ALWAYS);
      expect(await node?.ask(['DBSIZE'], ['SAVE'])).toEqual([':3000\r\n', '+OK\r\n']);
      expect(await refusal([...ALWAYS, '--databases', '4'])).toMatch(/keys of database 9.*--databases/);
      expect(await refusal([...ALWAYS, '--shards', '1', '--arena-size', '1mb'])).toMatch(
        /\.mrs: its keys find no room.*--arena-size/,
      );
    },
    TIMEOUT,
  );

  it(
    'is not made by a shard that is nearly full: what was acknowledged there is there after a restart',
    async () => {
      const flags = [...ALWAYS, '--shards', '1', '--arena-size', '4mb', '--dispatch', 'ring'];
      await start(flags);
      const random = new Random(1);
      const kept = new Map<string, string>();
      for (let batch = 0; batch < 60; batch++) {
        const commands = Array.from({ length: 100 }, () => {
          const key = `k${random.below(1500)}`;
          return random.below(4) === 0 ? ['DEL', key] : ['SET', key, 'v'.repeat(10 + random.below(20_000))];
        });
        const replies = (await node?.ask(...commands)) as string[];
        commands.forEach(([name, key, text], i) => {
          if (name === 'DEL') kept.delete(key);
          else if (replies[i] === '+OK\r\n') kept.set(key, text);
        });
        if (batch % 25 === 20) await node?.ask(['BGREWRITEAOF']);
      }
      await node?.kill();
      await start(flags);
      expect(await node?.ask(['DBSIZE'])).toEqual([`:${kept.size}\r\n`]);
      const found = (await node?.ask(...[...kept.keys()].map((key) => ['GET', key]))) as string[];
      expect(found).toEqual([...kept.values()].map((text) => `$${text.length}\r\n${text}\r\n`));
    },
    TIMEOUT,
  );

  it.each(MODES)(
    'finds room again for strings that grew in a shard that is half full, and stops where it finds none: dispatch %s',
    async (mode) => {
      const flags = [...ALWAYS, '--shards', '1', '--dispatch', mode, '--arena-size'];
      await start([...flags, '32mb']);
      const random = new Random(5);
      let refused = 0;
      for (let i = 0; i < 300; i++) {
        const key = `s${random.below(40)}`;
        const text = 'v'.repeat(random.below(10) < 6 ? random.below(30_000) : random.below(1_500_000));
        const kind = random.below(20);
        let command = ['DEL', key];
        if (kind < 8) command = ['SET', key, text];
        else if (kind < 15) command = ['APPEND', key, text];
        else if (kind < 17) command = ['SETRANGE', key, String(text.length), 'end'];
        const reply = (await (node as DurableNode).ask(command))[0];
        if (reply.startsWith('-OOM')) refused++;
      }
      expect(refused).toBeGreaterThan(0);
      const before = await read();
      await node?.kill();
      await start([...flags, '32mb']);
      expect(differencesOf(before, await read())).toEqual([]);
      await node?.kill();
      expect(await refusal([...flags, '4mb'])).toMatch(/no room.*entry.*--arena-size/);
    },
    TIMEOUT,
  );

  it(
    'is not made by an MSET that was refused, as one of its shards was full',
    async () => {
      const flags = [...ALWAYS, '--shards', '2', '--arena-size', '4mb', '--dispatch', 'inline'];
      const filled = await start(flags);
      // The two tags are in different shards.
      for (const bytes of [20_000, 2000, 200]) {
        const sets = Array.from({ length: 600 }, (_, i) => ['SET', `{a}${bytes}:${i}`, 'v'.repeat(bytes)]);
        expect((await filled.ask(...sets)).at(-1)).toMatch(/^-OOM/);
      }
      const several = ['MSET', '{b}', '1', '{a}', 'v'.repeat(1_500_000), '{b}2', '2'];
      expect(await filled.ask(several)).toEqual([expect.stringMatching(/^-OOM/)]);
      const before = await filled.ask(['GET', '{b}'], ['DBSIZE']);
      expect(before[0]).toBe('$-1\r\n');
      await node?.kill();
      await start(flags);
      expect(await node?.ask(['GET', '{b}'], ['DBSIZE'])).toEqual(before);
    },
    TIMEOUT,
  );

  it(
    'writes larger than what may be under way to the disk follow each other',
    async () => {
      await start(ALWAYS);
      const values = ['a', 'b', 'c'].map((letter) => letter.repeat(3_000_000));
      for (let i = 0; i < 30; i++) {
        expect(await node?.ask(['SET', `b${i % 2}`, values[i % 3]])).toEqual(['+OK\r\n']);
      }
    },
    TIMEOUT,
  );
});

async function persistence(): Promise<string> {
  return (await node?.ask(['INFO', 'persistence']))?.[0] ?? '';
}

describe('without a log', () => {
  it(
    'an RDB file with a key that is named like a fact of ours begins a log as any other',
    async () => {
      await start(['--save-format', 'rdb']);
      await node?.ask(['SET', 'millrace-log-index', 'abc'], ['SAVE']);
      await node?.kill();
      await start(ALWAYS);
      expect(await node?.ask(['INCR', 'n'])).toEqual([':1\r\n']);
      await node?.kill();
      await start(ALWAYS);
      expect(await node?.ask(['INCR', 'n'], ['GET', 'millrace-log-index'])).toEqual([':2\r\n', '$3\r\nabc\r\n']);
    },
    TIMEOUT,
  );

  it.each(['millrace', 'rdb'])(
    'a snapshot in the format %s has everything: SAVE and kill, then SHUTDOWN with save points',
    async (format) => {
      const flags = ['--save-format', format];
      await start(flags);
      await work(3);
      const first = await read();
      expect(await node?.ask(['SAVE'])).toEqual(['+OK\r\n']);
      await node?.kill();
      await start([...flags, '--save', '3600 1']);
      expect(differencesOf(first, await read(), false)).toEqual([]);
      await work(4);
      const second = await read();
      await node?.ask(['SHUTDOWN']).catch(() => undefined);
      expect(await node?.end()).toBe(0);
      await start(flags);
      expect(differencesOf(second, await read(), false)).toEqual([]);
    },
    TIMEOUT,
  );

  it(
    'FLUSHALL is saved at once where there are save points',
    async () => {
      await start(['--save', '3600 1000']);
      await node?.ask(['SET', 'a', '1'], ['SAVE'], ['FLUSHALL'], ['SET', 'b', '2']);
      // No more than a few keys, and no hour.
      for (let isSaved = false; !isSaved; ) {
        isSaved = (await persistence()).includes('rdb_saves:2');
      }
      await node?.kill();
      await start([]);
      expect(await node?.ask(['GET', 'a'])).toEqual(['$-1\r\n']);
    },
    TIMEOUT,
  );

  it(
    'the newest counts when snapshots of both formats are there',
    async () => {
      await start(['--save-format', 'millrace']);
      await node?.ask(
        ['SET', 'a', 'old'],
        ['SAVE'],
        ['CONFIG', 'SET', 'save-format', 'rdb'],
        ['SET', 'a', 'new'],
        ['SAVE'],
      );
      await node?.kill();
      await start([]);
      expect(await node?.ask(['GET', 'a'])).toEqual(['$3\r\nnew\r\n']);
      await node?.ask(['SET', 'a', 'newest'], ['SAVE']);
      await node?.kill();
      await start([]);
      expect(await node?.ask(['GET', 'a'])).toEqual(['$6\r\nnewest\r\n']);
    },
    TIMEOUT,
  );

  it(
    'what cuts the log is no save where an RDB file is wanted',
    async () => {
      await start([...ALWAYS, '--save-format', 'rdb']);
      await node?.ask(['SET', 'a', '1'], ['BGREWRITEAOF']);
      const changes = async (): Promise<string> => {
        for (;;) {
          const info = await persistence();
          if (/aof_rewrite_in_progress:0/.test(info)) return /rdb_changes_since_last_save:\d+/.exec(info)?.[0] ?? '';
        }
      };
      expect(await changes()).toBe('rdb_changes_since_last_save:1');
      await node?.ask(['SAVE']);
      expect(await changes()).toBe('rdb_changes_since_last_save:0');
    },
    TIMEOUT,
  );

  it(
    'an RDB file beside a log is not a beginning that the log is run on again',
    async () => {
      const flags = [...ALWAYS, '--save-format', 'rdb'];
      await start(flags);
      await node?.ask(['INCR', 'n'], ['INCR', 'n'], ['SAVE'], ['INCR', 'n']);
      await node?.kill();
      await start(flags);
      expect(await node?.ask(['GET', 'n'])).toEqual(['$1\r\n3\r\n']);
    },
    TIMEOUT,
  );
});
