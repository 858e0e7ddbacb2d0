import { afterEach, describe, expect, it } from 'vitest';
import { Entry } from '../../engine/raft/entry.ts';
import { APPEND, HEARTBEAT, Message } from '../../engine/raft/message.ts';
import { FORWARD, FORWARD_DONE, FORWARD_REPLY } from '../../proto/messages.ts';
import { PeerNet, until } from '../support/peers.ts';

let peerNet: PeerNet;
afterEach(() => peerNet.close());

function append(from: number, to: number, index: number, sizes: readonly number[]): Message {
  const m = new Message(APPEND, 0, from, to, 5);
  m.index = index;
  m.entries = sizes.map((size, i) => new Entry(index + 1 + i, 5, 0, new Uint8Array(size).fill(index + i), 0, size));
  return m;
}

describe('three nodes', () => {
  it('hear each other, over one connection per pair', async () => {
    peerNet = new PeerNet();
    const nodes = await peerNet.start(3);
    for (const a of nodes) {
      for (const b of nodes) {
        if (a === b) continue;
        const beat = new Message(HEARTBEAT, 0, a.replica, b.replica, 7);
        beat.round = 9;
        a.peers.send(beat);
      }
      a.peers.flush();
    }
    await until(() => nodes.every(({ messages }) => messages.length === 2));
    for (const { messages, replica, turns } of nodes) {
      expect(messages.map(({ to, term, round }) => [to, term, round])).toEqual([
        [replica, 7, 9],
        [replica, 7, 9],
      ]);
      expect(turns).toBeGreaterThan(0);
    }
    await until(() => nodes.every(({ peers }) => peers.status().every(({ rttMs }) => rttMs >= 0)));
  });

  it('send long messages and short ones in their order', async () => {
    peerNet = new PeerNet();
    const [a, b] = await peerNet.start(2);
    const sizes = [10, 300_000, 0, 20, 5_000_000, 16_384, 7, 7, 100_000, 65_536];
    let index = 0;
    for (const size of sizes) {
      a.peers.send(append(1, 2, index++, [size, 3]));
      if (index % 3 === 0) a.peers.flush();
    }
    a.peers.flush();
    await until(() => b.messages.length === sizes.length);
    b.messages.forEach(({ index, entries }, i) => {
      expect(index).toBe(i);
      expect(entries.map(({ length }) => length)).toEqual([sizes[i], 3]);
      const [{ bytes, start, length }] = entries;
      expect(bytes.subarray(start, start + length).every((byte) => byte === i)).toBe(true);
    });
  });

  it('forward requests', async () => {
    peerNet = new PeerNet();
    const [a, b] = await peerNet.start(2);
    const request = Buffer.from('PING\r\n');
    expect(a.peers.sendTo(2, { type: FORWARD, group: 0, id: 1, database: 0, resp: 2, request })).toBe(true);
    request.fill(0);
    a.peers.flush();
    await until(() => b.forwards.length === 1);
    const { from, message } = b.forwards[0];
    expect(from).toBe(1);
    expect(message.type === FORWARD && Buffer.from(message.request).toString()).toBe('PING\r\n');
    const reply = {
      type: FORWARD_REPLY,
      group: 0,
      id: 1,
      status: FORWARD_DONE,
      leader: 2,
      term: 3,
      index: 4,
      reply: request,
    };
    expect(b.peers.sendTo(1, reply as Parameters<typeof b.peers.sendTo>[1])).toBe(true);
    expect(b.peers.sendTo(3, reply as Parameters<typeof b.peers.sendTo>[1])).toBe(false);
    b.peers.flush();
    await until(() => a.forwards.length === 1);
  });
});

describe('the address of a member that is gone', () => {
  it('belongs to another now, whose own connections stay as they are', async () => {
    peerNet = new PeerNet();
    const [a, b] = await peerNet.start(2);
    // Older than any twin.
    await new Promise((resolve) => setTimeout(resolve, 700));
    a.reach.length = b.reach.length = 0;
    const port = (await peerNet.proxy(1, 2)).port;
    a.peers.setMembers([
      { replica: 2, name: 'n2', host: '127.0.0.1', port },
      { replica: 9, name: 'n2 before', host: '127.0.0.1', port: b.peers.port },
    ]);
    await until(() => a.logged.some((line) => line.includes('replica 9') && line.includes('has replica 2 there')));
    await new Promise((resolve) => setTimeout(resolve, 700));
    expect([a.reach, b.reach]).toEqual([[], []]);
  });
});

describe('a lost connection', () => {
  it('is told once, and comes back', async () => {
    peerNet = new PeerNet();
    const [a, b] = await peerNet.start(2);
    a.reach.length = b.reach.length = 0;
    peerNet.cut(1, 2);
    await until(() => !a.isConnectedTo(2) && !b.isConnectedTo(1));
    await new Promise((resolve) => setTimeout(resolve, 300));
    expect([a.reach, b.reach]).toEqual([['-2'], ['-1']]);
    expect(
      a.peers.sendTo(2, { type: FORWARD, group: 0, id: 1, database: 0, resp: 2, request: new Uint8Array(1) }),
    ).toBe(false);
    peerNet.heal(1, 2);
    const healed = performance.now();
    await until(() => a.isConnectedTo(2) && b.isConnectedTo(1));
    expect(performance.now() - healed).toBeLessThan(1500);
  });

  it('without a word is noticed within some seconds', async () => {
    peerNet = new PeerNet();
    const [a, b] = await peerNet.start(2);
    a.reach.length = b.reach.length = 0;
    peerNet.swallow(1, 2);
    const before = performance.now();
    await until(() => !a.isConnectedTo(2) && !b.isConnectedTo(1));
    const took = performance.now() - before;
    expect(took).toBeGreaterThan(1500);
    expect(took).toBeLessThan(4000);
    expect([a.reach, b.reach]).toEqual([['-2'], ['-1']]);
    expect(a.logged.at(-1)).toContain('nothing heard');
    peerNet.heal(1, 2);
    await until(() => a.isConnectedTo(2) && b.isConnectedTo(1));
  });
});
