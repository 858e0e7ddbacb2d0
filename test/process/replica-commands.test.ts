/** A group of three nodes, logs in memory, then one more: what it tells of itself, and what clients and operators can ask of it. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { GENERATORS } from '../support/gen/any.ts';
import { usualOptions } from '../support/gen/server.ts';
import { pick } from '../support/gen/string.ts';
import { TestNode } from '../support/node.ts';
import { freePort, type RawClient } from '../support/redis.ts';
import { type Decoded, decode } from '../support/replies.ts';
import { seeded } from '../support/seeded.ts';

const SEED = Number(process.env.MILLRACE_SEED ?? 11);
const COMMANDS = Number(process.env.MILLRACE_COMMANDS ?? 600);
const NAMES = ['n1', 'n2', 'n3'];
const CLUSTER_ID = /^[0-9a-f]{32}$/;

const nodes: TestNode[] = [];
const clients: RawClient[] = [];
let peerPorts: number[] = [];

const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

async function until<T>(what: string, look: () => Promise<T | undefined>): Promise<T> {
  const endMs = performance.now() + 20_000;
  for (;;) {
    const found = await look();
    if (found !== undefined) return found;
    if (performance.now() > endMs) throw new Error(`never came: ${what}\n${nodes.map((n) => n.output).join('\n')}`);
    await sleep(20);
  }
}

/** RAFT STATUS or one of its members, as an object. */
function record(fields: Decoded): Record<string, Decoded> {
  const list = fields as Decoded[];
  return Object.fromEntries(
    Array.from({ length: list.length / 2 }, (_, i) => [String(list[2 * i]), list[2 * i + 1]] as const),
  );
}

async function status(i: number): Promise<Record<string, Decoded>> {
  return record(decode(await clients[i].run('raft', 'status')));
}

async function info(i: number): Promise<Map<string, string>> {
  const text = await clients[i].run('info', 'replication');
  return new Map([...text.matchAll(/^([a-z_0-9]+):(.*)\r$/gm)].map(([, name, value]) => [name, value]));
}

/** The node that leads, all others knowing it. */
function leader(): Promise<number> {
  return until('a leader', async () => {
    const all = await Promise.all(clients.map((_, i) => status(i)));
    const at = all.findIndex(({ role }) => role === 'leader');
    if (at < 0) return undefined;
    const isKnown = all.every(({ leader, applied }) => leader === all[at].replica && applied === all[at].applied);
    return isKnown && all[at]['leader-address'] === `127.0.0.1:${nodes[at].port}` ? at : undefined;
  });
}

async function follower(): Promise<number> {
  return (await leader()) === 0 ? 1 : 0;
}

async function start(name: string, peerPort: number, ...flags: string[]): Promise<void> {
  const own = ['--name', name, '--peer-port', String(peerPort), '--arena-size', '64mb', '--shards', '4'];
  const node = await TestNode.start(...own, ...flags);
  nodes.push(node);
  clients.push(await node.connect());
}

/** The hash of every node's state at one entry. */
function hashes(): Promise<string[]> {
  return until('one entry on all nodes', async () => {
    const first = decode(await clients[0].run('raft', 'hash')) as string;
    const others = clients.slice(1).map((client) => client.run('raft', 'hash', first.split(' ')[0]));
    const all = (await Promise.all(others)).map((reply) => decode(reply) as string);
    // A key that expires moves the group on.
    return all.every((each) => /^\d+ [0-9a-f]+$/.test(each)) ? [first, ...all] : undefined;
  });
}

beforeAll(async () => {
  peerPorts = await Promise.all([...NAMES, 'n4', 'n5'].map(() => freePort()));
  const cluster = NAMES.map((name, i) => `${name}=127.0.0.1:${peerPorts[i]}`).join(',');
  await Promise.all(NAMES.map((name, i) => start(name, peerPorts[i], '--initial-cluster', cluster)));
  nodes.sort((a, b) => nameOf(a).localeCompare(nameOf(b)));
  for (const client of clients.splice(0)) client.close();
  clients.push(...(await Promise.all(nodes.map((node) => node.connect()))));
  await leader();
  await until('all nodes have introduced themselves to all', async () => {
    const told = await Promise.all(clients.map((_, i) => status(i)));
    const places = told.map(({ members }) => (members as Decoded[]).map((m) => record(m)['client-address']).join());
    return places.every((each) => each === nodes.map(({ port }) => `127.0.0.1:${port}`).join()) ? true : undefined;
  });
}, 60_000);

function nameOf(node: TestNode): string {
  return node.child.spawnargs[node.child.spawnargs.indexOf('--name') + 1];
}

afterAll(() => {
  for (const client of clients) client.close();
  for (const node of nodes) node.stop();
});

describe('what it tells', () => {
  it('RAFT STATUS, on every node', async () => {
    const at = await leader();
    const told = await Promise.all(clients.map((_, i) => status(i)));
    for (const [i, each] of told.entries()) {
      expect(each).toMatchObject({
        'cluster-id': expect.stringMatching(CLUSTER_ID),
        name: NAMES[i],
        role: i === at ? 'leader' : 'follower',
        leader: told[at].replica,
        'leader-name': NAMES[at],
        voters: '1 2 3',
        outgoing: '',
        learners: '',
        log: 'memory',
        'first-index': '1',
      });
      const members = (each.members as Decoded[]).map(record);
      expect(members.map(({ name, role, connected }) => [name, role, connected])).toEqual(
        NAMES.map((name) => [name, 'voter', '1']),
      );
      expect(members[2]).toMatchObject({
        'client-address': `127.0.0.1:${nodes[2].port}`,
        'peer-address': `127.0.0.1:${peerPorts[2]}`,
      });
      const states = members.map(({ state }) => state).sort();
      expect(states).toEqual(i === at ? ['replicate', 'replicate', 'self'] : ['self', 'unknown', 'unknown']);
    }
    expect(Number(told[at].elections)).toBe(1);
  });

  it('INFO replication, ROLE and HELLO as Redis would', async () => {
    const at = await leader();
    const { port } = nodes[at];
    for (let i = 0; i < 3; i++) {
      const told = await info(i);
      const role = decode(await clients[i].run('role')) as Decoded[];
      expect(told.get('master_replid')).toMatch(/^[0-9a-f]{40}$/);
      expect(told.get('raft_voters')).toBe('1,2,3');
      const hello = record(decode(await clients[i].run('hello')));
      expect(hello.role).toBe(i === at ? 'master' : 'replica');
      if (i === at) {
        expect(told.get('role')).toBe('master');
        expect(told.get('connected_slaves')).toBe('2');
        const other = nodes[at === 0 ? 1 : 0].port;
        expect(told.get('slave0')).toMatch(new RegExp(`^ip=127.0.0.1,port=${other},state=online,offset=\\d+,lag=0$`));
        expect(role[0]).toBe('master');
        expect((role[2] as Decoded[]).map((each) => (each as Decoded[])[0])).toEqual(['127.0.0.1', '127.0.0.1']);
      } else {
        expect(Object.fromEntries(told)).toMatchObject({
          role: 'slave',
          master_host: '127.0.0.1',
          master_port: String(port),
          master_link_status: 'up',
          slave_read_only: '0',
          raft_role: 'follower',
        });
        expect(role.slice(0, 4)).toEqual(['slave', '127.0.0.1', String(port), 'connected']);
      }
    }
  });
});

describe('what clients can ask', () => {
  it('ONCE runs a write once, wherever it is sent again', async () => {
    for (const client of [...clients, ...clients])
      expect(await client.run('once', 'c1', 1, 'incr', 'n')).toBe(':1\r\n');
    expect(await clients[2].run('once', 'c1', 2, 'incr', 'n')).toBe(':2\r\n');
    for (const client of clients) {
      expect(await client.run('once', 'c1', 1, 'incr', 'n')).toMatch(/^-ERR ONCE/);
      expect(await client.run('once', 'c2', 2, 'incr', 'n')).toMatch(/^-ONCEEXPIRED/);
      expect(await client.run('once', 'c1', 3, 'get', 'n')).toBe('-ERR ONCE takes a command that writes\r\n');
      expect(await client.run('get', 'n')).toBe('$1\r\n2\r\n');
    }
  });

  it('WAIT counts who has the writes before it', async () => {
    const at = await leader();
    const reader = clients[await follower()];
    for (const client of [clients[at], reader]) {
      const [, one] = await Promise.all([client.run('set', 'w', 1), client.run('wait', 1, 5000)]);
      expect(Number(one.slice(1))).toBeGreaterThanOrEqual(1);
    }
    expect(await clients[at].run('wait', 2, 5000)).toBe(':2\r\n');
    expect(await clients[at].run('wait', 3, 50)).toBe(':2\r\n');
    // Only the leader knows of more than a majority.
    expect(await reader.run('wait', 2, 100)).toMatch(/^-ERR WAIT for more replicas than a majority/);
  });

  it('a connection that reads at level session sees its own writes, forwarded or not', async () => {
    for (const client of clients) {
      await client.run('client', 'consistency', 'session');
      for (let i = 0; i < 20; i++) {
        await client.run('set', 'own', i);
        expect(await client.run('get', 'own')).toBe(`$${String(i).length}\r\n${i}\r\n`);
      }
      await client.run('client', 'consistency', 'linearizable');
    }
  });

  it('a forwarded write fences the reads behind it', async () => {
    const i = await follower();
    const client = await nodes[i].connect();
    await client.run('set', 'f', 1);
    const { commit } = await status(await leader());
    const token = decode(await client.run('readfence')) as string;
    // What it has seen may be more than it has written, but not less, and not what is still to come.
    expect(Number(token.split('-')[2])).toBe(Number(commit));
    client.close();
  });

  it('READFENCE lets a connection wait for what another has seen', async () => {
    const at = await leader();
    const i = await follower();
    const token = decode(await clients[at].run('readfence')) as string;
    const [cluster, replica, index] = token.split('-');
    expect((await status(at))['cluster-id']).toMatch(new RegExp(`^${cluster}`));
    expect(replica).toBe(String(at + 1));
    const reader = await nodes[i].connect();
    expect(await reader.run('readfence', token)).toBe('+OK\r\n');
    expect(await reader.run('readfence', '00000000-1-1')).toMatch(/another cluster/);
    expect(await reader.run('read', 'session', 'ping')).toBe('+PONG\r\n');
    // One that is ahead of the group: whoever carries it waits for the next write.
    await reader.run('readfence', `${cluster}-${replica}-${Number(index) + 1}`);
    let isAnswered = false;
    const read = reader.run('read', 'session', 'get', 'ahead').then((reply) => {
      isAnswered = true;
      return reply;
    });
    expect(await clients[i].run('read', 'session', 'get', 'ahead')).toBe('$-1\r\n');
    await sleep(60);
    expect(isAnswered).toBe(false);
    await clients[at].run('set', 'ahead', 1);
    expect(await read).toBe('$1\r\n1\r\n');
    reader.close();
  });
});

describe('the state', () => {
  it('has one hash on all replicas, after writes of every kind on each', async () => {
    const before = await hashes();
    await Promise.all(clients.map((client) => write(client, clients.indexOf(client))));
    const after = await hashes();
    expect(new Set(after).size).toBe(1);
    expect(after[0]).not.toBe(before[0]);
    expect(Number(decode(await clients[0].run('dbsize')))).toBeGreaterThan(20);
    const past = await clients[1].run('raft', 'hash', 1);
    expect(past).toMatch(/^-ERR The state is that of entry \d+ already/);
  }, 60_000);

  it('has replies in it that read the same in every version of RESP', async () => {
    for (const [i, node] of nodes.entries()) {
      const client = await node.connect();
      expect(await client.run('hello', 3)).toContain('proto');
      expect(await client.run('once', `r${i}`, 1, 'getdel', 'nosuchkey')).toBe('_\r\n');
      expect(await client.run('once', `r${i}`, 1, 'getdel', 'nosuchkey')).toBe('_\r\n');
      client.close();
    }
    expect(new Set(await hashes()).size).toBe(1);
  });

  it('differs by what ONCE remembers', async () => {
    const [, before] = (await hashes())[0].split(' ');
    await clients[0].run('once', 'c9', 1, 'del', 'nosuchkey');
    const after = await hashes();
    expect(new Set(after).size).toBe(1);
    expect(after[0].split(' ')[1]).not.toBe(before);
  });

  async function write(client: RawClient, nth: number): Promise<void> {
    const r = seeded(SEED + nth);
    const generators = Object.values(GENERATORS);
    for (const option of usualOptions()) await client.run(...option);
    for (let done = 0; done < COMMANDS; done += 50) {
      await Promise.all(Array.from({ length: 50 }, () => client.run(...pick(r, generators)(r))));
    }
  }
});

describe('what operators can tell it', () => {
  it('TRANSFER, by name and by id; other nodes say who leads', async () => {
    const at = await leader();
    const to = (at + 1) % 3;
    for (const command of [
      ['transfer', 'n1'],
      ['remove', 'n1'],
      ['add', 'n9', 'h:1'],
    ]) {
      expect(await clients[to].run('raft', ...command)).toBe(
        `-NOTLEADER ${NAMES[at]} leads, at 127.0.0.1:${nodes[at].port}\r\n`,
      );
    }
    expect(await clients[at].run('raft', 'transfer', NAMES[at])).toBe('+OK\r\n');
    expect(await clients[at].run('raft', 'transfer', 'nobody')).toBe("-ERR There is no member 'nobody'\r\n");
    expect(await clients[at].run('raft', 'transfer', NAMES[to])).toBe('+OK\r\n');
    expect(await leader()).toBe(to);
    expect(await clients[to].run('raft', 'transfer', at + 1)).toBe('+OK\r\n');
    expect(await leader()).toBe(at);
    expect((await info(at)).get('role')).toBe('master');
  }, 30_000);

  it('ADD expects a node, REMOVE takes it out again', async () => {
    const at = await leader();
    const client = clients[at];
    expect(await client.run('raft', 'add', 'n 9', 'h:1')).toMatch(/^-ERR That is no name/);
    expect(await client.run('raft', 'add', 'n'.repeat(241), 'h:1')).toBe('-ERR its name or address is too long\r\n');
    expect(await client.run('raft', 'add', 'n9', 'h')).toBe("-ERR 'h' is not host:port\r\n");
    expect(await client.run('raft', 'add', 'n2', 'h:1')).toBe('-ERR A member is called so already\r\n');
    const address = `127.0.0.1:${peerPorts[4]}`;
    expect(await client.run('raft', 'add', 'n5', address, '127.0.0.1:9')).toBe(':4\r\n');
    const told = await until('the learner', async () => {
      const each = await status(at);
      return each.learners === '4' ? each : undefined;
    });
    const member = (told.members as Decoded[]).map(record)[3];
    expect(member).toMatchObject({ name: 'n5', role: 'learner', 'peer-address': address, connected: '0' });
    expect(await client.run('raft', 'transfer', 'n5')).toBe('-ERR n5 is no voter, so it cannot lead\r\n');
    expect(await client.run('raft', 'remove', 'n5')).toBe('+OK\r\n');
    expect((await status(at)).learners).toBe('');
    expect(await client.run('raft', 'remove', 'n5')).toBe("-ERR There is no member 'n5'\r\n");
  }, 30_000);

  it('a node that joins takes the place that was kept for it, becomes a voter, and has the same state', async () => {
    const at = await leader();
    expect(await clients[at].run('raft', 'add', 'n4', `127.0.0.1:${peerPorts[3]}`)).toBe(':5\r\n');
    await start('n4', peerPorts[3], '--join', `127.0.0.1:${peerPorts[(at + 1) % 3]}`);
    await until('a fourth voter', async () => ((await status(at)).voters === '1 2 3 5' ? true : undefined));
    const all = await hashes();
    expect(all).toHaveLength(4);
    expect(new Set(all).size).toBe(1);
    expect((await status(3)).role).toBe('follower');
    expect(await clients[at].run('raft', 'remove', 'n4')).toBe('+OK\r\n');
    expect((await status(at)).voters).toBe('1 2 3');
  }, 60_000);
});
