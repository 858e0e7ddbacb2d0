import { execFileSync, spawnSync } from 'node:child_process';
import net from 'node:net';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { ENTRY_CONFIG, Entry } from '../../engine/raft/entry.ts';
import { APPEND, Message, READ_INDEX } from '../../engine/raft/message.ts';
import { toWire } from '../../net/peer/convert.ts';
import { FrameWriter, HANDSHAKE_FRAME_LIMIT } from '../../net/peer/frame.ts';
import { Handshaker } from '../../net/peer/handshake.ts';
import { Peers } from '../../net/peer/peers.ts';
import {
  HANDSHAKE,
  JOIN,
  JOIN_DONE,
  JOIN_LATER,
  JOIN_REPLY,
  type Join,
  type PeerMessage,
  PING,
} from '../../proto/messages.ts';
import { PeerNet, type PeerNode, Stranger, until } from '../support/peers.ts';

let peerNet: PeerNet;
beforeEach(() => {
  peerNet = new PeerNet();
});
afterEach(() => peerNet.close());

async function two(options: Parameters<PeerNet['add']>[1]): Promise<[PeerNode, PeerNode]> {
  const a = await peerNet.add(1);
  const b = await peerNet.add(2, options);
  await peerNet.introduce(1);
  await peerNet.introduce(2);
  return [a, b];
}

const someTime = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 400));

describe('who is no peer is not listened to', () => {
  it.each([
    ['another secret', { secret: 'other' }, 'another peer-secret'],
    ['no secret', { secret: '' }, 'another peer-secret'],
    ['another cluster', { clusterId: 'c2' }, 'cluster "c2"'],
    ['the same node', { nodeId: 'id1' }, 'this node itself'],
    ['the same replica', { replica: 1 }, 'replica 1'],
  ])('%s', async (_, options, text) => {
    const [a, b] = await two(options);
    await until(() => [...a.logged, ...b.logged].some((line) => line.includes(text)));
    await someTime();
    // One that asks for no proof may believe for a moment that it is welcome.
    expect([a.isConnectedTo(2), !('secret' in options) && b.isConnectedTo(1)]).toEqual([false, false]);
    expect(a.reach).toEqual([]);
    expect(a.logged.filter((line) => line.includes(text)).length).toBeLessThanOrEqual(2);
    expect(a.messages.length + b.messages.length).toBe(0);
  });

  it('with no secret on both sides everybody is believed', async () => {
    peerNet.close();
    peerNet = new PeerNet({ secret: '' });
    await peerNet.start(2);
  });

  const garbage = (text: string): Uint8Array => Buffer.from(text);
  const tooLong = new Uint8Array(12);
  new DataView(tooLong.buffer).setUint32(0, HANDSHAKE_FRAME_LIMIT + 1, true);
  const ping = new FrameWriter().write({ type: PING, id: 1, answer: false }).slice();
  const damaged = ping.slice();
  damaged[20] ^= 1;

  it.each([
    ['text', garbage('GET / HTTP/1.1\r\n\r\n'), 'are allowed'],
    ['a long frame', tooLong, 'are allowed'],
    ['a damaged frame', damaged, 'another checksum'],
    ['a message without a handshake', ping, 'before the handshake'],
  ])('%s', async (_, bytes, text) => {
    const [a] = await peerNet.start(2);
    const stranger = new Stranger(a.peers.port);
    const before = a.logged.length;
    stranger.socket.write(bytes);
    await until(() => stranger.isClosed);
    expect(a.logged.slice(before)).toEqual([expect.stringContaining(text)]);
    expect(a.isConnectedTo(2)).toBe(true);
    expect(a.reach).not.toContain('-2');
  });

  it('who says nothing is let go', async () => {
    const a = await peerNet.add(1);
    const stranger = new Stranger(a.peers.port);
    await until(() => stranger.isClosed);
    expect(a.logged).toEqual([expect.stringContaining('no handshake in time')]);
  });

  it('many who say nothing are not all waited for', async () => {
    const a = await peerNet.add(1);
    const strangers = Array.from({ length: 66 }, () => new Stranger(a.peers.port));
    await until(() => strangers.filter(({ isClosed }) => isClosed).length === 2, 2500);
    for (const { socket } of strangers) socket.destroy();
  });

  it('a proof cannot be used for other replicas, nor the first message again', async () => {
    const a = await peerNet.add(1);
    const stranger = new Stranger(a.peers.port);
    const self = { clusterId: 'c1', nodeId: 'id2', nodeName: 'n2', replicas: [{ group: 0, replica: 2 }] };
    const handshaker = new Handshaker('opener', self, 'secret');
    stranger.send({ ...handshaker.greeting, replicas: [{ group: 0, replica: 3 }] });
    await until(() => stranger.got.length > 0);
    const answer = stranger.got[0];
    if (answer.type !== HANDSHAKE) throw new Error('no handshake');
    // It knows the secret of the first message, not of this one: the acceptor's proof does not fit, so it sends it back.
    stranger.send({ ...handshaker.greeting, proof: answer.proof });
    await until(() => stranger.isClosed);
    expect(a.peers.status()).toEqual([]);
  });
});

describe('a proven peer', () => {
  const readIndex = (from: number, to = 1, group = 0): PeerMessage =>
    toWire(new Message(READ_INDEX, group, from, to, 5));

  it('speaks for itself alone', async () => {
    const a = await peerNet.add(1);
    const stranger = new Stranger(a.peers.port);
    await stranger.shakeHands(2);
    for (const [from, to, group] of [
      [3, 1, 0],
      [1, 1, 0],
      [2, 3, 0],
      [2, 1, 1],
      [2, 1, 0],
    ]) {
      stranger.send(readIndex(from, to, group));
    }
    await until(() => a.messages.length > 0);
    await someTime();
    expect(a.messages.map(({ from, to, group }) => [from, to, group])).toEqual([[2, 1, 0]]);
    expect(a.reach).toEqual(['+2']);
  });

  it('may send its bytes one by one, from the first on', async () => {
    const a = await peerNet.add(1);
    const stranger = new Stranger(a.peers.port);
    const byByte = async (bytes: Uint8Array): Promise<void> => {
      for (let i = 0; i < bytes.length; i++) {
        stranger.socket.write(bytes.subarray(i, i + 1));
        await new Promise((resolve) => setImmediate(resolve));
      }
    };
    const self = { clusterId: 'c1', nodeId: 'id2', nodeName: 'n2', replicas: [{ group: 0, replica: 2 }] };
    const handshaker = new Handshaker('opener', self, 'secret');
    await byByte(stranger.bytes(handshaker.greeting));
    await until(() => stranger.got.length > 0);
    await byByte(stranger.bytes(handshaker.take(stranger.got.shift()!)!));
    await byByte(stranger.bytes(readIndex(2)));
    await until(() => a.messages.length === 1);
  });

  it('that sends a damaged frame is let go, with one line', async () => {
    const a = await peerNet.add(1);
    const stranger = new Stranger(a.peers.port);
    await stranger.shakeHands(2);
    await until(() => a.isConnectedTo(2));
    const before = a.logged.length;
    const bytes = stranger.bytes(readIndex(2));
    bytes[bytes.length - 1] ^= 4;
    stranger.socket.write(Buffer.concat([stranger.bytes(readIndex(2)), bytes, stranger.bytes(readIndex(2))]));
    await until(() => stranger.isClosed);
    expect(a.messages.length).toBe(1);
    expect(a.logged.slice(before)).toEqual([expect.stringContaining('another checksum')]);
    expect(a.reach).toEqual(['+2', '-2']);
  });

  it('that sends a configuration that is none is let go', async () => {
    const a = await peerNet.add(1);
    const stranger = new Stranger(a.peers.port);
    await stranger.shakeHands(2);
    const m = new Message(APPEND, 0, 2, 1, 5);
    m.entries = [new Entry(1, 5, ENTRY_CONFIG, new Uint8Array(3), 0, 3)];
    stranger.send(toWire(m));
    await until(() => stranger.isClosed);
    expect(a.messages).toEqual([]);
    expect(a.logged.at(-1)).toContain('configuration');
  });

  it('is not replaced by another node with the same replica', async () => {
    const [a] = await peerNet.start(2);
    const b2 = await peerNet.add(2, { nodeId: 'other' });
    await peerNet.introduce(2);
    await until(() => a.logged.some((line) => line.includes('is not the one that replica 2 was')));
    // The newcomer may believe for a moment that it is welcome.
    await until(() => !b2.isConnectedTo(1));
    expect(a.reach).toEqual(['+2']);
  });
});

describe('a node that wants to join', () => {
  const request: Join = {
    type: JOIN,
    nodeId: 'id9',
    nodeName: 'n9',
    peerAddress: '127.0.0.1:1',
    clientAddress: '127.0.0.1:2',
  };
  const ask = (a: PeerNode, secret = 'secret') =>
    Peers.askToJoin({ host: '127.0.0.1', port: a.peers.port }, request, secret, undefined);

  it('asks a member, and is answered', async () => {
    const a = await peerNet.add(1);
    const member = { replica: 1, nodeId: 'id1', nodeName: 'n1', peerAddress: 'x:1', clientAddress: 'x:2' };
    const reply = { type: JOIN_REPLY, status: JOIN_DONE, replica: 9, text: '', clusterId: 'c1', leader: '' } as const;
    a.join = (asked) => {
      expect(asked).toEqual(request);
      return Promise.resolve({ ...reply, members: [member] });
    };
    expect(await ask(a)).toEqual({ ...reply, members: [member] });
    expect(a.reach).toEqual([]);
    expect(a.peers.status()).toEqual([]);
  });

  it('may have to wait for the answer longer than a silent peer is kept', async () => {
    const a = await peerNet.add(1);
    a.join = () => new Promise((_, reject) => setTimeout(() => reject(new Error('not now')), 2500));
    expect(await ask(a)).toMatchObject({ status: JOIN_LATER, text: 'not now' });
  });

  it('needs the secret', async () => {
    const a = await peerNet.add(1);
    await expect(ask(a, 'other')).rejects.toThrow('another peer-secret');
    await expect(ask(a, '')).rejects.toThrow('another peer-secret');
    for (const line of a.logged) expect(line).toContain('another peer-secret');
  });

  it('hears when nobody is there', async () => {
    const server = net.createServer();
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const { port } = server.address() as net.AddressInfo;
    await new Promise((resolve) => server.close(resolve));
    const asked = Peers.askToJoin({ host: '127.0.0.1', port }, request, 'secret', undefined);
    await expect(asked).rejects.toThrow('ECONNREFUSED');
  });

  it('may say nothing else', async () => {
    const a = await peerNet.add(1);
    const stranger = new Stranger(a.peers.port);
    const handshaker = new Handshaker('opener', { clusterId: '', nodeId: 'x', nodeName: 'x', replicas: [] }, 'secret');
    stranger.send(handshaker.greeting);
    await until(() => stranger.got.length > 0);
    stranger.send(handshaker.take(stranger.got[0])!);
    stranger.send(toWire(new Message(READ_INDEX, 0, 2, 1, 5)));
    await until(() => stranger.isClosed);
    expect(a.messages).toEqual([]);
  });
});

function hasOpenssl(): boolean {
  const has = spawnSync('openssl', ['version']).status === 0;
  if (!has) console.log('skipped: no openssl here to make certificates with');
  return has;
}

describe.skipIf(!hasOpenssl())('with TLS on both sides', () => {
  function certificate(directory: string, name: string, authority: string): { key: string; cert: string; ca: string } {
    const file = (ending: string): string => join(directory, `${name}.${ending}`);
    const ca = join(directory, `${authority}.crt`);
    const run = (...args: string[]): unknown => execFileSync('openssl', args, { stdio: 'ignore' });
    const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-keyout', file('key')];
    if (name === authority) {
      run('req', '-x509', ...key, '-out', file('crt'), '-days', '2', '-subj', `/CN=${name}`);
    } else {
      run('req', ...key, '-out', file('csr'), '-subj', `/CN=${name}`);
      const by = ['-CA', ca, '-CAkey', join(directory, `${authority}.key`), '-CAcreateserial'];
      run('x509', '-req', '-in', file('csr'), ...by, '-out', file('crt'), '-days', '2');
    }
    return { key: file('key'), cert: file('crt'), ca };
  }

  it('members hear each other, and nobody without a certificate of the authority is heard', async () => {
    const { directory } = peerNet;
    certificate(directory, 'ca', 'ca');
    certificate(directory, 'other', 'other');
    const a = await peerNet.add(1, { tls: certificate(directory, 'n1', 'ca') });
    const b = await peerNet.add(2, { tls: certificate(directory, 'n2', 'ca') });
    const c = await peerNet.add(3, { tls: certificate(directory, 'n3', 'other') });
    const d = await peerNet.add(4);
    for (const replica of [1, 2, 3, 4]) await peerNet.introduce(replica);
    await until(() => a.isConnectedTo(2) && b.isConnectedTo(1));
    const m = new Message(READ_INDEX, 0, 1, 2, 5);
    a.peers.send(m);
    a.peers.flush();
    await until(() => b.messages.length === 1);
    await someTime();
    expect(a.isConnectedTo(3) || a.isConnectedTo(4) || c.isConnectedTo(4)).toBe(false);
    const reply = { type: JOIN_REPLY, status: JOIN_DONE, replica: 9, text: '', clusterId: 'c1', leader: '' } as const;
    a.join = () => Promise.resolve({ ...reply, members: [] });
    const request: Join = { type: JOIN, nodeId: 'x', nodeName: 'x', peerAddress: '', clientAddress: '' };
    const at = { host: '127.0.0.1', port: a.peers.port };
    expect(await Peers.askToJoin(at, request, 'secret', certificate(directory, 'n9', 'ca'))).toMatchObject({
      replica: 9,
    });
    expect(d.messages).toEqual([]);
  });
});
