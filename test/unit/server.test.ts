/** Sessions over real sockets, by the direct ways of reading and writing and by node:net's public ones. */
import net from 'node:net';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { Clients } from '../../net/clients.ts';
import { DirectWriter } from '../../net/directwrite.ts';
import { Server } from '../../net/server.ts';
import { MapExecutor } from '../support/map-executor.ts';
import { request } from '../support/memory-transport.ts';

/** A client that counts and keeps what it reads. */
class Client {
  readonly socket: net.Socket;
  text = '';
  bytes = 0;
  ended = false;
  /** Whether `text` is kept. */
  keep = true;

  private constructor(socket: net.Socket) {
    this.socket = socket;
    socket.on('data', (data) => {
      this.bytes += data.length;
      if (this.keep) this.text += data.toString('latin1');
    });
    socket.on('end', () => {
      this.ended = true;
    });
    socket.on('error', () => {
      this.ended = true;
    });
  }

  static open(port: number): Promise<Client> {
    return new Promise((resolve, reject) => {
      const socket = net.connect({ port, host: '127.0.0.1', allowHalfOpen: true }, () => resolve(new Client(socket)));
      socket.once('error', reject);
    });
  }

  send(text: string): void {
    this.socket.write(Buffer.from(text, 'latin1'));
  }
}

async function until(condition: () => boolean): Promise<void> {
  const giveUpAt = performance.now() + 10_000;
  while (!condition()) {
    if (performance.now() > giveUpAt) throw new Error('waited for too long');
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
}

test('this Node lets sockets be written directly', () => {
  expect(DirectWriter.create()).toBeDefined();
});

describe.each([
  ['directly', false],
  ['by streams', true],
])('%s', (_, plain) => {
  let executor: MapExecutor;
  let clients: Clients;
  let server: Server;
  const opened: Client[] = [];

  beforeEach(async () => {
    executor = new MapExecutor();
    clients = new Clients(executor);
    server = new Server(clients, plain);
    await server.listen(['127.0.0.1'], 0, 511);
  });

  afterEach(() => {
    for (const client of opened.splice(0)) client.socket.destroy();
    server.close();
    clients.close();
  });

  async function connect(): Promise<Client> {
    const client = await Client.open(server.port);
    opened.push(client);
    return client;
  }

  test('a command and its reply', async () => {
    const client = await connect();
    client.send(request('SET', 'k', 'v') + request('GET', 'k'));
    await until(() => client.text === '+OK\r\n$1\r\nv\r\n');
    client.text = '';
    client.send(request('CLIENT', 'INFO'));
    await until(() => client.text.endsWith('\n\r\n'));
    const { localPort } = client.socket;
    expect(client.text).toMatch(
      new RegExp(`addr=127\\.0\\.0\\.1:${localPort} laddr=127\\.0\\.0\\.1:${server.port} fd=[1-9]`),
    );
  });

  test('a pipeline of 100 000 commands', async () => {
    const client = await connect();
    const numbers = Array.from({ length: 100_000 }, (_, i) => String(i));
    client.send(numbers.map((n) => request('PING', n)).join(''));
    const expected = numbers.map((n) => `$${n.length}\r\n${n}\r\n`).join('');
    await until(() => client.bytes >= expected.length);
    expect(client.text === expected).toBe(true);
  });

  test('a value of 64 MiB, there and back', async () => {
    const client = await connect();
    const value = Buffer.alloc(64 * 1024 * 1024, 'millrace');
    client.socket.write(`*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$${value.length}\r\n`);
    client.socket.write(value);
    client.send(`\r\n${request('GET', 'k')}`);
    client.keep = false;
    await until(() => client.bytes > value.length);
    await until(() => executor.commands === 2 && clients.netOutputBytes === client.bytes);
    expect(client.bytes).toBe(5 + `$${value.length}\r\n`.length + value.length + 2);
    expect(value.equals(executor.data.get('k') ?? new Uint8Array(0))).toBe(true);
  });

  test('a client that does not read does not harm the others, and gets all in the end', async () => {
    clients.limits.unreadOutputBytes = 2_000_000;
    const slow = await connect();
    const other = await connect();
    slow.socket.pause();
    slow.keep = false;
    slow.send(request('FILL', '1000000').repeat(40));
    await until(() => [...clients.sessions.values()].some((session) => session.transport.pendingBytes > 2_000_000));
    const held = executor.commands;
    for (let i = 0; i < 20; i++) {
      other.text = '';
      other.send(request('PING'));
      await until(() => other.text === '+PONG\r\n');
    }
    expect(executor.commands).toBe(held + 20);
    expect(held).toBeLessThan(20);
    slow.socket.resume();
    const expected = 40 * (1_000_000 + '$1000000\r\n\r\n'.length);
    await until(() => slow.bytes >= expected);
    expect(slow.bytes).toBe(expected);
  });

  test('what a client that does not read goes on sending stays with it', async () => {
    clients.limits.unreadOutputBytes = 2_000_000;
    const client = await connect();
    client.socket.pause();
    client.keep = false;
    client.send(request('FILL', '20000000'));
    await until(() => executor.commands === 1);
    const pings = 2_000_000;
    client.socket.write(Buffer.from(request('PING').repeat(pings)));
    await until(() => clients.netInputBytes > 64 * 1024);
    await new Promise((resolve) => setTimeout(resolve, 200));
    expect(clients.netInputBytes).toBeLessThan(1_000_000);
    expect(client.socket.writableLength).toBeGreaterThan(0);
    client.socket.resume();
    const expected = '$20000000\r\n\r\n'.length + 20_000_000 + pings * '+PONG\r\n'.length;
    await until(() => client.bytes >= expected);
    expect(client.bytes).toBe(expected);
  });

  test('small replies behind output that waits come in order', async () => {
    const client = await connect();
    client.socket.pause();
    client.send(request('FILL', '20000000'));
    await until(() => executor.commands === 1);
    for (let i = 0; i < 50; i++) {
      client.send(request('PING', String(i)));
      await until(() => executor.commands === i + 2);
    }
    client.socket.resume();
    await until(() => client.text.endsWith('$2\r\n49\r\n'));
    expect(client.text.slice(-400)).toMatch(/\$2\r\n10\r\n\$2\r\n11\r\n\$2\r\n12\r\n/);
    expect(client.bytes).toBe('$20000000\r\n\r\n'.length + 20_000_000 + 10 * 7 + 40 * 8);
  });

  test('the hard output limit closes the connection', async () => {
    clients.limits.outputHardBytes = 1_000_000;
    const client = await connect();
    client.socket.pause();
    client.send(request('FILL', '900000').repeat(50));
    await until(() => clients.sessions.size === 0);
    expect(clients.outputLimitDisconnections).toBe(1);
  });

  test('a client that ends its side is answered, then closed', async () => {
    const client = await connect();
    client.socket.end(request('FILL', '3000000') + request('PING'));
    await until(() => client.ended);
    expect(client.text.endsWith('+PONG\r\n')).toBe(true);
    await until(() => clients.sessions.size === 0);
  });

  test('QUIT and protocol errors close, with the reply', async () => {
    const [quitting, wrong] = [await connect(), await connect()];
    quitting.send(request('QUIT'));
    wrong.send('*x\r\n');
    await until(() => quitting.ended && wrong.ended);
    expect(quitting.text).toBe('+OK\r\n');
    expect(wrong.text).toBe('-ERR Protocol error: invalid multibulk length\r\n');
    await until(() => clients.sessions.size === 0);
  });

  test('a reset connection is forgotten, also in the middle of a reply', async () => {
    const client = await connect();
    client.socket.pause();
    client.send(request('FILL', '50000000'));
    await until(() => executor.commands === 1);
    client.socket.resetAndDestroy();
    await until(() => clients.sessions.size === 0);
  });

  test('maxclients', async () => {
    clients.limits.maxClients = 2;
    await connect();
    await connect();
    const third = await connect();
    await until(() => third.ended);
    expect(third.text).toBe('-ERR max number of clients reached\r\n');
    expect(clients.connectionsRejected).toBe(1);
    expect(clients.connectionsReceived).toBe(3);
    opened[0].socket.destroy();
    await until(() => clients.sessions.size === 1);
    const fourth = await connect();
    fourth.send(request('PING'));
    await until(() => fourth.text === '+PONG\r\n');
  });

  test('protected mode turns away whoever is not of this machine, while there is no password', () => {
    clients.limits.protectedMode = true;
    expect(clients.refusal('10.0.0.1')).toMatch(/^-DENIED /);
    expect(clients.refusal('127.0.0.1')).toBeUndefined();
    expect(clients.refusal('::1')).toBeUndefined();
    clients.limits.requirePass = 'pw';
    expect(clients.refusal('10.0.0.1')).toBeUndefined();
  });

  test('addresses that may be missing, and those that may not', async () => {
    const more = new Server(clients, plain);
    await more.listen(['-203.0.113.1', '127.0.0.1'], 0, 511);
    more.close();
    await expect(new Server(clients, plain).listen(['203.0.113.1'], 0, 511)).rejects.toThrow(/EADDRNOTAVAIL/);
    await expect(new Server(clients, plain).listen(['127.0.0.1'], server.port, 511)).rejects.toThrow(/EADDRINUSE/);
  });

  test('timers fire between bounded amounts of work', async () => {
    const load = await Promise.all(Array.from({ length: 100 }, connect));
    const pipeline = request('BUSY', '5').repeat(64);
    for (const client of load) {
      client.keep = false;
      client.socket.on('data', () => {
        if (client.bytes % (64 * 5) === 0) client.send(pipeline);
      });
      client.send(pipeline);
    }
    let most = 0;
    let last = executor.commands;
    const timer = setInterval(() => {
      most = Math.max(most, executor.commands - last);
      last = executor.commands;
    }, 1);
    await until(() => executor.commands > 30_000);
    clearInterval(timer);
    // Without a bound a turn would run all that has come, 100 x 64 commands; with it, 4 ms of them.
    expect(most).toBeLessThan(2 * (800 + 32));
  });
});
