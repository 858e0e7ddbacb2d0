import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Call } from '../../engine/call.ts';
import { Settings } from '../../engine/settings.ts';
import { Shards } from '../../engine/shards.ts';
import type { Session } from '../../net/session.ts';
import { WorkerPool } from '../../net/workers.ts';
import type { Arg } from '../support/engine.ts';
import { TestNode } from '../support/node.ts';
import type { RawClient } from '../support/redis.ts';

const MODES = ['auto', 'inline', 'ring'] as const;

function bulk(text: string): string {
  return `$${text.length}\r\n${text}\r\n`;
}

describe('dispatch auto', () => {
  it('answers cheap commands behind a long one in their order', async () => {
    const node = await TestNode.start('--dispatch', 'auto', '--workers', '1', '--shards', '2');
    try {
      const clients = await Promise.all(Array.from({ length: 8 }, () => node.connect()));
      const fill = Array.from({ length: 60_000 }, (_, i) => ['set', `fill:${i}`, 'x']);
      await clients[0].pipeline(fill);
      const long = clients[0].run('keys', 'nothing*');
      const behind = clients.slice(1).map(async (client, c) => {
        const commands: Arg[][] = [];
        const expected: string[] = [];
        for (let i = 0; i < 100; i++) {
          commands.push(['rpush', `list:${c}`, String(i)], ['incr', 'sum'], ['lindex', `list:${c}`, '-1']);
          expected.push(`:${i + 1}\r\n`, 'sum', bulk(String(i)));
        }
        const replies = await client.pipeline(commands);
        expect(replies.map((reply, i) => (i % 3 === 1 ? 'sum' : reply))).toEqual(expected);
      });
      expect(await long).toBe('*0\r\n');
      await Promise.all(behind);
      expect(await clients[0].run('get', 'sum')).toBe(bulk('700'));
      for (const client of clients) client.close();
    } finally {
      node.stop();
    }
  });
});

describe.each(MODES)('dispatch %s, two workers', (mode) => {
  let node: TestNode;

  beforeAll(async () => {
    node = await TestNode.start('--dispatch', mode, '--workers', '2', '--shards', '8');
  });

  afterAll(() => node.stop());

  it('keeps the order of replies and lets a connection read its own writes', async () => {
    const client = await node.connect();
    const commands: Arg[][] = [];
    const expected: string[] = [];
    for (let i = 0; i < 5000; i++) {
      const key = `own:${i % 97}`;
      if (i % 5 === 4) {
        commands.push(['mset', key, `m${i}`, `other:${i % 13}`, `o${i}`], ['mget', key, `other:${i % 13}`]);
        expected.push('+OK\r\n', `*2\r\n${bulk(`m${i}`)}${bulk(`o${i}`)}`);
      } else {
        commands.push(['set', key, `v${i}`], ['get', key]);
        expected.push('+OK\r\n', bulk(`v${i}`));
      }
      if (i % 11 === 0) {
        commands.push(['ping', String(i)]);
        expected.push(bulk(String(i)));
      }
    }
    expect(await client.pipeline(commands)).toEqual(expected);
    client.close();
  });

  it('never shows half of a command over several shards', async () => {
    const keys = Array.from({ length: 12 }, (_, i) => `atomic:${i}`);
    const writers = await Promise.all([node.connect(), node.connect(), node.connect()]);
    const readers = await Promise.all([node.connect(), node.connect()]);
    await writers[0].run('mset', ...keys.flatMap((key) => [key, 'start']));
    let mixed = '';
    let reads = 0;
    const until = Date.now() + 1500;
    // On a busy machine it takes longer.
    const goesOn = (): boolean => Date.now() < until || reads <= 100;
    const write = async (client: RawClient, name: string): Promise<void> => {
      for (let n = 0; goesOn(); n++) {
        const batch = [0, 1, 2, 3].map((k) => ['mset', ...keys.flatMap((key) => [key, `${name}${n}.${k}`])]);
        await client.pipeline(batch);
      }
    };
    const read = async (client: RawClient): Promise<void> => {
      while (goesOn()) {
        for (const reply of await client.pipeline(Array.from({ length: 8 }, () => ['mget', ...keys]))) {
          reads++;
          const values = new Set(reply.split('\r\n').filter((line) => !/^[*$]/.test(line) && line !== ''));
          if (values.size !== 1) mixed = reply;
        }
      }
    };
    await Promise.all([...writers.map((client, i) => write(client, `w${i}-`)), ...readers.map(read)]);
    expect(mixed).toBe('');
    for (const client of [...writers, ...readers]) client.close();
  });

  it('counts every increment of many connections once', async () => {
    const clients = await Promise.all(Array.from({ length: 8 }, () => node.connect()));
    await Promise.all(
      clients.map(async (client) => {
        for (let round = 0; round < 20; round++) {
          await client.pipeline(Array.from({ length: 50 }, (_, i) => ['incr', `counter:${i % 10}`]));
        }
      }),
    );
    const total = await clients[0].pipeline(Array.from({ length: 10 }, (_, i) => ['get', `counter:${i}`]));
    const sum = total.reduce((n, reply) => n + Number(reply.split('\r\n')[1]), 0);
    expect(sum).toBe(8 * 20 * 50);
    for (const client of clients) client.close();
  });

  it('carries arguments and replies longer than a ring', async () => {
    const client = await node.connect();
    const value = 'x'.repeat(3 * 1024 * 1024);
    expect(await client.run('set', 'long', value)).toBe('+OK\r\n');
    expect((await client.run('get', 'long')) === bulk(value)).toBe(true);
    expect(await client.run('strlen', 'long')).toBe(`:${value.length}\r\n`);
    const pipelined = await client.pipeline(Array.from({ length: 20 }, () => ['getrange', 'long', '0', '400000']));
    expect(pipelined.every((reply) => reply === bulk(value.slice(0, 400_001)))).toBe(true);
    client.close();
  });

  it('fills a ring without losing or reordering anything', async () => {
    const client = await node.connect();
    const value = 'y'.repeat(20_000);
    const commands: Arg[][] = [];
    for (let i = 0; i < 400; i++) commands.push(['set', `fill:${i}`, `${i}${value}`]);
    for (let i = 0; i < 400; i++) commands.push(['get', `fill:${i}`]);
    const replies = await client.pipeline(commands);
    for (let i = 0; i < 400; i++) expect(replies[400 + i] === bulk(`${i}${value}`)).toBe(true);
    client.close();
  });

  it('counts keys over all shards and flushes them', async () => {
    const client = await node.connect();
    await client.run('flushall');
    await client.pipeline(Array.from({ length: 1000 }, (_, i) => ['set', `n:${i}`, '1']));
    expect(await client.run('dbsize')).toBe(':1000\r\n');
    expect(await client.run('flushall')).toBe('+OK\r\n');
    expect(await client.run('dbsize')).toBe(':0\r\n');
    client.close();
  });

  it('deletes expired keys within 100 ms of their time, by itself', async () => {
    const client = await node.connect();
    await client.run('flushall');
    const atMs = Date.now() + 300;
    await client.pipeline(Array.from({ length: 1000 }, (_, i) => ['set', `e:${i}`, '1', 'pxat', String(atMs)]));
    await client.pipeline(Array.from({ length: 1000 }, (_, i) => ['set', `live:${i}`, '1', 'ex', '1000']));
    expect(await client.run('dbsize')).toBe(':2000\r\n');
    await new Promise((resolve) => setTimeout(resolve, atMs + 100 - Date.now()));
    expect(await client.run('dbsize')).toBe(':1000\r\n');
    client.close();
  });
});

describe('a worker that dies', () => {
  it('is reported with what went wrong and which shards it had', async () => {
    const shards = Shards.create(4, 16 * 1024 * 1024, 16, [1, 2]);
    const settings = new Settings();
    let pool: WorkerPool | undefined;
    const died = new Promise<string>((resolve) => {
      pool = new WorkerPool(2, shards, settings, resolve);
      const call = new Call(shards, settings);
      call.argc = 0;
      // A row that does not exist: the worker throws, as it would on any broken invariant.
      pool.send(1, call, 9999, 0, { id: 1, nextSeq: 0 } as Session, 1);
      pool.ring();
    });
    expect(await died).toMatch(/worker 1 failed: TypeError/);
    pool?.stop();
  });
});
