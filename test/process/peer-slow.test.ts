/** Peers that do not take what they are sent, and connections opened by both sides at once. */
import net from 'node:net';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { Entry } from '../../engine/raft/entry.ts';
import { APPEND, HEARTBEAT, Message } from '../../engine/raft/message.ts';
import {
  APPEND as APPEND_FRAME,
  FORWARD,
  FORWARD_DONE,
  FORWARD_REPLY,
  HEARTBEAT as HEARTBEAT_FRAME,
  type PeerMessage,
  PING,
} from '../../proto/messages.ts';
import { PeerNet, type PeerNode, Stranger, until } from '../support/peers.ts';

const MIB = 1024 * 1024;
let peerNet: PeerNet;
beforeEach(() => {
  peerNet = new PeerNet();
});
afterEach(() => peerNet.close());

function append(index: number, bytes: Uint8Array): Message {
  const m = new Message(APPEND, 0, 1, 2, 5);
  m.index = index;
  m.entries = [new Entry(index + 1, 5, 0, bytes, 0, bytes.length)];
  return m;
}

/** A peer that says that it is there, and reads nothing. */
async function deaf(): Promise<[PeerNode, Stranger, () => void]> {
  const a = await peerNet.add(1);
  const stranger = new Stranger(a.peers.port);
  await stranger.shakeHands(2);
  await until(() => a.isConnectedTo(2));
  stranger.socket.pause();
  const timer = setInterval(() => stranger.send({ type: PING, id: 1, answer: true }), 100);
  const hear = (): void => {
    clearInterval(timer);
    stranger.socket.resume();
  };
  return [a, stranger, hear];
}

it('a receiver that does not read costs no more than the limit, and is told of as unreachable', async () => {
  const [a, b, hear] = await deaf();
  const bytes = new Uint8Array(256 * 1024);
  const memory = process.memoryUsage().arrayBuffers;
  let most = 0;
  for (let i = 0; i < 400; i++) {
    a.peers.send(append(i, bytes));
    a.peers.flush();
    most = Math.max(most, a.peers.status()[0].pendingBytes);
    if (i % 10 === 0) await new Promise((resolve) => setTimeout(resolve, 2));
  }
  expect(most).toBeGreaterThan(30 * MIB);
  expect(most).toBeLessThan(33 * MIB);
  expect(process.memoryUsage().arrayBuffers - memory).toBeLessThan(48 * MIB);
  expect(a.reach).toEqual(['+2', '-2']);
  const request: PeerMessage = { type: FORWARD, group: 0, id: 1, database: 0, resp: 2, request: bytes };
  expect(a.peers.sendTo(2, request)).toBe(false);
  const head = { group: 0, id: 1, status: FORWARD_DONE, leader: 1, term: 1, index: 1 };
  expect(a.peers.sendTo(2, { type: FORWARD_REPLY, ...head, reply: bytes })).toBe(true);
  a.peers.flush();

  hear();
  await until(() => a.reach.length === 3);
  expect(a.reach).toEqual(['+2', '-2', '+2']);
  a.peers.send(append(1000, bytes));
  a.peers.flush();
  await until(() => b.got.some((m) => m.type === APPEND_FRAME && m.prevIndex === 1000));
  expect(b.got.filter(({ type }) => type === FORWARD_REPLY).length).toBe(1);
  expect(b.got.length).toBeLessThan(200);
});

it('replies that somebody asked for and does not take end the connection', async () => {
  const [a, b, hear] = await deaf();
  const head = { group: 0, id: 1, status: FORWARD_DONE, leader: 1, term: 1, index: 1 };
  const reply: PeerMessage = { type: FORWARD_REPLY, ...head, reply: new Uint8Array(MIB) };
  let sent = 0;
  while (a.peers.sendTo(2, reply)) sent++;
  expect(sent).toBeGreaterThan(60);
  expect(sent).toBeLessThan(80);
  await until(() => !a.isConnectedTo(2));
  expect(a.logged.at(-1)).toContain('does not take the replies');
  hear();
  await until(() => b.isClosed);
});

it('what waits for a slow receiver is not overwritten by what comes after', async () => {
  const [a, b] = await peerNet.start(2);
  peerNet.throttle(1, 2, 20_000);
  let index = 0;
  const sizes = [100, 20_000, 300, 150_000, 70_000, 5, 40_000];
  for (let turn = 0; turn < 60; turn++) {
    for (let k = turn % 3; k >= 0; k--) {
      const bytes = new Uint8Array(sizes[index % sizes.length]).fill(index);
      a.peers.send(append(index++, bytes));
      // Whoever sends may use the memory again at once, but for entries: they are the log's, and never change.
    }
    a.peers.flush();
    if (turn % 5 === 0) await new Promise((resolve) => setTimeout(resolve, 2));
  }
  await until(() => b.messages.length === index);
  for (const [i, m] of b.messages.entries()) {
    expect(m.index).toBe(i);
    const { bytes, start, length } = m.entries[0];
    expect(length).toBe(sizes[i % sizes.length]);
    expect(bytes.subarray(start, start + length).every((byte) => byte === (i & 255))).toBe(true);
  }
});

it('nodes that dial each other at once keep one connection, the same on both sides', async () => {
  const nodes = await Promise.all([1, 2, 3, 4].map((replica) => peerNet.add(replica)));
  for (let round = 0; round < 6; round++) {
    await Promise.all(nodes.map(({ replica }) => peerNet.introduce(replica)));
    await peerNet.settled();
    for (const { messages } of nodes) messages.length = 0;
    for (const a of nodes) {
      for (const b of nodes) if (a !== b) a.peers.send(new Message(HEARTBEAT, 0, a.replica, b.replica, round));
      a.peers.flush();
    }
    await until(() => nodes.every(({ messages }) => messages.length === nodes.length - 1));
    for (const a of nodes) for (const b of nodes) if (a.replica < b.replica) peerNet.cut(a.replica, b.replica);
    await until(() => nodes.every(({ peers }) => peers.status().every(({ connected }) => !connected)));
    for (const a of nodes) for (const b of nodes) if (a.replica < b.replica) peerNet.heal(a.replica, b.replica);
  }
});

it.each([
  ['lower', 1],
  ['higher', 3],
])('of two connections, the node with the %s id keeps that of the lower', async (_, id) => {
  const a = await peerNet.add(id);
  const accepted: Stranger[] = [];
  const server = net.createServer((socket) => accepted.push(new Stranger(socket)));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as net.AddressInfo;
  a.peers.setMembers([{ replica: 2, name: 'n2', host: '127.0.0.1', port }]);
  await until(() => accepted.length === 1);
  const [theirs] = accepted;
  const ours = new Stranger(a.peers.port);
  await theirs.shakeHands(2, 'acceptor');
  await ours.shakeHands(2);
  const [kept, closed] = id === 1 ? [theirs, ours] : [ours, theirs];
  await until(() => closed.isClosed);
  const m = new Message(HEARTBEAT, 0, id, 2, 5);
  a.peers.send(m);
  a.peers.flush();
  await until(() => kept.got.some(({ type }) => type === HEARTBEAT_FRAME));
  expect(a.reach).toEqual(id === 1 ? ['+2'] : ['+2', '-2', '+2']);
  server.close();
  kept.socket.destroy();
});

it.each([1, 2])(
  'node %d starts anew and is connected again, though the other holds what was its connection',
  async (id) => {
    const nodes = await peerNet.start(2);
    await new Promise((resolve) => setTimeout(resolve, 600));
    // The old connection stays open at the other, silent: as after a machine has lost its power.
    peerNet.swallow(1, 2);
    nodes[id - 1].peers.close();
    await new Promise((resolve) => setTimeout(resolve, 100));
    expect(nodes[2 - id].reach).toEqual([`+${id}`]);
    for (const proxy of [await peerNet.proxy(1, 2), await peerNet.proxy(2, 1)]) proxy.mode = 'pass';
    const begun = performance.now();
    const again = await peerNet.add(id);
    await peerNet.introduce(id);
    await until(() => again.isConnectedTo(3 - id));
    await until(() => nodes[2 - id].reach.length === 3);
    // Silence would have been noticed only after two seconds.
    expect(performance.now() - begun).toBeLessThan(1500);
    expect(nodes[2 - id].reach).toEqual([`+${id}`, `-${id}`, `+${id}`]);
  },
);

it('a member that is none any more is let go, and may come as a stranger', async () => {
  const [a, b] = await peerNet.start(2);
  a.peers.setMembers([]);
  await until(() => b.reach.includes('-1'));
  expect(a.reach).toEqual(['+2', '-2']);
  await until(() => b.isConnectedTo(1));
  const m = new Message(HEARTBEAT, 0, 2, 1, 3);
  b.peers.send(m);
  b.peers.flush();
  await until(() => a.messages.length === 1);
  b.peers.close();
  await until(() => a.peers.status().length === 0);
});

it('while a long message arrives, both sides hear that the other lives', async () => {
  const [a, b] = await peerNet.start(2);
  peerNet.throttle(1, 2, 4_000);
  await new Promise((resolve) => setTimeout(resolve, 300));
  expect([...a.alive, ...b.alive]).toEqual([]);
  a.peers.send(append(1, new Uint8Array(4 * MIB)));
  a.peers.flush();
  let moments = 0;
  while (b.messages.length === 0) {
    await until(() => (a.alive.has(2) && b.alive.has(1)) || b.messages.length > 0);
    if (a.alive.delete(2) && b.alive.delete(1)) moments++;
  }
  expect(moments).toBeGreaterThan(3);
  await new Promise((resolve) => setTimeout(resolve, 300));
  a.alive.clear();
  b.alive.clear();
  await new Promise((resolve) => setTimeout(resolve, 300));
  expect([...a.alive, ...b.alive]).toEqual([]);
});
