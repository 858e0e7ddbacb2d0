/**
 * The other replicas of the group, as the node sees them: who they are, a connection to each, what comes from them and what goes
 * to them. Main thread. Begin with api.ts; behind this file: dialer.ts, transport.ts (sockets), link.ts (one connection), handshake.ts, frame.ts,
 * convert.ts, snapshotsender.ts and snapshotreceiver.ts, join.ts.
 *
 * Both sides dial. When that leads to two connections, both keep the one that the node with the lower id opened. But one that
 * has stood for a while gives way to any new one: its other end dials only when it has none, so what we hold is dead.
 *
 * Messages may be lost at any time, as Raft allows. What is lost with a connection is said once, by `onUnreachable`. No handler is called
 * from within a call of ours.
 */
import { mkdirSync } from 'node:fs';
import type net from 'node:net';
import type { ReplicaId, SnapshotMeta, Term } from '../../engine/raft/entry.ts';
import { HEARTBEAT, HEARTBEAT_REPLY, type Message } from '../../engine/raft/message.ts';
import * as wire from '../../proto/messages.ts';
import type { PeerAddress, PeerHandlers, PeerStatus, PeersOptions } from './api.ts';
import { fromWire, toBeat, toBeatReply, toWire } from './convert.ts';
import { Dialer } from './dialer.ts';
import { FRAME_LIMIT, FrameWriter } from './frame.ts';
import { Handshaker, printable, type Self } from './handshake.ts';
import { askToJoin } from './join.ts';
import { CLOSED_BY_PEER, Link, type LinkHandlers, TICK_MS, UNSENT_LIMIT } from './link.ts';
import { SnapshotReceiver } from './snapshotreceiver.ts';
import { SnapshotSender } from './snapshotsender.ts';
import { Transport } from './transport.ts';

/** An entry, a forwarded request or its replies may have so many bytes, to fit a frame with everything around them. */
export const PAYLOAD_LIMIT = FRAME_LIMIT - 1024 * 1024;
/** A connection that is younger may have a twin, opened by the other side at the same time. */
const TWIN_MS = 500;
/** Connections whose handshake is under way; more are closed at once. */
const STRANGERS_LIMIT = 64;
/** Refusals for the same reason are logged so often. */
const REFUSALS_MS = 10_000;

/** A replica that is a member, or has connected to us without our knowing of it (yet). */
class Peer {
  readonly replica: ReplicaId;
  /** Undefined for one that we do not know of: we do not dial it. */
  dialer: Dialer | undefined = undefined;
  link: Link | undefined = undefined;
  /** Of this turn. */
  beats: wire.Beat[] = [];
  beatReplies: wire.BeatReply[] = [];

  constructor(replica: ReplicaId) {
    this.replica = replica;
  }
}

export class Peers implements LinkHandlers {
  /** For a node that has no Peers yet: asks the member at this address to make it one, too. */
  static readonly askToJoin = askToJoin;

  private readonly options: PeersOptions;
  private readonly handlers: PeerHandlers;
  private readonly self: Self;
  private readonly transport: Transport;
  private readonly writer = new FrameWriter();
  private readonly peers = new Map<ReplicaId, Peer>();
  private readonly byLink = new Map<Link, Peer>();
  /** Without a peer: not proven, or of a node that wants to join. */
  private readonly strangers = new Set<Link>();
  private readonly sender: SnapshotSender;
  private readonly receiver: SnapshotReceiver;
  private readonly ticker: NodeJS.Timeout;
  private server: net.Server | undefined = undefined;
  private isClosed = false;
  private lastRefusal = '';
  private lastRefusalMs = 0;

  constructor(options: PeersOptions, handlers: PeerHandlers) {
    const { clusterId, nodeId, nodeName, group, replica, directory, log } = options;
    this.options = options;
    this.handlers = handlers;
    this.self = { clusterId, nodeId, nodeName, replicas: [{ group, replica }] };
    this.transport = new Transport(options.tls);
    mkdirSync(directory, { recursive: true });
    const send = (to: ReplicaId, message: wire.PeerMessage): boolean => this.sendNow(to, message);
    this.sender = new SnapshotSender(group, replica, send, handlers, log);
    this.receiver = new SnapshotReceiver(group, replica, directory, options.pool, send, handlers, log);
    this.ticker = setInterval(() => this.tick(), TICK_MS);
  }

  listen(host: string, port: number): Promise<void> {
    const server = this.transport.listener(
      (socket) => this.accept(socket),
      (text) => this.options.log.write('warning', `A connection to the port of peers failed: ${text}`),
    );
    this.server = server;
    return new Promise((resolve, reject) => {
      server.once('error', reject);
      server.listen({ host, port }, () => {
        server.off('error', reject);
        server.on('error', (error) => this.options.log.write('warning', `Accepting a peer: ${error.message}`));
        resolve();
      });
    });
  }

  get port(): number {
    return (this.server!.address() as net.AddressInfo).port;
  }

  /** These are the members; this replica may be among them. Dials the new ones, lets go of those that are none any more. */
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
      if (peer.dialer?.isOf(address)) continue;
      peer.dialer?.close();
      const isFirst = this.options.replica < address.replica;
      peer.dialer = new Dialer(this.transport, address, isFirst, this.dialed, this.options.log);
      if (peer.link === undefined) peer.dialer.start();
      else peer.dialer.rest();
    }
  }

  /** Sends to `m.to` if it can be reached. Heartbeats wait for `flush`, to share a frame. */
  send(m: Message): void {
    const peer = this.peers.get(m.to);
    if (peer === undefined || peer.link === undefined || !this.takes(peer, peer.link)) return;
    if (m.type === HEARTBEAT) peer.beats.push(toBeat(m));
    else if (m.type === HEARTBEAT_REPLY) peer.beatReplies.push(toBeatReply(m));
    else peer.link.send(toWire(m));
  }

  /**
   * Sends something to a replica; false when it cannot be reached, or does not take what was sent before. A reply to a forwarded
   * request is never left out: where it cannot go, the connection ends, which tells the one who waits for it.
   */
  sendTo(replica: ReplicaId, message: wire.PeerMessage): boolean {
    const peer = this.peers.get(replica);
    const link = peer?.link;
    if (peer === undefined || link === undefined) return false;
    if (!this.takes(peer, link)) {
      if (message.type !== wire.FORWARD_REPLY) return false;
      if (link.pendingBytes > 2 * UNSENT_LIMIT) {
        queueMicrotask(() => link.close('it does not take the replies that it has asked for'));
        return false;
      }
    }
    link.send(message);
    return link.isOpen;
  }

  private sendNow(replica: ReplicaId, message: wire.PeerMessage): boolean {
    const isSent = this.sendTo(replica, message);
    this.peers.get(replica)?.link?.flush();
    return isSent;
  }

  /** Everything sent since the last time leaves. */
  flush(): void {
    for (const peer of this.peers.values()) {
      if (peer.link === undefined) continue;
      if (peer.beats.length > 0) {
        peer.link.send({ type: wire.HEARTBEAT, beats: peer.beats });
        peer.beats = [];
      }
      if (peer.beatReplies.length > 0) {
        peer.link.send({ type: wire.HEARTBEAT_REPLY, beats: peer.beatReplies });
        peer.beatReplies = [];
      }
      peer.link.flush();
    }
  }

  /** Streams a snapshot file to a replica, in place of one that is under way to it. It stays readable even if it is removed meanwhile. */
  sendSnapshot(to: ReplicaId, term: Term, meta: SnapshotMeta, path: string): void {
    this.sender.begin(to, term, meta, path);
  }

  /** This replica leads no more: nobody is told how the transfers end. */
  stopSnapshots(): void {
    this.sender.stop();
  }

  status(): PeerStatus[] {
    return [...this.peers.values()].map(({ replica, link }) => ({
      replica,
      connected: link !== undefined,
      rttMs: link?.rttMs ?? -1,
      sentBytes: link?.sentBytes ?? 0,
      receivedBytes: link?.receivedBytes ?? 0,
      pendingBytes: link?.pendingBytes ?? 0,
      lastHeardMs: link === undefined ? -1 : performance.now() - link.heardAtMs,
      snapshot: this.sender.progress(replica),
    }));
  }

  /** Ends all connections; no handler is called from now on. */
  close(): void {
    this.isClosed = true;
    clearInterval(this.ticker);
    this.sender.stop();
    this.receiver.close();
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
    this.sender.cancel(peer.replica);
  }

  /** Whether messages to it have room. One that does not take what it is sent is as good as unreachable until it does. */
  private takes(peer: Peer, link: Link): boolean {
    if (link.isClogged) return false;
    if (link.pendingBytes <= UNSENT_LIMIT) return true;
    link.isClogged = true;
    queueMicrotask(() => {
      if (link.isOpen && link.isClogged) this.handlers.onUnreachable(peer.replica);
    });
    return false;
  }

  private tick(): void {
    for (const link of this.strangers) link.tick();
    for (const link of this.byLink.keys()) link.tick();
    this.sender.tick();
  }

  private accept(socket: net.Socket): void {
    if (this.isClosed || this.strangers.size >= STRANGERS_LIMIT) socket.destroy();
    else this.open(socket, false);
  }

  private readonly dialed = (socket: net.Socket, dialer: Dialer): void => {
    dialer.link = this.open(socket, true);
  };

  private open(socket: net.Socket, isOpener: boolean): Link {
    const handshaker = new Handshaker(isOpener ? 'opener' : 'acceptor', this.self, this.options.secret);
    const link = new Link(socket, isOpener, handshaker, this.writer, this);
    this.strangers.add(link);
    return link;
  }

  onProven(link: Link): void {
    const { nodeId, nodeName, replicas } = link.peer!;
    if (replicas.length === 0 && !link.isOpener) return;
    const replica = replicas.find(({ group }) => group === this.options.group)?.replica ?? 0;
    const dialer = link.isOpener ? this.dialerOf(link) : undefined;
    if (replica === 0 || replica === this.options.replica || (link.isOpener && dialer?.address.replica !== replica)) {
      link.close(`peer: node ${printable(nodeName)} has replica ${replica} there`);
      return;
    }
    const peer = this.peerOf(replica);
    const old = peer.link;
    if (old !== undefined) {
      if (old.peer!.nodeId !== nodeId) {
        link.close(`peer: replica ${replica} is another node already, ${printable(old.peer!.nodeName)}`);
        return;
      }
      if (link.provenAtMs - old.provenAtMs < TWIN_MS && !this.isPreferred(link, nodeId)) {
        this.strangers.delete(link);
        link.close('');
        return;
      }
    }
    this.strangers.delete(link);
    dialer?.arrived();
    peer.link = link;
    this.byLink.set(link, peer);
    peer.dialer?.rest();
    // What was under way on the old one is lost, though the replica can be reached all the time.
    if (old === undefined) this.options.log.write('notice', `Connected to ${nameOf(peer, link)}`);
    else old.close('another connection takes over');
    this.handlers.onReachable(replica);
    this.sender.resume(replica);
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

  private dialerOf(link: Link): Dialer | undefined {
    for (const { dialer } of this.peers.values()) if (dialer?.link === link) return dialer;
    return undefined;
  }

  /** Of two connections between the same nodes, the one that both keep. */
  private isPreferred(link: Link, nodeId: string): boolean {
    return link.isOpener === this.self.nodeId < nodeId;
  }

  onMessage(link: Link, message: wire.PeerMessage): void {
    const peer = this.byLink.get(link);
    if (peer === undefined) {
      this.onStranger(link, message);
      return;
    }
    const { group } = this.options;
    switch (message.type) {
      case wire.FORWARD:
        if (message.group === group) this.handlers.onForward(peer.replica, message);
        return;
      case wire.FORWARD_REPLY:
        if (message.group === group) this.handlers.onForwardReply(peer.replica, message);
        return;
      case wire.SNAPSHOT_CHUNK:
        if (this.isFor(peer, message)) this.receiver.take(message);
        return;
      case wire.SNAPSHOT_REPLY:
        if (this.isFor(peer, message)) this.sender.take(message);
        return;
      default:
        fromWire(message, (m) => {
          if (this.isFor(peer, m)) this.handlers.onMessage(m);
        });
    }
  }

  /** Nobody speaks for another replica than the one it has proved to be. */
  private isFor(peer: Peer, m: { readonly group: number; readonly from: number; readonly to: number }): boolean {
    return m.group === this.options.group && m.from === peer.replica && m.to === this.options.replica;
  }

  private onStranger(link: Link, message: wire.PeerMessage): void {
    const { onJoin } = this.handlers;
    if (message.type !== wire.JOIN || onJoin === undefined) {
      link.close('peer: a message from a node that is no member');
      return;
    }
    const reply = (answer: wire.JoinReply): void => {
      link.send(answer);
      link.finish('');
    };
    onJoin.call(this.handlers, message).then(reply, (error: Error) => {
      reply({
        type: wire.JOIN_REPLY,
        status: wire.JOIN_LATER,
        replica: 0,
        text: error.message,
        clusterId: '',
        leader: '',
        members: [],
      });
    });
  }

  onTurn(link: Link): void {
    if (this.byLink.has(link)) this.handlers.onTurn();
  }

  onDrained(link: Link): void {
    const peer = this.byLink.get(link);
    if (peer === undefined) return;
    this.handlers.onReachable(peer.replica);
    this.sender.resume(peer.replica);
  }

  onClosed(link: Link, text: string): void {
    const peer = this.byLink.get(link);
    const dialer = this.dialerOf(link);
    this.byLink.delete(link);
    this.strangers.delete(link);
    if (this.isClosed) return;
    if (peer === undefined) {
      if (dialer !== undefined) dialer.failed(text);
      else this.logRefusal(link, text);
      return;
    }
    const isCurrent = peer.link === link;
    if (isCurrent) {
      peer.link = undefined;
      peer.beats.length = 0;
      peer.beatReplies.length = 0;
      this.options.log.write('warning', `Lost the connection to ${nameOf(peer, link)}: ${text}`);
      if (peer.dialer === undefined) this.forget(peer);
      else peer.dialer.start();
    }
    this.handlers.onUnreachable(peer.replica);
  }
}

function nameOf(peer: Peer, link: Link): string {
  return `replica ${peer.replica}, node ${printable(link.peer!.nodeName)}`;
}
