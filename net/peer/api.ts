/** What the node and its connections to peers (peers.ts) have to do with each other. All on the main thread. */
import type { LogIndex, ReplicaId } from '../../engine/raft/entry.ts';
import type { Message } from '../../engine/raft/message.ts';
import type { BackgroundPool } from '../../engine/snapshot/pool.ts';
import type * as wire from '../../proto/messages.ts';
import type { LogLevel } from '../clients.ts';
import type { TlsFiles } from './transport.ts';

export interface Log {
  write(level: LogLevel, text: string): void;
}

export interface PeerAddress {
  readonly replica: ReplicaId;
  /** Which node it is; undefined while that is not known. No other is let in as this replica. */
  readonly nodeId?: string;
  readonly name: string;
  readonly host: string;
  readonly port: number;
}

export interface PeersOptions {
  readonly clusterId: string;
  readonly nodeId: string;
  readonly nodeName: string;
  readonly replica: ReplicaId;
  readonly group: number;
  /** Empty: everybody is believed (handshake.ts). */
  readonly secret: string;
  readonly tls?: TlsFiles;
  /** Where snapshots are put while they arrive. */
  readonly directory: string;
  /** The file that says which node each replica is (acquaintances.ts); undefined: that is not kept. */
  readonly acquaintances?: string;
  /** Verifies them. */
  readonly pool: BackgroundPool;
  readonly log: Log;
}

export interface PeerHandlers {
  /** A message for a replica, from one that has proved to be the sender. */
  onMessage(message: Message): void;
  /** All frames of one read were handed over. */
  onTurn(): void;
  /** It lives, though a long message, from it or to it, is in the way of others that would say so. */
  onAlive(replica: ReplicaId): void;
  onForward(from: ReplicaId, message: wire.Forward): void;
  onForwardReply(from: ReplicaId, message: wire.ForwardReply): void;
  /** What was sent to it lately may be lost, and what is sent now will be. Once per loss. */
  onUnreachable(replica: ReplicaId): void;
  /** There is a connection, or room on it. One that the other side refuses after all is lost again at once. */
  onReachable(replica: ReplicaId): void;
  /** A whole and verified file, synced, which is the node's from now on: to be renamed. The message is of type SNAPSHOT. */
  onSnapshotReceived(message: Message, path: string): void;
  onSnapshotSent(replica: ReplicaId, index: LogIndex): void;
  onSnapshotFailed(replica: ReplicaId): void;
  /** A node asks to become a member. What it rejects with is told to the node as JOIN_LATER. */
  onJoin?(request: wire.Join): Promise<wire.JoinReply>;
}

export interface PeerStatus {
  readonly replica: ReplicaId;
  readonly connected: boolean;
  /** -1 while not known. */
  readonly rttMs: number;
  readonly sentBytes: number;
  readonly receivedBytes: number;
  readonly pendingBytes: number;
  /** How long ago the last byte came; -1 without a connection. */
  readonly lastHeardMs: number;
  /** The snapshot that is being sent to it. */
  readonly snapshot: TransferProgress | undefined;
}

export interface TransferProgress {
  readonly index: LogIndex;
  /** Of which the other side has so many. */
  readonly sizeBytes: number;
  readonly doneBytes: number;
}
