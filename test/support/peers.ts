/**
 * Nodes that are nothing but their connections to each other, in one process, over loopback. Each reaches each other one through
 * a proxy of its own, where a test cuts, swallows or changes what passes.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import net from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { ReplicaId } from '../../engine/raft/entry.ts';
import type { Message } from '../../engine/raft/message.ts';
import { BackgroundPool } from '../../engine/snapshot/pool.ts';
import type { PeerAddress, PeerHandlers, PeersOptions } from '../../net/peer/api.ts';
import { FRAME_LIMIT, FrameReader, FrameWriter } from '../../net/peer/frame.ts';
import { Handshaker } from '../../net/peer/handshake.ts';
import { Peers } from '../../net/peer/peers.ts';
import type { Forward, ForwardReply, Join, JoinReply, PeerMessage } from '../../proto/messages.ts';

/** A throttled connection passes in one go what it may in so long. */
const TRICKLE_MS = 5;

/** Passes bytes on between whoever connects to it and `target`. */
export class PeerProxy {
  /** pass; swallow: nothing arrives, nothing ends; cut: nobody is connected. */
  mode: 'pass' | 'swallow' | 'cut' = 'pass';
  /** Sees and may change what passes to the target, and from it. */
  onForward: (bytes: Buffer) => void = () => {};
  onBackward: (bytes: Buffer) => void = () => {};
  /** Of each direction. */
  bytesPerMs = Number.POSITIVE_INFINITY;
  private readonly target: () => number;
  private readonly server: net.Server;
  private readonly sockets = new Set<net.Socket>();

  constructor(target: () => number) {
    this.target = target;
    this.server = net.createServer({ noDelay: true }, (socket) => this.accept(socket));
  }

  listen(): Promise<void> {
    return new Promise((resolve) => this.server.listen(0, '127.0.0.1', resolve));
  }

  get port(): number {
    return (this.server.address() as net.AddressInfo).port;
  }

  get connections(): number {
    return this.sockets.size / 2;
  }

  private accept(from: net.Socket): void {
    if (this.mode === 'cut') {
      from.destroy();
      return;
    }
    const to = net.connect({ port: this.target(), host: '127.0.0.1', noDelay: true });
    this.tie(from, to, (bytes) => this.onForward(bytes));
    this.tie(to, from, (bytes) => this.onBackward(bytes));
  }

  private tie(from: net.Socket, to: net.Socket, see: (bytes: Buffer) => void): void {
    this.sockets.add(from);
    from.on('data', (bytes) => {
      if (this.mode !== 'pass') return;
      // A slow reader behind the proxy slows down the writer in front of it.
      see(bytes);
      if (this.bytesPerMs !== Number.POSITIVE_INFINITY) {
        from.pause();
        this.trickle(bytes, from, to);
      } else if (!to.write(bytes)) {
        from.pause();
        to.once('drain', () => from.resume());
      }
    });
    from.on('error', () => {});
    from.on('close', () => {
      this.sockets.delete(from);
      if (this.mode !== 'swallow') to.destroy();
    });
  }

  private trickle(bytes: Buffer, from: net.Socket, to: net.Socket): void {
    const length = Math.min(bytes.length, Math.ceil(this.bytesPerMs * TRICKLE_MS));
    to.write(bytes.subarray(0, length));
    const next = (): unknown =>
      length < bytes.length ? this.trickle(bytes.subarray(length), from, to) : from.resume();
    setTimeout(next, length / this.bytesPerMs);
  }

  cut(): void {
    this.mode = 'cut';
    for (const socket of this.sockets) socket.destroy();
  }

  /** What was swallowed is gone, and so are the connections that lack it. */
  heal(): void {
    if (this.mode === 'swallow') this.cut();
    this.mode = 'pass';
  }

  close(): void {
    this.cut();
    this.server.close();
  }
}

/** One node, and what its connections have told it. */
export class PeerNode implements PeerHandlers {
  readonly replica: ReplicaId;
  readonly peers: Peers;
  readonly messages: Message[] = [];
  readonly forwards: { from: ReplicaId; message: Forward | ForwardReply }[] = [];
  /** '+2': reachable, '-2': unreachable. */
  readonly reach: string[] = [];
  /** Whose long messages were under way. */
  readonly alive = new Set<ReplicaId>();
  readonly snapshots: { message: Message; path: string }[] = [];
  /** 'sent 2 100', 'failed 2'. */
  readonly sent: string[] = [];
  readonly logged: string[] = [];
  turns = 0;
  join: (request: Join) => Promise<JoinReply> = () => Promise.reject(new Error('nobody joins here'));

  constructor(replica: ReplicaId, options: PeersOptions) {
    this.replica = replica;
    this.peers = new Peers({ ...options, log: { write: (_, text) => this.logged.push(text) } }, this);
  }

  onMessage(message: Message): void {
    this.messages.push(message);
  }

  onTurn(): void {
    this.turns++;
  }

  onAlive(replica: ReplicaId): void {
    this.alive.add(replica);
  }

  onForward(from: ReplicaId, message: Forward): void {
    this.forwards.push({ from, message });
  }

  onForwardReply(from: ReplicaId, message: ForwardReply): void {
    this.forwards.push({ from, message });
  }

  onUnreachable(replica: ReplicaId): void {
    this.reach.push(`-${replica}`);
  }

  onReachable(replica: ReplicaId): void {
    this.reach.push(`+${replica}`);
  }

  onSnapshotReceived(message: Message, path: string): void {
    this.snapshots.push({ message, path });
  }

  onSnapshotSent(replica: ReplicaId, index: number): void {
    this.sent.push(`sent ${replica} ${index}`);
  }

  onSnapshotFailed(replica: ReplicaId): void {
    this.sent.push(`failed ${replica}`);
  }

  onJoin(request: Join): Promise<JoinReply> {
    return this.join(request);
  }

  isConnectedTo(replica: ReplicaId): boolean {
    return this.peers.status().some((each) => each.replica === replica && each.connected);
  }
}

/** One for all tests of a file, since its threads take a while to start; they end when there is nothing to do. */
const pool = new BackgroundPool();

export class PeerNet {
  readonly directory = mkdtempSync(join(tmpdir(), 'millrace-peers-'));
  readonly nodes = new Map<ReplicaId, PeerNode>();
  /** By 'from to'. */
  private readonly proxies = new Map<string, PeerProxy>();
  private readonly tuning: Partial<PeersOptions>;

  constructor(tuning: Partial<PeersOptions> = {}) {
    this.tuning = tuning;
  }

  /** What a node is made with, where a test does not say otherwise. */
  options(replica: ReplicaId): PeersOptions {
    return {
      clusterId: 'c1',
      nodeId: `id${replica}`,
      nodeName: `n${replica}`,
      replica,
      group: 0,
      secret: 'secret',
      directory: join(this.directory, `r${replica}`),
      pool,
      log: { write: () => {} },
      ...this.tuning,
    };
  }

  /** A node that listens and knows nobody yet. */
  async add(replica: ReplicaId, options: Partial<PeersOptions> = {}): Promise<PeerNode> {
    const node = new PeerNode(replica, { ...this.options(replica), ...options });
    this.nodes.set(replica, node);
    await node.peers.listen('127.0.0.1', 0);
    return node;
  }

  /** Nodes 1 to `count`, each connected to each. */
  async start(count: number): Promise<PeerNode[]> {
    const nodes: PeerNode[] = [];
    for (let replica = 1; replica <= count; replica++) nodes.push(await this.add(replica));
    for (const { replica } of nodes) await this.introduce(replica);
    await this.settled();
    return nodes;
  }

  /** Everybody is connected to everybody, and no twin is left whose end would take messages with it. */
  async settled(): Promise<void> {
    const nodes = [...this.nodes.values()];
    const pairs = (nodes.length * (nodes.length - 1)) / 2;
    await until(() => nodes.every((a) => nodes.every((b) => a === b || a.isConnectedTo(b.replica))));
    await until(() => [...this.proxies.values()].reduce((sum, { connections }) => sum + connections, 0) === pairs);
  }

  /** Tells a node of all others. */
  async introduce(replica: ReplicaId): Promise<void> {
    const members: PeerAddress[] = [];
    for (const other of this.nodes.keys()) {
      if (other === replica) continue;
      const { port } = await this.proxy(replica, other);
      members.push({ replica: other, name: `n${other}`, host: '127.0.0.1', port });
    }
    this.nodes.get(replica)!.peers.setMembers(members);
  }

  /** On the way of what `from` dials to `to`. */
  async proxy(from: ReplicaId, to: ReplicaId): Promise<PeerProxy> {
    const key = `${from} ${to}`;
    let proxy = this.proxies.get(key);
    if (proxy === undefined) {
      proxy = new PeerProxy(() => this.nodes.get(to)!.peers.port);
      this.proxies.set(key, proxy);
      await proxy.listen();
    }
    return proxy;
  }

  /** Both ways between two nodes, whoever dials. */
  private between(a: ReplicaId, b: ReplicaId): PeerProxy[] {
    return [this.proxies.get(`${a} ${b}`), this.proxies.get(`${b} ${a}`)].filter((proxy) => proxy !== undefined);
  }

  cut(a: ReplicaId, b: ReplicaId): void {
    for (const proxy of this.between(a, b)) proxy.cut();
  }

  swallow(a: ReplicaId, b: ReplicaId): void {
    for (const proxy of this.between(a, b)) proxy.mode = 'swallow';
  }

  heal(a: ReplicaId, b: ReplicaId): void {
    for (const proxy of this.between(a, b)) proxy.heal();
  }

  throttle(a: ReplicaId, b: ReplicaId, bytesPerMs: number): void {
    for (const proxy of this.between(a, b)) proxy.bytesPerMs = bytesPerMs;
  }

  /** Sees and may change what goes from one node to another, whoever has dialed. */
  onPass(from: ReplicaId, to: ReplicaId, see: (bytes: Buffer) => void): void {
    this.proxies.get(`${from} ${to}`)!.onForward = see;
    this.proxies.get(`${to} ${from}`)!.onBackward = see;
  }

  close(): void {
    for (const { peers } of this.nodes.values()) peers.close();
    for (const proxy of this.proxies.values()) proxy.close();
    rmSync(this.directory, { recursive: true, force: true });
  }
}

/** Somebody at a node's port who says what a test wants. */
export class Stranger {
  readonly got: PeerMessage[] = [];
  isClosed = false;
  readonly socket: net.Socket;
  private readonly reader = new FrameReader(FRAME_LIMIT);
  private readonly writer = new FrameWriter();

  /** By a port to dial, or a connection that was accepted. */
  constructor(port: number | net.Socket) {
    this.socket = typeof port === 'number' ? net.connect({ port, host: '127.0.0.1', noDelay: true }) : port;
    this.socket.on('error', () => {});
    this.socket.on('close', () => {
      this.isClosed = true;
    });
    this.socket.on('data', (bytes) => {
      this.reader.push(bytes);
      for (let m = this.reader.next(); m !== undefined; m = this.reader.next()) this.got.push(m);
    });
  }

  send(message: PeerMessage): void {
    this.socket.write(this.writer.write(message).slice());
  }

  bytes(message: PeerMessage): Uint8Array {
    return this.writer.write(message).slice();
  }

  /** As replica `replica`, on node `id<replica>`. */
  async shakeHands(replica: number, role: 'opener' | 'acceptor' = 'opener'): Promise<void> {
    const self = {
      clusterId: 'c1',
      nodeId: `id${replica}`,
      nodeName: `n${replica}`,
      replicas: [{ group: 0, replica }],
    };
    const handshaker = new Handshaker(role, self, 'secret');
    if (role === 'opener') this.send(handshaker.greeting);
    await until(() => this.got.length > 0);
    this.send(handshaker.take(this.got.shift()!)!);
    if (role === 'opener') return;
    await until(() => this.got.length > 0);
    handshaker.take(this.got.shift()!);
  }
}

/** Waits until something holds; fails after a while. */
export async function until(holds: () => boolean, timeoutMs = 15_000): Promise<void> {
  const end = performance.now() + timeoutMs;
  while (!holds()) {
    if (performance.now() > end) throw new Error(`not within ${timeoutMs} ms: ${holds}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}
