/** The proxy that tests break networks with does what it says, and nothing else. */
import net from 'node:net';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { Lane, TcpProxy } from '../support/proxy.ts';
import { Wire } from '../support/wire.ts';

const wait = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

/** Says back what it hears, and counts who is there. */
let server: net.Server;
let proxy: TcpProxy;
let ended = 0;
let reset = 0;
const inside = new Set<net.Socket>();
const wires: Wire[] = [];

beforeEach(async () => {
  ended = 0;
  reset = 0;
  server = net.createServer({ allowHalfOpen: true }, (socket) => {
    inside.add(socket);
    socket.on('data', (chunk) => socket.write(chunk));
    socket.on('end', () => {
      ended++;
      socket.end('bye');
    });
    socket.on('error', () => {
      reset++;
    });
    socket.on('close', () => inside.delete(socket));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  proxy = await TcpProxy.start({ targetPort: (server.address() as net.AddressInfo).port });
});

afterEach(async () => {
  for (const wire of wires.splice(0)) wire.destroy();
  await proxy.stop();
  for (const socket of inside) socket.destroy();
  server.close();
});

async function connect(): Promise<Wire> {
  const wire = await Wire.connect(proxy.port);
  wires.push(wire);
  return wire;
}

/** What a wire gets within a while. */
async function heard(wire: Wire, ms = 60): Promise<string> {
  await wait(ms);
  const { text } = wire;
  wire.forget();
  return text;
}

describe('a proxy', () => {
  it('carries bytes, and the end of each direction by itself', async () => {
    const wire = await connect();
    wire.write('hello');
    await wire.received(5);
    expect(await wire.finish()).toBe('hellobye');
    expect(ended).toBe(1);
    await wait(20);
    expect(proxy.connections).toBe(0);
  });

  it('carries much, in order, past a receiver that is slow', async () => {
    const wire = await connect();
    const bytes = Buffer.alloc(24 * 1024 * 1024);
    for (let i = 0; i < bytes.length; i += 4) bytes.writeUInt32LE(i, i);
    wire.stopReading();
    wire.write(bytes);
    await wait(100);
    wire.startReading();
    await wire.received(bytes.length);
    expect(wire.bytes.equals(bytes)).toBe(true);
  });

  it('swallows one direction, or both, without a word', async () => {
    const wire = await connect();
    proxy.toServer.isDropping = true;
    wire.write('a');
    expect(await heard(wire)).toBe('');
    proxy.toServer.isDropping = false;
    proxy.toClient.isDropping = true;
    wire.write('b');
    expect(await heard(wire)).toBe('');
    expect(proxy.toClient.bytes).toBe(1);
    proxy.drop();
    wire.socket.resetAndDestroy();
    await wait(30);
    expect([ended, reset, inside.size]).toEqual([0, 0, 1]);
    proxy.heal();
    await wait(30);
    expect(inside.size).toBe(0);
    const next = await connect();
    next.write('c');
    expect(await heard(next)).toBe('c');
  });

  it('delays', async () => {
    const wire = await connect();
    proxy.toClient.delayMs = 100;
    const startedAt = performance.now();
    wire.write('a');
    await wait(20);
    wire.write('b');
    expect(await heard(wire)).toBe('');
    await wire.received(2);
    expect(performance.now() - startedAt).toBeGreaterThan(110);
    expect(wire.text).toBe('ab');
  });

  it('throttles', async () => {
    const wire = await connect();
    proxy.toServer.bytesPerSec = 50_000;
    const startedAt = performance.now();
    wire.write(Buffer.alloc(10_000));
    await wire.received(10_000);
    const ms = performance.now() - startedAt;
    expect(ms).toBeGreaterThan(150);
    expect(ms).toBeLessThan(1000);
  });

  it('holds and releases: nothing is lost, nothing is out of order', async () => {
    const wire = await connect();
    proxy.toServer.hold();
    wire.write('a');
    await wait(10);
    wire.write('b');
    wire.socket.end();
    expect(await heard(wire)).toBe('');
    expect(ended).toBe(0);
    proxy.toServer.release();
    await wire.closed;
    expect(wire.text).toBe('abbye');
  });

  it('flips one bit of one byte', async () => {
    const wire = await connect();
    proxy.toServer.flipBit(5);
    wire.write('aaaa');
    expect(await heard(wire)).toBe('aaaa');
    wire.write('aaaa');
    wire.write('aaaa');
    expect(await heard(wire)).toBe('a`aaaaaa');
  });

  it.each(['rst', 'fin'] as const)('cuts with %s, and takes new connections', async (how) => {
    const wire = await connect();
    wire.write('a');
    await wire.received(1);
    let code = '';
    wire.socket.on('error', (error: NodeJS.ErrnoException) => {
      code = error.code ?? '';
    });
    proxy.cut(how);
    await wire.closed;
    await wait(20);
    expect(code).toBe(how === 'rst' ? 'ECONNRESET' : '');
    expect([ended, reset]).toEqual(how === 'rst' ? [0, 1] : [1, 0]);
    const next = await connect();
    next.write('b');
    expect(await heard(next)).toBe('b');
  });

  it('refuses until it is healed', async () => {
    const wire = await connect();
    proxy.sever();
    await wire.closed;
    // The reset may come before the connection is known to be there.
    const refused = await connect().catch((error: Error) => error);
    if (refused instanceof Wire) await refused.closed;
    expect(proxy.taken).toBe(1);
    proxy.heal();
    const next = await connect();
    next.write('b');
    expect(await heard(next)).toBe('b');
  });

  it('says a recorded connection again', async () => {
    const wire = await connect();
    wire.write('first');
    await wire.received(5);
    const other = await connect();
    other.write('second');
    await other.received(6);
    expect(proxy.recording().toString()).toBe('second');
    expect(await proxy.replay(proxy.recording(1), 50)).toEqual({ answer: Buffer.from('first'), isClosed: false });
  });

  it('resets when the target is not there', async () => {
    server.close();
    const wire = await connect();
    await wire.closed;
    expect(proxy.connections).toBe(0);
  });

  it('sorts connections into lanes by what they say first', async () => {
    const lanes = new Map([
      ['a', new Lane()],
      ['b', new Lane()],
    ]);
    const sorting = await TcpProxy.start({
      targetPort: (server.address() as net.AddressInfo).port,
      sort: (first) => lanes.get(first.toString('latin1', 0, 1)),
    });
    const [a, b, c] = await Promise.all([0, 1, 2].map(() => Wire.connect(sorting.port)));
    wires.push(a, b, c);
    a.write('a1');
    b.write('b1');
    c.write('c1');
    await Promise.all([a, b, c].map((wire) => wire.received(2)));
    lanes.get('a')!.drop();
    lanes.get('b')!.sever();
    a.write('a2');
    c.write('c2');
    await b.closed;
    expect([await heard(a), await heard(c, 0), lanes.get('a')!.connections, sorting.connections]).toEqual([
      'a1',
      'c1c2',
      1,
      1,
    ]);
    await sorting.stop();
  });
});
