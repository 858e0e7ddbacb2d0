import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { Clients } from '../../net/clients.ts';
import { ServerLimits } from '../../net/limits.ts';
import type { Session } from '../../net/session.ts';
import { MapExecutor } from '../support/map-executor.ts';
import { MemoryTransport, request, send, turn } from '../support/memory-transport.ts';

let executor: MapExecutor;
let clients: Clients;
let session: Session;
let transport: MemoryTransport;
const log: string[] = [];

beforeEach(() => {
  log.length = 0;
  executor = new MapExecutor();
  clients = new Clients(executor, new ServerLimits(), (level, text) => log.push(`${level}: ${text}`));
  ({ session, transport } = MemoryTransport.open(clients));
});

afterEach(() => clients.close());

/** Sends text and gives what came back. */
async function ask(text: string): Promise<string> {
  const before = transport.output.length;
  send(session, text);
  await turn();
  return transport.output.slice(before);
}

describe('batches', () => {
  test('a pipeline is answered by one write', async () => {
    send(session, request('SET', 'k', 'v') + request('GET', 'k') + request('PING'));
    await turn();
    expect(transport.writes).toEqual(['+OK\r\n$1\r\nv\r\n+PONG\r\n']);
    expect(executor.batches).toBe(1);
  });

  test('a request cut anywhere is answered when it is whole', async () => {
    const text = request('SET', 'key', 'value') + request('GET', 'key');
    for (let cut = 1; cut < text.length; cut++) {
      await ask(text.slice(0, cut));
      await ask(text.slice(cut));
    }
    expect(transport.output).toBe('+OK\r\n$5\r\nvalue\r\n'.repeat(text.length - 1));
  });

  test('an empty request uses up CLIENT REPLY SKIP', async () => {
    expect(await ask(`${request('CLIENT', 'REPLY', 'SKIP')}*0\r\n${request('PING')}`)).toBe('+PONG\r\n');
  });

  test('a long value in pieces', async () => {
    const value = 'x'.repeat(1_000_000);
    expect(await ask(request('SET', 'k', value) + request('PING'))).toBe('+OK\r\n+PONG\r\n');
    expect(executor.data.get('k')?.length).toBe(1_000_000);
    expect(session.inputCapacity).toBe(0);
  });

  test('an announced length reserves no memory before bytes come', async () => {
    await ask(`*2\r\n$3\r\nGET\r\n$536870912\r\n${'x'.repeat(1000)}`);
    expect(session.inputCapacity).toBeLessThanOrEqual(8192);
  });

  test('an idle session gives its input buffer back', async () => {
    await ask('*1\r\n$4\r\nPI');
    await ask('NG\r\n');
    expect(session.inputCapacity).toBeGreaterThan(0);
    session.releaseIdleInput();
    expect(session.inputCapacity).toBe(0);
    expect(await ask(request('PING'))).toBe('+PONG\r\n');
  });

  test('long replies are written before the batch ends', async () => {
    await ask(request('FILL', '200000').repeat(10));
    expect(transport.writes.length).toBeGreaterThan(3);
    expect(transport.output).toBe(`$200000\r\n${'x'.repeat(200_000)}\r\n`.repeat(10));
  });
});

describe('replies of other threads', () => {
  beforeEach(() => {
    executor.asynchronous = true;
  });

  test('come in the order of the requests, whatever order they are given in', async () => {
    executor.data.set('a', new Uint8Array([65]));
    await ask(
      `${request('PING') + request('GET', 'a') + request('PING', 'x') + request('GET', 'b')}${request('SET', 'a', '1')}`,
    );
    expect(transport.output).toBe('+PONG\r\n');
    executor.answer([2, 0, 1]);
    await turn();
    expect(transport.output).toBe('+PONG\r\n$1\r\nA\r\n$1\r\nx\r\n$-1\r\n+OK\r\n');
    expect(await ask(request('PING'))).toBe('+PONG\r\n');
  });

  test('across batches too', async () => {
    await ask(request('GET', 'a'));
    await ask(request('PING'));
    await ask(request('GET', 'b') + request('PING', 'last'));
    expect(transport.output).toBe('');
    executor.answer([1, 0]);
    await turn();
    expect(transport.output).toBe('$-1\r\n+PONG\r\n$-1\r\n$4\r\nlast\r\n');
  });

  test('are dropped for a session that is gone', async () => {
    await ask(request('GET', 'a'));
    session.gone();
    executor.answer();
    expect(transport.output).toBe('');
    expect(executor.forgotten).toEqual([session.id]);
  });

  test('are waited for by QUIT and by the end of input', async () => {
    await ask(request('GET', 'a') + request('QUIT') + request('GET', 'b'));
    expect(transport.closed).toBe('no');
    executor.answer();
    await turn();
    expect(transport.output).toBe('$-1\r\n+OK\r\n');
    expect(transport.closed).toBe('closed');

    const other = MemoryTransport.open(clients);
    send(other.session, request('GET', 'a'));
    other.session.ended();
    await turn();
    expect(other.transport.closed).toBe('no');
    executor.answer();
    await turn();
    expect(other.transport.output).toBe('$-1\r\n');
    expect(other.transport.closed).toBe('closed');
  });

  test('are muted when their request was', async () => {
    await ask(request('CLIENT', 'REPLY', 'SKIP') + request('GET', 'a') + request('GET', 'b') + request('PING'));
    executor.answer();
    await turn();
    expect(transport.output).toBe('$-1\r\n+PONG\r\n');
  });

  test('the numbers of requests wrap round', async () => {
    await ask(request('PING'));
    Object.assign(session, { nextSeq: 0xffffffff, nextReply: 0xffffffff });
    await ask(request('GET', 'a') + request('PING') + request('GET', 'a'));
    executor.answer([1, 0]);
    await turn();
    expect(transport.output).toBe('+PONG\r\n$-1\r\n+PONG\r\n$-1\r\n');
  });
});

describe('stalled requests', () => {
  test('are offered again, with all that came behind them', async () => {
    executor.stall = true;
    await ask(request('PING') + request('SET', 'a', '1') + request('PING', 'x'));
    await ask(request('GET', 'a'));
    expect(transport.output).toBe('+PONG\r\n');
    executor.stall = false;
    session.resume();
    await turn();
    expect(transport.output).toBe('+PONG\r\n+OK\r\n$1\r\nx\r\n$1\r\n1\r\n');
  });

  test('a quoted inline request, too', async () => {
    executor.stall = true;
    await ask('SET "a\\x20b" "1 2"\r\n');
    executor.stall = false;
    session.resume();
    await turn();
    expect(await ask(request('GET', 'a b'))).toBe('$3\r\n1 2\r\n');
  });

  test('stop the reading of more than a little', async () => {
    executor.stall = true;
    await ask(request('SET', 'a', 'x'.repeat(10_000)).repeat(20));
    expect(transport.paused).toBe(true);
    executor.stall = false;
    session.resume();
    await turn();
    expect(transport.output).toBe('+OK\r\n'.repeat(20));
    expect(transport.paused).toBe(false);
  });
});

describe('the client sends no more', () => {
  test('at rest the connection is closed', () => {
    session.ended();
    expect(transport.closed).toBe('closed');
  });

  test('a half request is forgotten', async () => {
    await ask('*1\r\n$4\r\nPI');
    session.ended();
    expect(transport.closed).toBe('closed');
  });

  test('what came in the same turn is answered first', async () => {
    send(session, request('SET', 'a', '1'));
    session.ended();
    expect(transport.output).toBe('+OK\r\n');
    expect(transport.closed).toBe('closed');
    await turn();
  });

  test('what waits is answered first', async () => {
    executor.stall = true;
    await ask(request('SET', 'a', '1'));
    session.ended();
    expect(transport.closed).toBe('no');
    executor.stall = false;
    session.resume();
    await turn();
    expect(transport.output).toBe('+OK\r\n');
    expect(transport.closed).toBe('closed');
  });
});

describe('protocol errors', () => {
  test('are answered behind what came before, and close', async () => {
    const error = "-ERR Protocol error: expected '$', got '\xfe'\r\n";
    expect(await ask(`${request('PING')}*1\r\n\xfe\r\n${request('PING')}`)).toBe(`+PONG\r\n${error}`);
    expect(transport.closed).toBe('closed');
    expect(await ask(request('PING'))).toBe('');
    expect(executor.call.reply.lastError).toBe('ERR');
  });

  test('a browser gets nothing', async () => {
    expect(await ask('GET / HTTP/1.1\r\nHost: x\r\n\r\n')).toBe('');
    expect(transport.closed).toBe('destroyed');
  });

  test('too much unfinished input closes without a word', async () => {
    clients.limits.queryBufferBytes = 1_000_000;
    expect(await ask(request('SET', 'a', 'x'.repeat(2_000_000)))).toBe('');
    expect(transport.closed).toBe('destroyed');
    expect(log[0]).toMatch(/^warning: Closing client that reached max query buffer length: id=1 /);
  });
});

describe('slow readers', () => {
  test('the hard limit disconnects', async () => {
    clients.limits.outputHardBytes = 1_000_000;
    transport.reads = false;
    await ask(request('FILL', '200000').repeat(10));
    expect(transport.closed).toBe('destroyed');
    expect(clients.outputLimitDisconnections).toBe(1);
    expect(clients.sessions.size).toBe(0);
  });

  test('so does a single reply beyond it', async () => {
    clients.limits.outputHardBytes = 1_000_000;
    expect(await ask(request('FILL', '2000000'))).toBe('');
    expect(transport.closed).toBe('destroyed');
  });

  test('the soft limit disconnects after its time, unless the reader catches up', async () => {
    clients.limits.outputSoftBytes = 1000;
    clients.limits.outputSoftSec = 0.3;
    const slow = MemoryTransport.open(clients);
    transport.reads = false;
    slow.transport.reads = false;
    await ask(request('FILL', '2000'));
    send(slow.session, request('FILL', '2000'));
    await turn();
    transport.drain();
    while (slow.transport.closed === 'no') await turn();
    expect(slow.transport.closed).toBe('destroyed');
    expect(transport.closed).toBe('no');
  });

  test('without limits their requests wait until they read', async () => {
    clients.limits.unreadOutputBytes = 500_000;
    transport.reads = false;
    await ask(request('FILL', '100000').repeat(20));
    const written = transport.output.length;
    expect(written).toBeGreaterThan(500_000);
    expect(written).toBeLessThan(1_100_000);
    transport.drain();
    await turn();
    expect(transport.output).toBe(`$100000\r\n${'x'.repeat(100_000)}\r\n`.repeat(20));
  });

  test('replies behind pending ones are copies: the shared buffer goes on', async () => {
    transport.reads = false;
    const other = MemoryTransport.open(clients);
    await ask(request('PING', 'first'));
    await ask(request('PING', 'second'));
    send(other.session, request('PING', 'other'));
    await turn();
    expect(transport.output).toBe('$5\r\nfirst\r\n$6\r\nsecond\r\n');
    expect(other.transport.output).toBe('$5\r\nother\r\n');
  });
});

describe('the tick', () => {
  test('work beyond the budget goes on in later turns, and timers fire between them', async () => {
    // Counted in commands, not in time, since the machine may be busy with something else: a turn of 4 ms has room for
    // 80 of these, and for what runs until the next look at the clock.
    let most = 0;
    let last = 0;
    const timer = setInterval(() => {
      most = Math.max(most, executor.commands - last);
      last = executor.commands;
    }, 1);
    const others = Array.from({ length: 5 }, () => MemoryTransport.open(clients));
    for (const other of others) send(other.session, request('BUSY', '50').repeat(400));
    while (others.some((other) => other.transport.output.length < 400 * 5)) await turn();
    clearInterval(timer);
    expect(most).toBeGreaterThan(0);
    expect(most).toBeLessThan(2 * (80 + 32));
  });

  test('a few slow commands are cut off as early as many fast ones', async () => {
    send(session, request('BUSY', '3000').repeat(10));
    await turn();
    expect(transport.output.length).toBeLessThan(5 * 5);
    const before = executor.call.nowMs;
    while (transport.output.length < 10 * 5) await turn();
    expect(executor.call.nowMs).toBeGreaterThan(before + 10);
  });

  test('sessions take turns', async () => {
    const first = MemoryTransport.open(clients);
    const second = MemoryTransport.open(clients);
    send(first.session, request('BUSY', '100').repeat(300));
    send(second.session, request('PING'));
    expect(second.transport.output).toBe('');
    while (second.transport.output === '') await turn();
    expect(first.transport.output.length).toBeLessThan(300 * 5);
    while (first.transport.output.length < 300 * 5) await turn();
  });
});

describe('pushes', () => {
  const message = new Uint8Array(Buffer.from('..>1\r\n+hi\r\n'));

  test('are written by the next flush', () => {
    session.push(message, 2, message.length - 2);
    clients.flush();
    expect(transport.output).toBe('>1\r\n+hi\r\n');
  });

  test('go between replies, also while some are outstanding', async () => {
    executor.asynchronous = true;
    await ask(request('GET', 'a'));
    session.push(message, 2, message.length - 2);
    clients.flush();
    executor.answer();
    await turn();
    expect(transport.output).toBe('>1\r\n+hi\r\n$-1\r\n');
  });
});

describe('the password', () => {
  test('is asked of new connections, not of those that are in', async () => {
    clients.limits.requirePass = 'secret';
    clients.passwordChanged();
    expect(await ask(request('PING'))).toBe('+PONG\r\n');
    ({ session, transport } = MemoryTransport.open(clients));
    expect(await ask(request('PING'))).toBe('-NOAUTH Authentication required.\r\n');
    expect(await ask(request('AUTH', 'wrong'))).toMatch(/^-WRONGPASS /);
    expect(await ask(request('AUTH', 'secret') + request('PING'))).toBe('+OK\r\n+PONG\r\n');
  });

  test('lengths are limited until it is given', async () => {
    clients.limits.requirePass = 'secret';
    ({ session, transport } = MemoryTransport.open(clients));
    const long = request('PING', 'x'.repeat(20_000));
    expect((await ask(request('AUTH', 'secret') + long)).length).toBeGreaterThan(20_000);
    expect(await ask(request('RESET') + long)).toBe('+RESET\r\n-ERR Protocol error: unauthenticated bulk length\r\n');
  });

  test('taken away, everybody is in', async () => {
    clients.limits.requirePass = 'secret';
    ({ session, transport } = MemoryTransport.open(clients));
    clients.limits.requirePass = '';
    clients.passwordChanged();
    expect(await ask(request('PING'))).toBe('+PONG\r\n');
  });
});

test('an idle client is disconnected after the timeout', async () => {
  clients.limits.idleTimeoutSec = 1;
  session.lastActiveMs -= 5000;
  while (transport.closed === 'no') await turn();
  expect(transport.closed).toBe('destroyed');
});

test('replies that waited for the log go before newer ones, also when another connection that waited ends', async () => {
  const gate = { awaitedIndex: 1, releasedIndex: 0 };
  clients.scheduler.gate = gate;
  const other = MemoryTransport.open(clients);
  send(session, request('SET', 'a', '1'));
  session.ended();
  send(other.session, request('SET', 'b', '2'));
  await turn();
  expect(transport.output + other.transport.output).toBe('');
  // The log comes as far in the middle of a turn.
  send(other.session, request('GET', 'b'));
  gate.awaitedIndex = 0;
  gate.releasedIndex = 1;
  clients.scheduler.releaseHeld();
  await turn();
  expect(transport.output).toBe('+OK\r\n');
  expect(other.transport.output).toBe('+OK\r\n$1\r\n2\r\n');
});

test('numbers of connections begin again after 2^31 - 1, without those in use', () => {
  (clients as unknown as { nextId: number }).nextId = 0x7fffffff;
  const { session: last } = MemoryTransport.open(clients);
  const { session: next } = MemoryTransport.open(clients);
  expect([session.id, last.id, next.id]).toEqual([1, 0x7fffffff, 2]);
});
