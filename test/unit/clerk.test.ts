/** The client against servers that lose, delay and repeat, go away, and change their leader: nothing is done twice or lost. */
import net, { type AddressInfo } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { BLOCKING, type CommandRow, READONLY, WRITE } from '../../engine/command.ts';
import { engineRows } from '../../engine/commands/index.ts';
import { addressOf, Connection } from '../../net/client/connection.ts';
import { type Argument, Clerk, type ClerkOptions } from '../../net/client/index.ts';
import { kindOf } from '../../net/client/kinds.ts';
import { FakeCluster, FakeNode, type Fate } from '../support/fake-cluster.ts';
import { seeded } from '../support/seeded.ts';

const LOST_BEFORE: Fate = { isDone: false, says: 'lose' };
const LOST_AFTER: Fate = { isDone: true, says: 'lose' };
const SILENT: Fate = { isDone: true, says: 'silent' };

/** Of a link over which a long value takes longer than a node may be silent. */
const SLOW_BYTES_PER_MS = 10 * 1024;

let cluster: FakeCluster;
const clerks: Clerk[] = [];

afterEach(() => {
  for (const clerk of clerks.splice(0)) clerk.close();
  cluster.stop();
});

async function begin(options: Partial<ClerkOptions> = {}, nodes = 3): Promise<Clerk> {
  cluster = await FakeCluster.start(nodes);
  return another(options);
}

function another(options: Partial<ClerkOptions> = {}): Clerk {
  const clerk = new Clerk({ nodes: cluster.addresses, ...options });
  clerks.push(clerk);
  return clerk;
}

async function until(condition: () => boolean): Promise<void> {
  const giveUpAt = Date.now() + 5000;
  while (!condition()) {
    if (Date.now() > giveUpAt) throw new Error('it did not come to this');
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

/** Names and numbers of the writes that were done, as `seq command`, by client. */
function doneBy(): string[][] {
  const clients = new Map<string, string[]>();
  for (const line of cluster.done) {
    const [client, ...rest] = line.split(' ');
    clients.set(client, [...(clients.get(client) ?? []), rest.join(' ')]);
  }
  return [...clients.values()];
}

describe('commands', () => {
  it('give values', async () => {
    const clerk = await begin();
    expect(await clerk.get('k')).toBeNull();
    await clerk.put('k', 'grün');
    expect(await clerk.get('k')).toBe('grün');
    expect(await clerk.getBuffer('k')).toEqual(Buffer.from('grün'));
    expect(await clerk.append('a', Buffer.from('xyz'))).toBe(3);
    expect(await clerk.command('incr', 'n')).toBe(1);
    expect(doneBy()).toEqual([['1 SET k grün', '2 APPEND a xyz', '3 incr n']]);
  });

  it('reads are not numbered', async () => {
    const clerk = await begin();
    await clerk.get('k');
    await clerk.command('READ', 'stale', 'GET', 'k');
    expect(cluster.nodes[0].requests.map(([name]) => name)).toEqual(['GET', 'READ']);
  });

  it('errors of the server reject, and the next write is its own', async () => {
    const clerk = await begin();
    await clerk.put('k', 'text');
    await expect(clerk.command('INCR', 'k')).rejects.toMatchObject({ name: 'ReplyError', code: 'ERR' });
    await clerk.put('k', 2);
    expect(await clerk.command('INCR', 'k')).toBe(3);
    await expect(another().command('INCR', 'k')).resolves.toBe(4);
  });

  it('an error as the first answer under a name is not taken for the answer to the next write', async () => {
    const clerk = await begin();
    cluster.strings.set('k', 'text');
    await expect(clerk.command('INCR', 'k')).rejects.toThrow('not an integer');
    expect(await clerk.command('INCR', 'n')).toBe(1);
  });

  it('those of a connection are refused', async () => {
    const clerk = await begin();
    for (const name of ['select', 'SUBSCRIBE', 'multi', 'BLPOP']) {
      await expect(clerk.command(name, 'x')).rejects.toThrow(TypeError);
    }
    await expect(clerk.command()).rejects.toThrow(TypeError);
  });

  it.each<[string, unknown]>([
    ['Null', null],
    ['Undefined', undefined],
    ['Boolean', true],
    ['Array', ['*2']],
    ['Array', []],
    ['Object', { length: 3 }],
    ['String', new String('x')],
    ['Date', new Date()],
    ['Map', new Map()],
    ['ArrayBuffer', new ArrayBuffer(3)],
    ['Uint16Array', Uint16Array.of(1, 2)],
    ['DataView', new DataView(new ArrayBuffer(4))],
    ['Function', () => 1],
    ['Symbol', Symbol('x')],
  ])('an argument of type %s is refused, and nothing else is disturbed by it', async (type, wrong) => {
    const clerk = await begin();
    await clerk.put('a', 'A');
    await clerk.put('b', 'B');
    const argument = wrong as Argument;
    const outcomes = await Promise.all([
      clerk.put('x', argument).catch((error) => error),
      clerk.get('a'),
      clerk.append(argument as string, 'x').catch((error) => error),
      clerk.getBuffer('b'),
      clerk.command('MGET', 'a', argument).catch((error) => error),
      clerk.command(argument).catch((error) => error),
      clerk.append('a', 'A'),
    ]);
    const refused = (what: string): Error =>
      new TypeError(`${what} is of type ${type}, but must be a string, number, bigint or Uint8Array`);
    expect(outcomes).toEqual([
      refused('SET: argument 2'),
      'A',
      refused('APPEND: argument 1'),
      Buffer.from('B'),
      refused('MGET: argument 2'),
      refused("a command's name"),
      2,
    ]);
    expect(doneBy()).toEqual([['1 SET a A', '2 SET b B', '3 APPEND a A']]);
    expect(cluster.nodes[0].requests.length).toBe(5);
  });

  it('take numbers of each kind, and bytes as they are at the call', async () => {
    const clerk = await begin();
    await clerk.put('k', -1.5);
    expect(await clerk.append('k', 2n ** 64n)).toBe(24);
    expect(await clerk.get('k')).toBe('-1.518446744073709551616');
    const [changed, given] = [Buffer.from('changed'), Uint8Array.from(Buffer.from('given away'))];
    const writes = [clerk.put('c', changed), clerk.put('g', given)];
    changed.fill('x');
    structuredClone(given, { transfer: [given.buffer] });
    await Promise.all(writes);
    expect(await clerk.command(Buffer.from('GET'), Buffer.from('c'))).toBe('changed');
    expect(await clerk.get('g')).toBe('given away');
  });

  it('many at once: each name has one write under way', async () => {
    const clerk = await begin();
    cluster.nodes[0].always = { isDone: true, says: 'answer', delayMs: 5 };
    const lengths = await Promise.all(Array.from({ length: 100 }, () => clerk.append('a', 'x')));
    expect(lengths.sort((a, b) => a - b)).toEqual(Array.from({ length: 100 }, (_, i) => i + 1));
    const done = doneBy();
    expect(done.length).toBe(16);
    for (const writes of done) expect(writes).toEqual(writes.map((_, i) => `${i + 1} APPEND a x`));
  });

  it('each command of the server is known for what it is', () => {
    const expectedOf = ({ name, flags }: CommandRow): string | undefined => {
      if (name === 'spop') return 'single';
      if ((flags & BLOCKING) !== 0) return 'refused';
      if ((flags & WRITE) !== 0) return 'write';
      return (flags & READONLY) !== 0 ? 'read' : undefined;
    };
    for (const row of engineRows) {
      const { name } = row;
      const expected = expectedOf(row);
      if (expected !== undefined) expect([name, kindOf(name)]).toEqual([name, expected]);
    }
  });
});

describe('answers that do not come', () => {
  it.each([
    ['lost before it was done', LOST_BEFORE],
    ['lost after it was done', LOST_AFTER],
    ['never said', SILENT],
    ['UNKNOWN, and it was done', { isDone: true, says: '-UNKNOWN the leader was lost' }],
    ['UNKNOWN, and it was not done', { isDone: false, says: '-UNKNOWN the leader was lost' }],
    ['CLUSTERDOWN', { isDone: false, says: '-CLUSTERDOWN no leader' }],
    ['LOADING', { isDone: false, says: '-LOADING soon' }],
    ['TRYAGAIN', { isDone: false, says: '-TRYAGAIN later' }],
    ['NOTAPPLIED', { isDone: false, says: '-NOTAPPLIED the leader changed' }],
    ['NOTLEADER', { isDone: false, says: '-NOTLEADER 127.0.0.1:1' }],
  ] as [string, Fate][])('%s: once in the end, under the same number', async (_, fate) => {
    const clerk = await begin({ timeoutMs: 2000 });
    await clerk.put('k', 'v');
    cluster.nodes[0].fates.push(fate, fate);
    expect(await clerk.append('a', 'x')).toBe(1);
    expect(await clerk.append('a', 'y')).toBe(2);
    expect(doneBy()).toEqual([['1 SET k v', '2 APPEND a x', '3 APPEND a y']]);
    expect(cluster.nodes[0].requests.filter(([, , seq]) => seq === '2').length).toBe(3);
  });

  it('at random: every write is done once, and no answer is another one’s', async () => {
    const clerk = await begin();
    const random = seeded(7);
    const fates: Fate[] = [
      LOST_BEFORE,
      LOST_AFTER,
      { isDone: false, says: '-UNKNOWN ?' },
      { isDone: true, says: '-UNKNOWN ?' },
    ];
    const shake = setInterval(() => {
      for (const node of cluster.nodes) {
        node.always = { isDone: true, says: 'answer', delayMs: random.below(4) };
        // One that nobody met is gone, so that the last write meets some good ones, too.
        node.fates.length = 0;
        if (random.below(2) === 0) node.fates.push(fates[random.below(fates.length)]);
      }
      cluster.leader = cluster.nodes[random.below(3)];
    }, 15);
    const worker = async (i: number): Promise<void> => {
      let mine = '';
      for (let n = 0; n < 25; n++) {
        mine += `${n},`;
        expect(await clerk.append(`k${i}`, `${n},`)).toBe(mine.length);
        expect(await clerk.get(`k${i}`)).toBe(mine);
      }
    };
    try {
      await Promise.all(Array.from({ length: 24 }, (_, i) => worker(i)));
    } finally {
      clearInterval(shake);
    }
    expect(cluster.done.length).toBe(24 * 25);
    expect(new Set(cluster.done).size).toBe(24 * 25);
  });

  it('a write without an answer until the end is unknown, and its name is not used again', async () => {
    const clerk = await begin({ timeoutMs: 400 });
    await clerk.put('k', 'v');
    for (const node of cluster.nodes) node.always = LOST_AFTER;
    const outcome = await clerk.append('a', 'x').catch((error) => error);
    expect(outcome).toMatchObject({ name: 'ClerkError', code: 'UNKNOWN_OUTCOME' });
    expect(outcome.message).toContain('outcome is unknown');
    for (const node of cluster.nodes) node.always = { isDone: true, says: 'answer' };
    await clerk.append('a', 'y');
    expect(doneBy()).toEqual([['1 SET k v', '2 APPEND a x'], ['1 APPEND a y']]);
  });

  it('a read without an answer, and a write that was refused each time, are not unknown', async () => {
    const clerk = await begin({ timeoutMs: 300 });
    for (const node of cluster.nodes) node.always = LOST_AFTER;
    await expect(clerk.get('k')).rejects.toMatchObject({ code: 'UNAVAILABLE' });
    for (const node of cluster.nodes) node.always = { isDone: false, says: '-CLUSTERDOWN no leader' };
    let outcome = await clerk.put('k', 'v').catch((error) => error);
    // What is on its way when the time is over is in doubt, and rightly so.
    for (let i = 0; i < 10 && outcome.code === 'UNKNOWN_OUTCOME'; i++) {
      outcome = await clerk.put('k', 'v').catch((error) => error);
    }
    expect(outcome).toMatchObject({ code: 'UNAVAILABLE', cause: { code: 'CLUSTERDOWN' } });
    expect(cluster.done).toEqual([]);
  });

  it('a refusal does not tell what became of an earlier try', async () => {
    const clerk = await begin({ timeoutMs: 1000 });
    cluster.nodes[0].fates.push(LOST_AFTER, { isDone: false, says: '-MISCONF the disk is full' });
    await expect(clerk.put('k', 'v')).rejects.toMatchObject({ code: 'UNKNOWN_OUTCOME', cause: { code: 'MISCONF' } });
    cluster.nodes[0].fates.push({ isDone: false, says: '-MISCONF the disk is full' });
    await expect(clerk.put('k', 'v')).rejects.toMatchObject({ name: 'ReplyError', code: 'MISCONF' });
  });

  it('a cluster that has forgotten who writes: another name, unless the write is in doubt', async () => {
    const clerk = await begin();
    await clerk.append('a', 'x');
    await clerk.append('a', 'y');
    cluster.sessions.clear();
    expect(await clerk.append('a', 'z')).toBe(3);
    await clerk.append('a', 'z');
    expect(doneBy()).toEqual([
      ['1 APPEND a x', '2 APPEND a y'],
      ['1 APPEND a z', '2 APPEND a z'],
    ]);
    cluster.nodes[0].fates.push(LOST_BEFORE);
    const write = clerk.append('a', 'z').catch((error) => error);
    cluster.sessions.clear();
    expect(await write).toMatchObject({ code: 'UNKNOWN_OUTCOME', cause: { code: 'ONCEEXPIRED' } });
  });

  it('what is for one node is not repeated after it was sent', async () => {
    const clerk = await begin();
    await clerk.get('k');
    cluster.nodes[0].fates.push(LOST_AFTER);
    await expect(clerk.command('CONFIG', 'SET', 'x', 'y')).rejects.toMatchObject({ code: 'UNKNOWN_OUTCOME' });
    expect(cluster.nodes[0].requests.filter(([name]) => name === 'CONFIG').length).toBe(1);
  });

  it('close() tells those that wait what is known', async () => {
    const clerk = await begin();
    await clerk.get('k');
    cluster.nodes[0].always = SILENT;
    const write = clerk.put('k', 'v').catch((error) => error.code);
    const read = clerk.get('k').catch((error) => error.code);
    await new Promise((resolve) => setTimeout(resolve, 30));
    clerk.close();
    expect([await write, await read]).toEqual(['UNKNOWN_OUTCOME', 'CLOSED']);
    await expect(clerk.get('k')).rejects.toMatchObject({ code: 'CLOSED' });
  });

  it('close() ends a connection that is still being opened', async () => {
    const clerk = await begin({ timeoutMs: 60_000 }, 1);
    cluster.nodes[0].isFrozen = true;
    const read = clerk.get('k').catch((error) => error.code);
    await until(() => cluster.nodes[0].open === 1);
    clerk.close();
    expect(await read).toBe('CLOSED');
    await until(() => cluster.nodes[0].open === 0);
    expect(cluster.nodes[0].connections).toBe(1);
  });
});

describe('the leader', () => {
  it('is found from any node', async () => {
    await begin();
    cluster.leader = cluster.nodes[2];
    for (const node of cluster.nodes) await another({ nodes: [node.address] }).put('k', 'v');
    expect(cluster.nodes.map((node) => node.requests.length)).toEqual([0, 0, 3]);
  });

  it('is followed when it is killed', async () => {
    const clerk = await begin();
    await clerk.put('k', '1');
    cluster.nodes[0].kill();
    cluster.leader = undefined;
    setTimeout(() => {
      cluster.leader = cluster.nodes[1];
    }, 150);
    expect(await clerk.append('k', '2')).toBe(2);
    expect(cluster.nodes[1].requests.length).toBe(1);
    expect(cluster.nodes[2].requests.length).toBe(0);
  });

  it('is found when it has begun to lead since it was asked', async () => {
    const clerk = await begin();
    cluster.leader = undefined;
    const asked: FakeNode[] = [];
    const { infoOf } = cluster;
    cluster.infoOf = (node) => {
      asked.push(node);
      const info = infoOf.call(cluster, node);
      // The first to be asked says that it knows no leader; the second, that the first leads.
      cluster.leader = asked[0];
      return info;
    };
    await clerk.put('k', 'v');
    expect(asked[0].requests.length).toBe(1);
    expect(asked.length).toBe(3);
    expect(asked[2]).toBe(asked[0]);
  });

  it('is followed when it changes and the old one forwards', async () => {
    const clerk = await begin();
    await clerk.put('k', '1');
    cluster.leader = cluster.nodes[1];
    const until = performance.now() + 5000;
    while (cluster.nodes[1].requests.length === 0 && performance.now() < until) {
      await clerk.append('k', 'x');
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    expect(cluster.nodes[1].requests.length).toBeGreaterThan(0);
    expect(new Set(cluster.done).size).toBe(cluster.strings.get('k')?.length);
  });

  it('that says nothing any more is left', async () => {
    const clerk = await begin({ timeoutMs: 2000 });
    await clerk.put('k', '1');
    cluster.nodes[0].isFrozen = true;
    cluster.nodes[0].always = SILENT;
    cluster.leader = cluster.nodes[2];
    const startedAt = performance.now();
    expect(await clerk.append('k', '2')).toBe(2);
    expect(performance.now() - startedAt).toBeLessThan(1500);
  });

  it('is not left while a long value is still on its way to it', async () => {
    await begin({}, 1);
    const long = 'x'.repeat(24 * 1024 * 1024);
    let connections = 0;
    const slow = net.createServer((socket) => {
      let received = 0;
      connections++;
      socket.on('error', () => {});
      socket.on('data', (bytes) => {
        received += bytes.length;
        if (bytes.includes('HELLO')) socket.write('%0\r\n');
        else if (bytes.includes('INFO')) socket.write('$13\r\nrole:master\r\n\r\n');
        else if (received > long.length) socket.write('+done\r\n');
        socket.pause();
        setTimeout(() => socket.resume(), bytes.length / SLOW_BYTES_PER_MS);
      });
    });
    await new Promise<void>((resolve) => slow.listen(0, '127.0.0.1', resolve));
    const clerk = another({ nodes: [`127.0.0.1:${(slow.address() as AddressInfo).port}`], timeoutMs: 6000 });
    expect(await clerk.command('ECHO', long)).toBe('done');
    expect(connections).toBe(1);
    clerk.close();
    slow.close();
  });

  it('that cannot be reached: any node that knows it will do', async () => {
    const clerk = await begin();
    cluster.leader = await FakeNode.start(cluster);
    cluster.leader.kill();
    await clerk.put('k', 'v');
    expect(cluster.strings.get('k')).toBe('v');
  });

  it('a node that knows no leader is not asked again and again without a pause', async () => {
    const clerk = await begin({ timeoutMs: 1000 });
    cluster.leader = undefined;
    await expect(clerk.put('k', 'v')).rejects.toMatchObject({ code: 'UNAVAILABLE' });
    const connections = cluster.nodes.reduce((sum, node) => sum + node.connections, 0);
    expect(connections).toBeGreaterThan(6);
    expect(connections).toBeLessThan(60);
  });

  it.each(['127.0.0.1:1', 'localhost:1', 'no.such.host.invalid:1'])('that is not there: %s', async (address) => {
    await begin();
    const clerk = another({ nodes: [address], timeoutMs: 400 });
    const why = address.startsWith('no') ? 'getaddrinfo E' : 'connect ECONNREFUSED';
    for (const outcome of [await clerk.put('k', 'v').catch((e) => e), await clerk.get('k').catch((e) => e)]) {
      expect(outcome).toMatchObject({ code: 'UNAVAILABLE', cause: { code: 'CONNECTION_LOST' } });
      expect(outcome.message).toContain(`no node served it within 400 ms (last: ${address}: ${why}`);
    }
  });

  it('all nodes are away for a while', async () => {
    const clerk = await begin();
    await clerk.put('k', '1');
    const { ports } = { ports: cluster.nodes.map((node) => node.port) };
    for (const node of cluster.nodes.splice(0)) node.kill();
    const write = clerk.append('k', '2');
    await new Promise((resolve) => setTimeout(resolve, 100));
    for (const port of ports) cluster.nodes.push(await FakeNode.start(cluster, port));
    cluster.leader = cluster.nodes[1];
    expect(await write).toBe(2);
  });
});

describe('connections', () => {
  it('say the password, and fail at once with a wrong one', async () => {
    await begin();
    cluster.password = 'secret';
    await another({ password: 'secret' }).put('k', 'v');
    await expect(another({ password: 'wrong' }).put('k', 'v')).rejects.toMatchObject({ code: 'WRONGPASS' });
  });

  it('ask for a consistency; a new one under `session` has first seen all that the old one saw', async () => {
    const clerk = await begin({ consistency: 'session' });
    await clerk.get('k');
    cluster.nodes[0].cut();
    await clerk.get('k');
    const once = ['CLIENT CONSISTENCY session', 'READ linearizable EXISTS ', 'GET k'];
    expect(cluster.nodes[0].requests.map((args) => args.join(' '))).toEqual([...once, ...once]);
    await another({ consistency: 'bounded 100' }).get('k');
    expect(cluster.nodes[0].requests.map((args) => args.join(' ')).slice(6)).toEqual([
      'CLIENT CONSISTENCY bounded 100',
      'GET k',
    ]);
  });

  it('a request that cannot be encoded leaves nothing behind', async () => {
    await begin({}, 1);
    const options = { password: undefined, consistency: undefined, silenceMs: 1000 };
    const connection = await Connection.open(addressOf(cluster.addresses[0]), options);
    cluster.strings.set('k', 'v');
    const send = async (...args: Argument[]) => connection.send(args);
    const replies = [send('GET', null as never).catch((error) => error.name), send('GET', 'k'), send('GET', 'none')];
    expect(await Promise.all(replies)).toEqual(['TypeError', 'v', null]);
    connection.close();
  });

  it('addresses', () => {
    expect(() => new Clerk({ nodes: [] })).toThrow(TypeError);
    for (const wrong of ['localhost', '127.0.0.1:', 'x:99999', '::1:7001']) {
      expect(() => new Clerk({ nodes: [wrong] })).toThrow(TypeError);
    }
    new Clerk({ nodes: ['localhost:7001', '[::1]:7002'] }).close();
  });

  it.each<[string, object | undefined, typeof TypeError | typeof RangeError]>([
    ['a clerk takes its options as one object', undefined, TypeError],
    ['nodes has to be an array of at least one host:port', {}, TypeError],
    ['nodes has to be an array of at least one host:port', { nodes: '127.0.0.1:7001' }, TypeError],
    ["expected host:port, found 'null'", { nodes: [null] }, TypeError],
    ['password has to be a string', { nodes: ['h:1'], password: null }, TypeError],
    ["consistency 'strong' is none of linearizable", { nodes: ['h:1'], consistency: 'strong' }, TypeError],
    ["consistency 'bounded' is none of linearizable", { nodes: ['h:1'], consistency: 'bounded' }, TypeError],
    ["consistency 'null' is none of linearizable", { nodes: ['h:1'], consistency: null }, TypeError],
    ['timeoutMs has to be a number', { nodes: ['h:1'], timeoutMs: null }, TypeError],
    ['timeoutMs has to be a number', { nodes: ['h:1'], timeoutMs: '500' }, TypeError],
    ...[Number.POSITIVE_INFINITY, 2 ** 31, Number.NaN, 0, -1].map((timeoutMs): [string, object, typeof RangeError] => [
      `timeoutMs has to be more than 0 and at most 2147483647, found ${timeoutMs}`,
      { nodes: ['h:1'], timeoutMs },
      RangeError,
    ]),
  ])('options: %s', (message, options, type) => {
    const make = (): Clerk => new Clerk(options as ClerkOptions);
    expect(make).toThrow(type);
    expect(make).toThrow(message);
  });

  it('options that are undefined are left out', () => {
    const clerk = new Clerk({ nodes: ['h:1'], password: undefined, timeoutMs: undefined, consistency: undefined });
    clerk.close();
    new Clerk({ nodes: ['h:1'], timeoutMs: 2 ** 31 - 1, consistency: 'bounded 100' }).close();
  });
});
