/**
 * Who is connected: listens, dials the members, lets in who proves to be one, and sees to it that there is one connection per pair of
 * nodes. Main thread; behind peers.ts, which says what the messages on them mean.
 *
 * Both sides dial, until either has a connection. When both come to have one at the same time, both keep that which the node with the
 * lower id opened. But one that has stood for a while gives way to any new one: its other end dials only when it has none, so what we
 * hold is dead.
 */
import type net from 'node:net';
import type { ReplicaId } from '../../engine/raft/entry.ts';
import type { Beat, BeatReply, PeerMessage } from '../../proto/messages.ts';
import { Acquaintances } from './acquaintances.ts';
import type { PeerAddress, PeersOptions } from './api.ts';
import { Dialer } from './dialer.ts';
import { FrameWriter } from './frame.ts';
import { Handshaker, printable, type Self } from './handshake.ts';
import { CLOSED_BY_PEER, Link, type LinkHandlers, TICK_MS } from './link.ts';
import { Transport } from './transport.ts';

/** A connection that is younger may have a twin, opened by the other side at the same time. */
const TWIN_MS = 500;
/** Connections whose handshake is under way; more are closed at once. */
const STRANGERS_LIMIT = 64;
/** What an operator should know of a node that had a directory and has an empty one. */
const LOST_TEXT = 'its directory is a new one, so what it has promised is lost. Restarted, it joins under a new id';
/** Refusals for the same reason are logged so often. */
const REFUSALS_MS = 10_000;

/** A replica that is a member, or has connected to us without our knowing of it (yet). */
export class Peer {
  readonly replica: ReplicaId;
  /** Undefined for one that we do not know of: we do not dial it. */
  dialer: Dialer | undefined = undefined;
  /** The node that it is, where that is known. */
  nodeId: string | undefined = undefined;
  link: Link | undefined = undefined;
  /** Of this turn. */
  beats: Beat[] = [];
  beatReplies: BeatReply[] = [];

  constructor(replica: ReplicaId) {
    this.replica = replica;
  }
}

export interface ConnectionHandlers {
  onConnected(peer: Peer): void;
  /** What was under way to it may be lost; it may be connected again already. */
  onLost(peer: Peer): void;
  /** It is no member, and not connected. */
  onForgotten(peer: Peer): void;
  onPeerMessage(peer: Peer, message: PeerMessage): void;
  /** From a node without replicas that has proved the secret. */
  onGuestMessage(link: Link, message: PeerMessage): void;
  onPeerTurn(): void;
  onPeerAlive(peer: Peer): void;
  onPeerDrained(peer: Peer): void;
  onTick(): void;
}

export class Connections implements LinkHandlers {
  readonly peers = new Map<ReplicaId, Peer>();
  private readonly options: PeersOptions;
  private readonly handlers: ConnectionHandlers;
  private readonly self: Self;
  private readonly transport: Transport;
  private readonly acquaintances: Acquaintances;
  private readonly writer = new FrameWriter();
  private readonly byLink = new Map<Link, Peer>();
  /** Without a peer: not proven, or of a node that wants to join. */
  private readonly strangers = new Set<Link>();
  private readonly ticker: NodeJS.Timeout;
  private server: net.Server | undefined = undefined;
  private isClosed = false;
  private lastRefusal = '';
  private lastRefusalMs = 0;

  constructor(options: PeersOptions, handlers: ConnectionHandlers) {
    const { clusterId, nodeId, nodeName, group, replica } = options;
    this.options = options;
    this.handlers = handlers;
    this.self = { clusterId, nodeId, nodeName, replicas: [{ group, replica }] };
    this.transport = new Transport(options.tls);
    this.acquaintances = new Acquaintances(options.acquaintances);
    this.ticker = setInterval(() => this.tick(), TICK_MS);
  }

  listen(host: string, port: number): Promise<void> {
    const { log } = this.options;
    const server = this.transport.listener(
      (socket) => this.accept(socket),
      (text) => log.write('warning', `A connection to the port of peers failed: ${text}`),
    );
    this.server = server;
    return new Promise((resolve, reject) => {
      server.once('error', reject);
      server.listen({ host, port }, () => {
        server.off('error', reject);
        server.on('error', (error) => log.write('warning', `Accepting a peer: ${error.message}`));
        resolve();
      });
    });
  }

  get port(): number {
    return (this.server!.address() as net.AddressInfo).port;
  }

  setMembers(members: readonly PeerAddress[]): void {
    const others = members.filter(({ replica }) => replica !== this.options.replica);
    const stay = new Set(others.map(({ replica }) => replica));
    for (const peer of [...this.peers.values()]) {
      if (peer.dialer === undefined || stay.has(peer.replica)) continue;
      peer.dialer.close();
      peer.dialer = undefined;
      if (peer.link === undefined) this.forget(peer);
      else queueMicrotask(() => peer.dialer === undefined && peer.link?.close('no longer a member'));
    }
    for (const address of others) {
      const peer = this.peerOf(address.replica);
      peer.nodeId = address.nodeId;
      if (peer.dialer?.isOf(address)) continue;
      peer.dialer?.close();
      const isFirst = this.options.replica < address.replica;
      peer.dialer = new Dialer(this.transport, address, isFirst, this.dialed, this.options.log);
      if (peer.link === undefined) peer.dialer.start();
      else peer.dialer.rest();
    }
  }

  close(): void {
    this.isClosed = true;
    clearInterval(this.ticker);
    this.server?.close();
    for (const peer of this.peers.values()) peer.dialer?.close();
    for (const link of [...this.strangers, ...this.byLink.keys()]) link.close('this node stops');
  }

  private peerOf(replica: ReplicaId): Peer {
    let peer = this.peers.get(replica);
    if (peer === undefined) {
      peer = new Peer(replica);
      this.peers.set(replica, peer);
    }
    return peer;
  }

  private forget(peer: Peer): void {
    this.peers.delete(peer.replica);
    this.handlers.onForgotten(peer);
  }

  private tick(): void {
    for (const link of this.strangers) link.tick();
    for (const link of this.byLink.keys()) link.tick();
    this.handlers.onTick();
  }

  private accept(socket: net.Socket): void {
    if (this.isClosed || this.strangers.size >= STRANGERS_LIMIT) socket.destroy();
    else this.open(socket, new Handshaker('acceptor', this.self, this.options.secret));
  }

  private readonly dialed = (socket: net.Socket, dialer: Dialer): void => {
    const { group, secret } = this.options;
    const wanted = { group, replica: dialer.address.replica };
    dialer.link = this.open(socket, new Handshaker('opener', this.self, secret, wanted));
  };

  private open(socket: net.Socket, handshaker: Handshaker): Link {
    const link = new Link(socket, handshaker, this.writer, this);
    this.strangers.add(link);
    return link;
  }

  onProven(link: Link): void {
    const { nodeId, nodeName, replicas } = link.peer!;
    if (replicas.length === 0 && !link.isOpener) return;
    const replica = replicas.find(({ group }) => group === this.options.group)?.replica ?? 0;
    const dialer = link.isOpener ? this.dialerOf(link) : undefined;
    if (replica === 0 || replica === this.options.replica || (link.isOpener && dialer === undefined)) {
      link.close(`peer: node ${printable(nodeName)} has replica ${replica} there`);
      return;
    }
    const known = this.nodeOf(replica);
    if (known !== undefined && known !== nodeId) {
      link.close(`peer: node ${printable(nodeName)} is not the one that replica ${replica} was: ${LOST_TEXT}`);
      return;
    }
    const peer = this.peerOf(replica);
    const old = peer.link;
    if (old !== undefined && link.provenAtMs - old.provenAtMs < TWIN_MS && !this.isPreferred(link, nodeId)) {
      link.close('');
    } else {
      if (!this.meet(replica, nodeId, link)) return;
      this.strangers.delete(link);
      dialer?.arrived();
      this.connect(peer, link, old);
    }
  }

  /** Which node a replica is, by the roster or by what it has said before; undefined when neither is known. */
  nodeOf(replica: ReplicaId): string | undefined {
    return this.peers.get(replica)?.nodeId ?? this.acquaintances.nodeOf(replica);
  }

  private meet(replica: ReplicaId, nodeId: string, link: Link): boolean {
    try {
      this.acquaintances.meet(replica, nodeId);
      return true;
    } catch (error) {
      link.close(`it cannot be noted who it is: ${(error as Error).message}`);
      return false;
    }
  }

  private connect(peer: Peer, link: Link, old: Link | undefined): void {
    peer.link = link;
    this.byLink.set(link, peer);
    peer.dialer?.rest();
    // What was under way on the old one is lost, though the replica can be reached all the time.
    if (old === undefined) this.options.log.write('notice', `Connected to ${nameOf(peer, link)}`);
    else old.close('another connection takes over');
    this.handlers.onConnected(peer);
  }

  /** Of two connections between the same nodes, the one that both keep. */
  private isPreferred(link: Link, nodeId: string): boolean {
    return link.isOpener === this.self.nodeId < nodeId;
  }

  private dialerOf(link: Link): Dialer | undefined {
    for (const { dialer } of this.peers.values()) if (dialer?.link === link) return dialer;
    return undefined;
  }

  onMessage(link: Link, message: PeerMessage): void {
    const peer = this.byLink.get(link);
    if (peer === undefined) this.handlers.onGuestMessage(link, message);
    else this.handlers.onPeerMessage(peer, message);
  }

  onTurn(link: Link): void {
    if (this.byLink.has(link)) this.handlers.onPeerTurn();
  }

  onAlive(link: Link): void {
    const peer = this.byLink.get(link);
    if (peer !== undefined) this.handlers.onPeerAlive(peer);
  }

  onDrained(link: Link): void {
    const peer = this.byLink.get(link);
    if (peer !== undefined) this.handlers.onPeerDrained(peer);
  }

  onClosed(link: Link, text: string): void {
    const peer = this.byLink.get(link);
    this.byLink.delete(link);
    this.strangers.delete(link);
    if (this.isClosed) return;
    if (peer === undefined) {
      const dialer = this.dialerOf(link);
      if (dialer !== undefined) dialer.failed(text);
      else this.logRefusal(link, text);
      return;
    }
    if (peer.link === link) {
      peer.link = undefined;
      peer.beats.length = 0;
      peer.beatReplies.length = 0;
      this.options.log.write('warning', `Lost the connection to ${nameOf(peer, link)}: ${text}`);
      if (peer.dialer === undefined) this.forget(peer);
      else peer.dialer.start();
    }
    this.handlers.onLost(peer);
  }

  /** Whoever is refused tries again: one line for many attempts. Who goes by himself says why in his own log. */
  private logRefusal(link: Link, text: string): void {
    const now = performance.now();
    if (text === '' || text === CLOSED_BY_PEER) return;
    if (text === this.lastRefusal && now - this.lastRefusalMs < REFUSALS_MS) return;
    this.lastRefusal = text;
    this.lastRefusalMs = now;
    this.options.log.write('warning', `Refused ${link.remote}, which is no peer: ${text}`);
  }
}

function nameOf(peer: Peer, link: Link): string {
  return `replica ${peer.replica}, node ${printable(link.peer!.nodeName)}`;
}
