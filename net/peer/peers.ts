/**
 * The other replicas of the group, as the node sees them: what comes from them and what goes to them. Main thread. Begin with
 * api.ts; behind this file: connections.ts (who is connected), dialer.ts, transport.ts (sockets), link.ts (one connection),
 * handshake.ts, frame.ts, convert.ts, snapshotsender.ts and snapshotreceiver.ts, join.ts.
 *
 * Messages may be lost at any time, as Raft allows. What is lost with a connection is said once, by `onUnreachable`. No handler is called
 * from within a call of ours.
 */
import { mkdirSync } from 'node:fs';
import type { ReplicaId, SnapshotMeta, Term } from '../../engine/raft/entry.ts';
import { HEARTBEAT, HEARTBEAT_REPLY, type Message } from '../../engine/raft/message.ts';
import { PeerError } from '../../proto/errors.ts';
import * as wire from '../../proto/messages.ts';
import type { PeerAddress, PeerHandlers, PeerStatus, PeersOptions } from './api.ts';
import { type ConnectionHandlers, Connections, type Peer } from './connections.ts';
import { fromWire, toBeat, toBeatReply, toWire } from './convert.ts';
import { FRAME_LIMIT } from './frame.ts';
import { askToJoin } from './join.ts';
import { type Link, UNSENT_LIMIT } from './link.ts';
import { SnapshotReceiver } from './snapshotreceiver.ts';
import { SnapshotSender } from './snapshotsender.ts';

/** An entry, a forwarded request or its replies may have so many bytes, to fit a frame with everything around them. */
export const PAYLOAD_LIMIT = FRAME_LIMIT - 1024 * 1024;

/** Of what a node that may not join is told, in characters. */
const JOIN_TEXT_LIMIT = 1000;

export class Peers implements ConnectionHandlers {
  /** For a node that has no Peers yet: asks the member at this address to make it one, too. */
  static readonly askToJoin = askToJoin;

  private readonly options: PeersOptions;
  private readonly handlers: PeerHandlers;
  private readonly connections: Connections;
  private readonly sender: SnapshotSender;
  private readonly receiver: SnapshotReceiver;

  constructor(options: PeersOptions, handlers: PeerHandlers) {
    const { group, replica, directory, pool, log } = options;
    this.options = options;
    this.handlers = handlers;
    mkdirSync(directory, { recursive: true });
    this.connections = new Connections(options, this);
    const send = (to: ReplicaId, message: wire.PeerMessage): boolean => this.sendNow(to, message);
    this.sender = new SnapshotSender(group, replica, send, handlers, log);
    this.receiver = new SnapshotReceiver(group, replica, directory, pool, send, handlers, log);
  }

  listen(host: string, port: number): Promise<void> {
    return this.connections.listen(host, port);
  }

  get port(): number {
    return this.connections.port;
  }

  /** These are the members; this replica may be among them. Dials the new ones, lets go of those that are none any more. */
  setMembers(members: readonly PeerAddress[]): void {
    this.connections.setMembers(members);
  }

  /** Sends to `m.to` if it can be reached. Heartbeats wait for `flush`, to share a frame. */
  send(m: Message): void {
    const peer = this.connections.peers.get(m.to);
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
    const peer = this.connections.peers.get(replica);
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
    this.connections.peers.get(replica)?.link?.flush();
    return isSent;
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

  /** Everything sent since the last time leaves. */
  flush(): void {
    for (const peer of this.connections.peers.values()) {
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

  /** Which node a replica is, as far as this one knows; '' when it does not. */
  nodeOf(replica: ReplicaId): string {
    return this.connections.nodeOf(replica) ?? '';
  }

  status(): PeerStatus[] {
    return [...this.connections.peers.values()].map(({ replica, link }) => ({
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
    this.connections.close();
    this.sender.stop();
    this.receiver.close();
  }

  onConnected({ replica }: Peer): void {
    this.handlers.onReachable(replica);
    this.sender.resume(replica);
  }

  onPeerAlive({ replica }: Peer): void {
    this.handlers.onAlive(replica);
  }

  onPeerDrained({ replica }: Peer): void {
    this.handlers.onReachable(replica);
    this.sender.resume(replica);
  }

  onLost({ replica }: Peer): void {
    this.handlers.onUnreachable(replica);
  }

  onForgotten({ replica }: Peer): void {
    this.sender.cancel(replica);
  }

  onPeerTurn(): void {
    this.handlers.onTurn();
  }

  onTick(): void {
    this.sender.tick();
  }

  onPeerMessage(peer: Peer, message: wire.PeerMessage): void {
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
        this.take(peer, message);
    }
  }

  private take(peer: Peer, message: wire.PeerMessage): void {
    try {
      fromWire(message, (m) => {
        if (this.isFor(peer, m)) this.handlers.onMessage(m);
      });
    } catch (error) {
      if (!(error instanceof PeerError)) throw error;
      peer.link?.close(error.message);
    }
  }

  /** Nobody speaks for another replica than the one it has proved to be. */
  private isFor(peer: Peer, m: { readonly group: number; readonly from: number; readonly to: number }): boolean {
    return m.group === this.options.group && m.from === peer.replica && m.to === this.options.replica;
  }

  onGuestMessage(link: Link, message: wire.PeerMessage): void {
    const { handlers } = this;
    if (message.type !== wire.JOIN || handlers.onJoin === undefined) {
      link.close('peer: a message from a node that is no member');
      return;
    }
    const reply = (answer: wire.JoinReply): void => {
      link.send(answer);
      link.finish('');
    };
    handlers.onJoin(message).then(reply, (error: Error) => {
      const text = error.message.slice(0, JOIN_TEXT_LIMIT);
      const nothing = { replica: 0, clusterId: '', leader: '', members: [] };
      reply({ type: wire.JOIN_REPLY, status: wire.JOIN_LATER, text, ...nothing });
    });
  }
}
