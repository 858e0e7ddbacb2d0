/**
 * What clients do to a node by accident or on purpose: not reading, vanishing, sending rubbish, sending very much, filling
 * its memory. Whatever one of them does, the node goes on and the others are served.
 *
 * `MILLRACE_SEED=<n>` changes what rubbish is sent, `MILLRACE_ROUNDS=<n>` how much of it.
 */
import { existsSync, readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { afterAll, afterEach, describe, expect, it } from 'vitest';
import { Random } from '../../engine/random.ts';
import { MODES, TestNode } from '../support/node.ts';
import { encodeCommand, type RawClient } from '../support/redis.ts';
import { decode } from '../support/replies.ts';
import { Wire } from '../support/wire.ts';

const SEED = Number(process.env.MILLRACE_SEED ?? 1);
const RUBBISH_ROUNDS = Number(process.env.MILLRACE_ROUNDS ?? 60);
const MIB = 1024 * 1024;
/** What others may notice of it. Generous, for machines that do many things at once. */
const SLOWEST_PING_MS = 1000;

type Mode = (typeof MODES)[number];

/** Nodes without flags of their own, one for each dispatch mode, shared by tests since starting one takes long. */
const plain = new Map<Mode, TestNode>();
let nodes: TestNode[] = [];
let wires: Wire[] = [];
let clients: RawClient[] = [];

function startNode(...flags: string[]): Promise<TestNode> {
  return TestNode.start('--workers', '2', '--shards', '8', ...flags);
}

/** A node for one test. */
async function start(...flags: string[]): Promise<TestNode> {
  const node = await startNode(...flags);
  nodes.push(node);
  return node;
}

/** The shared node of a mode, empty. */
async function plainNode(mode: Mode): Promise<TestNode> {
  const node = plain.get(mode) ?? (await startNode('--dispatch', mode));
  plain.set(mode, node);
  const client = await node.connect();
  expect(await client.run('flushall')).toBe('+OK\r\n');
  client.close();
  return node;
}

async function connect(node: TestNode): Promise<RawClient> {
  const client = await node.connect();
  clients.push(client);
  return client;
}

async function open(node: TestNode): Promise<Wire> {
  const wire = await Wire.connect(node.port);
  wires.push(wire);
  return wire;
}

afterEach(() => {
  for (const wire of wires) wire.destroy();
  for (const client of clients) client.close();
  for (const node of nodes) node.stop();
  wires = [];
  clients = [];
  nodes = [];
});

afterAll(() => {
  for (const node of plain.values()) node.stop();
});

const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

/** Megabytes of memory that a node holds; 0 where the system does not tell. */
function residentMib(node: TestNode): number {
  const status = `/proc/${node.child.pid}/status`;
  if (!existsSync(status)) return 0;
  return Number(/VmRSS:\s+(\d+)/.exec(readFileSync(status, 'utf8'))?.[1]) / 1024;
}

/** Sockets that a node has open; 0 where the system does not tell. */
function openSockets(node: TestNode): number {
  const files = `/proc/${node.child.pid}/fd`;
  if (!existsSync(files)) return 0;
  return readdirSync(files).filter((file) => linkOf(`${files}/${file}`).startsWith('socket:')).length;
}

function linkOf(path: string): string {
  try {
    return readlinkSync(path);
  } catch {
    return '';
  }
}

async function infoField(client: RawClient, field: string): Promise<number> {
  return Number(new RegExp(`^${field}:(\\d+)`, 'm').exec(decode(await client.run('info')) as string)?.[1]);
}

async function eventually(what: string, holds: () => Promise<boolean>): Promise<void> {
  for (const until = Date.now() + 10_000; !(await holds()); ) {
    if (Date.now() > until) throw new Error(`in ten seconds it did not come to this: ${what}`);
    await sleep(50);
  }
}

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
  const REQUESTS = 150;

  it('are held back without a limit, harm nobody, and get everything when they read', async () => {
    const node = await plainNode(mode);
    const client = await connect(node);
    await client.run('set', 'big', 'x'.repeat(VALUE_BYTES));
    const before = residentMib(node);
    const slow = await open(node);
    slow.stopReading();
    slow.write(Buffer.concat(Array.from({ length: REQUESTS }, () => encodeCommand(['get', 'big']))));
    expect(await slowestPing(client, 700)).toBeLessThan(SLOWEST_PING_MS);
    expect(residentMib(node) - before).toBeLessThan(130);
    expect(await client.run('set', 'other', '1')).toBe('+OK\r\n');
    slow.startReading();
    await slow.received(REQUESTS * (VALUE_BYTES + 12));
    expect(slow.receivedBytes).toBe(REQUESTS * (VALUE_BYTES + 12));
  });

  it('are disconnected at the hard limit', async () => {
    const node = await plainNode(mode);
    const client = await connect(node);
    await client.run('config', 'set', 'client-output-buffer-limit', 'normal 4mb 0 0');
    await client.run('set', 'big', 'x'.repeat(VALUE_BYTES));
    const slow = await open(node);
    slow.stopReading();
    slow.write(Buffer.concat(Array.from({ length: REQUESTS }, () => encodeCommand(['get', 'big']))));
    await eventually('one client', async () => (await infoField(client, 'connected_clients')) === 1);
    slow.startReading();
    await slow.closed;
    expect(slow.receivedBytes).toBeLessThan((REQUESTS * VALUE_BYTES) / 2);
    expect(await client.run('strlen', 'big')).toBe(`:${VALUE_BYTES}\r\n`);
    await client.run('config', 'set', 'client-output-buffer-limit', 'normal 0 0 0');
  });
});

describe('clients that do not read', () => {
  it('are disconnected when they stay over the soft limit', async () => {
    const node = await start('--client-output-buffer-limit', 'normal', '0', '1mb', '1');
    const client = await connect(node);
    await client.run('set', 'big', 'x'.repeat(12 * MIB));
    const slow = await open(node);
    slow.stopReading();
    const startedMs = Date.now();
    slow.write(encodeCommand(['get', 'big']));
    await sleep(400);
    expect(await infoField(client, 'connected_clients')).toBe(2);
    await eventually('one client', async () => (await infoField(client, 'connected_clients')) === 1);
    expect(Date.now() - startedMs).toBeGreaterThan(1000);
    // One that reads, if late, keeps its connection.
    const late = await open(node);
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
    const node = await plainNode('auto');
    const client = await connect(node);
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
    const node = await start('--maxclients', '5');
    const client = await connect(node);
    const others = await Promise.all(Array.from({ length: 4 }, () => connect(node)));
    for (const other of others) expect(await other.run('ping')).toBe('+PONG\r\n');
    const refused = await open(node);
    await refused.closed.then(() => {});
    expect(refused.text).toBe('-ERR max number of clients reached\r\n');
    expect(await infoField(client, 'rejected_connections')).toBe(1);
    others[0].close();
    await eventually('four clients', async () => (await infoField(client, 'connected_clients')) === 4);
    expect(await (await connect(node)).run('ping')).toBe('+PONG\r\n');
    expect(await client.run('config', 'set', 'maxclients', '8')).toBe('+OK\r\n');
    for (let i = 0; i < 3; i++) expect(await (await connect(node)).run('ping')).toBe('+PONG\r\n');
  });
});

describe.each(MODES)('connections closed for sending, dispatch %s', (mode) => {
  it('are answered to the end', async () => {
    const node = await plainNode(mode);
    const requests = Array.from({ length: 3000 }, (_, i) => encodeCommand(['set', `k:${i}`, 'x'.repeat(i % 500)]));
    const reads = Array.from({ length: 3000 }, (_, i) => encodeCommand(['strlen', `k:${i}`]));
    const wire = await open(node);
    wire.write(Buffer.concat([...requests, ...reads]));
    const text = await wire.finish();
    expect(text).toBe('+OK\r\n'.repeat(3000) + Array.from({ length: 3000 }, (_, i) => `:${i % 500}\r\n`).join(''));
  });

  it('in the middle of a request are answered up to there', async () => {
    const node = await plainNode(mode);
    const wire = await open(node);
    wire.write('*1\r\n$4\r\nPING\r\n*2\r\n$3\r\nGET\r\n$5\r\nab');
    expect(await wire.finish()).toBe('+PONG\r\n');
    const empty = await open(node);
    expect(await empty.finish()).toBe('');
  });
});

describe.each(MODES)('rubbish, dispatch %s', (mode) => {
  const WORDS = [
    'GET',
    'SET',
    'PING',
    'ECHO',
    'LRANGE',
    'k',
    'v',
    '0',
    '-1',
    '9999999999999999999',
    'x'.repeat(300),
    '',
  ];
  const PIECES = [
    '*',
    '$',
    '\r\n',
    '\n',
    '\r',
    '\0',
    ':',
    '+',
    '-',
    '"',
    "'",
    '*3\r\n',
    '$3\r\n',
    '$-1\r\n',
    '*-1\r\n',
    '*0\r\n',
  ];
  const LENGTHS = [
    '*1048577\r\n',
    '$536870913\r\n',
    '*2147483648\r\n',
    '$99999999999999999999\r\n',
    '*1000000\r\n',
    '$400000000\r\n',
  ];

  function pick<T>(random: Random, from: readonly T[]): T {
    return from[random.below(from.length)];
  }

  function noise(random: Random, length: number): Buffer {
    return Buffer.from(Array.from({ length }, () => random.below(256)));
  }

  /** Requests, some with bytes changed, left out, or put in. */
  function broken(random: Random): Buffer {
    const requests = Array.from({ length: 1 + random.below(6) }, () =>
      encodeCommand(Array.from({ length: 1 + random.below(4) }, () => pick(random, WORDS))),
    );
    const bytes = [...Buffer.concat(requests)];
    for (let n = 1 + random.below(6); n > 0; n--) {
      const at = random.below(bytes.length);
      const kind = random.below(3);
      bytes.splice(at, kind === 0 ? 0 : 1, ...(kind === 1 ? [] : [random.below(256)]));
    }
    return Buffer.from(bytes);
  }

  function rubbish(random: Random): Buffer {
    switch (random.below(6)) {
      case 0:
        return noise(random, random.below(3000));
      case 1:
        return Buffer.from(Array.from({ length: random.below(60) }, () => pick(random, PIECES)).join(''), 'latin1');
      case 2:
        return Buffer.concat([Buffer.from(pick(random, LENGTHS)), noise(random, random.below(200))]);
      case 3:
        return Buffer.from(`${pick(random, WORDS)} ${'a'.repeat(random.below(70_000))}`);
      default:
        return broken(random);
    }
  }

  it('of thousands of connections leaves the node as it was', async () => {
    const node = await plainNode(mode);
    const client = await connect(node);
    await client.run('set', 'kept', 'v');
    const random = new Random(SEED);
    for (let round = 0; round < RUBBISH_ROUNDS; round++) {
      await Promise.all(
        Array.from({ length: 50 }, async () => {
          const sent = rubbish(random);
          const cut = random.below(sent.length + 1);
          const finishes = random.below(2) === 0;
          const wire = await Wire.connect(node.port);
          wire.write(sent.subarray(0, cut));
          await sleep(0);
          wire.write(sent.subarray(cut));
          if (finishes) await Promise.race([wire.finish(), sleep(2000)]);
          expect(wire.text).not.toMatch(/ at .*\.ts|node:internal/);
          wire.destroy();
        }),
      );
      expect(await client.run('ping'), `round ${round}, seed ${SEED}`).toBe('+PONG\r\n');
    }
    expect(node.running).toBe(true);
    expect(await client.run('get', 'kept')).toBe('$1\r\nv\r\n');
    await eventually('one client', async () => (await infoField(client, 'connected_clients')) === 1);
    expect(node.output).not.toMatch(/Error|at .*\.ts/);
  }, 120_000);
});

describe.each(MODES)('very much at once, dispatch %s', (mode) => {
  it('a pipeline of 100 000 commands in one write', async () => {
    const node = await plainNode(mode);
    const wire = await open(node);
    const client = await connect(node);
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
    const node = await plainNode(mode);
    const client = await connect(node);
    const value = Buffer.alloc(100 * MIB, 'a hundred megabytes of this, and then 8% more. ');
    const wire = await open(node);
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
    const node = await plainNode(mode);
    const others = await Promise.all(Array.from({ length: 4 }, () => connect(node)));
    let busy = true;
    const short = others.map(async (client, i) => {
      for (let n = 0; busy; n++) {
        const keys = Array.from({ length: 30 }, (_, k) => `long:${(n + k) % 8}`);
        const replies = await client.pipeline(keys.map((key) => ['strlen', key]));
        for (const reply of replies) expect(reply).toMatch(/^:\d+\r\n$/);
        expect(await client.run('incr', `count:${i}`)).toBe(`:${n + 1}\r\n`);
      }
    });
    const long = Array.from({ length: 8 }, async (_, i) => {
      const client = await connect(node);
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
    const node = await plainNode(mode);
    const client = await connect(node);
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
    const node = await plainNode(mode);
    const client = await connect(node);
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
    await client.run('config', 'set', 'maxmemory', '0');
  });
});

describe.each(MODES)('requests cut anywhere, dispatch %s', (mode) => {
  const value = Buffer.from([0, 13, 10, 36, 42, 255]).toString('latin1');
  const requests = [
    '*3\r\n$3\r\nSET\r\n$3\r\nkey\r\n$6\r\n',
    value,
    '\r\n*2\r\n$3\r\nGET\r\n$3\r\nkey\r\n',
    'PING\r\n',
    '\r\n',
    'ECHO "a \\x41\\n b"\r\n',
    '*0\r\n',
    '*5\r\n$4\r\nMSET\r\n$1\r\na\r\n$0\r\n\r\n$1\r\nb\r\n$12\r\nhello, world\r\n',
    '*3\r\n$4\r\nmget\r\n$1\r\na\r\n$1\r\nb\r\n',
    "set 'c d' 1\n",
    '*2\r\n$4\r\nincr\r\n$3\r\nc d\r\n',
    '*1\r\n$3\r\nfoo\r\n',
  ].join('');
  const replies = [
    '+OK\r\n',
    `$6\r\n${value}\r\n`,
    '+PONG\r\n',
    '$6\r\na A\n b\r\n',
    '+OK\r\n',
    '*2\r\n$0\r\n\r\n$12\r\nhello, world\r\n',
    '+OK\r\n',
    ':2\r\n',
    "-ERR unknown command 'foo', with args beginning with: \r\n",
  ].join('');

  it('are answered as if they were whole', async () => {
    const node = await plainNode(mode);
    const atOnce = await open(node);
    atOnce.write(requests);
    await atOnce.received(replies.length);
    expect(atOnce.text).toBe(replies);
    // One connection per place to cut, one after another, since all write the same keys.
    for (let cut = 1; cut < requests.length; cut++) {
      const wire = await Wire.connect(node.port);
      wire.write(requests.slice(0, cut));
      await sleep(1);
      wire.write(requests.slice(cut));
      await wire.received(replies.length);
      expect(wire.text, `cut at ${cut}`).toBe(replies);
      wire.destroy();
    }
  });

  it('into single bytes', async () => {
    const node = await plainNode(mode);
    const wire = await open(node);
    for (const byte of requests) {
      wire.write(byte);
      await sleep(0);
    }
    await wire.received(replies.length);
    expect(wire.text).toBe(replies);
  });
});
