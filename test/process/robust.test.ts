/**
 * What clients do to a node by accident or on purpose: not reading, vanishing, asking for very much, filling its memory.
 * Whatever one of them does, the node goes on and the others are served. What they send is the matter of rubbish.test.ts.
 */
import { afterAll, afterEach, describe, expect, it } from 'vitest';
import { Random } from '../../engine/random.ts';
import { eventually, Fleet, infoField, openSockets, residentMib, sleep } from '../support/fleet.ts';
import { MODES } from '../support/node.ts';
import { encodeCommand, type RawClient } from '../support/redis.ts';
import { Wire } from '../support/wire.ts';

const SEED = 1;
const MIB = 1024 * 1024;
/** What others may notice of it. Generous, for machines that do many things at once. */
const SLOWEST_PING_MS = 1000;

const fleet = new Fleet();
afterEach(() => fleet.closeAll());
afterAll(() => fleet.stop());

/** The longest of many PINGs, one after another, over some time. */
async function slowestPing(client: RawClient, forMs: number): Promise<number> {
  let slowestMs = 0;
  for (const until = Date.now() + forMs; Date.now() < until; await sleep(5)) {
    const startedMs = performance.now();
    expect(await client.run('ping')).toBe('+PONG\r\n');
    slowestMs = Math.max(slowestMs, performance.now() - startedMs);
  }
  return slowestMs;
}

describe.each(MODES)('clients that do not read, dispatch %s', (mode) => {
  const VALUE_BYTES = MIB;
  const REQUESTS = 400;

  it('are held back without a limit, harm nobody, and get everything when they read', async () => {
    const node = await fleet.plainNode(mode);
    const client = await fleet.connect(node);
    await client.run('set', 'big', 'x'.repeat(VALUE_BYTES));
    const before = residentMib(node);
    const slow = await fleet.open(node);
    slow.stopReading();
    slow.write(Buffer.concat(Array.from({ length: REQUESTS }, () => encodeCommand(['get', 'big']))));
    expect(await slowestPing(client, 700)).toBeLessThan(SLOWEST_PING_MS);
    // What is held back does not grow with what is asked for; the rest is replies that V8 has not collected yet (95 to 210 MiB).
    expect(residentMib(node) - before).toBeLessThan(REQUESTS * 0.75);
    expect(await client.run('set', 'other', '1')).toBe('+OK\r\n');
    slow.startReading();
    await slow.received(REQUESTS * (VALUE_BYTES + 12));
    expect(slow.receivedBytes).toBe(REQUESTS * (VALUE_BYTES + 12));
  });

  it('are disconnected at the hard limit', async () => {
    const node = await fleet.plainNode(mode);
    const client = await fleet.connect(node);
    await client.run('config', 'set', 'client-output-buffer-limit', 'normal 4mb 0 0');
    await client.run('set', 'big', 'x'.repeat(VALUE_BYTES));
    const slow = await fleet.open(node);
    slow.write('PING\r\n');
    await slow.received(7);
    slow.stopReading();
    slow.write(Buffer.concat(Array.from({ length: REQUESTS }, () => encodeCommand(['get', 'big']))));
    await eventually('one client', async () => (await infoField(client, 'connected_clients')) === 1);
    slow.startReading();
    await slow.closed;
    expect(slow.receivedBytes).toBeLessThan((REQUESTS * VALUE_BYTES) / 2);
    expect(await client.run('strlen', 'big')).toBe(`:${VALUE_BYTES}\r\n`);
  });
});

describe('clients that do not read', () => {
  it('are disconnected when they stay over the soft limit', async () => {
    const node = await fleet.start('--client-output-buffer-limit', 'normal', '0', '1mb', '1');
    const client = await fleet.connect(node);
    await client.run('set', 'big', 'x'.repeat(12 * MIB));
    const slow = await fleet.open(node);
    slow.stopReading();
    const startedMs = Date.now();
    slow.write(encodeCommand(['get', 'big']));
    await sleep(400);
    expect(await infoField(client, 'connected_clients')).toBe(2);
    await eventually('one client', async () => (await infoField(client, 'connected_clients')) === 1);
    expect(Date.now() - startedMs).toBeGreaterThan(1000);
    // One that reads, if late, keeps its connection.
    const late = await fleet.open(node);
    late.stopReading();
    late.write(encodeCommand(['get', 'big']));
    await sleep(300);
    late.startReading();
    await late.received(12 * MIB);
    await sleep(1500);
    expect(late.isClosed).toBe(false);
  });
});

describe('many connections', () => {
  it('come and go, and leave nothing behind', async () => {
    const node = await fleet.plainNode('auto');
    const client = await fleet.connect(node);
    // Answered, so that the node has accepted it.
    await client.run('ping');
    const socketsBefore = openSockets(node);
    for (let round = 0; round < 10; round++) {
      await Promise.all(
        Array.from({ length: 50 }, async (_, i) => {
          const wire = await Wire.connect(node.port);
          wire.write(`SET k:${round}:${i} v\r\nGET k:${round}:${i}\r\nGET nothing`);
          // Some go when they are answered, some at once, some in an orderly way.
          if (i % 3 === 0) await wire.received(12);
          if (i % 3 === 1) await wire.finish();
          wire.destroy();
        }),
      );
    }
    await eventually('one client', async () => (await infoField(client, 'connected_clients')) === 1);
    await eventually('no more sockets', async () => openSockets(node) <= socketsBefore);
    expect(await infoField(client, 'total_connections_received')).toBeGreaterThanOrEqual(501);
    expect(await client.run('get', 'k:9:48')).toBe('$1\r\nv\r\n');
  });

  it('are served up to maxclients, which can be changed', async () => {
    const node = await fleet.start('--maxclients', '5');
    const client = await fleet.connect(node);
    const others = await Promise.all(Array.from({ length: 4 }, () => fleet.connect(node)));
    for (const other of others) expect(await other.run('ping')).toBe('+PONG\r\n');
    const refused = await fleet.open(node);
    await refused.closed.then(() => {});
    expect(refused.text).toBe('-ERR max number of clients reached\r\n');
    expect(await infoField(client, 'rejected_connections')).toBe(1);
    others[0].close();
    await eventually('four clients', async () => (await infoField(client, 'connected_clients')) === 4);
    expect(await (await fleet.connect(node)).run('ping')).toBe('+PONG\r\n');
    expect(await client.run('config', 'set', 'maxclients', '8')).toBe('+OK\r\n');
    for (let i = 0; i < 3; i++) expect(await (await fleet.connect(node)).run('ping')).toBe('+PONG\r\n');
  });
});

describe.each(MODES)('very much at once, dispatch %s', (mode) => {
  it('a pipeline of 100 000 commands in one write', async () => {
    const node = await fleet.plainNode(mode);
    const wire = await fleet.open(node);
    const client = await fleet.connect(node);
    const sets = Array.from({ length: 50_000 }, (_, i) => encodeCommand(['set', `k:${i}`, `v${i}`]));
    const gets = Array.from({ length: 50_000 }, (_, i) => encodeCommand(['get', `k:${i}`]));
    const expected =
      '+OK\r\n'.repeat(50_000) +
      Array.from({ length: 50_000 }, (_, i) => `$${1 + String(i).length}\r\nv${i}\r\n`).join('');
    wire.write(Buffer.concat([...sets, ...gets]));
    const slowestMs = await slowestPing(client, 300);
    await wire.received(expected.length);
    expect(wire.text === expected).toBe(true);
    expect(slowestMs).toBeLessThan(SLOWEST_PING_MS);
  });

  it('a value of 100 MB', async () => {
    const node = await fleet.plainNode(mode);
    const client = await fleet.connect(node);
    const value = Buffer.alloc(100 * MIB, 'a hundred megabytes of this, and then 8% more. ');
    const wire = await fleet.open(node);
    wire.write(encodeCommand(['set', 'huge', value]));
    const slowestMs = await slowestPing(client, 300);
    await wire.received(5);
    expect(wire.text).toBe('+OK\r\n');
    expect(await client.run('getrange', 'huge', value.length - 5, -1)).toBe(
      `$5\r\n${value.toString('latin1', value.length - 5)}\r\n`,
    );
    wire.forget();
    wire.write(encodeCommand(['get', 'huge']));
    await wire.received(5 + value.length + 14);
    expect(wire.bytes.subarray(0, 12).toString()).toBe(`$${value.length}\r\n`);
    expect(wire.bytes.subarray(12, 12 + value.length).equals(value)).toBe(true);
    expect(slowestMs).toBeLessThan(SLOWEST_PING_MS);
    expect(await client.run('del', 'huge')).toBe(':1\r\n');
  });
});

describe.each(MODES)('many clients at once, dispatch %s', (mode) => {
  it('long values next to short ones', async () => {
    const node = await fleet.plainNode(mode);
    const others = await Promise.all(Array.from({ length: 4 }, () => fleet.connect(node)));
    let busy = true;
    const short = others.map(async (client, i) => {
      for (let n = 0; busy; n++) {
        const keys = Array.from({ length: 30 }, (_, k) => `long:${(n + k) % 8}`);
        // Over several shards, so that a worker also finds its shards locked by another.
        const replies = await client.pipeline(
          keys.map((key, k) => (k % 3 === 0 ? ['exists', ...keys] : ['strlen', key])),
        );
        for (const reply of replies) expect(reply).toMatch(/^:\d+\r\n$/);
        expect(await client.run('incr', `count:${i}`)).toBe(`:${n + 1}\r\n`);
      }
    });
    const long = Array.from({ length: 8 }, async (_, i) => {
      const client = await fleet.connect(node);
      for (let n = 0; n < 12; n++) {
        const value = String.fromCharCode(97 + i).repeat(200_000 + n * 90_001);
        const [stored, read] = await client.pipeline([
          ['set', `long:${i}`, value],
          ['get', `long:${i}`],
        ]);
        expect(stored).toBe('+OK\r\n');
        expect(read === `$${value.length}\r\n${value}\r\n`).toBe(true);
      }
    });
    await Promise.all(long);
    busy = false;
    await Promise.all(short);
  });

  it('that vanish while their commands run', async () => {
    const node = await fleet.plainNode(mode);
    const client = await fleet.connect(node);
    const random = new Random(SEED);
    const value = 'x'.repeat(2000);
    const keys = Array.from({ length: 16 }, (_, i) => `k:${i}`);
    for (let round = 0; round < 10; round++) {
      await Promise.all(
        Array.from({ length: 30 }, async () => {
          const wire = await Wire.connect(node.port);
          const requests: Buffer[] = [];
          for (let n = 0; n < 200; n++) {
            const kind = random.below(40);
            if (kind === 0) requests.push(encodeCommand(['keys', '*']));
            else if (kind < 5) requests.push(encodeCommand(['mset', ...keys.flatMap((key) => [key, value])]));
            else if (kind < 10) requests.push(encodeCommand(['mget', ...keys]));
            else if (kind < 25) requests.push(encodeCommand(['set', keys[random.below(16)], value]));
            else requests.push(encodeCommand(['get', keys[random.below(16)]]));
          }
          wire.write(Buffer.concat(requests));
          await sleep(random.below(20));
          wire.destroy();
        }),
      );
      expect(await client.run('ping')).toBe('+PONG\r\n');
    }
    await eventually('one client', async () => (await infoField(client, 'connected_clients')) === 1);
    expect(await client.run('mset', ...keys.flatMap((key) => [key, 'v']))).toBe('+OK\r\n');
    expect(await client.run('mget', ...keys)).toBe(`*16\r\n${'$1\r\nv\r\n'.repeat(16)}`);
    expect(await client.run('dbsize')).toBe(':16\r\n');
  });
});

describe.each(MODES)('memory that is full under noeviction, dispatch %s', (mode) => {
  const OOM = "-OOM command not allowed when used memory > 'maxmemory'.\r\n";

  it('refuses writes, goes on reading, and takes writes again when keys are deleted', async () => {
    const node = await fleet.plainNode(mode);
    const client = await fleet.connect(node);
    await client.run('config', 'set', 'maxmemory', '24mb');
    const value = 'x'.repeat(1000);
    let stored = 0;
    for (let full = false; !full; ) {
      const replies = await client.pipeline(Array.from({ length: 500 }, (_, i) => ['set', `k:${stored + i}`, value]));
      full = replies.some((reply) => reply !== '+OK\r\n');
      for (const reply of replies) expect(['+OK\r\n', OOM]).toContain(reply);
      stored += replies.filter((reply) => reply === '+OK\r\n').length;
      expect(stored).toBeLessThan(24_000);
    }
    expect(stored).toBeGreaterThan(15_000);
    expect(await infoField(client, 'used_memory')).toBeLessThan(24 * MIB + 8192);
    expect(await client.run('get', 'k:0')).toBe(`$1000\r\n${value}\r\n`);
    expect(await client.run('exists', 'k:1', 'k:2', 'nothing')).toBe(':2\r\n');
    expect(await client.run('lpush', 'list', 'x')).toBe(OOM);
    expect(await client.run('mset', 'a', '1', 'b', '2')).toBe(OOM);
    expect(await client.run('expire', 'k:0', '100')).toBe(':1\r\n');
    const deletions = await client.pipeline(Array.from({ length: 2000 }, (_, i) => ['del', `k:${i}`]));
    expect(deletions.every((reply) => reply === ':1\r\n')).toBe(true);
    expect(await client.run('set', 'k:0', value)).toBe('+OK\r\n');
    expect(await client.run('mset', 'a', '1', 'b', '2')).toBe('+OK\r\n');
    expect(await client.run('config', 'set', 'maxmemory', '100mb')).toBe('+OK\r\n');
    expect(await client.run('lpush', 'list', 'x')).toBe(':1\r\n');
  });
});
