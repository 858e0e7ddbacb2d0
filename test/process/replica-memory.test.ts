/** Groups whose memory is full: no replica may fail to apply what the leader took. */
import { afterEach, describe, expect, it } from 'vitest';
import { Crc64 } from '../../engine/rdb/crc64.ts';
import { RDB_VERSION_WRITTEN } from '../../engine/rdb/opcodes.ts';
import { LocalCluster, sleep } from '../support/cluster.ts';
import { RawClient } from '../support/redis.ts';

let cluster: LocalCluster | undefined;

afterEach(async () => {
  await cluster?.close();
  cluster = undefined;
});

/** What RESTORE makes a string of `steps` times 264 zero bytes and one more of: three bytes a step. */
function compressed(steps: number): Buffer {
  const bytes = steps * 3 + 2;
  const head = Buffer.alloc(12);
  // A string, its LZF form, and two lengths of 32 bits.
  head.writeUInt16BE(0x00c3);
  head[2] = 0x80;
  head.writeUInt32BE(bytes, 3);
  head[7] = 0x80;
  head.writeUInt32BE(steps * 264 + 1, 8);
  const value = Buffer.concat([head, Buffer.alloc(2), Buffer.alloc(steps * 3, Buffer.of(0xe0, 0xff, 0))]);
  const footer = Buffer.alloc(10);
  footer.writeUInt16LE(RDB_VERSION_WRITTEN);
  const crc = new Crc64();
  const body = new Uint8Array(Buffer.concat([value, footer.subarray(0, 2)]));
  crc.reset();
  crc.update(body, 0, body.length);
  footer.writeInt32LE(crc.low, 2);
  footer.writeInt32LE(crc.high, 6);
  return Buffer.concat([value, footer]);
}

describe('a leader whose memory is full', () => {
  it('refuses writes before any replica fails to apply one', async () => {
    cluster = await LocalCluster.start({ flags: ['--arena-size', '16mb', '--shards', '2'] });
    await cluster.waitForAll();
    const value = Buffer.alloc(2000, 'v');
    const clients = await Promise.all(cluster.nodes.map((node) => RawClient.connect(node.address.port)));
    const full = await Promise.all(
      clients.map(async (client, i) => {
        for (let n = 0; n < 400; n++) {
          const sent = client.pipeline(Array.from({ length: 50 }, (_, k) => ['set', `${i}:${n}:${k}`, value]));
          const replies = await sent.catch(() => {
            throw new Error(cluster?.output);
          });
          if (replies.some((reply) => reply.startsWith('-OOM'))) return true;
        }
        return false;
      }),
    );
    expect(full).toContain(true);
    await sleep(200);
    expect(cluster.nodes.map((node) => node.running)).toEqual([true, true, true]);
    // What needs no memory goes on.
    expect(await clients[1].run('flushall')).toBe('+OK\r\n');
    await sleep(100);
    expect(await clients[2].run('set', 'a', value)).toBe('+OK\r\n');
    expect(new Set(await cluster.states()).size).toBe(1);
    for (const client of clients) client.close();
  }, 60_000);

  it('refuses what needs memory without adding data: RENAME, COPY, EXPIRE', async () => {
    cluster = await LocalCluster.start({ flags: ['--arena-size', '16mb', '--shards', '2'] });
    await cluster.waitForAll();
    const leader = await cluster.waitForLeader();
    const [client, other] = await Promise.all(
      [leader, cluster.others(leader)[0]].map((node) => RawClient.connect(node.address.port)),
    );
    const element = Buffer.alloc(1000, 'e');
    for (let i = 0; i < 40; i++) await client.run('rpush', 'big', ...Array.from({ length: 100 }, () => element));
    // Sent all at once, through both: some have room.
    const many = Array.from({ length: 12 }, (_, i) => ['copy', 'big', `many:${i}`]);
    const made = (await Promise.all([client.pipeline(many.slice(0, 6)), other.pipeline(many.slice(6))])).flat();
    expect(new Set(made.map((reply) => reply.slice(0, 4)))).toEqual(new Set([':1\r\n', '-OOM']));
    // A little request for a long string.
    for (const each of [client, other]) {
      expect(await each.run('setrange', 'long', 60_000_000, 'x')).toMatch(/^-OOM/);
      expect(await each.run('setbit', 'long', 8 * 60_000_000, 1)).toMatch(/^-OOM/);
      expect(await each.run('bitfield', 'long', 'get', 'u8', 0, 'set', 'u8', '#60000000', 1)).toMatch(/^-OOM/);
    }
    expect(await other.run('setrange', 'short', 100_000, 'x')).toBe(':100001\r\n');
    for (let n = 0, isFull = false; !isFull; n++) {
      const sets = Array.from({ length: 1000 }, (_, k) => ['set', `k:${n}:${k}`, 'v']);
      isFull = (await client.pipeline(sets)).filter((reply) => reply.startsWith('-OOM')).length > 990;
    }
    const copies: string[] = [];
    for (let i = 0; i < 8; i++) {
      copies.push(await client.run('copy', 'big', `copy:${i}`), await other.run('rename', 'big', `big:${i}`));
      await other.run('rename', `big:${i}`, 'big');
    }
    // Some lie in the shard in which it is not.
    expect(copies.filter((reply) => reply.startsWith('-OOM')).length).toBeGreaterThan(4);
    for (let n = 0; n < 60; n++) {
      await client.pipeline(Array.from({ length: 1000 }, (_, k) => ['expire', `k:${n}:${k}`, '1000']));
    }
    for (let n = 0; n < 20; n++) {
      await client.pipeline(Array.from({ length: 1000 }, (_, k) => ['rename', `k:${n}:${k}`, `longer:${n}:${k}`]));
    }
    expect(cluster.nodes.map((node) => node.running)).toEqual([true, true, true]);
    expect(await client.run('llen', 'big')).toBe(':4000\r\n');
    expect(await client.run('persist', 'big')).toMatch(/^:[01]/);
    expect(await other.run('flushall')).toBe('+OK\r\n');
    expect(new Set(await cluster.states()).size).toBe(1);
    for (const each of [client, other]) each.close();
  }, 90_000);

  describe('and little that makes much', () => {
    /** Refused or done, and as often refused as the memory makes it; all replicas live on, and are the same. */
    async function expectSome(
      words: (i: number) => (string | number | Buffer)[][],
      ...before: string[][]
    ): Promise<RawClient> {
      cluster = await LocalCluster.start({ flags: ['--arena-size', '16mb', '--shards', '2'] });
      await cluster.waitForAll();
      const leader = await cluster.waitForLeader();
      const clients = await Promise.all(
        [leader, cluster.others(leader)[0]].map((node) => RawClient.connect(node.address.port)),
      );
      for (const each of before) await clients[0].run(...each);
      // All at once, so that none is applied before others are taken.
      const sent = clients.map((client, i) => client.pipeline(words(i)));
      const replies = new Set((await Promise.all(sent)).flat().map((reply) => reply.slice(0, 4).replace(/^:.*/s, ':')));
      expect(cluster.nodes.map((node) => node.running)).toEqual([true, true, true]);
      expect([...replies].filter((reply) => reply !== ':' && reply !== '+OK\r')).toEqual(['-OOM']);
      expect(replies.size).toBe(2);
      expect(new Set(await cluster.states()).size).toBe(1);
      clients[1].close();
      return clients[0];
    }

    it('APPEND to long strings', async () => {
      const long = ['setrange', 'a', '2999999', 'x'];
      const copies = Array.from({ length: 8 }, (_, i) => ['copy', 'a', `a:${i}`]);
      const more = Buffer.alloc(60_000, 'y');
      const client = await expectSome(
        () => Array.from({ length: 40 }, (_, i) => ['append', `a:${i % 8}`, more]),
        long,
        ...copies,
      );
      client.close();
    }, 60_000);

    it('RESTORE of what is compressed', async () => {
      // 4 MB of zeros in 45 kB.
      const payload = compressed(15_000);
      const client = await expectSome((side) =>
        Array.from({ length: 6 }, (_, i) => ['restore', `r:${side}:${i}`, 0, payload]),
      );
      client.close();
    }, 60_000);

    it('one ZADD of many short members', async () => {
      const members = Array.from({ length: 200_000 }, (_, i) => ['1', `m${i}`]).flat();
      const client = await expectSome((side) => [side === 0 ? ['zadd', 'z', ...members] : ['sadd', 's', 'one']]);
      client.close();
    }, 60_000);

    it('ZUNIONSTORE of sets of integers', async () => {
      const numbers = Array.from({ length: 500 }, (_, i) => String(i));
      const sets = Array.from({ length: 50 }, (_, i) => ['sadd', `s${i}`, ...numbers.map((n) => `${i}${n}`)]);
      const keys = Array.from({ length: 50 }, (_, i) => `s${i}`);
      const client = await expectSome(
        (side) => Array.from({ length: 20 }, (_, i) => ['zunionstore', `z${side}:${i}`, 50, ...keys]),
        ...sets,
      );
      client.close();
    }, 60_000);

    it('SORT with GET and STORE', async () => {
      const sort = ['sort', 'list', 'get', 'w:*', 'get', 'w:*', 'store'];
      const client = await expectSome(
        (side) =>
          Array.from({ length: 6 }, (_, i) => [...(side === 0 ? ['once', 'c', i + 1] : []), ...sort, `to:${i}`]),
        ['rpush', 'list', ...Array.from({ length: 20 }, () => '1')],
        ['set', 'w:1', 'w'.repeat(100_000)],
      );
      expect(await client.run('sort', 'list', 'get', 'w:*', 'limit', 0, 3, 'store', 'short')).toMatch(/^:3|^-OOM/);
      client.close();
    }, 60_000);
  });
});
